import API
import Foundation
import Primitives
import Programs
import Runtime

/// What proving a result costs: the commitment beside the computing, a run with every tensor kept, and a dispute from the challenge to the verdict.
struct VerificationBench {
    let folder: String
    let threads: Int
    let seconds: Double

    /// A job of a model's, ready to be run.
    private struct Job {
        let name: String
        let program: Program
        let axes: [UInt64]
        let fixed: SpecialisedProgram
        let parameters: [[UInt8]]
        let inputs: [[UInt8]]
        let carried: [Int: [UInt8]]
    }

    func run() throws -> JSONValue {
        let small = try encoder(batch: 1, length: 128)
        let large = try encoder(batch: 32, length: 128)
        let training = try training(steps: 20)
        return [
            "threads": JSONValue(threads), "kernels": .string(KernelVariant.best.description),
            "commitments": .array(try [large, training].map(commitment)),
            "disputes": .array(try [small, large, training].map(dispute)),
        ]
    }

    private func encoder(batch: Int, length: Int) throws -> Job {
        let model = try ModelImporter.importFolder(folder)
        var state: UInt32 = 1
        let ids = (0..<batch).map { _ in
            (0..<length).map { _ -> Int32 in
                state = state &* 1_664_525 &+ 1_013_904_223
                return Int32((state >> 8) % UInt32(model.configuration.vocabularySize))
            }
        }
        let inputs = try EncoderInputs(ids, truncated: [])
        let program = try model.program()
        let axes = program.axes.map { name in UInt64(inputs.axes.first { $0.name == name }?.value ?? 1) }
        return Job(
            name: "MiniLM, batch \(batch), sequence \(length)", program: program, axes: axes,
            fixed: try program.specialise(zip(program.axes, axes).map { ($0, $1) }),
            parameters: model.parameters.map { parameter in parameter.withBytes { Array($0) } },
            inputs: inputs.inputs.map { input in input.values.withUnsafeBytes { Array($0) } }, carried: [:])
    }

    /// The small decoder of docs/training.md.
    private func training(steps: Int) throws -> Job {
        let model = GPTConfiguration(vocabulary: 256, width: 128, layers: 4, heads: 4, context: 128)
        let settings = TrainingSettings()
        let text = (0..<65_536).map { (place: Int) -> UInt8 in
            let letter: Int = (place * place * 7 + place / 13) % 96
            return UInt8(32 + letter)
        }
        let program = try RoundProgram.worker(model, settings, text: text.count, steps: steps)
        let starts = try TrainingDraws.starts(
            steps: steps, batch: settings.batch, text: text.count, context: model.context, seed: 1)
        let rows: [UInt8] = starts.withUnsafeBytes { Array($0) }
        return Job(
            name: "\(steps) AdamW steps, width 128, 4 layers, batch 16", program: program, axes: [],
            fixed: try program.specialise([]), parameters: TrainingDraws.weights(model, seed: 1).map(\.bytes),
            inputs: [text, rows], carried: [:])
    }

    private func withRun<R>(
        _ job: Job, parameters: [[UInt8]]? = nil, _ body: (GraphExecutor, [UnsafeRawBufferPointer]) throws -> R
    ) throws -> R {
        try ModelBench.withMemory(parameters ?? job.parameters) { weights in
            try ModelBench.withMemory(job.inputs) { inputs in
                try body(try GraphExecutor(program: job.fixed, parameters: weights, threads: threads), inputs)
            }
        }
    }

    /// A run beside the hashing of what it commits to.
    private func commitment(_ job: Job) throws -> JSONValue {
        try withRun(job) { executor, inputs in
            var runs: [Double] = []
            var hashes: [Double] = []
            let end = ModelBench.now() + seconds
            while ModelBench.now() < end || runs.count < 3 {
                let began = ModelBench.now()
                let result = try executor.run(inputs: inputs)
                let ran = ModelBench.now()
                _ = ResultRoots.outputRoot(result.outputs.map { $0.map(\.root) })
                _ = ResultRoots.stateRoot(job.fixed.kept.map { result.carried[Int($0)].root })
                runs.append(ran - began)
                hashes.append(ModelBench.now() - ran)
            }
            let (run, hash) = (runs.sorted()[runs.count / 2], hashes.sorted()[hashes.count / 2])
            return [
                "job": .string(job.name), "runs": JSONValue(runs.count), "runSeconds": .number(run),
                "commitmentSeconds": .number(hash), "percent": .number((hash / run * 100_000).rounded() / 1000),
            ]
        }
    }

