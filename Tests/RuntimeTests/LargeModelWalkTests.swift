import Primitives
import Programs
import Runtime
import Testing

/// Disputes about a model of seven billion parameters, at 4,096 tokens: its real program, and a trace in which every number is zero but the one that the
/// defender made up. So no tensor is held, only the digests of its blocks.
@Suite struct LargeModelWalkTests {
    /// Llama 2 7B's settings.
    static func program() throws -> Program {
        try DecoderConfiguration(
            try JSONReader.read(
                Array(
                    """
                    {"model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
                     "num_hidden_layers": 32, "num_attention_heads": 32, "max_position_embeddings": 4096,
                     "rms_norm_eps": 1e-5}
                    """.utf8))
        ).program()
    }

    @Test func aLieAnywhereInALargeModelIsConvictedWithinTheBounds() throws {
        let program = try Self.program()
        let fixed = try program.specialise([("batch", 1), ("length", 4_096)])
        let weights = fixed.parameters.reduce(UInt64(0)) { $0 + $1.type.byteCount / 4 }
        #expect(weights > 6_700_000_000 && weights < 6_800_000_000)
        let bound = program.disputeBound(fixed)
        #expect(bound.isWithin, "\(bound)")
        let trace = ZeroTrace(program, fixed)
        var longest = (rounds: 0, bytes: 0)
        var kinds: Set<String> = []
        for operation in trace.disputable() {
            let outcome = try trace.dispute(operation)
            #expect(outcome.convicted, "op \(operation) (\(outcome.kind)): \(outcome.end)")
            #expect(
                outcome.rounds <= bound.rounds && outcome.bytes <= bound.bytes,
                "op \(operation): \(outcome)")
            longest = (max(longest.rounds, outcome.rounds), max(longest.bytes, outcome.bytes))
            kinds.insert(outcome.kind)
        }
        #expect(kinds == ["map", "reduce", "contract", "gather"])
        // The design's figure for such a model is ten rounds and some 13 KiB.
        #expect(longest.rounds >= 9 && longest.rounds <= 11, "\(longest), bound \(bound)")
        #expect(longest.bytes < 16 << 10, "\(longest), bound \(bound)")
    }
}

/// A step whose every tensor is zeros, as both sides have it; the defender's has one other number.
private final class ZeroTrace {
    struct Outcome {
        let kind: String
        let convicted: Bool
        let end: String
        let rounds: Int
        let bytes: Int
    }

    struct Zeros: LeafOperands {
        func bits(operand: Int, element: UInt64) throws(LeafFault) -> UInt64 { 0 }
    }

    static let zeroBlock = [UInt8](repeating: 0, count: TensorRoot.blockLength)
    /// 3 as f32: what no op of the model makes of zeros.
    static let lie: [UInt8] = [0, 0, 0x40, 0x40]

    let program: Program
    let fixed: SpecialisedProgram
    let scan: Scan
    let types: [TensorType]
    /// Values before the first op.
    let leading: Int
    private let records: MerkleLevels
    /// By the number of blocks.
    private var zeros: [UInt64: MerkleLevels] = [:]
    private var roots: [Digest] = []

    init(_ program: Program, _ fixed: SpecialisedProgram) {
        self.program = program
        self.fixed = fixed
        scan = fixed.scans[0]
        types = fixed.types(of: scan)
        leading = fixed.parameters.count + fixed.inputs.count
        records = MerkleLevels(program.treeLeaves)
        roots = types.map { root($0, blocks($0).root) }
    }

    private func count(_ type: TensorType) -> UInt64 {
        (type.byteCount + UInt64(TensorRoot.blockLength) - 1) / UInt64(TensorRoot.blockLength)
    }

    private func blocks(_ type: TensorType) -> MerkleLevels {
        let count = count(type)
        if let known = zeros[count] { return known }
        let leaf = Self.zeroBlock.withUnsafeBytes { TensorRoot.leaves($0)[0] }
        let levels = MerkleLevels([Digest](repeating: leaf, count: Int(count)))
        zeros[count] = levels
        return levels
    }

    private func root(_ type: TensorType, _ blocks: Digest) -> Digest {
        TensorRoot.of(type.element, type.shape.map(\.factor), blocks: blocks)
    }

