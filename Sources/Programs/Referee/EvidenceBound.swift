import Primitives

extension Program {
    /// The most bytes that a witness against any op of this program can take, where `fixed` is what it specialises to. A program above
    /// `Witness.maximumBytes` has ops about which nobody could be convicted.
    public func evidenceBytes(_ fixed: SpecialisedProgram) -> Int {
        var most = 0
        for (scan, fixedScan) in zip(scans, fixed.scans) {
            let types = fixed.types(of: fixedScan)
            let longest = [parameters.count, inputs.count, carried.count, scan.operations.count].max() ?? 0
            for (record, fixedRecord) in zip(scan.operations, fixedScan.operations) {
                most = max(most, evidenceBytes(record, fixedRecord, types, lists: longest))
            }
        }
        return most
    }

    /// The same of one op, whose operands stand in lists of at most `lists` tensors.
    func evidenceBytes(
        _ record: OperationRecord, _ fixed: OperationRecord, _ types: [TensorType], lists: Int
    ) -> Int {
        let operations = scans.reduce(0) { $0 + $1.operations.count }
        let recordHeight = MerkleLevels.height(of: UInt64(operations) + 1)
        let listHeight = MerkleLevels.height(of: UInt64(lists))
        return record.canonicalBytes.count + 4 + 32 * recordHeight + 4
            + EvidenceBound.tensors(fixed.operation, types, listHeight)
    }
}

/// What the parts of a witness take at most.
private enum EvidenceBound {
    /// Blocks with their path: neighbours may meet in the middle of the tree, so that both sides need a sibling at each level but the last.
    static func range(_ type: TensorType, elements: UInt64) -> Int {
        let length = UInt64(TensorRoot.blockLength)
        let blocks = (type.byteCount + length - 1) / length
        // One more than the elements fill, where they begin within a block.
        let bytes = elements * UInt64(type.element.size)
        let touched = min(blocks, elements == 1 ? 1 : (bytes + length - 1) / length + 1)
        let height = MerkleLevels.height(of: blocks)
        return 8 + 1 + 4 + Int(touched) * TensorRoot.blockLength
            + 32 * (touched <= 1 ? height : max(height, 2 * (height - 1)))
    }

    static func tensors(_ operation: Operation, _ types: [TensorType], _ listHeight: Int) -> Int {
        func type(_ id: ValueID) -> TensorType { types[Int(id.index)] }
        let proof = 32 + 4 + 32 * listHeight + 4
        let named = Set(operation.operands).reduce(0) { $0 + 4 + type($1).canonicalBytes.count + 1 }
        switch operation {
        case .map(_, let inputs):
            return named + inputs.reduce(0) { $0 + proof + range(type($1), elements: 1) }
        case .reduce(_, let input, let extent, _):
            return named + proof + range(type(input), elements: Leaf.segmentLength)
                + (extent.map { proof + range(type($0), elements: 1) } ?? 0)
        case .contract(let left, let right, let extent, _):
            return named + [left, right].reduce(0) { $0 + proof + range(type($1), elements: Leaf.segmentLength) }
                + (extent.map { proof + range(type($0), elements: 1) } ?? 0)
        case .sort(let input, _):
            return named + proof + range(type(input), elements: Leaf.segmentLength) + range(type(input), elements: 1)
        case .gather(let pieces, _):
            // An element goes on to another piece only past those that divide exactly.
            let tried = pieces.count { $0.coordinates.contains(where: \.exact) } + 1
            let sources = pieces.map { range(type($0.source), elements: 1) }.max() ?? 0
            let tables = pieces.flatMap { $0.coordinates.compactMap(\.table) }
            return named + min(tried, pieces.count) * proof + sources
                + tables.reduce(0) { $0 + proof + range(type($1), elements: 1) }
        }
    }
}
