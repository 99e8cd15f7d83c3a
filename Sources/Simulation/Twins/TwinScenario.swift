/// Twins (after Bano et al., "Twins: BFT systems made robust"): a validator that runs twice, with one key, lies in every way in which correct engines
/// can. A scenario says, for each of the first views, who leads and who hears whom; then the network heals.
///
/// Nodes `0..<validators` are the validators, node `validators + k` is the second half of validator `k`; the first `twins` validators have one.
public struct TwinScenario: Hashable, Sendable, CustomStringConvertible {
    /// One view: its leader (a validator, both halves of it), and the part in which each node stands.
    public struct Round: Hashable, Sendable {
        public let leader: Int
        /// By node. Parts are numbered in the order of their first nodes, so that equal partitions are equal lists.
        public let parts: [UInt8]

        public init(leader: Int, parts: [UInt8]) {
            self.leader = leader
            self.parts = Round.numbered(parts)
        }

        static func numbered(_ parts: [UInt8]) -> [UInt8] {
            var names: [UInt8] = []
            return parts.map { part in
                if let place = names.firstIndex(of: part) { return UInt8(place) }
                names.append(part)
                return UInt8(names.count - 1)
            }
        }
    }

    public let validators: Int
    public let twins: Int
    public let rounds: [Round]

    public static let maximumNodes = 16

    /// Nil where the numbers do not fit together.
    public init?(validators: Int, twins: Int, rounds: [Round]) {
        guard validators >= 1, (0...validators).contains(twins), validators + twins <= TwinScenario.maximumNodes,
            !rounds.isEmpty,
            rounds.allSatisfy({
                (0..<validators).contains($0.leader) && $0.parts.count == validators + twins
            })
        else { return nil }
        self.validators = validators
        self.twins = twins
        self.rounds = rounds
    }

    public var nodes: Int { validators + twins }

    /// `4+1,2:00110,0:01200,1:00000`: four validators, one of them twice; for each view the leader, and each node's part as a hexadecimal digit.
    public var description: String {
        let views = rounds.map { round in
            "\(round.leader):" + round.parts.map { String($0, radix: 16) }.joined()
        }
        return "\(validators)+\(twins)," + views.joined(separator: ",")
    }

    /// Reads a description.
    public init?(_ text: String) {
        let fields = text.split(separator: ",", omittingEmptySubsequences: false)
        guard let head = fields.first else { return nil }
        let counts = head.split(separator: "+", omittingEmptySubsequences: false).map { Int($0) }
        guard counts.count == 2, let validators = counts[0], let twins = counts[1] else { return nil }
        var rounds: [Round] = []
        for field in fields.dropFirst() {
            let halves = field.split(separator: ":", omittingEmptySubsequences: false)
            guard halves.count == 2, let leader = Int(halves[0]) else { return nil }
            let parts = halves[1].map { $0.hexDigitValue.map { UInt8($0) } }
            guard parts.allSatisfy({ $0 != nil }) else { return nil }
            rounds.append(Round(leader: leader, parts: parts.compactMap { $0 }))
        }
        self.init(validators: validators, twins: twins, rounds: rounds)
    }
}
