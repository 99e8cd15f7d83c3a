public import Primitives
public import Programs

/// Takes the evidence for any leaf of a step out of its trace: what the challenger of a dispute posts.
public struct WitnessMaker: Sendable {
    /// What both sides are bound to, if the trace is theirs.
    public let step: DisputedStep
    public let trace: StepTrace
    private let program: Program
    private let programTree: MerkleLevels
    /// Parameters, inputs, carried tensors, ops.
    private let lists: [MerkleLevels]
    private let counts: [Int]

    /// `program` is what the trace's program was specialised from, with these values of its axes. Hashes what the trace has not hashed yet; of the parameters
    /// nothing where their roots are given.
    public init(_ program: Program, axes: [UInt64], _ trace: StepTrace, parameterRoots: [Digest]? = nil) {
        self.init(program, axes: axes, trace, parameterRoots: parameterRoots, tree: MerkleLevels(program.treeLeaves))
    }

    /// With the program's tree as it was made before.
    init(_ program: Program, axes: [UInt64], _ trace: StepTrace, parameterRoots: [Digest]?, tree: MerkleLevels) {
        self.program = program
        self.trace = trace
        let fixed = trace.program
        counts = [
            fixed.parameters.count, fixed.inputs.count, fixed.carried.count, fixed.scans[trace.scan].operations.count,
        ]
        var lists: [MerkleLevels] = []
        var start = 0
        for (place, count) in counts.enumerated() {
            let known = place == 0 ? parameterRoots : nil
            lists.append(MerkleLevels(known ?? (start..<start + count).map { trace.root(of: ValueID($0)) }))
            start += count
        }
        self.lists = lists
        programTree = tree
        let agreed = zip(lists, counts).map { AgreedList(root: $0.root, count: UInt32($1)) }
        step = DisputedStep(
            program: tree.root,
            programOperations: UInt32(program.scans.reduce(0) { $0 + $1.operations.count }), axes: axes,
            seed: trace.seed, step: trace.step, firstOperation: UInt32(trace.firstOperation), parameters: agreed[0],
            inputs: agreed[1], carried: agreed[2], operations: agreed[3])
    }

    /// A tensor's root, and its path in its list.
    func entry(_ id: ValueID) -> (root: Digest, siblings: [Digest]) {
        let (list, index) = place(id)
        return (lists[list].node(height: 0, index) ?? .zero, lists[list].proof(index).siblings)
    }

    /// The path of an op's tensor.
    private func siblings(_ operation: Int, _ walked: WalkOperation?) -> [Digest] {
        guard let walked else { return lists[3].proof(operation).siblings }
        let agreed = (0..<Int(walked.operation)).map { lists[3].node(height: 0, $0) ?? .zero }
        return walked.siblings(ofEarlier: operation, agreed: agreed)
    }

    private func place(_ id: ValueID) -> (list: Int, index: Int) {
        var list = 0
        var index = Int(id.index)
        while index >= counts[list] {
            index -= counts[list]
            list += 1
        }
        return (list, index)
    }

    /// The evidence for one claim about an op of the step. In a dispute earlier ops are shown in the tree that the *defender* revealed, of which `walked` knows
    /// the way down to the disputed one; without it they are shown in the trace's own.
    public func witness(_ claim: LeafClaim, operation: Int, walked: WalkOperation? = nil) throws -> Witness {
        let leaf = try trace.leaf(operation)
        let operands = trace.operands(operation)
        var wanted: [ValueID: Set<Int>] = [:]
        let ids = trace.program.scans[trace.scan].operations[operation].operation.operands
        var segment: UInt64 = 0
        if case .segment(let number, _, _, _, _) = claim { segment = number }
        for operand in try leaf.consulted(of: claim.element, from: operands) { wanted[ids[operand]] = [] }
        // A sort's claim that names no element reads nothing: it is refuted as it stands. What a total makes needs no operands either.
        var ranges: [LeafRange] = []
        if case .finish = claim {
        } else if leaf.isPossible(claim.bits) {
            ranges = try leaf.reads(segment: segment, of: claim.element, claim: claim.bits, from: operands)
        }
        for range in ranges {
            let size = UInt64(leaf.operandTypes[range.operand].element.size)
            let length = UInt64(TensorRoot.blockLength)
            let first = Int(range.first * size / length)
            let last = Int(((range.first + range.count) * size - 1) / length)
            wanted[ids[range.operand], default: []].formUnion(first...last)
        }
        let tensors = Set(ids).sorted().map { id in
            WitnessTensor(
                value: id, type: trace.type(of: id), proof: wanted[id].map { proof(id, $0.sorted(), walked) })
        }
        return Witness(
            record: program.scans[trace.scan].operations[operation],
            recordSiblings: programTree.proof(trace.firstOperation + operation + 1).siblings, tensors: tensors)
    }

    private func proof(_ id: ValueID, _ blocks: [Int], _ walked: WalkOperation?) -> WitnessTensor.Proof {
        let tree = trace.blocks(of: id)
        // Neighbours share a path.
        var runs: [(first: Int, count: Int)] = []
        for block in blocks {
            if let last = runs.last, last.first + last.count == block, last.count < BlockRange.maximumBlocks {
                runs[runs.count - 1].count += 1
            } else {
                runs.append((block, 1))
            }
        }
        let (list, index) = place(id)
        return WitnessTensor.Proof(
            blocks: tree.root, siblings: list == 3 ? siblings(index, walked) : lists[list].proof(index).siblings,
            ranges: runs.map { run in
                BlockRange(
                    first: UInt64(run.first),
                    bytes: (run.first..<run.first + run.count).flatMap { trace.block($0, of: id) ?? [] },
                    siblings: tree.siblings(first: run.first, count: run.count))
            })
    }
}
