import API
import Foundation
import Testing

/// `plasma train` on an ONNX file, as a person runs it.
@Suite(.serialized, .fewAtATime) struct ONNXTrainingCommandTests {
    private static let fixtures = Plasma.root + "/Tests/RuntimeTests/Fixtures/training/onnx/"

    private static func prepare() throws -> TemporaryFolder {
        let work = try TemporaryFolder()
        try copy(to: work.path)
        return work
    }

    /// The model and its examples, as `net` in a folder.
    private static func copy(to folder: String) throws {
        try FileManager.default.createDirectory(atPath: folder + "/net", withIntermediateDirectories: true)
        for file in ["convolution.onnx", "convolution.image.npy", "convolution.target.npy"] {
            try FileManager.default.copyItem(atPath: fixtures + file, toPath: folder + "/net/" + file)
        }
    }

    private static func config(_ output: String, more: String = "") -> String {
        """
        [model]
        file = "net/convolution.onnx"
        [data]
        inputs = ["image=net/convolution.image.npy"]
        classes = "net/convolution.target.npy"
        [training]
        steps = 60
        batch = 8
        rate = 5e-3
        \(more)
        [output]
        folder = "\(output)"
        checkpoint_every = 20
        """
    }

    @Test func aFileIsTrainedResumedAndRuns() async throws {
        let work = try Self.prepare()
        let done = try await Plasma.run(["train", try work.write(Self.config("whole"), to: "whole.toml"), "-o", "json"])
        #expect(done.code == 0, "\(done.errors)")
        let first = try #require(done.json?["firstLoss"]?.double)
        let last = try #require(done.json?["lastLoss"]?.double)
        #expect(last < first * 0.8, "\(first) to \(last)")
        let model = try #require(done.json?["model"]?.string)
        #expect(model == work.path + "/whole/model/convolution.onnx")
        // The file that was trained runs like the one before it, and gives something else.
        for (path, output) in [(model, "after"), (work.path + "/net/convolution.onnx", "before")] {
            let run = try await Plasma.run([
                "model", "run", path, "--input", "image=\(work.path)/net/convolution.image.npy", "--output",
                work.path + "/" + output,
            ])
            #expect(run.code == 0, "\(run.errors)")
        }
        let outputs = ["after", "before"].map { FileManager.default.contents(atPath: work.path + "/\($0)/y.npy") }
        #expect(outputs[0] != nil && outputs[0]?.count == outputs[1]?.count && outputs[0] != outputs[1])
        // Sixty steps in two parts, the second from the first one's checkpoint.
        let parts = try work.write(Self.config("parts"), to: "parts.toml")
        let process = try Plasma.start(["train", parts], output: work.path + "/out", errors: work.path + "/err")
        try await eventually("a checkpoint is written") {
            FileManager.default.fileExists(atPath: work.path + "/parts/checkpoint.safetensors")
        }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        let resumed = try await Plasma.run(["train", parts, "--resume", "--threads", "1"])
        #expect(resumed.code == 0, "\(resumed.errors)")
        #expect(resumed.output.contains("/parts/model/convolution.onnx"), "\(resumed.output)")
        for file in ["checkpoint.safetensors", "losses.csv", "model/convolution.onnx"] {
            let found = ["whole", "parts"].map { FileManager.default.contents(atPath: work.path + "/\($0)/" + file) }
            #expect(found[0] != nil && found[0] == found[1], "\(file)")
        }
    }

    @Test func aPartIsTrainedAndInRounds() async throws {
        let work = try Self.prepare()
        let some = try work.write(Self.config("some", more: "train_only = [\"head.*\"]"), to: "some.toml")
        let part = try await Plasma.run(["train", some])
        #expect(part.code == 0, "\(part.errors)")
        #expect(part.output.contains(" 52 trained") && part.output.contains("examples/s"), "\(part.output)")
        let rounds = try work.write(
            Self.config("rounds") + "\n[rounds]\nworkers = 2\nsteps = 20", to: "rounds.toml")
        let trained = try await Plasma.run(["train", rounds])
        #expect(trained.code == 0, "\(trained.errors)")
        let before = FileManager.default.contents(atPath: work.path + "/net/convolution.onnx")
        let after = FileManager.default.contents(atPath: work.path + "/rounds/model/convolution.onnx")
        #expect(after != nil && after?.count == before?.count && after != before)
    }

    @Test func theFileThatIsTrainedIsNotWrittenOver() async throws {
        let work = try Self.prepare()
        try FileManager.default.createDirectory(atPath: work.path + "/own", withIntermediateDirectories: true)
        try FileManager.default.moveItem(atPath: work.path + "/net", toPath: work.path + "/own/model")
        let own = Self.config("own").replacingOccurrences(of: "net/", with: "own/model/")
        let same = try await Plasma.run(["train", try work.write(own, to: "own.toml")])
        #expect(same.code == 1 && same.errors.contains("is the model that is trained"), "\(same.errors)")
    }

    /// Providers train the file's model in rounds, to the bits that this machine comes to alone.
    @Test func providersTrainItToTheSameBits() async throws {
        let net = try TestDevnet()
        do { try await Self.train(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private static func train(_ net: TestDevnet) async throws {
        try await net.up()
        try await net.waitForOffers()
        let folder = net.folder.path + "/training"
        try copy(to: folder)
        for name in ["here", "there"] {
            try (config(name) + "\n[rounds]\nworkers = 2\nsteps = 30").write(
                toFile: folder + "/\(name).toml", atomically: true, encoding: .utf8)
        }
        let here = try await net.plasma("train", folder + "/here.toml")
        #expect(here.code == 0, "\(here.errors)")
        let there = try await net.plasma(
            "train", folder + "/there.toml", "--providers", "2", "--genesis", net.genesis, timeout: 400)
        #expect(there.code == 0, "\(there.errors)\n\(there.output)")
        for file in ["checkpoint.safetensors", "losses.csv", "model/convolution.onnx"] {
            let found = ["here", "there"].map { FileManager.default.contents(atPath: folder + "/\($0)/" + file) }
            #expect(found[0] != nil && found[0] == found[1], "\(file)")
        }
    }
}
