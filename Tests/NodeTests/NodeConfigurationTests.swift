import Foundation
import Ledger
import Node
import Primitives
import Replica
import Testing
import Worker

/// `config.toml`: what it says, and what is said of a wrong one.
struct NodeConfigurationTests {
    /// A home that holds this text as its configuration.
    func load(_ text: String?) throws -> NodeConfiguration {
        let home = NSTemporaryDirectory() + "plasma-node-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: home) }
        if let text { try text.write(toFile: home + "/config.toml", atomically: true, encoding: .utf8) }
        return try NodeConfiguration.load(home: home)
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        var made = NodeConfiguration(home: "somewhere")
        made.name = "my node"
        made.listenHost = "0.0.0.0"
        made.externalHost = "203.0.113.7"
        made.port = 1
        made.bootstrap = ["203.0.113.8:27600", "[2001:db8::1]:27600"]
        made.rpcPort = 2
        made.validator = true
        made.history = .days(30)
        made.provider = ProviderConfiguration(
            bond: .xpl(5), price: .xpl(7), memory: 64 << 20, threads: 3, rate: 9_000_000_000, fault: "flip-bit")
        made.challenger = ChallengerConfiguration(
            rules: ChallengerRules(
                sharePerMille: 50, depositLimit: .xpl(9), longest: ComputeUnits(weightedOperations: 7_000_000_000),
                requester: try SecretKey(seed: [UInt8](repeating: 1, count: 32)).publicKey.address,
                manifest: Digest.of(Domain("test"), [1])),
            memory: 64 << 20, threads: 2)
        let read = try load(made.text)
        #expect(read.text == made.text)
        #expect(read.challenger?.rules == made.challenger?.rules && read.challenger?.threads == 2)
        #expect(read.externalHost == "203.0.113.7" && read.provider?.threads == 3 && read.bootstrap == made.bootstrap)
        #expect(read.history == .days(30))
    }

    @Test func anEmptyFileGivesTheDefaults() throws {
        let read = try load("")
        #expect(read.port == 27600 && read.rpcPort == 27700 && read.listenHost == "127.0.0.1")
        #expect(!read.validator && read.provider == nil && read.externalHost == nil)
    }

    @Test(
        arguments: [
            ("port = 70000", ["line 1", "\"port\"", "0 to 65535"]), ("port = \"1\"", ["line 1", "whole number"]),
            ("\n\nprot = 1", ["line 3", "\"prot\"", "spelling"]), ("bootstrap = \"a\"", ["\"bootstrap\"", "list"]),
            ("bootstrap = [1]", ["\"bootstrap\"", "list of texts"]), ("validator = 1", ["true or false"]),
            ("name = \"a", ["line 1"]), ("[provider]\nbond = 3", ["line 2", "provider.bond", "quotes"]),
            ("[provider]\nbond = \"x\"", ["line 2", "provider.bond", "amount"]),
            ("[provider]\nthreads = 0", ["line 2", "provider.threads", "1 to 1024"]),
            // TOMLKit 0.6 aborts on each of these.
            ("\n[=provider]", ["line 2", "section's name"]), ("[[.a]]", ["line 1"]), ("[ {a}]", ["line 1"]),
            ("bootstrap = [\n}]", ["line 2", "element of a list"]), ("bootstrap = [\"a\", # x\n } ]", ["line 2"]),
            ("bootstrap = []\n[bootstrap.a]", ["line 2", "empty list"]),
            ("name = \u{1}", ["line 1", "control character"]),
            ("history = \"all\"", ["line 1", "\"history\"", "archive"]), ("history = \"1023 blocks\"", ["from 1024"]),
            ("history = \"0 days\"", ["\"history\""]), ("history = \"1024  blocks\"", ["\"history\""]),
            ("[provider]\nfault = \"lazy\"", ["line 2", "provider.fault", "flip-bit"]),
            ("[challenger]\nthreads = 1", ["challenger.deposit_limit", "missing"]),
            ("[challenger]\ndeposit_limit = \"1\"\nshare_per_mille = 1001", ["line 3", "0 to 1000"]),
            ("[challenger]\ndeposit_limit = \"1\"\nrequester = \"me\"", ["line 3", "challenger.requester", "address"]),
            ("[challenger]\ndeposit_limit = \"1\"\nmodel = \"x\"", ["line 3", "challenger.model", "64"]),
            ("[provider]\nspeed = 1", ["line 2", "provider.speed"]), ("provider = 1", ["must be a section"]),
        ] as [(String, [String])]
    ) func aWrongOneIsToldWithLineAndKey(_ text: String, _ says: [String]) {
        #expect { _ = try load(text) } throws: { fault in
            says.allSatisfy { "\(fault)".contains($0) } && "\(fault)".contains("config.toml")
        }
    }

    @Test func aSectionWhoseNameOnlyBeginsLikeAnEmptyListIsLetThrough() {
        // What is wrong with it is told for what it is.
        #expect { _ = try load("bootstrap = []\n[bootstrapper]") } throws: { "\($0)".contains("spelling") }
    }

    @Test func aFolderWithoutOneIsNoHome() {
        #expect { _ = try load(nil) } throws: { "\($0)".contains("plasma init") }
    }
}
