internal import Primitives
public import Worker

/// How a node looks after others' results, from its operator's account.
public struct ChallengerConfiguration: Sendable {
    public var rules: ChallengerRules
    /// Bytes and threads that the runs may take.
    public var memory: UInt64
    public var threads: Int

    public init(rules: ChallengerRules, memory: UInt64, threads: Int) {
        self.rules = rules
        self.memory = memory
        self.threads = threads
    }

    init(_ section: TOMLSection) throws {
        guard let limit = try section.amount("deposit_limit") else { throw section.missing("deposit_limit") }
        rules = ChallengerRules(
            sharePerMille: UInt64(try section.integer("share_per_mille", 0...1_000) ?? 1_000), depositLimit: limit)
        rules.longest = try section.integer("longest_cu", 1...1 << 32).map {
            ComputeUnits(weightedOperations: UInt64($0) * ComputeUnits.operationsPerUnit)
        }
        if let text = try section.string("requester") {
            guard let address = try? Address(parsing: text) else {
                throw section.fault("requester", "must be an address, as plasma keys shows them")
            }
            rules.requester = address
        }
        if let text = try section.string("model") {
            guard let manifest = Digest(hex: text) else {
                throw section.fault(
                    "model", "must be a model's manifest, 64 hexadecimal digits, as plasma model list shows it")
            }
            rules.manifest = manifest
        }
        memory = UInt64(try section.integer("memory_mib", 1...1 << 24) ?? 2_048) << 20
        threads = try section.integer("threads", 1...1_024) ?? 1
        try section.finish()
    }

    var lines: [String] {
        var lines = [
            "", "[challenger]", "# XPL that may lie in deposits at a time", "deposit_limit = \"\(rules.depositLimit)\"",
            "# Of the results, how many in a thousand are run again", "share_per_mille = \(rules.sharePerMille)",
        ]
        if let longest = rules.longest {
            lines.append("longest_cu = \(longest.weightedOperations / ComputeUnits.operationsPerUnit)")
        }
        if let requester = rules.requester { lines.append("requester = \"\(requester)\"") }
        if let manifest = rules.manifest { lines.append("model = \"\(manifest.hex)\"") }
        return lines + ["memory_mib = \(memory >> 20)", "threads = \(threads)"]
    }
}
