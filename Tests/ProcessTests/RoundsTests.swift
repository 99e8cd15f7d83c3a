import API
import Foundation
import Primitives
import Testing

/// A training whose parts are jobs on the network.
@Suite(.serialized, .fewAtATime) struct RoundsTests {
    static func config(_ folder: String, rounds: String = "workers = 2") -> String {
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
        \(rounds)
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

    /// A folder with a text to train on.
    private func folder(_ net: TestDevnet) throws -> String {
        let folder = net.folder.path + "/training"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // Real text, as a person would train on.
        try FileManager.default.copyItem(atPath: Plasma.root + "/README.md", toPath: folder + "/text")
        return folder
    }

    private func file(_ path: String) -> Data? { FileManager.default.contents(atPath: path) }

    private func train(_ net: TestDevnet) async throws {
        try await net.up()
        try await net.waitForOffers()
        let folder = try folder(net)
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

    /// Three providers: one lies in a bit of each result, one is killed with a job in its hands. The rounds close with two workers of three where the third is late.
    @Test func aTrainingOutlivesALiarAndADeath() async throws {
        let net = try TestDevnet()
        do { try await trainAmongLiars(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func trainAmongLiars(_ net: TestDevnet) async throws {
        try await net.up()
        try await net.waitForOffers()
        try await net.stop("provider-1")
        try net.edit("provider-1") { $0 + "fault = \"flip-bit\"\n" }
        try await net.up()
        let folder = try folder(net)
        let names = try await net.providers()
        let liar = try #require(names["provider-1"])
        let dead = try #require(names["provider-2"])
        for name in ["there", "replayed", "whole"] {
            try Self.config(name, rounds: "workers = 3\nquorum = 2\npatience = 5")
                .write(toFile: folder + "/\(name).toml", atomically: true, encoding: .utf8)
        }
        async let training = net.plasma(
            "train", folder + "/there.toml", "--providers", "3", "--genesis", net.genesis, timeout: 500)
        try await eventually("provider-2 has a job", within: 120) {
            let jobs = try await net.call(0, "job.list")["jobs"]?.array ?? []
            return jobs.contains {
                $0["provider"]?.string == dead && ["assigned", "running"].contains($0["state"]?.string ?? "")
            }
        }
        try await net.kill("provider-2")
        let there = try await training
        #expect(there.code == 0, "\(there.errors)\n\(there.output)")

        // The same rounds with the same workers here: the same bits.
        let replayed = try await net.plasma(
            "train", folder + "/replayed.toml", "--replay", folder + "/there/rounds.csv", "-o", "json")
        #expect(replayed.code == 0, "\(replayed.errors)")
        for name in ["checkpoint.safetensors", "losses.csv", "rounds.csv"] {
            let there = file(folder + "/there/" + name)
            #expect(there != nil && there == file(folder + "/replayed/" + name), "\(name)")
        }
        // And with all workers, as if nothing had happened: about the same loss.
        let whole = try await net.plasma("train", folder + "/whole.toml", "-o", "json")
        let losses = [replayed, whole].compactMap { $0.json?["lastLoss"]?.double }
        #expect(losses.count == 2 && abs(losses[0] - losses[1]) < 0.1, "\(losses)")

        // The arithmetic has found the liar.
        let jobs = try await net.json("job", "list")["jobs"]?.array ?? []
        var convicted = false
        for job in jobs {
            let id = try #require(job["job"]?.string)
            for dispute in try await net.json("job", "show", id)["disputes"]?.array ?? [] {
                if dispute["state"]?.string == "convicted" {
                    #expect(dispute["defender"]?.string == liar)
                    convicted = true
                } else {
                    #expect(dispute["challenger"]?.string == liar, "\(dispute)")
                }
            }
        }
        #expect(convicted)
    }
}
