import Primitives

/// Which shapes fit together.
enum ShapeRules {
    /// Whatever a coordinate computes stays below this, so that no executor can overflow on it.
    static let maximumNumerator: UInt64 = 1 << 62

    /// Places in a row are i32.
    static let maximumIndexed: UInt64 = 1 << 31

    /// What is wrong with an op's shapes, or nil.
    static func problem(_ record: OperationRecord, _ types: [TensorType]) -> String? {
        let result = record.result.shape.map(\.factor)
        func shape(_ id: ValueID) -> [UInt64] { types[Int(id.index)].shape.map(\.factor) }
        switch record.operation {
        case .map(_, let inputs):
            for input in inputs where !broadcasts(shape(input), to: result) {
                return "an input of shape \(shape(input)) does not broadcast to \(result)"
            }
        case .reduce(let reduction, let input, let extent, let prefix):
            let source = shape(input)
            if source.isEmpty { return "a reduce needs an axis" }
            if reduction == .argumentOfMaximum || reduction == .argumentOfMinimum, let length = source.last,
                length > maximumIndexed
            {
                return "places in rows of \(length) do not fit an i32"
            }
            let rows = Array(source.dropLast())
            if result != (prefix ? source : rows) { return "a reduce of \(source) does not make \(result)" }
            if let extent, !broadcasts(shape(extent), to: rows) {
                return "an extent of \(shape(extent)) does not fit rows of \(rows)"
            }
        case .contract(let left, let right, let extent, let selected):
            let (a, b) = (shape(left), shape(right))
            if selected {
                if extent != nil { return "a selected contract takes no extent" }
                guard a.count == 1, b.count == 2, result.count == 2, b[1] == a[0], result[1] == b[0] else {
                    return "a selected contract of \(a) and \(b) does not make \(result)"
                }
                return nil
            }
            guard a.count >= 2, b.count >= 2, a.last == b.last else {
                return "a contract of \(a) and \(b) has no common last axis"
            }
            let batch = Array(a.dropLast(2))
            if b.count != 2 && Array(b.dropLast(2)) != batch {
                return "a contract of \(a) and \(b) has different batches"
            }
            if result != batch + [a[a.count - 2], b[b.count - 2]] {
                return "a contract of \(a) and \(b) does not make \(result)"
            }
            if let extent, !broadcasts(shape(extent), to: Array(a.dropLast())) {
                return "an extent of \(shape(extent)) does not fit rows of \(Array(a.dropLast()))"
            }
            if types[Int(left.index)].element == .i8, let k = a.last, k > 131_071 {
                return "an i8 contract of length \(k) could overflow"
            }
        case .gather(let pieces, _):
            for piece in pieces {
                if piece.coordinates.count != shape(piece.source).count {
                    return
                        "a gather gives \(piece.coordinates.count) coordinates for a source of \(shape(piece.source))"
                }
                for (axis, (start, size)) in zip(piece.start, piece.size).enumerated() {
                    let (end, overflow) = start.factor.addingReportingOverflow(size.factor)
                    if overflow || end > result[axis] { return "a gather's box leaves its result" }
                }
                for coordinate in piece.coordinates {
                    if coordinate.quotient.factor == 0 { return "a coordinate is divided by zero" }
                    if numerator(coordinate, result) > maximumNumerator
                        || max(coordinate.quotient.factor, coordinate.modulus.factor) > maximumNumerator
                    {
                        return "a coordinate's numbers are above 2^62"
                    }
                    guard let table = coordinate.table else { continue }
                    let wanted = coordinate.tableAxes.map { result[Int($0)] }
                    if shape(table) != wanted { return "an index tensor of \(shape(table)) is read as \(wanted)" }
                }
            }
        case .sort(let input, _):
            if shape(input) != result || result.isEmpty { return "a sort of \(shape(input)) does not make \(result)" }
            if let length = result.last, length > maximumIndexed {
                return "places in rows of \(length) do not fit an i32"
            }
        }
        return nil
    }

    /// The greatest magnitude that the numerator of a coordinate can reach.
    private static func numerator(_ coordinate: Coordinate, _ result: [UInt64]) -> UInt128 {
        // An axis is at most 2^40 long, so that eight terms stay far below 2^128.
        let terms = coordinate.terms.reduce(UInt128(coordinate.offset.magnitude)) { total, term in
            total + UInt128(term.coefficient.magnitude) * UInt128(max(1, result[Int(term.axis)]) - 1)
        }
        return terms + (coordinate.table == nil ? 0 : 1 << 31)
    }

    /// From the right, each axis equal or 1.
    static func broadcasts(_ shape: [UInt64], to result: [UInt64]) -> Bool {
        if shape.count > result.count { return false }
        return zip(shape.reversed(), result.reversed()).allSatisfy { $0 == $1 || $0 == 1 }
    }
}
