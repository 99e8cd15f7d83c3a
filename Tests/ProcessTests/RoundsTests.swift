import API
import Foundation
import Primitives
import Testing

/// A training whose parts are jobs on the network.
@Suite(.serialized) struct RoundsTests {
    static func config(_ folder: String) -> String {
        """
        [model]
        width = 16
        layers = 1
        heads = 2
        context = 16
        [data]
        text = "text"
        [training]
        steps = 4
        batch = 2
        [rounds]
        workers = 2
        steps = 2
        [output]
        folder = "\(folder)"
        """
    }

    /// Two rounds over two providers, and the same rounds on one machine: the weights are the same to the bit.
    @Test func aTrainingOverProvidersHasTheBitsOfTheSameRoundsHere() async throws {
        let net = try TestDevnet()
        do { try await train(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func train(_ net: TestDevnet) async throws {
        try await net.up()
        try await net.waitForOffers()
        let folder = net.folder.path + "/training"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let text = (0..<2000).map { (place: Int) -> UInt8 in UInt8(32 + (place * place * 7 + place / 13) % 96) }
        try Data(text).write(to: URL(fileURLWithPath: folder + "/text"))
        for name in ["here", "there"] {
            try Self.config(name).write(toFile: folder + "/\(name).toml", atomically: true, encoding: .utf8)
        }
        let here = try await net.plasma("train", folder + "/here.toml", "-o", "json")
        #expect(here.code == 0, "\(here.errors)")
        // What is believed is proven from the genesis, so without one nothing is begun.
        let blind = try await net.plasma("train", folder + "/there.toml", "--providers", "2")
        #expect(blind.code == 1 && blind.errors.contains("--genesis"), "\(blind.errors)")
        let there = try await net.plasma(
            "train", folder + "/there.toml", "--providers", "2", "--genesis", net.genesis, timeout: 400)
        #expect(there.code == 0, "\(there.errors)\n\(there.output)")
        #expect(there.output.contains("outer step: settled"), "\(there.output)")
        let checkpoints = ["here", "there"].map {
            FileManager.default.contents(atPath: folder + "/\($0)/checkpoint.safetensors")
        }
        #expect(checkpoints[0] != nil && checkpoints[0] == checkpoints[1])
        let losses = ["here", "there"].map { FileManager.default.contents(atPath: folder + "/\($0)/losses.csv") }
        #expect(losses[0] != nil && losses[0] == losses[1])
        // Four workers' jobs and two outer steps were settled and paid.
        let jobs = try await net.json("job", "list")["jobs"]?.array ?? []
        #expect(jobs.count == 6 && jobs.allSatisfy { $0["state"]?.string == "settled" })
    }
}
