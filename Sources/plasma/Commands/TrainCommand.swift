import API
import ArgumentParser
import Foundation
import Node
import Primitives
import Programs
import Runtime

/// Trains a small decoder or one of a folder on a text, or an ONNX file's model on examples, on this machine or in rounds on others'.
struct TrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a decoder on a text, or an ONNX file's model on examples, on this machine or on others'.",
        discussion: """
            Example: plasma train config.toml
            Writes checkpoint.safetensors, losses.csv and loss.svg into the output folder, and a model that began as a folder \
            or an ONNX file (folder or file under [model]) into its folder model. A training that was stopped goes on with \
            --resume, to the same bits as one that never was. With a section rounds, several workers train on stretches of the text or examples \
            of their own and are put together after each round; with --providers each is a job on the network. docs/training.md describes the file.
            """)

    @Argument(help: "A TOML file with the sections model, data, training, rounds and output.")
    var file: String

    @Flag(help: "Go on from the output folder's checkpoint.")
    var resume = false

    @Option(help: "Train in rounds with so many workers, each a job on the network, instead of on this machine.")
    var providers: Int?

    @Option(help: "With --providers: the node's RPC address. Default: $PLASMA_RPC, else http://127.0.0.1:27700.")
    var rpc: String?

    @Option(help: "With --providers: the network's genesis.toml, which is all that is trusted.")
    var genesis: String?

    @Option(help: "With --providers: the most that 1,000 compute units may cost, in XPL.")
    var maxPrice = "200"

    @Option(help: "With --providers: how results are checked: audited, sampled:N (in a thousand) or replicated:N.")
    var policy = "audited"

    @Option(
        help: """
            With --providers: run each worker's part as a row of jobs of at most so many steps: if a provider dies, the next goes on from the last
            checkpoint.
            """)
    var checkpointEvery: Int?

    @Option(help: "In rounds on this machine: count the workers that counted in another run, by its rounds.csv.")
    var replay: String?

    @OptionGroup var keys: KeyOptions
    @OptionGroup var options: LocalRunOptions

    func validate() throws {
        if let providers, !(1...RoundSettings.maximumWorkers).contains(providers) {
            throw ValidationError("--providers must be from 1 to \(RoundSettings.maximumWorkers)")
        }
        if checkpointEvery != nil && providers == nil {
            throw ValidationError(
                "--checkpoint-every is of jobs on the network: checkpoint_every under [output] is this machine's")
        }
        if replay != nil && providers != nil {
            throw ValidationError("--replay is of rounds on this machine: leave --providers out")
        }
    }

    func run() async throws {
        do {
            var settings = try TrainingFile.load(file)
            if let providers { settings.workers = providers }
            try await train(settings)
        } catch { throw Failure(describing: error) }
    }

    private func train(_ settings: TrainingFile) async throws {
        let output = TrainingOutput(folder: settings.folder)
        if replay != nil && settings.workers == nil {
            throw Failure("--replay is of rounds, and \(file) has no section rounds.")
        }
        let subject = try TrainingSubject(settings, of: file, memory: options.memory)
        try output.prepare(resumes: resume, from: settings.source)
        if settings.workers != nil { return try await trainInRounds(settings, subject, output) }
        let seed = UInt64(settings.seed)
        let trainer = try Trainer(
            subject.objective, settings.settings, data: subject.data,
            starts: try TrainingDraws.starts(
                steps: settings.steps, batch: settings.settings.rows, text: subject.count, context: subject.context,
                seed: seed),
            weights: subject.weights(), frozen: subject.frozen, threads: options.threads, memory: options.memory,
            seed: seed)
        var losses: [Float] = []
        if resume {
            try trainer.restore(output.checkpoint)
            losses = try output.losses(trainer.step)
        }
        let first = trainer.step
        if options.format == .text {
            print(
                "\(subject.parameterText), \(trainer.program.program.scans[0].operations.count) ops a step, peak memory "
                    + "\(trainer.peakMemory / 1_000_000) MB, threads \(options.threads), program "
                    + "\(trainer.program.program.root.hex.prefix(16))"
                    + (first > 0 ? ", from step \(first)" : ""))
        }
        let start = ContinuousClock.now
        var told = start
        while trainer.step < settings.steps {
            let steps = min(
                settings.checkpointEvery - trainer.step % settings.checkpointEvery, settings.steps - trainer.step)
            try trainer.run(steps: steps) { loss in
                losses.append(loss)
                let now = ContinuousClock.now
                if options.format == .text,
                    losses.count == settings.steps || (now - told).seconds >= 1 || losses.count == first + 1
                {
                    told = now
                    tell(losses, of: settings, subject, since: (now - start).seconds, first)
                }
            }
            // The checkpoint last: it names the step up to which the losses are there.
            try output.write(losses)
            try Checkpoint.write(trainer, to: output.checkpoint)
        }
        let seconds = (ContinuousClock.now - start).seconds
        try subject.model?.write(trainer, to: output.model)
        finish(losses, first, seconds, output, trainer, subject)
    }

    private func tell(
        _ losses: [Float], of settings: TrainingFile, _ subject: TrainingSubject, since seconds: Double, _ first: Int
    ) {
        let done = losses.count - first
        let rate = Double(done) / max(seconds, 1e-9)
        let left = Int(Double(settings.steps - losses.count) / max(rate, 1e-9))
        print(
            String(
                format: "step %d of %d  loss %.4f  %.2f steps/s  %.0f %@/s  %d s left", losses.count, settings.steps,
                losses.last ?? 0, rate, rate * Double(settings.settings.rows * subject.unit.perRow),
                subject.unit.name, left))
    }

    private func finish(
        _ losses: [Float], _ first: Int, _ seconds: Double, _ output: TrainingOutput, _ trainer: Trainer,
        _ subject: TrainingSubject
    ) {
        let rate = Double(losses.count - first) / max(seconds, 1e-9)
        if options.format == .json {
            let json: JSONValue = [
                "steps": JSONValue(losses.count), "firstLoss": .number(Double(losses.first ?? 0)),
                "lastLoss": .number(Double(losses.last ?? 0)), "stepsPerSecond": .number(rate),
                "parameters": JSONValue(subject.objective.weightCount),
                "model": subject.model.map { .string($0.path(in: output.model)) } ?? .null,
                "program": .string(trainer.program.program.root.hex), "checkpoint": .string(output.checkpoint),
                "peakMemoryBytes": JSONValue(trainer.peakMemory), "threads": JSONValue(options.threads),
            ]
            return print(json.text(pretty: true))
        }
        print(LossCurve(losses).text(width: 64))
        print("\(output.checkpoint): weights, moments and step; \(output.folder)/loss.svg: the curve")
        if let model = subject.model {
            print("\(model.path(in: output.model)): the model, as \(subject.reader) takes it")
        }
    }
}

