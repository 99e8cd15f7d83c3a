public import Primitives

/// Why a move is none. Nothing has happened: the mover may move again.
public enum WalkFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The frame is not the program's.
    case frame
    case notYourTurn
    /// Of another kind than what is asked for, or of a place that is not there.
    case misplaced(String)

    public var description: String {
        switch self {
        case .frame:
            "the frame that was shown is not that of the job's program: make the opening from the program itself"
        case .notYourTurn: "it is the other side's move"
        case .misplaced(let what): "the dispute does not ask for this: \(what)"
        }
    }
}

/// A dispute between two parties, from a result commitment down to one number: step, op, block, element, segment.
///
/// The defender *reveals* what stands below a node that it is bound to, the challenger *picks* the first part that it disagrees with, so that all before it is
/// agreed by both. At the end is one element, and at most one segment of it, whose operands are agreed; the challenger shows them, and integer arithmetic
/// decides.
///
/// It is a machine: it knows no money, no time and no names. A move that is not asked for is refused and changes nothing; one that is and does not hold loses.
/// What is revealed depends on the `point` alone, not on who asked: all walks over one commitment may share it.
///
/// At most ⌈log₁₆ steps⌉ + ⌈log₃₂ ops⌉ + ⌈log₃₂ blocks⌉ + 4 rounds for rows of up to 2²⁴ terms (`Program.disputeBound`).
public struct Walk: Hashable, Sendable, CanonicalCodable {
    public let frame: ProgramFrame
    public internal(set) var stage: WalkStage
    /// Moves of the defender so far.
    public internal(set) var rounds: UInt32

    /// Begins a walk. A commitment that no run of the program could have is convicted at once.
    public init(_ subject: DisputeSubject, _ opening: DisputeOpening) throws(WalkFault) {
        let frame = opening.frame
        let leaves = UInt64(frame.operationCount) + 1
        guard opening.siblings.count == MerkleLevels.height(of: leaves),
            MerkleProof(index: 0, siblings: opening.siblings).root(of: frame.treeLeaf) == subject.program
        else { throw .frame }
        self.frame = frame
        rounds = 0
        stage = Walk.first(subject, frame)
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        frame = try reader.read(ProgramFrame.self)
        stage = try reader.read(WalkStage.self)
        rounds = try reader.readUInt32()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(frame)
        writer.write(stage)
        writer.write(rounds)
    }

    /// Nil while it goes on.
    public var outcome: DisputeOutcome? { if case .over(let outcome) = stage { outcome } else { nil } }

    /// Whose move it is.
    public var turn: DisputeParty? {
        switch stage {
        case .steps, .operations, .entries, .blocks, .values, .totals: .defender
        case .chooseStep, .chooseOperation, .chooseEntry, .entry, .chooseBlock, .chooseElement, .chooseTotal, .leaf:
            .challenger
        case .over: nil
        }
    }

    /// What the defender is to reveal.
    public var point: RevealPoint? {
        switch stage {
        case .steps(let node, _, _): .steps(node)
        case .operations(let step, let node, _): .operations(step: step.index, node)
        case .entries(let step, let list, let node, _): .entries(step: step.index, list, node)
        case .blocks(let place, let node, _):
            .blocks(step: place.step.index, operation: place.operation, node)
        case .values(let place, let block, _):
            .values(step: place.step.index, operation: place.operation, block: block)
        case .totals(let element, let segments):
            .totals(
                step: element.place.step.index, operation: element.place.operation, element: element.element,
                from: segments.from, to: segments.to)
        default: nil
        }
    }

    /// The steps under the present node, which whoever moves has to run again.
    public func span(of subject: DisputeSubject) -> Range<UInt64> {
        switch stage {
        case .steps(let node, _, _), .chooseStep(let node, _, _): return node.leaves(of: subject.steps.reduce(0, +))
        case .operations(let step, _, _), .chooseOperation(let step, _, _), .entries(let step, _, _, _),
            .chooseEntry(let step, _, _, _), .entry(let step, _, _, _):
            return step.index..<step.index + 1
        case .blocks(let place, _, _), .chooseBlock(let place, _, _), .values(let place, _, _),
            .chooseElement(let place, _, _):
            return place.step.index..<place.step.index + 1
        case .totals(let element, _), .chooseTotal(let element, _, _), .leaf(let element, _, _):
            return element.place.step.index..<element.place.step.index + 1
        case .over: return 0..<0
        }
    }

