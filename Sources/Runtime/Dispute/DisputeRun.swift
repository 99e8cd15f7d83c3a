public import Primitives
public import Programs
internal import Synchronization

/// What a party's own run ends in: the three things that a result commitment names.
public struct RunCommitment: Hashable, Sendable {
    /// Steps that each scan took.
    public let steps: [UInt64]
    /// `ResultRoots.outputRoot`.
    public let outputRoot: Digest
    /// `ResultRoots.stateRoot` over the kept tensors.
    public let stateRoot: Digest

    public init(steps: [UInt64], outputRoot: Digest, stateRoot: Digest) {
        self.steps = steps
        self.outputRoot = outputRoot
        self.stateRoot = stateRoot
    }
}

/// Why a party cannot move.
public enum DisputeRunFault: Error, Equatable, Sendable, CustomStringConvertible {
    case program(ProgramFault)
    case execution(ExecutionFault)
    case trace(TraceFault)
    /// Some parameter, input or carried tensor holds another form of NaN, or a bool that is neither 0 nor 1: its root names what no op ever sees. Such a job
    /// is declined before it starts.
    case form
    /// More steps than can be disputed.
    case tooLong(steps: UInt64)
    /// The subject is of another job.
    case otherSubject
    /// The defender's claim is the own result: there is nothing to point at.
    case agrees
    case notYourTurn
    /// No run of the program has such a place.
    case outside(String)
    /// What the own tensor holds there no run of the op leaves, so it has no running totals: only a run that lies comes to this.
    case impossibleElement
    case witness(String)

    public var description: String {
        switch self {
        case .program(let fault): fault.description
        case .execution(let fault): fault.description
        case .trace(let fault): fault.description
        case .form:
            "a tensor holds a NaN or a bool of another form than the one that programs compute with: decline the job"
        case .tooLong(let steps): "a run of \(steps) steps is longer than a dispute can walk"
        case .otherSubject: "the dispute is about another job than this run"
        case .agrees: "the claim is what the own run gives: do not challenge it"
        case .notYourTurn: "it is not the challenger's move"
        case .outside(let what): "the run has no such \(what)"
        case .impossibleElement: "the run has an element that its op could not have made"
        case .witness(let what): "the evidence cannot be made: \(what)"
        }
    }
}

/// What a run in a dispute may keep in memory.
public struct DisputeMemory: Sendable, Hashable {
    /// Bytes of carried state kept at positions along the run, beside that of its start. With less than about √T of them more steps are run again.
    public var positions: UInt64 = 1 << 30
    /// Bytes of a traced step; one that needs more is refused.
    public var trace: UInt64 = .max
    /// Traced steps kept at a time.
    public var traces = 1

    public init() {}
}

/// One party's own run of a job, run again as far as a dispute about it asks: for the defender `reveal`, for the challenger `pick`.
///
/// Nothing is computed before it is asked for. The first question runs the program once and keeps its state at about √T places; later ones go on from the
/// nearest of them, so that a whole walk runs about 1.1 T steps again. Answers are functions of the run and of what is asked alone: after a restart, a run made
/// anew of the same job gives the same ones. A call blocks while it runs steps, so make it off any event loop; calls on one run take their turns.
///
/// ```
/// let run = try DisputeRun(program, axes: [4, 128], parameters: …, inputs: …, seed: 7)
/// let own = try run.commitment()                                   // differs from the posted one?
/// let opening = DisputeOpening(program)                            // then challenge with this
/// var walk = try Walk(subject, opening)                            // and for each of the own turns:
/// let pick = try run.pick(for: walk, subject: subject)             // challenger: walk.turn == .challenger
/// let reveal = try run.reveal(at: point)                           // defender: walk.point == point
/// ```
public final class DisputeRun: Sendable {
    public let program: Program
    public let axes: [UInt64]
    public let fixed: SpecialisedProgram
    public let seed: UInt64
    /// The agreed lists of the job's subject.
    public let parameters: AgreedList
    public let inputs: AgreedList
    /// Over the roots of all carried tensors before the first step.
    public let initialState: Digest
    /// The steps of each scan, where the job is a part of a run; else empty.
    public let segment: [StepRange]
    let source: any StepSource
    let parameterRoots: [Digest]
    let inputRoots: [Digest]
    let programTree: MerkleLevels
    let memory: DisputeMemory
    private let held = Mutex(Held())

    /// What was found out so far.
    struct Held {
        var whole: WholeRun?
        /// By steps taken.
        var checkpoints: [UInt64: RunPosition] = [:]
        /// Positions that the last reveal of steps went through.
        var recent: [UInt64: RunPosition] = [:]
        /// The state's root by steps taken.
        var states: [UInt64: Digest] = [:]
        /// The last one asked for at the end.
        var traces: [TracedStep] = []
    }

    /// A run from its first step to its last.
    struct WholeRun {
        let commitment: RunCommitment
        /// Over the outputs of every step.
        let outputs: MerkleLevels
        /// Of all carried tensors at the end.
        let state: [Digest]
        var steps: UInt64 { commitment.steps.reduce(0, +) }
    }

