internal import Primitives
internal import Programs

/// One lie, as the campaign draws it.
enum Fault: String, CaseIterable, Sendable {
    /// A bit of a weight, of an input, of the first state.
    case weight, input, firstState
    /// A bit of what an op made.
    case activation
    /// A bit of the state between two steps: of a cache, of a weight that is trained, of a moment.
    case state
    case randomWord, skippedOp, swappedStep, swappedOutputs
    /// Another number of steps: computed so, or only said.
    case endedEarly, wentOn, claimedSteps
    /// A wrong root: of the commitment, of a list's entry, of an op's tensor, of one of its blocks.
    case outputRoot, stateRoot, outputEntry, stateEntry, tensorRoot, wrongHeader, block, padding
    /// A wrong activation or entry, and a lie in the walk too.
    case forgedStates, forgedOps, forgedTotal, forgedSegments, forgedDigest, shortReveal, silence
}

/// A provider that lies about a job: what it claims, and how it walks.
struct Liar: Sendable {
    let run: DisputeRun
    let claim: RunCommitment
    let manner: Manner

    enum Manner: Sendable {
        /// Shows its own run.
        case own
        /// Says nothing from its so many-th move on.
        case silent(UInt32)
        /// Changes one thing in its so many-th reveal.
        case changed(UInt32, UInt64)
        /// Leaves something out of it, or adds to it.
        case resized(UInt32, isLonger: Bool)
        /// Names other states within a span of steps.
        case states(UInt64)
        /// Names other ops' tensors at the first reveal of a step's.
        case operations(UInt64)
        /// Names other running totals: all from one on, or that alone.
        case totals(UInt64)
        /// Names another number of segments.
        case segments(UInt64)
    }

    /// Whether it can always say something: one that changes what it shows may be asked for what is not there.
    var isConsistent: Bool {
        if case .own = manner { return true }
        return false
    }

