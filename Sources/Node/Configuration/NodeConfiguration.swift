internal import Foundation
public import Primitives
internal import TOMLKit

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
    /// Test only: `flip-bit` makes every result wrong in one bit.
    public var fault: String?

    public init(bond: Amount, price: Amount, memory: UInt64, threads: Int, rate: UInt64, fault: String? = nil) {
        self.bond = bond
        self.price = price
        self.memory = memory
        self.threads = threads
        self.rate = rate
        self.fault = fault
    }
}

/// What `config.toml` in a node's home says.
public struct NodeConfiguration: Sendable {
    public var home: String
    public var name = "node"
    public var listenHost = "127.0.0.1"
    /// TCP and UDP.
    public var port = 27600
    public var bootstrap: [String] = []
    public var rpcHost = "127.0.0.1"
    public var rpcPort = 27700
    public var validator = false
    public var provider: ProviderConfiguration?
    public var logLevel = "info"

    public init(home: String) { self.home = home }

    public var path: String { home + "/config.toml" }

    /// Reads `config.toml`. Unknown keys are refused, so that a typing error does not pass as a default.
    public static func load(home: String) throws -> NodeConfiguration {
        var configuration = NodeConfiguration(home: home)
        let path = configuration.path
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw ConfigurationFault(path, "there is no such file; make one with plasma devnet up")
        }
        let table: TOMLTable
        do { table = try TOMLTable(string: text) } catch let error as TOMLParseError {
            throw ConfigurationFault(
                path, "line \(error.source.begin.line): \(error.description.split(separator: "\n").first ?? "not TOML")"
            )
        }
        let reader = TOMLSection(path, text, table, "")
        configuration.name = try reader.string("name") ?? configuration.name
        configuration.listenHost = try reader.string("listen_host") ?? configuration.listenHost
        configuration.port = try reader.integer("port", 0...65_535) ?? configuration.port
        configuration.bootstrap = try reader.strings("bootstrap") ?? []
        configuration.rpcHost = try reader.string("rpc_host") ?? configuration.rpcHost
        configuration.rpcPort = try reader.integer("rpc_port", 0...65_535) ?? configuration.rpcPort
        configuration.validator = try reader.bool("validator") ?? false
        configuration.logLevel = try reader.string("log_level") ?? configuration.logLevel
        if let section = try reader.section("provider") {
            configuration.provider = ProviderConfiguration(
                bond: try section.amount("bond") ?? .xpl(1_000), price: try section.amount("price") ?? .xpl(1),
                memory: UInt64(try section.integer("memory_mib", 1...1 << 24) ?? 2_048) << 20,
                threads: try section.integer("threads", 1...1_024) ?? 1,
                rate: UInt64(try section.integer("rate_gops", 1...1 << 24) ?? 10) * 1_000_000_000,
                fault: try section.string("fault"))
            try section.finish()
        }
        try reader.finish()
        return configuration
    }

    /// The text that `load` reads.
    public var text: String {
        var lines = [
            "# A Plasma node. Keys are in keys/, data in data/.", "name = \"\(name)\"",
            "listen_host = \"\(listenHost)\"", "# TCP and UDP", "port = \(port)",
            "bootstrap = [\(bootstrap.map { "\"\($0)\"" }.joined(separator: ", "))]", "rpc_host = \"\(rpcHost)\"",
            "rpc_port = \(rpcPort)", "validator = \(validator)", "log_level = \"\(logLevel)\"",
        ]
        if let provider {
            lines += [
                "", "[provider]", "bond = \"\(provider.bond)\"", "# XPL for 1,000 compute units",
                "price = \"\(provider.price)\"", "memory_mib = \(provider.memory >> 20)",
                "threads = \(provider.threads)",
                "rate_gops = \(provider.rate / 1_000_000_000)",
            ]
            if let fault = provider.fault { lines.append("fault = \"\(fault)\"") }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

/// One table of a TOML file, read key by key.
final class TOMLSection {
    private let file: String
    private let text: String
    private let table: TOMLTable
    private let name: String
    private var known: Set<String> = []

    init(_ file: String, _ text: String, _ table: TOMLTable, _ name: String) {
        self.file = file
        self.text = text
        self.table = table
        self.name = name
    }

    private func line(_ key: String) -> Int {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let found = lines.firstIndex {
            $0.drop { $0 == " " }.hasPrefix(key) || $0.drop { $0 == " " }.hasPrefix("[\(key)")
        }
        return (found ?? 0) + 1
    }

    private func fault(_ key: String, _ what: String) -> ConfigurationFault {
        ConfigurationFault(file, "line \(line(key)): \"\(name)\(key)\" \(what)")
    }

    func string(_ key: String) throws -> String? {
        known.insert(key)
        guard let value = table[key] else { return nil }
        guard let text = value.string else { throw fault(key, "must be a text in quotes") }
        return text
    }

    func bool(_ key: String) throws -> Bool? {
        known.insert(key)
        guard let value = table[key] else { return nil }
        guard let flag = value.bool else { throw fault(key, "must be true or false") }
        return flag
    }

    func integer(_ key: String, _ range: ClosedRange<Int>) throws -> Int? {
        known.insert(key)
        guard let value = table[key] else { return nil }
        guard let number = value.int, range.contains(number) else {
            throw fault(key, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func amount(_ key: String) throws -> Amount? {
        guard let text = try string(key) else { return nil }
        do { return try Amount(parsing: text) } catch { throw fault(key, "must be an amount in quotes: \(error)") }
    }

    func strings(_ key: String) throws -> [String]? {
        known.insert(key)
        guard let value = table[key] else { return nil }
        guard let array = value.array else { throw fault(key, "must be a list of texts") }
        return try array.map { element in
            guard let text = element.string else { throw fault(key, "must be a list of texts") }
            return text
        }
    }

    func section(_ key: String) throws -> TOMLSection? {
        known.insert(key)
        guard let value = table[key] else { return nil }
        guard let inner = value.table else { throw fault(key, "must be a section") }
        return TOMLSection(file, text, inner, "\(key).")
    }

    func finish() throws {
        for key in table.keys.sorted() where !known.contains(key) {
            throw fault(key, "is no setting that this version knows: remove it or correct its spelling")
        }
    }
}