extension TrainingFile {
    /// The folder in which the model lies that is trained further.
    var source: String? { model ?? graph.map { URL(fileURLWithPath: $0).deletingLastPathComponent().path } }

    var settings: TrainingSettings {
        var out = TrainingSettings()
        out.batch = batch
        out.rate = Float(rate)
        if isCosine { out.schedule = .cosine(warmup: warmup, end: steps, least: Float(least)) }
        out.firstDecay = Float(firstDecay)
        out.secondDecay = Float(secondDecay)
        out.epsilon = Float(epsilon)
        out.weightDecay = Float(weightDecay)
        out.clip = clip.map { Float($0) }
        out.dropout = Float(dropout)
        out.accumulate = accumulate
        return out
    }
}

/// The files of a training.
struct TrainingOutput {
    let folder: String

    var checkpoint: String { folder + "/checkpoint.safetensors" }
    /// Of a folder's model: what it has become, as a folder like it.
    var model: String { folder + "/model" }
    /// Of a training in rounds: which workers counted.
    var rounds: String { folder + "/rounds.csv" }
    /// Of a training on the network: the jobs of the round that is under way.
    var jobs: String { folder + "/jobs.json" }
    private var table: String { folder + "/losses.csv" }

    /// Makes the folder; what is there is neither overwritten nor left out without being asked, and least of all the model that is trained.
    func prepare(resumes: Bool, from source: String?) throws {
        if let source,
            URL(fileURLWithPath: source).resolvingSymlinksInPath()
                == URL(fileURLWithPath: model).resolvingSymlinksInPath()
        {
            throw Failure("\(model) is the model that is trained: choose another folder under [output].")
        }
        do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
            throw Failure("\(folder) cannot be made: choose another folder under [output].")
        }
        let isThere = FileManager.default.fileExists(atPath: checkpoint)
        if isThere && !resumes {
            throw Failure("\(checkpoint) is there: go on with --resume, or choose another folder under [output].")
        }
        if !isThere && resumes { throw Failure("\(checkpoint) is not there: start without --resume.") }
    }

    /// The losses up to a step, as they were written.
    func losses(_ step: Int) throws -> [Float] {
        let lines = ((try? String(contentsOfFile: table, encoding: .utf8)) ?? "").split(separator: "\n").dropFirst()
        let found = lines.compactMap { line in line.split(separator: ",").last.flatMap { Float($0) } }
        if found.count < step {
            throw Failure("\(table) has \(found.count) losses of \(step): bring it back, or start anew.")
        }
        return Array(found[..<step])
    }

    func write(_ losses: [Float]) throws {
        let lines = losses.enumerated().map { "\($0.offset + 1),\($0.element)" }
        do {
            try Data(("step,loss\n" + lines.joined(separator: "\n") + "\n").utf8).write(
                to: URL(fileURLWithPath: table), options: .atomic)
            try Data(LossCurve(losses).svg.utf8).write(to: URL(fileURLWithPath: folder + "/loss.svg"), options: .atomic)
        } catch { throw Failure("\(folder) cannot be written: make room, or choose another folder under [output].") }
    }
}

