import API
import Foundation
import Testing

/// `plasma train` on a folder's model, as a person runs it.
@Suite struct FineTuningCommandTests {
    private static let fixtures = Plasma.root + "/Tests/RuntimeTests/Fixtures/transformers/"

    /// A model of the fixtures with a tokenizer of 96 letters, a text, and a folder to work in.
    static func prepare(_ name: String) throws -> TemporaryFolder {
        let work = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: work.path + "/tiny", withIntermediateDirectories: true)
        for file in ["config.json", "generation_config.json", "model.safetensors"] {
            try FileManager.default.copyItem(atPath: fixtures + name + "/" + file, toPath: work.path + "/tiny/" + file)
        }
        var entries = ["\"<unk>\":0"]
        for (place, scalar) in (0x20...0x7E).enumerated() {
            let letter = String(UnicodeScalar(UInt8(scalar)))
            let escaped = letter == "\"" || letter == "\\" ? "\\" + letter : letter
            entries.append("\"\(escaped)\":\(place + 1)")
        }
        let tokenizer =
            #"{"added_tokens":[],"decoder":{"type":"Fuse"},"model":{"type":"BPE","unk_token":"<unk>","merges":[],"vocab":{\#(entries.joined(separator: ","))}}}"#
        _ = try work.write(tokenizer, to: "tiny/tokenizer.json")
        _ = try work.write(String(repeating: "the river rose. ", count: 60), to: "text")
        return work
    }

    static func config(_ output: String, steps: Int, more: String = "") -> String {
        """
        [model]
        folder = "tiny"
        context = 16
        [data]
        text = "text"
        [training]
        steps = \(steps)
        batch = 4
        rate = 3e-3
        \(more)
        [output]
        folder = "\(output)"
        checkpoint_every = 10
        """
    }

    @Test func aFoldersModelIsTrainedResumedAndGenerates() async throws {
        let work = try Self.prepare("llama")
        let whole = try work.write(Self.config("whole", steps: 60), to: "whole.toml")
        let done = try await Plasma.run(["train", whole, "-o", "json"])
        #expect(done.code == 0, "\(done.errors)")
        let first = try #require(done.json?["firstLoss"]?.double)
        let last = try #require(done.json?["lastLoss"]?.double)
        #expect(first > 4 && last < 1, "\(first) to \(last)")
        let model = try #require(done.json?["model"]?.string)
        #expect(model == work.path + "/whole/model")
        // It writes what it was taught; before, it did not.
        func generate(_ folder: String) async throws -> String {
            let found = try await Plasma.run(
                ["model", "generate", folder, "--prompt", "the riv", "--max-tokens", "8"])
            #expect(found.code == 0, "\(found.errors)")
            return found.output
        }
        #expect(try await generate(model).contains("er rose."))
        #expect(try await generate(work.path + "/tiny").contains("er rose.") == false)
        // Stopped after some steps, it goes on to the same bits.
        let parts = try work.write(Self.config("parts", steps: 60), to: "parts.toml")
        let process = try Plasma.start(
            ["train", parts], output: work.path + "/out", errors: work.path + "/err")
        try await eventually("a checkpoint is written") {
            FileManager.default.fileExists(atPath: work.path + "/parts/checkpoint.safetensors")
        }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        let resumed = try await Plasma.run(["train", parts, "--resume"])
        #expect(resumed.code == 0, "\(resumed.errors)")
        #expect(resumed.output.contains("/parts/model"), "\(resumed.output)")
        for file in ["checkpoint.safetensors", "losses.csv", "model/model.safetensors"] {
            let found = ["whole", "parts"].map { FileManager.default.contents(atPath: work.path + "/\($0)/" + file) }
            #expect(found[0] != nil && found[0] == found[1], "\(file)")
        }
        for file in ["config.json", "generation_config.json", "tokenizer.json"] {
            #expect(FileManager.default.fileExists(atPath: work.path + "/whole/model/" + file), "\(file)")
        }
    }

    @Test func aPartIsTrainedAndInRounds() async throws {
        let work = try Self.prepare("gpt2")
        let some = try work.write(
            Self.config("some", steps: 10, more: "train_only = [\"*h.1.*\"]\ndropout = 0.1"), to: "some.toml")
        let part = try await Plasma.run(["train", some])
        #expect(part.code == 0, "\(part.errors)")
        #expect(part.output.contains("30592 parameters, 12704 trained"), "\(part.output)")
        let rounds = try work.write(
            Self.config("rounds", steps: 8) + "\n[rounds]\nworkers = 2\nsteps = 4", to: "rounds.toml")
        let trained = try await Plasma.run(["train", rounds])
        #expect(trained.code == 0, "\(trained.errors)")
        #expect(FileManager.default.fileExists(atPath: work.path + "/rounds/model/model.safetensors"))
    }

    @Test func whatCannotBeIsSaidInASentence() async throws {
        let work = try Self.prepare("gpt2")
        for (more, expected) in [
            ("freeze = [\"*layers*\"]", "which names no weight"),
            ("freeze = [\"*\"]", "leaves no weight to be trained"),
        ] {
            let path = try work.write(Self.config("none", steps: 2, more: more), to: "none.toml")
            let outcome = try await Plasma.run(["train", path])
            #expect(outcome.code == 1 && outcome.errors.contains(expected), "\(outcome.errors)")
        }
        let long = Self.config("none", steps: 2).replacingOccurrences(of: "context = 16", with: "context = 65")
        let tooLong = try await Plasma.run(["train", try work.write(long, to: "long.toml")])
        #expect(tooLong.code == 1 && tooLong.errors.contains("rows of 1 to 64 tokens"), "\(tooLong.errors)")
        // The model that is trained is not written over.
        try FileManager.default.createDirectory(atPath: work.path + "/own", withIntermediateDirectories: true)
        try FileManager.default.moveItem(atPath: work.path + "/tiny", toPath: work.path + "/own/model")
        let own = Self.config("own", steps: 2).replacingOccurrences(of: "\"tiny\"", with: "\"own/model\"")
        let same = try await Plasma.run(["train", try work.write(own, to: "own.toml")])
        #expect(same.code == 1 && same.errors.contains("is the model that is trained"), "\(same.errors)")
    }
}
