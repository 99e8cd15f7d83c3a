internal import Programs

/// The way back through any other movement: each element of the result has the number of the element that it was read from, or −1, in a tensor of its own, and
/// the selected contraction adds the gradients where these numbers say. It has as many terms as the result has elements.
extension Differentiation {
    /// The whole gradient of a piece's source.
    mutating func scattered(
        _ pieces: [GatherPiece], _ operand: Int, _ gradient: ValueID, _ value: ValueID, _ number: Int
    ) throws(DifferentiationFault) -> ValueID {
        let piece = pieces[operand]
        let own = graph.type(piece.source).shape
        let result = graph.type(value).shape
        let (from, to) = (graph.type(piece.source).count, graph.type(value).count)
        if max(from, to) >= 1 << 31 {
            throw .unsupported(op: number, "a gather of \(max(from, to)) elements whose places are counted in 32 bits")
        }
        var place = inside(piece, result)
        for earlier in pieces[..<operand] where meets(earlier, piece) {
            let taken = applied(earlier, result)
            place = graph.map(.i32, result, [place, taken]) { e in
                let (place, taken) = (e.input(0), e.input(1))
                let isTaken = e.apply(.equal, taken, e.node(.constant(.i32, bits: 0)))
                _ = e.apply(.select, isTaken, e.nowhere, place)
            }
        }
        for (coordinate, size) in zip(piece.coordinates, own) {
            place = added(coordinate, size, to: place, result)
        }
        let numbers = graph.reshape(place, [Dimension(to)])
        let terms = graph.reshape(gradient, [1, Dimension(to)])
        let sums = graph.append(
            .contract(left: numbers, right: terms, extent: nil, selected: true), TensorType(.f32, [Dimension(from), 1]))
        return graph.reshape(sums, own)
    }

    /// 0 in a piece's box, −1 beside it: i32 of the result's shape.
    private mutating func inside(_ piece: GatherPiece, _ result: [Dimension]) -> ValueID {
        graph.map(.i32, result, []) { e in
            var place = e.node(.constant(.i32, bits: 0))
            for axis in result.indices where piece.size[axis] != result[axis] {
                let index = e.node(.index(UInt8(axis)))
                let (start, end) = (piece.start[axis].factor, piece.start[axis].factor + piece.size[axis].factor)
                let isIn = e.apply(
                    .and, e.apply(.lessOrEqual, e.whole(start), index), e.apply(.less, index, e.whole(end)))
                place = e.apply(.select, isIn, place, e.nowhere)
            }
        }
    }

    /// 0 where an element is this piece's, be it a filled one, and −1 where the next piece is asked.
    private mutating func applied(_ piece: GatherPiece, _ result: [Dimension]) -> ValueID {
        var place = inside(piece, result)
        for coordinate in piece.coordinates where coordinate.exact {
            place = graph.map(.i32, result, [place] + broadcastTable(coordinate, result)) { e in
                let place = e.input(0)
                let numerator = e.numerator(coordinate)
                let (_, rest) = e.floored(numerator, coordinate.quotient.factor)
                _ = e.apply(.select, e.apply(.equal, rest, e.whole(0)), place, e.nowhere)
            }
        }
        return place
    }

    /// The number of an element by one axis more of the source: place · size + coordinate, or −1.
    private mutating func added(
        _ coordinate: Coordinate, _ size: Dimension, to place: ValueID, _ result: [Dimension]
    ) -> ValueID {
        graph.map(.i32, result, [place] + broadcastTable(coordinate, result)) { e in
            let place = e.input(0)
            var at = e.numerator(coordinate)
            var holds = e.apply(.lessOrEqual, e.node(.constant(.i32, bits: 0)), place)
            if coordinate.quotient.factor != 1 {
                let (whole, rest) = e.floored(at, coordinate.quotient.factor)
                if coordinate.exact { holds = e.apply(.and, holds, e.apply(.equal, rest, e.whole(0))) }
                at = whole
            }
            if coordinate.modulus.factor != 0 { at = e.floored(at, coordinate.modulus.factor).rest }
            holds = e.apply(.and, holds, e.apply(.lessOrEqual, e.whole(0), at))
            holds = e.apply(.and, holds, e.apply(.less, at, e.whole(size.factor)))
            let next = e.apply(.add, e.apply(.multiply, e.apply(.toI64, place), e.whole(size.factor)), at)
            _ = e.apply(.select, holds, e.apply(.toI32, next), e.nowhere)
        }
    }

    /// A coordinate's index tensor with an axis for each of the result's, so that it broadcasts; none where it has none.
    private mutating func broadcastTable(_ coordinate: Coordinate, _ result: [Dimension]) -> [ValueID] {
        guard let table = coordinate.table else { return [] }
        let shape = result.indices.map { coordinate.tableAxes.contains(UInt8($0)) ? result[$0] : 1 }
        return [graph.gather(table, shape, coordinate.tableAxes.map { .axis($0) })]
    }
}

extension ExpressionBuilder {
    /// No element.
    fileprivate var nowhere: UInt8 { mutating get { node(.constant(.i32, bits: 0xFFFF_FFFF)) } }

    /// A whole number, i64.
    fileprivate mutating func whole(_ value: UInt64) -> UInt8 { node(.constant(.i64, bits: value)) }

    /// offset + Σ coefficient × coordinate + index tensor, which is input 1; i64.
    fileprivate mutating func numerator(_ coordinate: Coordinate) -> UInt8 {
        var sum = whole(UInt64(bitPattern: coordinate.offset))
        for term in coordinate.terms {
            let product = apply(.multiply, whole(UInt64(bitPattern: term.coefficient)), node(.index(term.axis)))
            sum = apply(.add, sum, product)
        }
        if coordinate.table != nil { sum = apply(.add, sum, apply(.toI64, input(1))) }
        return sum
    }

    /// Division towards −∞ and what is left, by a divisor above 0; `divide` truncates.
    fileprivate mutating func floored(_ value: UInt8, _ divisor: UInt64) -> (quotient: UInt8, rest: UInt8) {
        let by = whole(divisor)
        let quotient = apply(.divide, value, by)
        let rest = apply(.subtract, value, apply(.multiply, quotient, by))
        let isBelow = apply(.less, rest, whole(0))
        return (
            apply(.select, isBelow, apply(.subtract, quotient, whole(1)), quotient),
            apply(.select, isBelow, apply(.add, rest, by), rest)
        )
    }
}