    /// A run of a job. `axes` are the values of the program's axes in its order; parameters and inputs stand in its order too; carried tensors that are not
    /// given start as zeros. `parameterRoots`, where they are known, spare hashing the weights. `owners` keep the memory of the parameters alive, which is read
    /// where it lies; inputs and state are copied. `weights` holds what other executors of the model packed.
    public convenience init(
        _ program: Program, axes: [UInt64], parameters: [UnsafeRawBufferPointer], parameterRoots: [Digest]? = nil,
        inputs: [UnsafeRawBufferPointer], carried: [Int: UnsafeRawBufferPointer] = [:], segment: [StepRange] = [],
        seed: UInt64, owners: [any Sendable] = [], threads: Int = 1, weights: PackedWeights = PackedWeights(),
        memory: DisputeMemory = DisputeMemory()
    ) throws(DisputeRunFault) {
        if axes.count != program.axes.count {
            throw .program(.invalid(op: nil, "\(axes.count) values were given for \(program.axes.count) axes"))
        }
        let fixed: SpecialisedProgram
        do throws(ProgramFault) {
            let whole = try program.specialise(zip(program.axes, axes).map { ($0, $1) })
            fixed = segment.isEmpty ? whole : try whole.segment(segment)
        } catch { throw .program(error) }
        let tracer: Tracer
        do throws(ExecutionFault) {
            tracer = try Tracer(
                fixed, parameters: parameters, inputs: inputs, carried: carried, seed: seed, owners: owners,
                threads: threads, weights: weights)
        } catch { throw .execution(error) }
        if !tracer.isCanonical { throw .form }
        let roots =
            parameterRoots
            ?? zip(fixed.parameters, parameters).map { DisputeRun.root($0.type, $1) }
        try self.init(
            program, axes: axes, source: tracer, parameterRoots: roots,
            inputRoots: zip(fixed.inputs, inputs).map { DisputeRun.root($0.type, $1) }, segment: segment, seed: seed,
            memory: memory)
    }

    /// A run of steps from anywhere.
    init(
        _ program: Program, axes: [UInt64], source: any StepSource, parameterRoots: [Digest], inputRoots: [Digest],
        initialState: Digest? = nil, segment: [StepRange] = [], seed: UInt64, memory: DisputeMemory
    ) throws(DisputeRunFault) {
        let most = source.program.scans.reduce(UInt64(0)) {
            let (sum, overflow) = $0.addingReportingOverflow($1.steps.factor)
            return overflow ? .max : sum
        }
        if most > DisputeSubject.maximumSteps { throw .tooLong(steps: most) }
        self.program = program
        self.axes = axes
        fixed = source.program
        self.segment = segment
        self.seed = seed
        self.source = source
        self.parameterRoots = parameterRoots
        self.inputRoots = inputRoots
        parameters = AgreedList(parameterRoots)
        inputs = AgreedList(inputRoots)
        self.initialState = initialState ?? MerkleTree.root(source.start.carriedRoots)
        programTree = MerkleLevels(program.treeLeaves)
        self.memory = memory
    }

    private static func root(_ type: TensorType, _ bytes: UnsafeRawBufferPointer) -> Digest {
        TensorRoot.of(type.element, type.shape.map(\.factor), bytes)
    }

    /// What this run ends in. Runs it once.
    public func commitment() throws(DisputeRunFault) -> RunCommitment {
        try locked { held throws(DisputeRunFault) in try whole(&held).commitment }
    }

    /// What both sides are bound to where a defender claims this result of this job.
    public func subject(claiming claim: RunCommitment) -> DisputeSubject {
        DisputeSubject(
            program: programTree.root, axes: axes, seed: seed, parameters: parameters, inputs: inputs,
            initialState: initialState, segment: segment, steps: claim.steps, outputRoot: claim.outputRoot,
            stateRoot: claim.stateRoot)
    }

    /// Whether a dispute is about this job.
    public func isAbout(_ subject: DisputeSubject) -> Bool {
        subject
            == self.subject(
                claiming: RunCommitment(
                    steps: subject.steps, outputRoot: subject.outputRoot, stateRoot: subject.stateRoot))
    }

