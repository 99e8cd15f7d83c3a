internal import Consensus
internal import Primitives

/// Seeds under which the engines' own draw gives the wanted leaders. The draw is not touched: seeds are tried in order until one fits, about
/// n³ of them for three views.
public struct TwinLeaders: Sendable {
    private var found: [[Int]: Digest] = [:]
    private var tried: UInt64 = 0
    private let validators: ValidatorSet
    /// Beyond so many the seeds are not kept.
    private static let maximumKept = 4_096

    init(_ validators: ValidatorSet) { self.validators = validators }

    /// For views 1, 2, ….
    mutating func seed(for leaders: [Int]) -> Digest {
        if let seed = found[leaders] { return seed }
        while true {
            var writer = ByteWriter(capacity: 8)
            writer.write(tried)
            tried += 1
            let seed = Digest.of(Domain("sim.leaders"), writer.bytes)
            let drawn = leaders.indices.map { validators.leader(of: View(UInt64($0) + 1), seed: seed) }
            if found.count < TwinLeaders.maximumKept { found[drawn] = found[drawn] ?? seed }
            if drawn == leaders { return seed }
        }
    }
}
