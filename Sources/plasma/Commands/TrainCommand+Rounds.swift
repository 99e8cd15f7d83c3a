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
        _ settings: TrainingFile, _ subject: TrainingSubject, _ output: TrainingOutput
    ) async throws {
        let rounds = settings.roundSettings
        if settings.steps % rounds.steps != 0 {
            throw Failure(
                "the \(settings.steps) steps of the training are not whole rounds of \(rounds.steps): "
                    + "set training.steps or rounds.steps in \(file)")
        }
        let trainer = try RoundTrainer(
            subject.objective, settings.settings, rounds, data: subject.data,
            rows: RoundRows(
                rounds, rounds: settings.rounds, batch: settings.batch, text: subject.count, context: subject.context,
                seed: UInt64(settings.seed)),
            weights: subject.weights(), frozen: subject.frozen, threads: options.threads, memory: options.memory)
        var losses: [Float] = []
        var counted: [[Int]] = []
        let replayed = try replay.map { try RoundTable.read($0, workers: rounds.workers, needed: settings.rounds) }
        if resume {
            try Checkpoint.restore(trainer, from: output.checkpoint, rounds: settings.rounds)
            losses = try output.losses(trainer.round * rounds.steps)
            counted = try RoundTable.read(output.rounds, workers: rounds.workers, needed: trainer.round)
        }
        let first = trainer.round
        if options.format == .text {
            print(
                "\(subject.parameterText), \(settings.rounds) rounds of \(rounds.steps) steps for each of "
                    + "\(rounds.workers) workers, program \(trainer.worker.root.hex.prefix(16)), outer step "
                    + "\(trainer.aggregation.root.hex.prefix(16))" + (first > 0 ? ", from round \(first)" : ""))
        }
        let start = ContinuousClock.now
        let network = providers == nil ? nil : try await self.network(settings, output)
        // What is posted for the first round can be picked up, too.
        if network != nil && !resume {
            try output.write(losses)
            try RoundTable.write(counted, to: output.rounds)
            try Checkpoint.write(trainer, to: output.checkpoint)
        }
        do {
            while trainer.round < settings.rounds {
                if let network {
                    let isQuiet = options.format == .json
                    let done = try await network.run(trainer) { if !isQuiet { TrainCommand.tell($0) } }
                    counted.append(done.workers)
                    losses += done.losses
                } else {
                    let workers = replayed?[trainer.round] ?? Array(0..<rounds.workers)
                    losses += try TrainCommand.round(trainer, rounds, workers)
                    counted.append(workers)
                }
                try output.write(losses)
                try RoundTable.write(counted, to: output.rounds)
                try Checkpoint.write(trainer, to: output.checkpoint)
                tell(trainer.round, of: settings.rounds, losses, (ContinuousClock.now - start).seconds, first)
            }
        } catch {
            await network?.node.close()
            throw error
        }
        await network?.node.close()
        try subject.model?.write(trainer.weights, to: output.model)
        finish(losses, (ContinuousClock.now - start).seconds, output, trainer, subject)
    }

    private func tell(_ round: Int, of rounds: Int, _ losses: [Float], _ seconds: Double, _ first: Int) {
        if options.format == .json { return }
        let each = seconds / Double(round - first)
        print(
            String(
                format: "round %d of %d  loss %.4f  %.1f s a round  %d s left", round, rounds, losses.last ?? 0, each,
                Int(each * Double(rounds - round))))
    }

    /// One round on this machine; a step's loss is the mean of the workers'.
    private static func round(_ trainer: RoundTrainer, _ rounds: RoundSettings, _ workers: [Int]) throws -> [Float] {
        var sums = [Float](repeating: 0, count: rounds.steps)
        var counts = [Int](repeating: 0, count: rounds.workers)
        try trainer.run(workers: workers) { worker, loss in
            sums[counts[worker]] += loss / Float(workers.count)
            counts[worker] += 1
        }
        return sums
    }

    // MARK: Providers

    private func network(
        _ settings: TrainingFile, _ output: TrainingOutput
    ) async throws -> ProviderRounds {
        let rounds = settings.roundSettings
        guard let genesis else {
            throw Failure("with --providers results are proven from the genesis: give its file with --genesis")
        }
        let chain = try GenesisReader.load(genesis)
        let price = try Amount(parsing: maxPrice)
        let checked = try JobTermOptions.policy(policy)
        let client = ClientOptions.parseOrExit(rpc.map { ["--rpc", $0] } ?? [])
        let key = try keys.open()
        let node = try client.client()
        let hint: PublicKey
        do { hint = try await JobCommand.storageHint(node) } catch {
            await node.close()
            throw error
        }
        return ProviderRounds(
            node: node, key: key,
            terms: JobTerms(
                maximumPricePer1000CU: price, policy: checked,
                queueMilliseconds: 600_000, deadlineMilliseconds: 24 * 3_600_000),
            genesis: chain, rounds: rounds, quorum: min(settings.quorum ?? rounds.workers, rounds.workers),
            patience: settings.patience, storageHint: hint, checkpointEvery: checkpointEvery, record: output.jobs)
    }

    private static func tell(_ event: ProviderRounds.Event) {
        func name(_ worker: Int?) -> String { worker.map { "worker \($0 + 1)" } ?? "outer step" }
        switch event {
        case .noPlace(let worker, let reasons):
            print("  \(name(worker)): there is no place for it now beside the others")
            for reason in reasons { print("    \(reason)") }
        case .singly: print("  there are not places for all at once: each is posted by itself")
        case .pickedUp(let jobs): print("  going on with \(jobs) jobs that were posted before")
        case .submitted(let worker, let job): print("  \(name(worker)): job \(job.hex)")
        case .settled(let worker, _, let provider, let attempts):
            print("  \(name(worker)): settled, by \(provider)" + (attempts > 1 ? ", attempt \(attempts)" : ""))
        case .leftOut(let worker, _, let reason): print("  \(name(worker)): left out, \(reason)")
        }
    }

    private func finish(
        _ losses: [Float], _ seconds: Double, _ output: TrainingOutput, _ trainer: RoundTrainer,
        _ subject: TrainingSubject
    ) {
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
        if let model = subject.model {
            print("\(model.path(in: output.model)): the model, as \(subject.reader) takes it")
        }
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
