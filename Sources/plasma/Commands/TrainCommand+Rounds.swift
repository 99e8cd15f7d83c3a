import API
import Foundation
import Node
import Primitives
import Programs
import Runtime

/// A training in rounds on this machine, worker after worker.
extension TrainCommand {
    func trainInRounds(
        _ settings: TrainingFile, _ model: GPTConfiguration, _ text: [UInt8], _ output: TrainingOutput
    ) throws {
        let rounds = settings.roundSettings
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
        while trainer.round < settings.rounds {
            // A step's loss is the mean of the workers'.
            var sums = [Float](repeating: 0, count: rounds.steps)
            var counts = [Int](repeating: 0, count: rounds.workers)
            try trainer.run { worker, loss in
                sums[counts[worker]] += loss / Float(rounds.workers)
                counts[worker] += 1
            }
            losses += sums
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