    func locked<R: Sendable>(_ body: (inout Held) throws(DisputeRunFault) -> R) throws(DisputeRunFault) -> R {
        let result: Result<R, DisputeRunFault> = held.withLock { held in
            do throws(DisputeRunFault) { return .success(try body(&held)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    // MARK: Running

    /// The whole run, run once.
    func whole(_ held: inout Held) throws(DisputeRunFault) -> WholeRun {
        if let whole = held.whole { return whole }
        let most = fixed.scans.reduce(UInt64(0)) { $0 + $1.steps.factor }
        let stateBytes = max(1, fixed.carried.reduce(UInt64(0)) { $0 + $1.type.byteCount })
        // Half of the memory for places along the whole run, half for those of the last reveal.
        let wanted = UInt64(Double(most).squareRoot().rounded(.up))
        let places = max(1, min(wanted, memory.positions / 2 / stateBytes))
        let spacing = max(1, (most + places - 1) / places)
        var position = source.start
        held.checkpoints = [0: position]
        var outputs: [Digest] = []
        while position.scan < fixed.scans.count {
            do throws(ExecutionFault) {
                _ = try source.take(&position, steps: spacing, onStep: { outputs.append(MerkleTree.root($0)) })
            } catch { throw .execution(error) }
            if position.scan < fixed.scans.count && memory.positions / 2 >= stateBytes {
                held.checkpoints[UInt64(outputs.count)] = position
            }
        }
        let state = position.carriedRoots
        held.states[UInt64(outputs.count)] = MerkleTree.root(state)
        let whole = WholeRun(
            commitment: RunCommitment(
                // Each step's part is a tree's root already.
                steps: position.taken, outputRoot: ResultRoots.outputRoot(outputs.map { [$0] }),
                stateRoot: ResultRoots.stateRoot(fixed.kept.map { state[Int($0)] })), outputs: MerkleLevels(outputs),
            state: state)
        held.whole = whole
        return whole
    }

    /// The position after so many steps.
    private func position(_ steps: UInt64, _ held: inout Held) throws(DisputeRunFault) -> RunPosition {
        var best: (steps: UInt64, position: RunPosition) = (0, source.start)
        for (taken, position) in held.checkpoints.merging(held.recent, uniquingKeysWith: { first, _ in first })
        where taken <= steps && taken >= best.steps { best = (taken, position) }
        if best.steps < steps {
            let missing = steps - best.steps
            let taken: UInt64
            do throws(ExecutionFault) {
                taken = try source.skip(&best.position, steps: missing)
            } catch { throw .execution(error) }
            if taken != missing { throw .outside("step \(steps)") }
        }
        return best.position
    }

    /// The roots of the state after each of some numbers of steps, ascending.
    func states(_ steps: [UInt64], _ held: inout Held) throws(DisputeRunFault) -> [Digest] {
        if steps.allSatisfy({ held.states[$0] != nil }) { return steps.compactMap { held.states[$0] } }
        let stateBytes = max(1, fixed.carried.reduce(UInt64(0)) { $0 + $1.type.byteCount })
        var recent: [UInt64: RunPosition] = [:]
        var roots: [Digest] = []
        for count in steps {
            let position = try position(count, &held)
            let root = held.states[count] ?? MerkleTree.root(position.carriedRoots)
            held.states[count] = root
            roots.append(root)
            // The next one goes on from here; a walk comes back to one of them.
            if memory.positions / 2 / stateBytes > UInt64(recent.count) {
                recent[count] = position
                held.recent[count] = position
            } else {
                recent = [count: position]
                held.recent = recent
            }
        }
        held.recent = recent
        return roots
    }

    /// A step with all its tensors and their trees.
    func traced(_ step: UInt64, _ held: inout Held) throws(DisputeRunFault) -> TracedStep {
        if let place = held.traces.firstIndex(where: { $0.index == step }) {
            let found = held.traces.remove(at: place)
            held.traces.append(found)
            return found
        }
        if step >= (try whole(&held)).steps { throw .outside("step \(step)") }
        var position = try position(step, &held)
        // The memory of an old trace is not needed beside the new one's.
        while held.traces.count >= max(1, memory.traces) { held.traces.removeFirst() }
        let trace: StepTrace
        do throws(TraceFault) { trace = try source.trace(&position, memoryLimit: memory.trace) } catch {
            throw .trace(error)
        }
        let traced = TracedStep(index: step, trace, run: self)
        held.traces.append(traced)
        return traced
    }
}

/// A traced step with the trees over what it binds. They are made when they are first asked for.
final class TracedStep: Sendable {
    /// Counted over all scans.
    let index: UInt64
    let trace: StepTrace
    /// Of its ops, and of what it gives out and carries.
    let operations: MerkleLevels
    let outputs: [Digest]
    let carried: [Digest]
    let maker: WitnessMaker

    init(index: UInt64, _ trace: StepTrace, run: DisputeRun) {
        self.index = index
        self.trace = trace
        let roots = trace.roots
        operations = MerkleLevels(roots.operations)
        outputs = roots.outputs
        carried = roots.carried
        maker = WitnessMaker(
            run.program, axes: run.axes, trace, parameterRoots: run.parameterRoots, tree: run.programTree)
    }

    var node: StepNode { StepNode(outputs: MerkleTree.root(outputs), state: MerkleTree.root(carried)) }

    /// The running totals of an element after so many segments each, ascending, as a claim about it has them; nil where the op cannot give the claim.
    func totals(after counts: [UInt64], operation: Int, element: UInt64, claim: UInt64) throws(DisputeRunFault)
        -> [[UInt8]]?
    {
        do {
            let leaf = try trace.leaf(operation)
            if !leaf.isPossible(claim) { return nil }
            let operands = trace.operands(operation)
            var totals: [[UInt8]] = []
            var total = leaf.start
            var done: UInt64 = 0
            for count in counts {
                while done < count {
                    total = try leaf.advanced(total, segment: done, of: element, claim: claim, from: operands)
                    done += 1
                }
                totals.append(leaf.bytes(of: total))
            }
            return totals
        } catch { throw .witness("\(error)") }
    }
}