/// A curve of losses, for a terminal and as a picture.
struct LossCurve {
    private let losses: [Float]

    init(_ losses: [Float]) { self.losses = losses }

    private var range: (low: Float, high: Float) {
        let finite = losses.filter(\.isFinite)
        let (low, high) = (finite.min() ?? 0, finite.max() ?? 1)
        return (low, max(high, low + 1e-6))
    }

    /// Means of neighbouring steps as a line of bars, with the ends named.
    func text(width: Int) -> String {
        if losses.isEmpty { return "no steps" }
        let bars = Array("▁▂▃▄▅▆▇█")
        let count = min(width, losses.count)
        let (low, high) = range
        let line = (0..<count).map { column -> Character in
            let part = losses[column * losses.count / count..<(column + 1) * losses.count / count]
            let mean = part.reduce(0, +) / Float(max(1, part.count))
            if !mean.isFinite { return "?" }
            let level = Int((mean - low) / (high - low) * 7.99)
            return bars[max(0, min(7, level))]
        }
        return String(format: "loss %.4f %@ %.4f", losses[0], String(line), losses[losses.count - 1])
    }

    /// The curve with its axes.
    var svg: String {
        let (low, high) = range
        let points = losses.enumerated().filter { $0.element.isFinite }.map { step, loss in
            let x = 60 + 700 * Double(step) / Double(max(1, losses.count - 1))
            let y = 20 + 320 * Double((high - loss) / (high - low))
            return String(format: "%.1f,%.1f", x, y)
        }
        let marks = (0...4).map { mark -> String in
            let loss = low + (high - low) * Float(mark) / 4
            let y = 340 - 80 * mark
            return """
                <line x1="60" x2="760" y1="\(y)" y2="\(y)" stroke="#ddd"/>
                <text x="54" y="\(y + 4)" text-anchor="end">\(String(format: "%.3f", loss))</text>
                """
        }
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="780" height="380" font-family="sans-serif" font-size="12">
            <rect width="780" height="380" fill="white"/>
            \(marks.joined(separator: "\n"))
            <polyline fill="none" stroke="#1f6feb" stroke-width="1.5" points="\(points.joined(separator: " "))"/>
            <text x="60" y="365">step 1</text><text x="760" y="365" text-anchor="end">step \(losses.count)</text>
            </svg>

            """
    }
}
