import Foundation
import Ledger
import Node
import Primitives
import Storage

/// The folders, keys and genesis of a network on this machine.
struct DevnetLayout {
    let directory: String
    let basePort: Int
    /// What the genesis of a new network says.
    var parameters = ChainParameters.devnet
    /// A provider of a new network that lies in one bit of each result.
    var liar: String?
    /// Jobs that a provider of a new network holds at a time.
    var capacity = 1
    static let validators = 4
    static let providers = 3

    var names: [String] {
        (0..<Self.validators).map { "validator-\($0)" } + (0..<Self.providers).map { "provider-\($0)" }
    }

    func home(_ name: String) -> String { directory + "/" + name }

    func port(_ index: Int) -> Int { basePort + index }

    func rpcPort(_ index: Int) -> Int { basePort + 100 + index }

    var exists: Bool { FileManager.default.fileExists(atPath: directory + "/genesis.toml") }

    /// Makes everything anew: homes, keys with empty passwords, and a genesis of exactly 10^10 XPL.
    func create(timestamp: Date = Date()) throws {
        let files = FileManager.default
        try? files.removeItem(atPath: directory)
        var operators: [Address] = []
        var validators: [Ledger.Validator] = []
        let stake = Amount.xpl(10_000_000)
        for (index, name) in names.enumerated() {
            try files.createDirectory(atPath: home(name), withIntermediateDirectories: true)
            let keys = try KeyStore(home: home(name))
            func key(_ role: String) throws -> SecretKey {
                try keys.create(role, password: "", strength: .development)
            }
            _ = try key("node")
            let operatorKey = try key("operator")
            operators.append(operatorKey.publicKey.address)
            if index < Self.validators {
                validators.append(
                    Ledger.Validator(
                        consensusKey: try key("consensus").publicKey, vrfKey: try key("vrf").publicKey, stake: stake,
                        operatorAddress: operatorKey.publicKey.address))
                try SigningMemory.create(home: home(name))
            }
        }
        try files.createDirectory(atPath: home("client"), withIntermediateDirectories: true)
        let alice = try KeyStore(home: home("client")).create("alice", password: "", strength: .development)
        var accounts = operators.map { GenesisAccount(address: $0, balance: .xpl(10_000)) }
        accounts.append(GenesisAccount(address: alice.publicKey.address, balance: .xpl(1_000_000)))
        var treasury = Genesis.totalSupply
        for amount in accounts.map(\.balance) + validators.map(\.stake) { treasury = try treasury.subtracting(amount) }
        let genesis = Genesis(
            chainName: "devnet", timestamp: Timestamp(milliseconds: UInt64(timestamp.timeIntervalSince1970 * 1000)),
            parameters: parameters, validators: validators, accounts: accounts, treasury: treasury)
        try genesis.validate()
        let text = GenesisFile.text(genesis)
        try text.write(toFile: directory + "/genesis.toml", atomically: true, encoding: .utf8)
        try text.write(toFile: home("client") + "/genesis.toml", atomically: true, encoding: .utf8)
        for (index, name) in names.enumerated() {
            try text.write(toFile: home(name) + "/genesis.toml", atomically: true, encoding: .utf8)
            var configuration = NodeConfiguration(home: home(name))
            configuration.name = name
            configuration.port = port(index)
            configuration.rpcPort = rpcPort(index)
            // One address each: the rest is found.
            configuration.bootstrap = ["127.0.0.1:\(port(index == 0 ? 1 : 0))"]
            configuration.validator = index < Self.validators
            if index >= Self.validators {
                // The liar is cheap, so that the job is its.
                let lies = name == liar
                configuration.provider = ProviderConfiguration(
                    bond: .xpl(1_000), price: .xpl(lies ? 50 : 100), memory: 2 << 30, threads: 1, rate: 40_000_000_000,
                    capacity: capacity,
                    fault: lies ? "flip-bit" : nil)
            }
            try configuration.text.write(toFile: configuration.path, atomically: true, encoding: .utf8)
        }
    }
}
