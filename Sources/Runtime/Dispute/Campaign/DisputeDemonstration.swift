internal import Primitives
public import Programs

/// Whole disputes about jobs of full size: single lies, each in one place of one step, walked to their end by the same players as a campaign's.
///
/// Weights and inputs are made from the seed, in the shapes of the real models; what a number is says nothing about how it is disputed.
public struct DisputeDemonstration: Sendable {
    public enum Job: String, CaseIterable, Sendable {
        /// all-MiniLM-L6-v2 on four sentences: one step of 304 ops.
        case miniLM = "minilm"
        /// The same with its linear layers in fx15.
        case miniLMInHalves = "minilm-fx15"
        /// GPT-2 (124M) that draws 64 tokens for two rows, with a cache: a step each.
        case gpt2 = "gpt2-64"
        /// Fifty AdamW steps of a small GPT, its weights and moments carried.
        case adam = "adam-50"
    }

    /// What is wrong, in one place.
    public enum Lie: String, CaseIterable, Sendable {
        case weight = "weight bit"
        case activation = "activation bit"
        case cache = "KV entry"
        case randomWord = "random word"
        case trainedWeight = "trained weight"
        case moment = "optimizer moment"
        case skippedOperation = "skipped op"
        case swappedStep = "swapped step"
    }

    /// How one lie ended.
    public struct Ending: Sendable {
        public let lie: Lie
        /// In words: the step, the op, the tensor.
        public let place: String
        public let outcome: Outcome
        /// Moves of the provider and the evidence; bytes of opening and moves. None where there was nothing to dispute.
        public let rounds: Int
        public let bytes: Int
    }

    public enum Outcome: Sendable, Equatable {
        case convicted(String)
        /// The result is the honest one.
        case roundedAway
        case wrong(String)
    }

    /// What is disputed.
    public struct Size: Sendable {
        public let steps: UInt64
        public let operations: Int
        public let parameters: UInt64
        public let bound: DisputeBound
    }

    public let size: Size
    private let job: DisputeJob
    private let tracer: Tracer
    private let court: DisputeCourt
    private let seed: UInt64

    /// Makes a job and runs it honestly, once. `isSmall`: of the same kinds, for a quick look.
    public init(_ kind: Job, isSmall: Bool = false, seed: UInt64) throws {
        switch kind {
        case .miniLM: job = isSmall ? try .encoder(seed: seed) : try .encoder(seed: seed, .miniLM)
        case .miniLMInHalves:
            job = try (isSmall ? DisputeJob.encoder(seed: seed) : .encoder(seed: seed, .miniLM)).quantized(.fx15)
        case .gpt2: job = isSmall ? try .generator(seed: seed) : try .generator(seed: seed, .gpt2)
        case .adam: job = isSmall ? try .training(seed: seed) : try .training(seed: seed, .fifty)
        }
        self.seed = seed
        tracer = try job.tracer()
        let run = try job.run(tracer)
        let truth = try run.commitment()
        court = DisputeCourt(job: job, honest: run, truth: truth)
        size = Size(
            steps: truth.steps.reduce(0, +), operations: job.program.scans.reduce(0) { $0 + $1.operations.count },
            parameters: job.fixed.parameters.reduce(0) { $0 + $1.type.count }, bound: court.bound)
    }

    /// Tells each lie that the job has a place for so many times, in other places. `told` hears of each as it ends.
    public func run(each: Int, told: (Ending) -> Void = { _ in }) throws -> [Ending] {
        var endings: [Ending] = []
        for (number, lie) in Lie.allCases.enumerated() {
            var random = SplitMix64(seed: seed &* 0x2545_F491_4F6C_DD1D &+ UInt64(number))
            for _ in 0..<each {
                guard let ending = try end(lie, &random) else { break }
                told(ending)
                endings.append(ending)
            }
        }
        return endings
    }

    private func end(_ lie: Lie, _ random: inout SplitMix64) throws -> Ending? {
        guard let (place, liar) = try liar(lie, &random) else { return nil }
        func ending(_ outcome: Outcome, _ rounds: Int = 0, _ bytes: Int = 0) -> Ending {
            Ending(lie: lie, place: place, outcome: outcome, rounds: rounds, bytes: bytes)
        }
        if liar.claim == court.truth { return ending(.roundedAway) }
        let end = try court.end(liar)
        if end.rounds > court.bound.rounds || end.bytes > court.bound.bytes {
            return ending(
                .wrong("beyond \(court.bound.rounds) rounds or \(court.bound.bytes) bytes"), end.rounds, end.bytes)
        }
        guard case .convicted(let reason) = end.outcome else {
            return ending(.wrong("not convicted: \(String(describing: end.outcome))"), end.rounds, end.bytes)
        }
        return ending(.convicted(reason), end.rounds, end.bytes)
    }

