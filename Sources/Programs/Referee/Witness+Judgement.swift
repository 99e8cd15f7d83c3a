import Primitives

extension Witness {
    /// Judges a claim about one element of a step's op (counted from 0 in its scan). At most `Leaf.cost` softfloat operations and the digests of 24 KiB. What
    /// it throws is the fault of who posted the witness. `segments` is how many the defender says that the element has: another number is a lie like any other.
    public func judge(
        _ claim: LeafClaim, segments: UInt64? = nil, operation: UInt32, in step: DisputedStep
    ) throws(WitnessFault) -> Verdict {
        try checkRecord(operation, step)
        let fixed: OperationRecord
        do throws(ProgramFault) { fixed = try record.fixed(step.axes) } catch { throw .program(error) }
        let ids = fixed.operation.operands
        if Set(ids).sorted() != tensors.map(\.value) { throw .record("the tensors shown are not its operands") }
        var places: [WitnessTensor] = []
        // All of them are there: the lists are equal.
        for id in ids { if let tensor = tensors.first(where: { $0.value == id }) { places.append(tensor) } }
        // The types are bounded here, before anything is computed from them.
        let leaf: Leaf
        do throws(ProgramFault) {
            leaf = try Leaf(
                fixed, operands: places.map(\.type),
                context: Leaf.Context(
                    seed: step.seed, operation: step.firstOperation + operation, step: step.step))
        } catch { throw .program(error) }
        for tensor in tensors { try check(tensor, operation, step) }
        if case .gather = fixed.operation {
            // What a gather may look at of a bare type, it asks first.
        } else if let bare = tensors.first(where: { $0.proof == nil }) {
            throw .tensor(bare.value, "its type stands alone")
        }
        if let segments, segments != leaf.segmentCount(of: claim.element) { return .refuted }
        do throws(LeafFault) { return try Witness.judge(claim, leaf, WitnessOperands(tensors: places)) } catch {
            throw .leaf(error)
        }
    }

    private func checkRecord(_ operation: UInt32, _ step: DisputedStep) throws(WitnessFault) {
        let index = UInt64(step.firstOperation) + UInt64(operation) + 1
        if operation >= step.operations.count || index > UInt64(step.programOperations) {
            throw .record("the step has no op \(operation)")
        }
        // The frame is the first leaf.
        if recordSiblings.count != MerkleLevels.height(of: UInt64(step.programOperations) + 1) {
            throw .record("its path is of another length than the program's tree")
        }
        if MerkleProof(index: index, siblings: recordSiblings).root(of: record.treeLeaf) != step.program {
            throw .record("its path does not lead to the program's root")
        }
    }

    private func check(_ tensor: WitnessTensor, _ operation: UInt32, _ step: DisputedStep) throws(WitnessFault) {
        guard let (list, index) = step.place(of: tensor.value) else {
            throw .tensor(tensor.value, "the step has no such tensor")
        }
        if UInt64(tensor.value.index) >= step.leadingCount + UInt64(operation) {
            throw .tensor(tensor.value, "it is not made before the op")
        }
        guard let proof = tensor.proof else { return }
        if proof.siblings.count != MerkleLevels.height(of: UInt64(list.count)) {
            throw .tensor(tensor.value, "its path is of another length than its list's tree")
        }
        let shape = tensor.type.shape.map(\.factor)
        let root = TensorRoot.of(tensor.type.element, shape, blocks: proof.blocks)
        if MerkleProof(index: index, siblings: proof.siblings).root(of: root) != list.root {
            throw .tensor(tensor.value, "its path does not lead to the agreed root")
        }
        let length = UInt64(TensorRoot.blockLength)
        let blocks = (tensor.type.byteCount + length - 1) / length
        for range in proof.ranges where range.root(ofTreeOver: blocks) != proof.blocks {
            throw .tensor(tensor.value, "the blocks from \(range.first) on are not its own")
        }
    }

    private static func judge(
        _ claim: LeafClaim, _ leaf: Leaf, _ operands: WitnessOperands
    ) throws(LeafFault) -> Verdict {
        let (element, bits) = (claim.element, claim.bits)
        let count = leaf.segmentCount(of: element)
        // No run leaves such bits: two forms of one number would be two results.
        if !leaf.isPossible(bits) { return .refuted }
        switch claim {
        case .element:
            if count > 1 { throw .outside("element of a single segment") }
            return try leaf.value(of: element, claim: bits, from: operands) == bits ? .upheld : .refuted
        case .segment(let number, _, _, let before, let after):
            let start: RunningTotal
            if number == 0 {
                if !before.isEmpty { throw .outside("total before the first segment") }
                start = leaf.start
            } else {
                // Agreed by both, though none: whoever points past it has missed the first that is wrong.
                guard let total = leaf.total(before) else { throw .impossible("running total before the segment") }
                start = total
            }
            let end = try leaf.advanced(start, segment: number, of: element, claim: bits, from: operands)
            return leaf.total(after) == end ? .upheld : .refuted
        case .finish(_, _, let last):
            if count == 0 { throw .outside("segment") }
            guard let total = leaf.total(last) else { return .refuted }
            return try leaf.finished(total, element: element, claim: bits) == bits ? .upheld : .refuted
        }
    }
}

/// The blocks of a witness, as a leaf asks for them.
private struct WitnessOperands: LeafOperands {
    let tensors: [WitnessTensor]

    func consult(operand: Int) throws(LeafFault) {
        if tensors[operand].proof == nil { throw .unproven(operand: operand) }
    }

    func bits(operand: Int, element: UInt64) throws(LeafFault) -> UInt64 {
        let tensor = tensors[operand]
        guard let proof = tensor.proof else { throw .unproven(operand: operand) }
        let size = UInt64(tensor.type.element.size)
        let length = UInt64(TensorRoot.blockLength)
        let block = element * size / length
        for range in proof.ranges where block >= range.first && block - range.first < range.count {
            let start = Int(element * size - range.first * length)
            var bits: UInt64 = 0
            for place in (start..<start + Int(size)).reversed() { bits = bits << 8 | UInt64(range.bytes[place]) }
            return bits
        }
        throw .missing(operand: operand, element: element)
    }
}

extension Leaf {
    /// A running total from its bytes; nil where no run could have left it.
    public func total(_ bytes: [UInt8]) -> RunningTotal? {
        var reader = ByteReader(bytes)
        guard let total = try? readTotal(from: &reader), reader.remaining == 0 else { return nil }
        return total
    }

    public func bytes(of total: RunningTotal) -> [UInt8] {
        var writer = ByteWriter(capacity: LeafClaim.maximumTotalBytes)
        write(total, into: &writer)
        return writer.bytes
    }
}
