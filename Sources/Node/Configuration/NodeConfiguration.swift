internal import Foundation
public import Primitives
public import Replica

/// Why a configuration cannot be used: where, what, and the next step.
public struct ConfigurationFault: Error, Sendable, CustomStringConvertible {
    public let description: String

    init(_ file: String, _ what: String) { description = "\(file): \(what)" }
}

/// How a provider takes part.
public struct ProviderConfiguration: Sendable {
    public var bond: Amount
    /// For 1,000 CU of f32.
    public var price: Amount
    /// Bytes offered.
    public var memory: UInt64
    public var threads: Int
    /// Weighted operations a second that the offer states.
    public var rate: UInt64
    /// Jobs held at a time; they are computed one after the other.
    public var capacity: Int
    /// Test only: `flip-bit` makes every result wrong in one bit; `flip-bit-silent` also leaves challengers that ask without the chain unanswered;
    /// `withhold` hands the output of no job to anybody.
    public var fault: String?

    static let faults = ["flip-bit", "flip-bit-silent", "withhold"]

    public init(
        bond: Amount, price: Amount, memory: UInt64, threads: Int, rate: UInt64, capacity: Int = 1,
        fault: String? = nil
    ) {
        self.bond = bond
        self.price = price
        self.memory = memory
        self.threads = threads
        self.rate = rate
        self.capacity = capacity
        self.fault = fault
    }
}

/// What `config.toml` in a node's home says.
public struct NodeConfiguration: Sendable {
    public var home: String
    public var name = "node"
    public var listenHost = "127.0.0.1"
    /// Where others reach the node, if not where it listens.
    public var externalHost: String?
    /// TCP and UDP.
    public var port = 27600
    public var bootstrap: [String] = []
    public var rpcHost = "127.0.0.1"
    public var rpcPort = 27700
    public var validator = false
    public var provider: ProviderConfiguration?
    public var challenger: ChallengerConfiguration?
    public var logLevel = "info"
    public var history = BlockHistory.archive

    public init(home: String) { self.home = home }

    public var path: String { home + "/config.toml" }

    public var genesisPath: String { home + "/genesis.toml" }

    /// Reads `config.toml`. Unknown keys are refused, so that a typing error does not pass as a default.
    public static func load(home: String) throws -> NodeConfiguration {
        var configuration = NodeConfiguration(home: home)
        let path = configuration.path
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw ConfigurationFault(path, "there is no such file: make a home with plasma init")
        }
        let reader = try TOMLSection.parse(path, text)
        configuration.name = try reader.string("name") ?? configuration.name
        configuration.listenHost = try reader.string("listen_host") ?? configuration.listenHost
        configuration.externalHost = try reader.string("external_host")
        configuration.port = try reader.integer("port", 0...65_535) ?? configuration.port
        configuration.bootstrap = try reader.strings("bootstrap") ?? []
        configuration.rpcHost = try reader.string("rpc_host") ?? configuration.rpcHost
        configuration.rpcPort = try reader.integer("rpc_port", 0...65_535) ?? configuration.rpcPort
        configuration.validator = try reader.bool("validator") ?? false
        configuration.logLevel = try reader.string("log_level") ?? configuration.logLevel
        if let text = try reader.string("history") {
            guard let history = BlockHistory(text) else {
                throw reader.fault(
                    "history",
                    "must be \"archive\", \"N blocks\" with N from \(BlockHistory.leastBlocks), or \"N days\"")
            }
            configuration.history = history
        }
        if let section = try reader.section("provider") {
            let fault = try section.string("fault")
            if let fault, !ProviderConfiguration.faults.contains(fault) {
                throw section.fault(
                    "fault", "is one of \(ProviderConfiguration.faults.joined(separator: ", ")), for tests")
            }
            configuration.provider = ProviderConfiguration(
                bond: try section.amount("bond") ?? .xpl(1_000), price: try section.amount("price") ?? .xpl(1),
                memory: UInt64(try section.integer("memory_mib", 1...1 << 24) ?? 2_048) << 20,
                threads: try section.integer("threads", 1...1_024) ?? 1,
                rate: UInt64(try section.integer("rate_gops", 1...1 << 24) ?? 10) * 1_000_000_000,
                capacity: try section.integer("capacity", 1...4_096) ?? 1,
                fault: fault)
            try section.finish()
        }
        configuration.challenger = try reader.section("challenger").map { try ChallengerConfiguration($0) }
        try reader.finish()
        return configuration
    }

    /// The text that `load` reads.
    public var text: String {
        var lines = [
            "# A Plasma node. Keys are in keys/, data in data/.", "name = \"\(name)\"",
            "listen_host = \"\(listenHost)\"",
            externalHost.map { "external_host = \"\($0)\"" } ?? "# external_host = \"203.0.113.7\"", "# TCP and UDP",
            "port = \(port)",
            "bootstrap = [\(bootstrap.map { "\"\($0)\"" }.joined(separator: ", "))]", "rpc_host = \"\(rpcHost)\"",
            "rpc_port = \(rpcPort)", "validator = \(validator)", "log_level = \"\(logLevel)\"",
            "# Blocks that are kept: archive (all), 100000 blocks, or 30 days", "history = \"\(history)\"",
        ]
        if let provider {
            lines += [
                "", "[provider]", "bond = \"\(provider.bond)\"", "# XPL for 1,000 compute units",
                "price = \"\(provider.price)\"", "memory_mib = \(provider.memory >> 20)",
                "threads = \(provider.threads)",
                "rate_gops = \(provider.rate / 1_000_000_000)",
                "# Jobs held at a time", "capacity = \(provider.capacity)",
            ]
            if let fault = provider.fault { lines.append("fault = \"\(fault)\"") }
        }
        lines += challenger?.lines ?? []
        return lines.joined(separator: "\n") + "\n"
    }
}
