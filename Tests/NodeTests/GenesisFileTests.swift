import Foundation
import Ledger
import Node
import Primitives
import Testing

/// `genesis.toml`: what it says, and what is said of a wrong one.
struct GenesisFileTests {
    static func key(_ index: Int) throws -> PublicKey {
        try SecretKey(seed: Digest.of(Domain("test.key"), UInt64(index).canonicalBytes).bytes).publicKey
    }

    static func genesis() throws -> Genesis {
        let validators = try (0..<4).map { index in
            Ledger.Validator(
                consensusKey: try key(index), vrfKey: try key(index + 10), stake: .xpl(10_000_000),
                operatorAddress: try key(index + 20).address)
        }
        let accounts = try (30..<33).map { GenesisAccount(address: try key($0).address, balance: .xpl(1_000)) }
        return Genesis(
            chainName: "test", timestamp: Timestamp(milliseconds: 1_790_000_000_000), parameters: .devnet,
            validators: validators, accounts: accounts,
            treasury: try Genesis.totalSupply.subtracting(.xpl(40_003_000)))
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        let genesis = try Self.genesis()
        let read = try GenesisFile.parse(GenesisFile.text(genesis), path: "genesis.toml")
        #expect(read == genesis && read.digest == genesis.digest)
    }

    @Test func commentsAndLayoutDoNotChangeTheNetwork() throws {
        let genesis = try Self.genesis()
        let text = GenesisFile.text(genesis).split(separator: "\n")
            .map { $0.hasPrefix("#") ? "" : "\($0)   # a remark" }.joined(separator: "\n\n")
        #expect(try GenesisFile.parse(text, path: "genesis.toml").digest == genesis.digest)
    }

    @Test func parametersLeftOutHaveTheirDefaults() throws {
        var genesis = try Self.genesis()
        genesis.parameters = ChainParameters()
        let text = GenesisFile.text(genesis)
        let start = try #require(text.range(of: "[parameters]"))
        let end = try #require(text.range(of: "[[validators]]"))
        let short = text[..<start.lowerBound] + text[end.lowerBound...]
        #expect(try GenesisFile.parse(String(short), path: "genesis.toml") == genesis)
    }

    @Test func theTemplateIsAGenesisOnceFilledInAndItsNumbersAreTheDefaults() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        var text = try String(contentsOf: root.appendingPathComponent("genesis/template.toml"), encoding: .utf8)
        for name in ChainParameters.wholeNumbers.map(\.name) + ChainParameters.amounts.map(\.name) {
            #expect(text.contains("\n\(name) = "), "\(name) is not in the template")
        }
        #expect(throws: ConfigurationFault.self) { try GenesisFile.parse(text, path: "template.toml") }
        text = text.replacingOccurrences(of: "64 hexadecimal digits", with: try Self.key(1).hex)
        text = text.replacingOccurrences(of: "xpl1…", with: try Self.key(2).address.description)
        let genesis = try GenesisFile.parse(text, path: "template.toml")
        #expect(genesis.parameters == ChainParameters())
        #expect(genesis.validators.count == 1 && genesis.accounts.count == 1)
    }

    struct Wrong: CustomTestStringConvertible, Sendable {
        let change: String
        let into: String
        let says: [String]

        var testDescription: String { "\(change) → \(into)" }
    }

    /// Lines are those of the file that `text` writes.
    static let wrong: [Wrong] = [
        Wrong(change: "chain = \"test\"", into: "", says: ["\"chain\" is missing"]),
        Wrong(change: "chain = \"test\"", into: "chain = 7", says: ["line 3", "\"chain\"", "text in quotes"]),
        Wrong(change: "chain = \"test\"", into: "chain = \"test", says: ["line 3"]),
        Wrong(change: "time_ms = 1790000000000", into: "time_ms = -1", says: ["line 4", "\"time_ms\""]),
        Wrong(
            change: "audit_lag = 16", into: "audit_lag = \"16\"", says: ["\"parameters.audit_lag\"", "whole number"]),
        Wrong(change: "audit_lag = 16", into: "audit_leg = 16", says: ["\"parameters.audit_leg\"", "spelling"]),
        Wrong(change: "audit_lag = 16", into: "audit_lag = 0", says: ["audit lag", "out of bounds"]),
        Wrong(change: "minimum_bond = \"100\"", into: "minimum_bond = 100", says: ["\"parameters.minimum_bond\""]),
        Wrong(
            change: "minimum_bond = \"100\"", into: "minimum_bond = \"0.0000000001\"",
            says: ["\"parameters.minimum_bond\"", "amount"]),
        Wrong(change: "stake = \"10000000\"", into: "stake = \"0\"", says: ["genesis.toml"]),
        Wrong(change: "stake = \"10000000\"", into: "stake = \"99999999999\"", says: ["supply"]),
        Wrong(change: "consensus_key = \"", into: "consensus_key = \"zz", says: ["validators[0]", "64 hexadecimal"]),
        Wrong(change: "operator = \"xpl1", into: "operator = \"xpl2", says: ["validators[0].operator", "address"]),
        Wrong(change: "balance = \"1000\"", into: "balance = \"-1\"", says: ["accounts[0].balance", "amount"]),
    ]

    @Test(arguments: wrong) func aWrongOneIsToldWithPlaceAndKey(_ item: Wrong) throws {
        let text = GenesisFile.text(try Self.genesis())
        let place = try #require(text.range(of: item.change))
        #expect {
            try GenesisFile.parse(text.replacingCharacters(in: place, with: item.into), path: "genesis.toml")
        } throws: { fault in
            item.says.allSatisfy { "\(fault)".contains($0) } && "\(fault)".contains("genesis.toml")
        }
    }

    @Test func twoOfTheSameAreRefused() throws {
        var genesis = try Self.genesis()
        genesis.validators[1] = genesis.validators[0]
        #expect(throws: ConfigurationFault.self) { try GenesisFile.parse(GenesisFile.text(genesis), path: "g") }
        genesis = try Self.genesis()
        genesis.accounts[1] = genesis.accounts[0]
        #expect(throws: ConfigurationFault.self) { try GenesisFile.parse(GenesisFile.text(genesis), path: "g") }
    }

    @Test func noTextTrapsIt() throws {
        let original = Array(GenesisFile.text(try Self.genesis()).utf8)
        let seed = UInt64.random(in: 0...UInt64.max)
        print("texts of seed \(seed)")
        var random = SplitMix64(seed: seed)
        for _ in 0..<(ProcessInfo.processInfo.environment["FUZZ"].flatMap { Int($0) } ?? 500) {
            var bytes = original
            for _ in 0...Int.random(in: 0...3, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.removeSubrange(place..<min(bytes.count, place + 20))
                default: bytes.insert(contentsOf: Array("[]=\".{}9-".utf8).shuffled(using: &random), at: place)
                }
            }
            _ = try? GenesisFile.parse(String(decoding: bytes, as: UTF8.self), path: "g")
        }
    }
}