    // MARK: Disputes

    /// A provider whose machine has one bit of a weight wrong, and one who found out.
    private func dispute(_ job: Job) throws -> JSONValue {
        var wrong = job.parameters
        let place = wrong.indices.max { wrong[$0].count < wrong[$1].count } ?? 0
        // The second highest bit of an exponent: a change that no rounding takes away.
        for index in stride(from: 3, to: wrong[place].count, by: 4) { wrong[place][index] ^= 0x20 }
        let roots = zip(job.fixed.parameters, job.parameters).map { declaration, bytes in
            TensorRoot.of(declaration.type.element, declaration.type.shape.map(\.factor), bytes)
        }
        return try ModelBench.withMemory(wrong) { wrong in
            try ModelBench.withMemory(job.parameters) { right in
                try ModelBench.withMemory(job.inputs) { inputs in
                    let liar = try DisputeRun(
                        job.program, axes: job.axes, parameters: wrong, parameterRoots: roots, inputs: inputs, seed: 0,
                        threads: threads)
                    let honest = try DisputeRun(
                        job.program, axes: job.axes, parameters: right, parameterRoots: roots, inputs: inputs, seed: 0,
                        threads: threads)
                    return try play(job, liar, honest)
                }
            }
        }
    }

    private func play(_ job: Job, _ liar: DisputeRun, _ honest: DisputeRun) throws -> JSONValue {
        let began = ModelBench.now()
        let subject = liar.subject(claiming: try liar.commitment())
        let ran = ModelBench.now()
        _ = try honest.commitment()
        let opening = DisputeOpening(job.program)
        var walk = try Walk(subject, opening)
        var bytes = opening.canonicalBytes.count
        var (defender, challenger, judged) = ([Double](), [Double](), 0.0)
        let started = ModelBench.now()
        while walk.outcome == nil {
            let moved = ModelBench.now()
            if let point = walk.point {
                let reveal = try liar.reveal(at: point)
                defender.append(ModelBench.now() - moved)
                bytes += reveal.canonicalBytes.count
                try walk.reveal(reveal, subject)
            } else {
                let pick = try honest.pick(for: walk, subject)
                challenger.append(ModelBench.now() - moved)
                bytes += pick.canonicalBytes.count
                if case .leaf = walk.stage {
                    var times: [Double] = []
                    for _ in 0..<201 {
                        var copy = walk
                        let began = ModelBench.now()
                        try copy.pick(try Pick(canonicalBytes: pick.canonicalBytes), subject)
                        times.append(ModelBench.now() - began)
                    }
                    judged = times.sorted()[times.count / 2]
                }
                try walk.pick(pick, subject)
            }
        }
        let bound = job.program.disputeBound(job.fixed)
        var outcome = ""
        if case .convicted(let reason)? = walk.outcome { outcome = "convicted: " + reason }
        if case .acquitted(let reason)? = walk.outcome { outcome = "acquitted: " + reason }
        return [
            "job": .string(job.name), "outcome": .string(outcome), "rounds": JSONValue(Int(walk.rounds) + 1),
            "roundsBound": JSONValue(bound.rounds), "evidenceBytes": JSONValue(bytes),
            "evidenceBound": JSONValue(bound.bytes), "runSeconds": .number(ran - began),
            "movesSeconds": .number(ModelBench.now() - started),
            "slowestReveal": .number(defender.max() ?? 0), "slowestPick": .number(challenger.max() ?? 0),
            "verdictMicroseconds": .number((judged * 1e7).rounded() / 10),
        ]
    }
}