    mutating func convict(_ reason: String) { stage = .over(.convicted(reason)) }
    mutating func acquit(_ reason: String) { stage = .over(.acquitted(reason)) }

    // MARK: The beginning

    private static func first(_ subject: DisputeSubject, _ frame: ProgramFrame) -> WalkStage {
        if let problem = problem(subject, frame) { return .over(.convicted(problem)) }
        let all = subject.steps.reduce(0, +)
        if keptCount(subject, frame) == 0 && subject.stateRoot != ResultRoots.wrapped(.zero) {
            return .over(.convicted("the program keeps no state, and the result has one"))
        }
        if all == 0 {
            if subject.outputRoot != ResultRoots.wrapped(.zero) {
                return .over(.convicted("the program takes no step, and the result has outputs"))
            }
            // All that is left to disagree about is what was kept of the first state.
            let node = StepNode(outputs: .zero, state: subject.initialState)
            return .chooseOperation(
                WalkStep(index: 0, before: subject.initialState, node: node, operations: .zero), TreeNode(topOf: 0), [])
        }
        let top = TreeNode(topOf: all)
        if all == 1 {
            let step = WalkStep(index: 0, before: subject.initialState, node: nil, operations: nil)
            return operations(of: step, subject, frame)
        }
        return .steps(top, before: subject.initialState, claim: nil)
    }

    /// Why no run of the program could end in such a commitment.
    private static func problem(_ subject: DisputeSubject, _ frame: ProgramFrame) -> String? {
        if subject.axes.count != frame.axes.count || subject.parameters.count != frame.parameters.count
            || subject.inputs.count != frame.inputs.count
        {
            return "the job's axes, parameters or inputs are not as many as its program's"
        }
        if frame.scans.isEmpty { return "the program is none that could be run" }
        if frame.carried.count == 0 && subject.initialState != .zero { return "the program carries nothing" }
        if subject.steps.count != frame.scans.count { return "the result has another number of scans" }
        var all: UInt64 = 0
        if !subject.segment.isEmpty && subject.segment.count != frame.scans.count {
            return "the job's parts of scans are not as many as its program's scans"
        }
        for (place, (claimed, scan)) in zip(subject.steps, frame.scans).enumerated() {
            guard scan.carried.count == frame.carried.count, let most = subject.mostSteps(ofScan: place, frame) else {
                return "the program is none that could be run"
            }
            if claimed > most || claimed == 0 && most > 0 || claimed < most && scan.stop == nil {
                return "a scan cannot have taken \(claimed) steps of \(most)"
            }
            let (sum, overflow) = all.addingReportingOverflow(claimed)
            if overflow || sum > DisputeSubject.maximumSteps { return "the result has too many steps to be disputed" }
            all = sum
        }
        return nil
    }

    /// Of a part of a run all carried tensors are kept.
    private static func keptCount(_ subject: DisputeSubject, _ frame: ProgramFrame) -> UInt32 {
        subject.segment.isEmpty ? frame.kept.count : frame.carried.count
    }

    static func operations(of step: WalkStep, _ subject: DisputeSubject, _ frame: ProgramFrame) -> WalkStage {
        let scan = frame.scans[subject.place(ofStep: step.index).scan]
        return .operations(step, TreeNode(topOf: UInt64(scan.operations)), root: nil)
    }

    /// The list of a step's entries: how many, and over which numbers.
    func entries(_ list: EntryList, of step: WalkStep, _ subject: DisputeSubject) -> AgreedList {
        let scan = subject.place(ofStep: step.index).scan
        switch list {
        case .outputs: return frame.scans[scan].outputs
        case .carried: return frame.scans[scan].carried
        // The numbers of all carried tensors need no tree: each is its place.
        case .kept: return subject.segment.isEmpty ? frame.kept : AgreedList(root: .zero, count: frame.carried.count)
        }
    }

    /// What a leaf of a step's ops may read, where both agree on it.
    public func disputedStep(_ step: WalkStep, _ subject: DisputeSubject) -> DisputedStep {
        let place = subject.place(ofStep: step.index)
        return DisputedStep(
            program: subject.program, programOperations: frame.operationCount, axes: subject.axes, seed: subject.seed,
            step: place.step + (subject.segment.isEmpty ? 0 : subject.segment[place.scan].first),
            firstOperation: frame.firstOperation(ofScan: place.scan),
            parameters: subject.parameters, inputs: subject.inputs,
            carried: AgreedList(root: step.before, count: frame.carried.count),
            operations: AgreedList(root: step.operations ?? .zero, count: frame.scans[place.scan].operations))
    }
}