    /// Of each kind and shape of op the last, where the lie is a number and its evidence needs nothing but zeros.
    func disputable() -> [Int] {
        var last: [String: Int] = [:]
        for (number, record) in scan.operations.enumerated() where record.result.element == .f32 {
            if case .reduce(let reduction, _, _, _) = record.operation, reduction != .sum { continue }
            last[
                "\(kind(number)) \(record.result.shape) \(record.operation.operands.map { types[Int($0.index)].shape })"
            ] =
                number
        }
        return last.values.sorted()
    }

    private func kind(_ operation: Int) -> String {
        switch scan.operations[operation].operation {
        case .map: "map"
        case .reduce: "reduce"
        case .contract: "contract"
        case .gather: "gather"
        case .sort: "sort"
        }
    }

    // MARK: A dispute

    /// From the opening to the verdict; every move goes through its bytes.
    func dispute(_ operation: Int) throws -> Outcome {
        let type = scan.operations[operation].result
        let elements = type.byteCount / 4
        // Far inside, and neither at a block's beginning nor at its end.
        let element = elements / 3 | 1
        let block = Int(element * 4) / TensorRoot.blockLength
        var said = Self.zeroBlock
        said.replaceSubrange(
            Int(element * 4) % TensorRoot.blockLength..<Int(element * 4) % TensorRoot.blockLength + 4,
            with: Self.lie)
        var leaves = [Digest](
            repeating: Self.zeroBlock.withUnsafeBytes { TensorRoot.leaves($0)[0] },
            count: Int(count(type)))
        leaves[block] = said.withUnsafeBytes { TensorRoot.leaves($0)[0] }
        let lied = MerkleLevels(leaves)
        let own = Array(roots[leading...])
        var told = own
        told[operation] = root(type, lied.root)
        let (ownTree, toldTree) = (MerkleLevels(own), MerkleLevels(told))
        // What follows from the lie is not computed: the results are those of zeros.
        let outputs = scan.outputs.map { roots[Int($0.index)] }
        let node = StepNode(outputs: MerkleTree.root(outputs), state: MerkleTree.root([]))
        let subject = DisputeSubject(
            program: program.root, axes: [1, 4_096], seed: 0,
            parameters: AgreedList(Array(roots[..<fixed.parameters.count])),
            inputs: AgreedList(Array(roots[fixed.parameters.count..<leading])),
            initialState: MerkleTree.root([]),
            steps: [1], outputRoot: ResultRoots.outputRoot([outputs]),
            stateRoot: ResultRoots.stateRoot([]))
        let leaf = try Leaf(
            scan.operations[operation],
            operands: scan.operations[operation].operation.operands.map { types[Int($0.index)] },
            context: .init(seed: 0, operation: UInt32(operation), step: 0))

        let opening = DisputeOpening(program)
        var walk = try Walk(subject, DisputeOpening(canonicalBytes: opening.canonicalBytes))
        var bytes = opening.canonicalBytes.count
        while walk.outcome == nil {
            if let point = walk.point {
                let reveal: Reveal
                switch point {
                case .operations(_, let at):
                    reveal = .operations(
                        children(toldTree, at, told.count),
                        node: at == TreeNode(topOf: UInt64(told.count)) ? node : nil
                    )
                case .blocks(_, _, let at): reveal = .digests(children(lied, at, leaves.count))
                case .values: reveal = .values(said)
                case .totals(_, _, _, let from, let to): reveal = totals(leaf, element, from, to)
                default: throw DisputeRunFault.notYourTurn
                }
                bytes += reveal.canonicalBytes.count
                try walk.reveal(try Reveal(canonicalBytes: reveal.canonicalBytes), subject)
            } else {
                let pick = try pick(walk, operation, element, said, ownTree, leaf)
                bytes += pick.canonicalBytes.count
                try walk.pick(try Pick(canonicalBytes: pick.canonicalBytes), subject)
            }
        }
        var convicted = false
        if case .convicted? = walk.outcome { convicted = true }
        return Outcome(
            kind: kind(operation), convicted: convicted, end: walk.outcome.map { "\($0)" } ?? "",
            rounds: Int(walk.rounds) + 1,
            bytes: bytes)
    }

    private func children(_ tree: MerkleLevels, _ node: TreeNode, _ count: Int) -> [Digest] {
        node.children(levels: Reveal.levels, of: UInt64(count)).map {
            tree.node(height: Int($0.height), Int($0.index)) ?? .zero
        }
    }

