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
        // The workers of each round were placed in one block, and the outer steps were posted before these had ended.
        let gangs = Dictionary(grouping: jobs.filter { $0["gang"]?["gang"] != nil }) { $0["gang"]?["gang"]?.string }
        #expect(gangs.count == 2)
        for members in gangs.values {
            let assigned = members.map { job in
                job["history"]?.array?.first { $0["state"]?.string == "assigned" }?["height"]?.uint64
            }
            #expect(assigned.count == 2 && assigned[0] != nil && assigned[0] == assigned[1])
        }
        let outer = jobs.filter { $0["gang"]?["gang"] == nil }
        #expect(outer.count == 2 && outer.allSatisfy { $0["history"]?[0]?["state"]?.string == "waiting" })
        let shown = try await net.plasma("job", "show", try #require(gangs.values.first?[0]["job"]?.string))
        #expect(shown.output.contains("of 2 in gang"), "\(shown.output)")
    }

    /// More workers than a gang holds: the round is two gangs of twenty over three providers, and its bits are those of the same round here.
    @Test func aRoundOfFortyWorkersIsTwoGangs() async throws {
        let net = try TestDevnet()
        do { try await trainForty(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func trainForty(_ net: TestDevnet) async throws {
        try await net.up()
        try await net.waitForOffers()
        for name in ["provider-0", "provider-1", "provider-2"] {
            try await net.stop(name)
            try net.edit(name) { $0.replacingOccurrences(of: "\ncapacity = 1\n", with: "\ncapacity = 16\n") }
        }
        try await net.up()
        let folder = try folder(net)
        for name in ["here", "there"] {
            try Self.config(name, rounds: "workers = 40\npatience = 60")
                .replacingOccurrences(of: "steps = 4", with: "steps = 1")
                .replacingOccurrences(of: "steps = 2", with: "steps = 1")
                .write(toFile: folder + "/\(name).toml", atomically: true, encoding: .utf8)
        }
        let here = try await net.plasma("train", folder + "/here.toml", "-o", "json", timeout: 200)
        #expect(here.code == 0, "\(here.errors)")
        let there = try await net.plasma(
            "train", folder + "/there.toml", "--providers", "40", "--genesis", net.genesis, timeout: 500)
        #expect(there.code == 0, "\(there.errors)\n\(there.output)")
        for name in ["checkpoint.safetensors", "losses.csv"] {
            let bytes = file(folder + "/there/" + name)
            #expect(bytes != nil && bytes == file(folder + "/here/" + name), "\(name)")
        }
        let jobs = try await net.json("job", "list", "--limit", "100")["jobs"]?.array ?? []
        #expect(jobs.count == 41 && jobs.allSatisfy { $0["state"]?.string == "settled" }, "\(jobs.count)")
        let gangs = Dictionary(grouping: jobs.filter { $0["gang"]?["gang"] != nil }) { $0["gang"]?["gang"]?.string }
        #expect(gangs.values.map(\.count) == [20, 20], "\(there.output)")
        for members in gangs.values {
            let assigned = members.map { job in
                job["history"]?.array?.first { $0["state"]?.string == "assigned" }?["height"]?.uint64
            }
            #expect(Set(assigned).count == 1 && assigned[0] != nil)
        }
    }

    /// The command is killed with a round's jobs on the network, and goes on with these; and a round of more workers than there are places is posted one by
    /// one.
    @Test func aTrainingThatWasStoppedGoesOnWithItsJobs() async throws {
        let net = try TestDevnet()
        do { try await trainInParts(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func trainInParts(_ net: TestDevnet) async throws {
        try await net.up()
        try await net.waitForOffers()
        let folder = try folder(net)
        for name in ["here", "there"] {
            try Self.config(name).write(toFile: folder + "/\(name).toml", atomically: true, encoding: .utf8)
        }
        let here = try await net.plasma("train", folder + "/here.toml", "-o", "json")
        #expect(here.code == 0, "\(here.errors)")
        let training = try net.start(
            "train", folder + "/there.toml", "--providers", "2", "--genesis", net.genesis, output: folder + "/out")
        try await eventually("the first round is posted", within: 120) {
            guard let posted = file(folder + "/there/jobs.json") else { return false }
            return String(decoding: posted, as: UTF8.self).contains("\"outer\"")
        }
        kill(training.processIdentifier, SIGKILL)
        let again = try await net.plasma("train", folder + "/there.toml", "--providers", "2", "--genesis", net.genesis)
        #expect(again.code == 1 && again.errors.contains("--resume"), "\(again.errors)")
        let there = try await net.plasma(
            "train", folder + "/there.toml", "--providers", "2", "--genesis", net.genesis, "--resume", timeout: 400)
        #expect(there.code == 0, "\(there.errors)\n\(there.output)")
        #expect(there.output.contains("going on with 3 jobs"), "\(there.output)")
        // No job was posted twice, and the bits are those of the same rounds here.
        let jobs = try await net.json("job", "list")["jobs"]?.array ?? []
        #expect(jobs.count == 6 && jobs.allSatisfy { $0["state"]?.string == "settled" })
        for name in ["checkpoint.safetensors", "losses.csv"] {
            let bytes = file(folder + "/there/" + name)
            #expect(bytes != nil && bytes == file(folder + "/here/" + name), "\(name)")
        }

        try await goOnWithoutOne(net, folder)

        // Four workers on three places.
        for name in ["few", "crowd"] {
            try Self.config(name, rounds: "workers = 4\npatience = 3")
                .replacingOccurrences(of: "steps = 4", with: "steps = 2")
                .write(toFile: folder + "/\(name).toml", atomically: true, encoding: .utf8)
        }
        let few = try await net.plasma("train", folder + "/few.toml", "-o", "json")
        #expect(few.code == 0, "\(few.errors)")
        let crowd = try await net.plasma(
            "train", folder + "/crowd.toml", "--providers", "4", "--genesis", net.genesis, timeout: 400)
        #expect(crowd.code == 0, "\(crowd.errors)\n\(crowd.output)")
        #expect(crowd.output.contains("no place for it now"), "\(crowd.output)")
        #expect(crowd.output.contains("all 1 places are taken"), "\(crowd.output)")
        #expect(crowd.output.contains("posted by itself"), "\(crowd.output)")
        let weights = file(folder + "/crowd/checkpoint.safetensors")
        #expect(weights != nil && weights == file(folder + "/few/checkpoint.safetensors"))
    }

    /// A job that came to nothing while the training was stopped is posted anew, and the outer step that had waited for it; the other is not.
    private func goOnWithoutOne(_ net: TestDevnet, _ folder: String) async throws {
        for name in ["one", "lost"] {
            try Self.config(name).replacingOccurrences(of: "steps = 4", with: "steps = 2")
                .write(toFile: folder + "/\(name).toml", atomically: true, encoding: .utf8)
        }
        let one = try await net.plasma("train", folder + "/one.toml", "-o", "json")
        #expect(one.code == 0, "\(one.errors)")
        // Nobody starts what is assigned.
        let providers = ["provider-0", "provider-1", "provider-2"]
        for name in providers { try await net.stop(name) }
        let training = try net.start(
            "train", folder + "/lost.toml", "--providers", "2", "--genesis", net.genesis, output: folder + "/out")
        var jobs: [String] = []
        try await eventually("the round is posted and placed", within: 120) {
            guard let posted = file(folder + "/lost/jobs.json").flatMap({ try? JSONValue(parsing: Array($0)) }),
                posted["outer"]?.string != nil, let first = posted["workers"]?[0]?[0]?.string,
                let second = posted["workers"]?[1]?[0]?.string
            else { return false }
            jobs = [first, second]
            let job = try await net.call(0, "job.get", ["job": .string(first)])
            return job["gang"]?["isBound"]?.bool == false
        }
        kill(training.processIdentifier, SIGKILL)
        let cancelled = try await net.plasma("job", "cancel", jobs[0])
        #expect(cancelled.code == 0, "\(cancelled.errors)")
        try await net.up()
        let lost = try await net.plasma(
            "train", folder + "/lost.toml", "--providers", "2", "--genesis", net.genesis, "--resume", timeout: 400)
        #expect(lost.code == 0, "\(lost.errors)\n\(lost.output)")
        #expect(lost.output.contains("going on with 2 jobs"), "\(lost.output)")
        let second = try await net.call(0, "job.get", ["job": .string(jobs[1])])
        #expect(second["state"]?.string == "settled")
        let weights = file(folder + "/lost/checkpoint.safetensors")
        #expect(weights != nil && weights == file(folder + "/one/checkpoint.safetensors"))
    }

    /// A folder's bf16 model, part of it frozen: what is not moved is a parameter of each worker's job, and the bits are those of the same rounds here.
    @Test func aFoldersModelIsTrainedOverProviders() async throws {
        let net = try TestDevnet()
        do { try await trainFolder(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func trainFolder(_ net: TestDevnet) async throws {
        try await net.up()
        try await net.waitForOffers()
        let work = try FineTuningCommandTests.prepare("llama3")
        for name in ["here", "there"] {
            let config = FineTuningCommandTests.config(name, steps: 4, more: "freeze = [\"*layers.0.*\"]")
            _ = try work.write(config + "\n[rounds]\nworkers = 2\nsteps = 4", to: name + ".toml")
        }
        let here = try await net.plasma("train", work.path + "/here.toml", "-o", "json")
        #expect(here.code == 0, "\(here.errors)")
        let there = try await net.plasma(
            "train", work.path + "/there.toml", "--providers", "2", "--genesis", net.genesis, timeout: 400)
        #expect(there.code == 0, "\(there.errors)\n\(there.output)")
        for name in ["checkpoint.safetensors", "losses.csv", "model/model.safetensors"] {
            let bytes = file(work.path + "/there/" + name)
            #expect(bytes != nil && bytes == file(work.path + "/here/" + name), "\(name)")
        }
    }

    /// Three providers: one lies in a bit of each result, one is killed with a job in its hands. The rounds close with two workers of three where the third is
    /// late.
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
