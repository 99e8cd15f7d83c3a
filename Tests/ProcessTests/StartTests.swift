import API
import Foundation
import Testing

/// A node that cannot start says why, and what to do.
@Suite(.serialized, .fewAtATime) struct StartTests {
    /// A home of a follower of a network that is not running, with the password "secret".
    private func home(_ folder: TemporaryFolder) async throws -> String {
        let home = folder.path + "/home"
        let net = folder.path + "/net"
        // A genesis with one validator.
        let validator = try await Plasma.run(
            ["init", "--home", net, "--validator", "-o", "json"], environment: ["PLASMA_PASSWORD": ""])
        let json = try #require(validator.json, "\(validator.errors)")
        let genesis = try folder.write(
            """
            chain = "test"
            time_ms = 1700000000000
            [[validators]]
            consensus_key = "\(json["consensusKey"]?.string ?? "")"
            vrf_key = "\(json["vrfKey"]?.string ?? "")"
            stake = "10000000"
            operator = "\(json["operator"]?.string ?? "")"
            """, to: "genesis.toml")
        let base = try TestDevnet.freePorts()
        let made = try await Plasma.run(
            [
                "init", "--home", home, "--genesis", genesis, "--port", "\(base)", "--rpc-port", "\(base + 100)",
            ], environment: ["PLASMA_PASSWORD": "secret"])
        #expect(made.code == 0, "\(made.errors)")
        return home
    }

    private func start(_ home: String, password: String = "secret") async throws -> Plasma.Outcome {
        try await Plasma.run(["start", "--home", home], environment: ["PLASMA_PASSWORD": password], timeout: 60)
    }