    /// Draws a liar; nil where the job has nothing to lie about in this way.
    init?(_ fault: Fault, _ job: DisputeJob, honest: RunCommitment, _ random: inout SplitMix64) throws {
        let tracer = try job.tracer()
        let steps = honest.steps.reduce(0, +)
        func draw(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
        func digest() -> Digest {
            var writer = ByteWriter()
            writer.write(random.next())
            return MerkleTree.leaf(writer.bytes)
        }
        let step = steps == 0 ? 0 : random.next() % steps
        var scan = 0
        var before: UInt64 = 0
        while steps > 0, step >= before + honest.steps[scan] {
            before += honest.steps[scan]
            scan += 1
        }
        let operations = job.fixed.scans[scan].operations
        let leading = job.program.leadingCount
        /// Ops whose tensors a result names: given out or carried on.
        let named = (job.fixed.scans[scan].outputs + job.fixed.scans[scan].carried)
            .map { Int($0.index) - leading }.filter { $0 >= 0 }
        func flipped(_ tensors: [Tensor]) -> [Tensor]? {
            let filled = tensors.indices.filter { !tensors[$0].bytes.isEmpty }
            if filled.isEmpty { return nil }
            var changed = tensors
            let place = filled[draw(filled.count)]
            TamperedSource.flip(&changed[place].bytes, random.next())
            changed[place].bytes.withUnsafeMutableBytes { bytes in
                if let base = bytes.baseAddress {
                    canonicalize(tensors[place].element, base, count: bytes.count / tensors[place].element.size)
                }
            }
            return changed
        }
        func bit() -> TamperedSource.Change {
            // What is given out or carried half of the time: deep bits often round away.
            let operation = named.isEmpty || draw(2) == 0 ? draw(operations.count) : named[draw(named.count)]
            return .bit(operation: operation, bit: random.next())
        }
        var source: any StepSource = tracer
        var change: TamperedSource.Change?
        var manner = Manner.own
        var claimedSteps: [UInt64]?
        var (outputRoot, stateRoot): (Digest?, Digest?)
        let needsStep: Bool
        switch fault {
        case .weight, .input, .firstState, .outputRoot, .stateRoot, .claimedSteps: needsStep = false
        default: needsStep = true
        }
        if needsStep && (steps == 0 || operations.isEmpty) { return nil }
        switch fault {
        case .weight:
            guard let changed = flipped(job.parameters) else { return nil }
            source = try job.tracer(parameters: changed)
        case .input:
            guard let changed = flipped(job.inputs) else { return nil }
            source = try job.tracer(inputs: changed)
        case .firstState:
            guard let changed = flipped(job.carried) else { return nil }
            source = try job.tracer(carried: changed)
        case .activation: change = bit()
        case .state:
            if job.carried.isEmpty { return nil }
            change = .state(place: draw(job.carried.count), bit: random.next())
        case .randomWord:
            let drawing = operations.indices.filter { TamperedSource.drawsWords(operations[$0]) }
            if drawing.isEmpty { return nil }
            change = .otherWords(
                operation: drawing[draw(drawing.count)], seed: draw(2) == 0 ? random.next() : job.seed,
                step: UInt64(draw(4)))
        case .skippedOp: change = .skipped(operation: draw(operations.count))
        case .swappedStep: change = .swapped
        case .swappedOutputs: change = .swappedOutputs
        case .endedEarly, .wentOn:
            if job.fixed.scans[scan].stop == nil { return nil }
            if fault == .endedEarly {
                change = .ends
            } else {
                // The very step that ends a scan.
                let last = before + honest.steps[scan] - 1
                source = TamperedSource(base: tracer, step: last, change: .goesOn)
            }
        case .claimedSteps:
            claimedSteps = honest.steps
            if honest.steps.isEmpty { return nil }
            let place = draw(honest.steps.count)
            let other = random.next() % 4
            claimedSteps?[place] = draw(2) == 0 ? honest.steps[place] &+ other : honest.steps[place] &- other
        case .outputRoot: outputRoot = digest()
        case .stateRoot: stateRoot = digest()
        case .outputEntry:
            let outputs = job.fixed.scans[scan].outputs
            if outputs.isEmpty { return nil }
            change = .output(place: draw(outputs.count), digest())
        case .stateEntry:
            if job.carried.isEmpty { return nil }
            change = .stateRoot(place: draw(job.carried.count), digest())
        case .tensorRoot, .wrongHeader, .block, .padding:
            if named.isEmpty { return nil }
            let operation = named[draw(named.count)]
            switch fault {
            case .tensorRoot: change = .root(operation: operation, digest())
            case .wrongHeader:
                change = .header(operation: operation)
            case .block: change = .block(operation: operation, block: random.next(), digest())
            default: change = .padding(operation: operation, bit: random.next())
            }
        case .forgedStates:
            change = bit()
            manner = .states(random.next())
        case .forgedOps:
            change = bit()
            manner = .operations(random.next())
        case .forgedTotal:
            change = bit()
            manner = .totals(random.next())
        case .forgedSegments:
            change = bit()
            manner = .segments(random.next())
        case .forgedDigest:
            change = bit()
            manner = .changed(UInt32(draw(6)), random.next())
        case .shortReveal:
            change = bit()
            manner = .resized(UInt32(draw(6)), isLonger: draw(2) == 0)
        case .silence:
            change = bit()
            manner = .silent(UInt32(draw(6)))
        }
        if let change { source = TamperedSource(base: tracer, step: step, change: change) }
        run = try job.run(source)
        let own = try run.commitment()
        claim = RunCommitment(
            steps: claimedSteps ?? own.steps, outputRoot: outputRoot ?? own.outputRoot,
            stateRoot: stateRoot ?? own.stateRoot)
        self.manner = manner
    }

    /// One that computes a step otherwise, and stands by it.
    init(_ change: TamperedSource.Change, atStep step: UInt64, _ job: DisputeJob, _ tracer: Tracer) throws {
        run = try job.run(TamperedSource(base: tracer, step: step, change: change))
        claim = try run.commitment()
        manner = .own
    }

    /// One that runs with other weights, and stands by it.
    init(parameters: [Tensor], _ job: DisputeJob) throws {
        run = try job.run(try job.tracer(parameters: parameters))
        claim = try run.commitment()
        manner = .own
    }

    // MARK: The walk

    /// Its reveal as its so many-th move; nil for silence.
    func reveal(at point: RevealPoint, move: UInt32) throws(DisputeRunFault) -> Reveal? {
        if case .silent(let last) = manner, move >= last { return nil }
        let reveal = try run.reveal(at: point)
        switch (manner, reveal) {
        case (.changed(let place, let seed), _) where place == move: return Liar.changed(reveal, seed)
        case (.resized(let place, let isLonger), _) where place == move: return Liar.resized(reveal, isLonger)
        case (.states(let seed), .steps(let nodes)):
            // The last is bound, the others are free.
            return .steps(
                nodes.enumerated().map { index, node in
                    index == nodes.count - 1 || seed >> UInt64(index % 64) & 1 == 0
                        ? node : StepNode(outputs: node.outputs, state: Liar.digest(seed &+ UInt64(index)))
                })
        case (.operations(let seed), .operations(let digests, let node)):
            guard case .operations(_, let top) = point, top.index == 0, !digests.isEmpty else { return reveal }
            var changed = digests
            changed[Int(seed % UInt64(digests.count))] = Liar.digest(seed)
            return .operations(changed, node: node)
        case (.totals(let seed), .totals(let count, let totals)):
            if totals.isEmpty { return reveal }
            let first = Int(seed % UInt64(totals.count))
            let end = seed >> 32 & 1 == 0 ? first : totals.count - 1
            var changed = totals
            for place in first...end { changed[place][0] ^= UInt8(truncatingIfNeeded: seed >> 40) | 1 }
            return .totals(segments: count, changed)
        case (.segments(let seed), .totals(let count, let totals)):
            guard case .totals(_, _, _, _, 0) = point else { return reveal }
            let other = [0, 1, 2, count + 1, count + 300, 1 << 30][Int(seed % 6)]
            let due = other <= 1 ? 0 : Int((other + Reveal.stride(of: other) - 1) / Reveal.stride(of: other))
            let total = totals.last ?? [0, 0, 0, 0]
            return .totals(segments: other, [[UInt8]](repeating: total, count: due))
        default: return reveal
        }
    }

    private static func digest(_ seed: UInt64) -> Digest {
        var writer = ByteWriter()
        writer.write(seed)
        return MerkleTree.leaf(writer.bytes)
    }

    /// One digest, byte or total another.
    static func changed(_ reveal: Reveal, _ seed: UInt64) -> Reveal {
        func other(_ digests: [Digest]) -> [Digest] {
            var changed = digests
            if !digests.isEmpty { changed[Int(seed % UInt64(digests.count))] = digest(seed) }
            return changed
        }
        switch reveal {
        case .steps(let nodes):
            var changed = nodes
            let place = Int(seed % UInt64(max(1, nodes.count)))
            changed[place] =
                seed >> 60 & 1 == 0
                ? StepNode(outputs: digest(seed), state: nodes[place].state)
                : StepNode(outputs: nodes[place].outputs, state: digest(seed))
            return .steps(changed)
        case .operations(let digests, let node): return .operations(other(digests), node: node)
        case .digests(let digests): return .digests(other(digests))
        case .values(let bytes):
            var changed = bytes
            TamperedSource.flip(&changed, seed)
            return .values(changed)
        case .totals(let count, let totals):
            var changed = totals
            if !totals.isEmpty { TamperedSource.flip(&changed[Int(seed % UInt64(totals.count))], seed >> 20) }
            return .totals(segments: count, changed)
        }
    }

    private static func resized(_ reveal: Reveal, _ isLonger: Bool) -> Reveal {
        func other<T>(_ list: [T]) -> [T] {
            guard let last = list.last else { return list }
            return isLonger ? list + [last] : list.dropLast()
        }
        switch reveal {
        case .steps(let nodes): return .steps(other(nodes))
        case .operations(let digests, let node):
            // Or the ends of the step left out, or told where nobody asked.
            if digests.isEmpty { return .operations(digests, node: nil) }
            return .operations(other(digests), node: node)
        case .digests(let digests): return .digests(other(digests))
        // A block of another size has no encoding: the nearest lie is one of another end.
        case .values(let bytes): return .values(Array(bytes.dropLast()) + [bytes[bytes.count - 1] ^ 1])
        case .totals(let count, let totals): return .totals(segments: count, other(totals))
        }
    }
}

extension TamperedSource {
    static func drawsWords(_ record: OperationRecord) -> Bool {
        guard case .map(let expression, _) = record.operation, record.result.count > 0 else { return false }
        return expression.nodes.contains { if case .random = $0 { true } else { false } }
    }
}
