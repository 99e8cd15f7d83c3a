extension Leaf {
    /// Where an element comes from; nil for the fill value.
    func gathered(_ element: UInt64, _ operands: some LeafOperands) throws(LeafFault) -> LeafRange? {
        guard case .gather(let pieces, _) = operation else { throw .outside("element") }
        let at = coordinates(element)
        for piece in pieces {
            let isInside = at.indices.allSatisfy { axis in
                at[axis] >= piece.start[axis].factor && at[axis] - piece.start[axis].factor < piece.size[axis].factor
            }
            if !isInside { continue }
            switch try place(in: piece, at, operands) {
            case .element(let offset): return LeafRange(operand: Int(piece.source.index), first: offset, count: 1)
            case .outside: return nil
            case .notDivisible: continue
            }
        }
        return nil
    }

    private enum SourcePlace {
        case element(UInt64)
        /// Some coordinate is not in the source: the fill value, whatever pieces follow.
        case outside
        /// An exact division leaves a remainder: the piece does not apply.
        case notDivisible
    }

    /// A coordinate after the other, the first that is outside or not divisible decides. Sums wrap at 64 bits, as all integers do.
    private func place(
        in piece: GatherPiece, _ at: [UInt64], _ operands: some LeafOperands
    ) throws(LeafFault) -> SourcePlace {
        try operands.consult(operand: Int(piece.source.index))
        let shape = types[Int(piece.source.index)].shape
        var offset: UInt64 = 0
        for (coordinate, dimension) in zip(piece.coordinates, shape) {
            var value = coordinate.offset
            for term in coordinate.terms { value &+= term.coefficient &* Int64(at[Int(term.axis)]) }
            if let table = coordinate.table {
                let operand = Int(table.index)
                var place: UInt64 = 0
                for (axis, dimension) in zip(coordinate.tableAxes, types[operand].shape) {
                    place = place * dimension.factor + at[Int(axis)]
                }
                value &+= try load(operand, place, operands)
            }
            let quotient = Int64(clamping: coordinate.quotient.factor)
            let (divided, remainder) = Leaf.floorDivision(value, quotient)
            if coordinate.exact && remainder != 0 { return .notDivisible }
            value = divided
            let modulus = Int64(clamping: coordinate.modulus.factor)
            if modulus != 0 { value = Leaf.floorDivision(value, modulus).remainder }
            if value < 0 || UInt64(value) >= dimension.factor { return .outside }
            offset = offset * dimension.factor + UInt64(value)
        }
        return .element(offset)
    }

    /// Toward minus infinity, so that −1 stays outside; the divisor is above zero, the remainder at least zero.
    private static func floorDivision(_ value: Int64, _ divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