    private func edit(_ path: String, _ old: String, _ new: String) throws {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.contains(old))
        try text.replacingOccurrences(of: old, with: new).write(toFile: path, atomically: true, encoding: .utf8)
    }

    private func expectSentence(_ outcome: Plasma.Outcome, _ parts: String...) {
        #expect(outcome.code == 1)
        let errors = outcome.errors.split(separator: "\n").filter { $0.hasPrefix("Error:") }
        #expect(errors.count == 1, "\(outcome.errors)")
        for part in parts { #expect(errors.first?.contains(part) ?? false, "\(outcome.errors) lacks \(part)") }
    }

    /// `--memory=-1` trapped.
    @Test func initRefusesWhatCouldNotBeStarted() async throws {
        let folder = try TemporaryFolder()
        for option in ["--memory=-1", "--memory=99999999999", "--threads=9223372036854775807", "--port=70000"] {
            let home = folder.path + "/refused"
            expectSentence(
                try await Plasma.run(
                    ["init", "--home", home, "--provider", option], environment: ["PLASMA_PASSWORD": ""]),
                String(option.prefix { $0 != "=" }), "from")
            #expect(!FileManager.default.fileExists(atPath: home))
        }
    }

    @Test func wrongPassword() async throws {
        let folder = try TemporaryFolder()
        expectSentence(try await start(try await home(folder), password: "guess"), "password")
    }

    @Test func corruptConfiguration() async throws {
        let folder = try TemporaryFolder()
        let home = try await home(folder)
        let path = home + "/config.toml"
        try edit(path, "rpc_port = ", "rpc_port = -")
        expectSentence(try await start(home), "config.toml: line 9: \"rpc_port\"", "whole number")
        try edit(path, "rpc_port = -", "rcp_port = ")
        expectSentence(try await start(home), "line 9", "rcp_port", "spelling")
        try edit(path, "rcp_port = ", "rpc_port = = ")
        expectSentence(try await start(home), "config.toml: line 9")
        try FileManager.default.removeItem(atPath: path)
        expectSentence(try await start(home), "no such file", "plasma init")
    }

    @Test func corruptGenesis() async throws {
        let folder = try TemporaryFolder()
        let home = try await home(folder)
        let path = home + "/genesis.toml"
        let good = try String(contentsOfFile: path, encoding: .utf8)
        try edit(path, "stake = \"10000000\"", "stake = \"a lot\"")
        expectSentence(try await start(home), "genesis.toml: line 6: \"validators[0].stake\"", "amount")
        try edit(path, "stake = \"a lot\"", "stake = \"99999999999\"")
        expectSentence(try await start(home), "supply")
        try FileManager.default.removeItem(atPath: path)
        expectSentence(try await start(home), "genesis.toml", "copy")
        try good.write(toFile: path, atomically: true, encoding: .utf8)
        try edit(path, "[[validators]]", "[parameters]\nheartbeat_ms = 0\n[[validators]]")
        expectSentence(try await start(home), "heartbeat")
    }

    @Test func homeInUseThenPortInUseThenAnotherGenesis() async throws {
        let folder = try TemporaryFolder()
        let home = try await home(folder)
        let first = try Plasma.start(
            ["start", "--home", home], environment: ["PLASMA_PASSWORD": "secret"], output: folder.path + "/out",
            errors: folder.path + "/err")
        defer { if first.isRunning { kill(first.processIdentifier, SIGKILL) } }
        let log = { (try? String(contentsOfFile: folder.path + "/err", encoding: .utf8)) ?? "" }
        let out = { (try? String(contentsOfFile: folder.path + "/out", encoding: .utf8)) ?? "" }
        try await eventually("it listens") { (log() + out()).contains("listens on") }
        expectSentence(try await start(home), "in use", "\(first.processIdentifier)")

        // A second home with the same ports.
        let other = folder.path + "/other"
        try FileManager.default.copyItem(atPath: home, toPath: other)
        try FileManager.default.removeItem(atPath: other + "/data")
        expectSentence(try await start(other), "port", "in use")

        kill(first.processIdentifier, SIGTERM)
        try await eventually("it stops on SIGTERM") { !first.isRunning }
        #expect(first.terminationStatus == 0)
        try edit(home + "/genesis.toml", "chain = \"test\"", "chain = \"elsewhere\"")
        expectSentence(try await start(home), "is of network", "genesis.toml")
    }

    @Test func modelsThatCannotBeImported() async throws {
        let folder = try TemporaryFolder()
        func copy() throws -> String {
            let path = folder.path + "/" + UUID().uuidString
            try FileManager.default.copyItem(atPath: Plasma.modelFolder, toPath: path)
            return path
        }
        func expect(_ path: String, _ parts: String...) async throws {
            let outcome = try await Plasma.run(["model", "import", path])
            #expect(outcome.code == 1)
            for part in parts { #expect(outcome.errors.contains(part), "\(outcome.errors) lacks \(part)") }
        }
        let truncated = try copy()
        let weights = truncated + "/model.safetensors"
        let size = try #require(try FileManager.default.attributesOfItem(atPath: weights)[.size] as? Int)
        #expect(truncate(weights, off_t(size / 2)) == 0)
        try await expect(truncated, "model.safetensors")
        try Data([255, 255, 255, 255, 255, 255, 255, 127, 123]).write(to: URL(fileURLWithPath: weights))
        try await expect(truncated, "model.safetensors")
        let unknown = try copy()
        try edit(unknown + "/config.json", "\"model_type\": \"bert\"", "\"model_type\": \"mystery\"")
        try await expect(unknown, "mystery")
        let missing = try copy()
        for name in ["tokenizer.json", "vocab.txt"] {
            try? FileManager.default.removeItem(atPath: missing + "/" + name)
        }
        try await expect(missing, "tokenizer")
        try await expect(folder.path + "/nowhere", "nowhere")
    }

    @Test func numbersOfAGenesisThatCannotBe() async throws {
        let folder = try TemporaryFolder()
        for (setting, said) in [
            ("nothing=3", "no parameter of a genesis is called \"nothing\""),
            ("run_base=soon", "run_base is a whole number, not \"soon\""), ("run_base", "name=value"),
            ("minimum_bond=1e3", "minimum_bond is an amount of XPL"), ("epoch_length=3", "epoch has a margin"),
        ] {
            let outcome = try await Plasma.run(["devnet", "up", "--directory", folder.path + "/net", "--set", setting])
            #expect(outcome.code != 0 && outcome.errors.contains(said), "\(setting): \(outcome.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/net"))
    }
}
