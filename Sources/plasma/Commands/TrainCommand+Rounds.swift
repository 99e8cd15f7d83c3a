import API
import ArgumentParser
import Foundation
import Ledger
import Node
import Primitives
import Programs
import Runtime

/// A training in rounds on this machine, worker after worker.
extension TrainCommand {
    func trainInRounds(
        _ settings: TrainingFile, _ model: GPTConfiguration, _ text: [UInt8], _ output: TrainingOutput
    ) async throws {
        let rounds = settings.roundSettings
        if settings.steps % rounds.steps != 0 {
            throw Failure(
                "the \(settings.steps) steps of the training are not whole rounds of \(rounds.steps): "
                    + "set training.steps or rounds.steps in \(file)")
        }
        let trainer = try RoundTrainer(
            model, settings.settings, rounds, text: text,
            rows: RoundRows(
                rounds, rounds: settings.rounds, batch: settings.batch, text: text.count, context: settings.context,
                seed: UInt64(settings.seed)),
            weights: TrainingDraws.weights(model, seed: UInt64(settings.seed)), threads: options.threads,
            memory: options.memory)
        var losses: [Float] = []
        if resume {
            try Checkpoint.restore(trainer, from: output.checkpoint, rounds: settings.rounds)
            losses = try output.losses(trainer.round * rounds.steps)
        }
        let first = trainer.round
        if options.format == .text {
            print(
                "\(model.parameterCount) parameters, \(settings.rounds) rounds of \(rounds.steps) steps for each of "
                    + "\(rounds.workers) workers, program \(trainer.worker.root.hex.prefix(16)), outer step "
                    + "\(trainer.aggregation.root.hex.prefix(16))" + (first > 0 ? ", from round \(first)" : ""))
        }
        let start = ContinuousClock.now
        let network = providers == nil ? nil : try await self.network(rounds, text)
        while trainer.round < settings.rounds {
            if let network {
                let isQuiet = options.format == .json
                losses += try await network.run(trainer) { if !isQuiet { TrainCommand.tell($0) } }
            } else {
                losses += try TrainCommand.round(trainer, rounds)
            }
            try output.write(losses)
            try Checkpoint.write(trainer, to: output.checkpoint)
            if options.format == .text {
                let seconds = (ContinuousClock.now - start).seconds
                let left = seconds / Double(trainer.round - first) * Double(settings.rounds - trainer.round)
                print(
                    String(
                        format: "round %d of %d  loss %.4f  %.1f s a round  %d s left", trainer.round, settings.rounds,
                        losses.last ?? 0, seconds / Double(trainer.round - first), Int(left)))
            }
        }
        finish(losses, (ContinuousClock.now - start).seconds, output, trainer)
    }

    /// One round on this machine; a step's loss is the mean of the workers'.
    private static func round(_ trainer: RoundTrainer, _ rounds: RoundSettings) throws -> [Float] {
        var sums = [Float](repeating: 0, count: rounds.steps)
        var counts = [Int](repeating: 0, count: rounds.workers)
        try trainer.run { worker, loss in
            sums[counts[worker]] += loss / Float(rounds.workers)
            counts[worker] += 1
        }
        return sums
    }

    // MARK: Providers

    private func network(_ rounds: RoundSettings, _ text: [UInt8]) async throws -> ProviderRounds {
        guard let genesis else {
            throw Failure("with --providers results are proven from the genesis: give its file with --genesis")
        }
        let client = ClientOptions.parseOrExit(rpc.map { ["--rpc", $0] } ?? [])
        let node = try client.client()
        guard let hint = try await node.call("node.status")["nodeId"]?.string.flatMap(PublicKey.init(hex:)) else {
            throw Failure("the node does not say who it is: is it of another version?")
        }
        return ProviderRounds(
            node: node, key: try keys.open(),
            terms: JobTerms(
                maximumPricePer1000CU: try Amount(parsing: maxPrice), policy: try JobTermOptions.policy(policy),
                queueMilliseconds: 600_000, deadlineMilliseconds: 24 * 3_600_000),
            genesis: try GenesisReader.load(genesis), rounds: rounds, text: text, storageHint: hint)
    }

    private static func tell(_ event: ProviderRounds.Event) {
        func name(_ worker: Int?) -> String { worker.map { "worker \($0 + 1)" } ?? "outer step" }
        switch event {
        case .submitted(let worker, let job): print("  \(name(worker)): job \(job.hex)")
        case .settled(let worker, _, let provider, let attempts):
            print("  \(name(worker)): settled, by \(provider)" + (attempts > 1 ? ", attempt \(attempts)" : ""))
        }
    }

    private func finish(_ losses: [Float], _ seconds: Double, _ output: TrainingOutput, _ trainer: RoundTrainer) {
        if options.format == .json {
            let json: JSONValue = [
                "rounds": JSONValue(trainer.round), "steps": JSONValue(losses.count),
                "firstLoss": .number(Double(losses.first ?? 0)), "lastLoss": .number(Double(losses.last ?? 0)),
                "seconds": .number(seconds), "program": .string(trainer.worker.root.hex),
                "aggregation": .string(trainer.aggregation.root.hex), "checkpoint": .string(output.checkpoint),
                "threads": JSONValue(options.threads),
            ]
            return print(json.text(pretty: true))
        }
        print(LossCurve(losses).text(width: 64))
        print("\(output.checkpoint): weights, outer momentum and round; \(output.folder)/loss.svg: the curve")
    }
}

extension TrainingFile {
    /// Of the section rounds.
    var roundSettings: RoundSettings {
        var out = RoundSettings()
        out.workers = workers ?? 1
        out.steps = roundSteps
        out.outerRate = Float(outerRate)
        out.outerMomentum = Float(outerMomentum)
        return out
    }
}
