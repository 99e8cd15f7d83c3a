import Primitives

/// What disputes about a program take at most.
public struct DisputeBound: Hashable, Sendable {
    /// The most bytes of evidence on chain: opening, reveals, picks and witness.
    public static let maximumBytes = 32 << 10
    public static let maximumRounds = 17

    /// Moves of the defender, and one for the witness.
    public var rounds: Int
    public var bytes: Int

    /// Whether every lie about the program can be brought before a chain.
    public var isWithin: Bool { rounds <= DisputeBound.maximumRounds && bytes <= DisputeBound.maximumBytes }
}

extension Program {
    /// The longest walk and the most evidence that a dispute about any number of any op can take, where `fixed` is what this program specialises to.
    public func disputeBound(_ fixed: SpecialisedProgram) -> DisputeBound {
        let opening = DisputeOpening(self)
        let steps = fixed.scans.reduce(UInt64(0)) { $0 &+ $1.steps.factor }
        let recordHeight = opening.siblings.count
        let stepReveals = DisputeBound.levels(of: steps, each: Reveal.stepLevels)
        let stepBytes = stepReveals * (5 + 16 * 64 + 5)
        var most = DisputeBound(rounds: 0, bytes: 0)
        for (scan, fixedScan) in zip(scans, fixed.scans) {
            let operationReveals = max(1, DisputeBound.levels(of: UInt64(scan.operations.count), each: Reveal.levels))
            let types = fixed.types(of: fixedScan)
            for (record, fixedRecord) in zip(scan.operations, fixedScan.operations) {
                let blocks = (fixedRecord.result.byteCount + 1023) / 1024
                let blockReveals = DisputeBound.levels(of: blocks, each: Reveal.levels)
                let size = record.canonicalBytes.count
                let (totalReveals, totalBytes) = DisputeBound.totals(fixedRecord.operation, types)
                let witness = evidenceBytes(record, fixedRecord, types, lists: listLengths(scan))
                most.rounds = max(
                    most.rounds, stepReveals + operationReveals + blockReveals + 1 + totalReveals + 1)
                most.bytes = max(
                    most.bytes,
                    opening.canonicalBytes.count + stepBytes + (operationReveals + blockReveals) * (5 + 32 * 32 + 5)
                        + 65
                        + size + 8 + 32 * recordHeight + 1025 + 5 + totalBytes + 1 + witness)
            }
        }
        return most
    }

    private func listLengths(_ scan: Scan) -> Int {
        [parameters.count, inputs.count, carried.count, scan.operations.count].max() ?? 0
    }
}

extension DisputeBound {
    /// Reveals from a tree's root to its leaves.
    fileprivate static func levels(of leaves: UInt64, each: UInt8) -> Int {
        (MerkleLevels.height(of: leaves) + Int(each) - 1) / Int(each)
    }

    /// Reveals of running totals, and their bytes.
    fileprivate static func totals(_ operation: Operation, _ types: [TensorType]) -> (reveals: Int, bytes: Int) {
        let length: UInt64
        let size: Int
        switch operation {
        case .map, .gather: return (0, 0)
        case .contract(_, let right, _, _):
            (length, size) = (types[Int(right.index)].shape.last?.factor ?? 1, 4)
        case .reduce(let reduction, let input, _, _):
            length = types[Int(input.index)].shape.last?.factor ?? 1
            size = reduction != .sum ? 16 : types[Int(input.index)].element == .i64 ? 8 : 4
        case .sort(let input, _): (length, size) = (types[Int(input.index)].shape.last?.factor ?? 1, 8)
        }
        var segments = (length + Leaf.segmentLength - 1) / Leaf.segmentLength
        var (reveals, bytes) = (1, 12)
        while segments > 1 {
            let stride = Reveal.stride(of: segments)
            // A liar may name any number of segments, with totals of any size, before the challenger can say that the first reveal is wrong by that alone.
            let told = bytes == 12 ? Reveal.maximumTotals * LeafClaim.maximumTotalBytes : 0
            if bytes > 12 { reveals += 1 }
            bytes += 12 + 5 + max(told, Int(min(segments, UInt64(Reveal.maximumTotals))) * size)
            segments = stride
        }
        return (reveals, max(bytes, 12 + 12 + 5 + Reveal.maximumTotals * LeafClaim.maximumTotalBytes))
    }
}
