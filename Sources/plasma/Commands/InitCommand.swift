import API
import ArgumentParser
import Foundation
import Ledger
import Node
import Primitives
import Storage

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make a node's home: configuration, keys and genesis.",
        discussion: """
            A follower:  plasma init --home ~/.plasma --genesis genesis.toml --bootstrap 203.0.113.7:27600
            A provider:  the same with --provider; its operator account needs the bond and some XPL, or a sponsor (plasma provider request).
            A validator: the same with --validator; the genesis of a new network names it, or plasma stake register brings it in.
            """)

    @Option(help: "The folder to make.")
    var home: String

    @Option(help: "The network's genesis.toml. A validator of a network to be made has none yet.")
    var genesis: String?

    @Option(help: "What people call the node.")
    var name = "node"

    @Flag(help: "Make a validator's keys.")
    var validator = false

    @Flag(help: "Offer this machine's CPU for jobs.")
    var provider = false

    @Option(help: "TCP and UDP port.")
    var port = 27600

    @Option(help: "RPC port, on loopback.")
    var rpcPort = 27700

    @Option(help: "The address to listen on. 0.0.0.0 takes connections from everywhere.")
    var listen = "127.0.0.1"

    @Option(help: "The IP address that others reach this node at, if it listens on another.")
    var external: String?

    @Option(parsing: .upToNextOption, help: "Addresses of nodes to start from, host:port.")
    var bootstrap: [String] = []

    @Option(help: "A provider's bond, in XPL. With less than the network's least it fills from the machine's pay.")
    var bond = "1000"

    @Option(help: "A provider's price for 1,000 compute units, in XPL.")
    var price = "100"

    @Option(help: "A provider's memory for jobs, in MiB.")
    var memory = 2_048

    @Option(help: "A provider's threads.")
    var threads = 1

    @Option(help: "A file that holds the password of the new keys. Default: $PLASMA_PASSWORD, else you are asked.")
    var passwordFile: String?

    @Option(name: .shortAndLong, help: "text or json")
    var output: OutputFormat = .text

    func run() throws {
        do { try make() } catch { throw Failure(describing: error) }
    }

    private func make() throws {
        let files = FileManager.default
        if files.fileExists(atPath: home + "/config.toml") {
            throw Failure("\(home) is a node's home already: choose another folder, or remove it")
        }
        // The bounds of config.toml: a home that could not be started is not made.
        for (option, value, range) in [
            ("port", port, 0...65_535), ("rpc-port", rpcPort, 0...65_535), ("memory", memory, 1...1 << 24),
            ("threads", threads, 1...1_024),
        ] where !range.contains(value) {
            throw Failure("--\(option) is \(value): give it from \(range.lowerBound) to \(range.upperBound)")
        }
        let text = try genesis.map { path in
            _ = try GenesisFile.load(path)
            return try String(contentsOfFile: path, encoding: .utf8)
        }
        var configuration = NodeConfiguration(home: home)
        configuration.name = name
        configuration.listenHost = listen
        configuration.externalHost = external
        configuration.port = port
        configuration.rpcPort = rpcPort
        configuration.bootstrap = bootstrap
        configuration.validator = validator
        if provider {
            configuration.provider = ProviderConfiguration(
                bond: try Amount(parsing: bond), price: try Amount(parsing: price), memory: UInt64(memory) << 20,
                threads: threads, rate: 20_000_000_000 * UInt64(max(1, threads)))
        }
        var options = try KeyOptions.parse(["--home", home])
        options.passwordFile = passwordFile
        let password = try options.newPassword()
        try files.createDirectory(atPath: home, withIntermediateDirectories: true)
        let keys = try KeyStore(home: home)
        var made: [String: PublicKey] = [:]
        for role in ["node", "operator"] + (validator ? ["consensus", "vrf"] : []) {
            made[role] =
                try keys.create(role, password: password, strength: password.isEmpty ? .development : .interactive)
                .publicKey
        }
        if validator { try SigningMemory.create(home: home) }
        if let text { try text.write(toFile: configuration.genesisPath, atomically: true, encoding: .utf8) }
        // The configuration last: it is what makes the folder a home.
        try configuration.text.write(toFile: configuration.path, atomically: true, encoding: .utf8)
        let address = made["operator"]?.address.description ?? ""
        var json: [String: JSONValue] = [
            "home": .string(home), "operator": .string(address), "nodeId": .string(made["node"]?.hex ?? ""),
        ]
        var lines = ["\(home) is ready. The operator's account is \(address)"]
        if let consensus = made["consensus"], let vrf = made["vrf"] {
            json["consensusKey"] = .string(consensus.hex)
            json["vrfKey"] = .string(vrf.hex)
            lines += [
                "For the genesis:", "", "[[validators]]", "consensus_key = \"\(consensus.hex)\"",
                "vrf_key = \"\(vrf.hex)\"", "stake = \"10000000\"", "operator = \"\(address)\"", "",
            ]
        }
        if text == nil { lines.append("Put the network's genesis.toml into \(home) before you start it.") }
        lines.append("Start it with: plasma start --home \(home)")
        print(output == .json ? JSONValue.object(json).text(pretty: true) : lines.joined(separator: "\n"))
    }
}

struct GenesisCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "genesis", abstract: "Check a network's definition.", subcommands: [Show.self])

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check a genesis.toml and print the network's name, its digest.")

        @Argument(help: "The file.")
        var file: String

        @Option(name: .shortAndLong, help: "text or json")
        var output: OutputFormat = .text

        func run() throws {
            do {
                let genesis = try GenesisFile.load(file)
                let json: JSONValue = [
                    "chain": .string(genesis.chainName), "network": .string(genesis.digest.hex),
                    "validators": JSONValue(genesis.validators.count), "accounts": JSONValue(genesis.accounts.count),
                    "treasury": .string(genesis.treasury.description),
                ]
                print(
                    output == .json
                        ? json.text(pretty: true)
                        : "\(genesis.chainName): network \(genesis.digest.hex), \(genesis.validators.count) validators, "
                            + "\(genesis.accounts.count) accounts, treasury \(genesis.treasury) XPL")
            } catch { throw Failure(describing: error) }
        }
    }
}