    /// Zeros up to the middle, from there on the lie.
    private func totals(_ leaf: Leaf, _ element: UInt64, _ from: UInt64, _ to: UInt64) -> Reveal {
        let count = leaf.segmentCount(of: element)
        if to == 0 && count <= 1 { return .totals(segments: count, []) }
        let end = to == 0 ? count : to
        let step = Reveal.stride(of: end - from)
        var places = Array(stride(from: from + step, to: end, by: UInt64.Stride(step)))
        places.append(end)
        return .totals(segments: count, places.map { $0 * 2 > count ? Self.lie : [0, 0, 0, 0] })
    }

    private func pick(
        _ walk: Walk, _ operation: Int, _ element: UInt64, _ said: [UInt8], _ own: MerkleLevels,
        _ leaf: Leaf
    ) throws -> Pick {
        let record = scan.operations[operation]
        func firstOther(_ tree: MerkleLevels, _ node: TreeNode, _ count: Int, _ told: [Digest])
            -> UInt32
        {
            UInt32(
                zip(children(tree, node, count), told).enumerated().first { $0.element.0 != $0.element.1 }?
                    .offset ?? 0)
        }
        switch walk.stage {
        case .chooseOperation(_, let node, let told):
            let place = firstOther(own, node, scan.operations.count, told)
            if node.children(levels: Reveal.levels, of: UInt64(scan.operations.count))[Int(place)].height
                > 0
            {
                return .child(place)
            }
            return .operation(
                place, program.scans[0].operations[operation],
                siblings: records.proof(operation + 1).siblings)
        case .chooseBlock(_, let node, let told):
            return .child(firstOther(blocks(record.result), node, Int(count(record.result)), told))
        case .chooseElement: return .element(UInt32(element % 256))
        case .chooseTotal(_, _, let totals):
            return totals.firstIndex(of: Self.lie).map { .child(UInt32($0)) } ?? .finish
        case .leaf(let place, let claim, _):
            return .leaf(try witness(leaf, operation, claim, place.place))
        default: throw DisputeRunFault.notYourTurn
        }
    }

    private func witness(_ leaf: Leaf, _ operation: Int, _ claim: LeafClaim, _ place: WalkOperation)
        throws -> Witness
    {
        let ids = scan.operations[operation].operation.operands
        var wanted: [ValueID: Set<UInt64>] = [:]
        for operand in try leaf.consulted(of: claim.element, from: Zeros()) {
            wanted[ids[operand]] = []
        }
        var segment: UInt64 = 0
        if case .segment(let number, _, _, _, _) = claim { segment = number }
        for range in try leaf.reads(
            segment: segment, of: claim.element, claim: claim.bits, from: Zeros())
        {
            let size = UInt64(leaf.operandTypes[range.operand].element.size)
            let blockLength = UInt64(TensorRoot.blockLength)
            let last = ((range.first + range.count) * size - 1) / blockLength
            wanted[ids[range.operand], default: []].formUnion(range.first * size / blockLength...last)
        }
        let tensors = Set(ids).sorted().map { id -> WitnessTensor in
            let type = types[Int(id.index)]
            guard let blocks = wanted[id] else { return WitnessTensor(value: id, type: type, proof: nil) }
            let tree = self.blocks(type)
            let index = Int(id.index)
            let siblings: [Digest]
            if index < fixed.parameters.count {
                siblings = MerkleTree.proof(Array(roots[..<fixed.parameters.count]), index).siblings
            } else if index < leading {
                siblings =
                    MerkleTree.proof(
                        Array(roots[fixed.parameters.count..<leading]), index - fixed.parameters.count
                    )
                    .siblings
            } else {
                siblings = place.siblings(
                    ofEarlier: index - leading, agreed: Array(roots[leading..<leading + operation]))
            }
            return WitnessTensor(
                value: id, type: type,
                proof: .init(
                    blocks: tree.root, siblings: siblings,
                    ranges: blocks.sorted().map {
                        BlockRange(
                            first: $0, bytes: Self.zeroBlock, siblings: tree.siblings(first: Int($0), count: 1))
                    }))
        }
        return Witness(
            record: program.scans[0].operations[operation],
            recordSiblings: records.proof(operation + 1).siblings, tensors: tensors)
    }
}