    // MARK: Lies

    /// One that lies so, and where; nil where the job has no such thing.
    private func liar(_ lie: Lie, _ random: inout SplitMix64) throws -> (String, Liar)? {
        func draw(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
        let steps = court.truth.steps.reduce(0, +)
        /// With one after it, where there is one: what is carried on after the last step may be kept by nobody.
        let step = random.next() % max(1, steps - 1)
        let operations = job.fixed.scans[scan(of: step)].operations
        func liar(_ change: TamperedSource.Change) throws -> Liar {
            try Liar(change, atStep: step, job, tracer)
        }
        func carried(_ isMeant: (String) -> Bool) throws -> (String, Liar)? {
            let places = job.fixed.carried.indices.filter {
                isMeant(job.fixed.carried[$0].name) && !job.carried[$0].bytes.isEmpty
            }
            if places.isEmpty || steps < 2 { return nil }
            let place = places[draw(places.count)]
            // Of a cache only what has been written is read again.
            return (
                "\(job.fixed.carried[place].name) after step \(step)",
                try liar(.state(place: place, bit: try bit(ofCarried: place, after: step, random.next())))
            )
        }
        switch lie {
        case .weight:
            let matrices = job.parameters.indices.filter { job.parameters[$0].element == .f32 }
            if matrices.isEmpty { return nil }
            let place = matrices[draw(matrices.count)]
            var changed = job.parameters
            let number = DisputeDemonstration.number(in: changed[place].bytes, random.next())
            TamperedSource.flip(&changed[place].bytes, number * 32 + 30)
            return ("\(job.fixed.parameters[place].name)[\(number)]", try Liar(parameters: changed, job))
        case .activation:
            let operation = draw(operations.count)
            return (
                "op \(operation) of step \(step)",
                try liar(.bit(operation: operation, bit: random.next() % (1 << 27) * 32 + 30))
            )
        case .skippedOperation:
            let operation = draw(operations.count)
            return ("op \(operation) of step \(step)", try liar(.skipped(operation: operation)))
        case .swappedStep:
            // Whose steps do not read their number may change places; what they give out may not.
            let isNumbered = operations.indices.contains { TamperedSource.drawsWords(operations[$0]) }
            return steps < 2
                ? nil : ("steps \(step) and \(step + 1)", try liar(isNumbered ? .swapped : .swappedOutputs))
        case .randomWord:
            let drawing = operations.indices.filter { TamperedSource.drawsWords(operations[$0]) }
            if drawing.isEmpty { return nil }
            let operation = drawing[draw(drawing.count)]
            return (
                "op \(operation) of step \(step)",
                try liar(.otherWords(operation: operation, seed: random.next(), step: 0))
            )
        case .cache: return try carried { $0.hasPrefix("keys.") || $0.hasPrefix("values.") }
        case .moment: return try carried { $0.hasPrefix("m.") || $0.hasPrefix("v.") }
        case .trainedWeight:
            let trained = Set(
                job.fixed.carried.compactMap { $0.name.hasPrefix("m.") ? String($0.name.dropFirst(2)) : nil })
            return try carried { trained.contains($0) }
        }
    }

    private func scan(of step: UInt64) -> Int {
        var before: UInt64 = 0
        for (scan, count) in court.truth.steps.enumerated() {
            if step < before + count { return scan }
            before += count
        }
        return 0
    }

    /// The exponent's highest bit of a number of a carried tensor that is not zero after a step, where there is one.
    private func bit(ofCarried place: Int, after step: UInt64, _ word: UInt64) throws -> UInt64 {
        var position = tracer.start
        _ = try tracer.skip(&position, steps: step + 1)
        return DisputeDemonstration.number(in: position.carried[place].bytes, word) * 32 + 30
    }

    /// A number of some f32, nearer to zero than one and not zero: with the highest bit of its exponent it is large, and is one still.
    private static func number(in bytes: [UInt8], _ word: UInt64) -> UInt64 {
        let fitting = stride(from: 0, to: bytes.count - 3, by: 4).filter { start in
            bytes[start + 3] & 0x7f < 0x3f && bytes[start..<start + 4].contains { $0 != 0 }
        }
        return fitting.isEmpty ? 0 : UInt64(fitting[Int(word % UInt64(fitting.count))] / 4)
    }
}
