public import Primitives

/// Terms of a segment that take part, and where they stand in their operands.
struct LeafTerms {
    /// Places in the row.
    let places: Range<UInt64>
    /// The row of a contract's result: the index that a selected one looks for.
    let row: UInt64
    /// Where the row begins in each operand that is gone through.
    let starts: [UInt64]
    /// The one element besides that a sort compares with.
    let pivot: UInt64?

    var ranges: [LeafRange] {
        var ranges: [LeafRange] = []
        if let pivot { ranges.append(LeafRange(operand: 0, first: pivot, count: 1)) }
        if places.isEmpty { return ranges }
        for (operand, start) in starts.enumerated() {
            ranges.append(
                LeafRange(operand: operand, first: start + places.lowerBound, count: UInt64(places.count)))
        }
        return ranges
    }
}

extension Leaf {
    /// The terms of a segment. The row is not empty, so all offsets stay within tensors of at most 2⁴⁰ elements.
    func terms(
        _ segment: UInt64, _ element: UInt64, _ claim: UInt64, _ operands: some LeafOperands
    ) throws(LeafFault) -> LeafTerms {
        let length = rowLength
        let first = segment * Leaf.segmentLength
        var end = min(first + Leaf.segmentLength, length)
        switch operation {
        case .contract(let left, let right, let extent, let selected):
            let (a, b) = (types[Int(left.index)].shape, types[Int(right.index)].shape)
            let columns = b[b.count - 2].factor
            let (row, column) = (element / columns, element % columns)
            if selected {
                return LeafTerms(places: first..<end, row: row, starts: [0, column * length], pivot: nil)
            }
            end = min(end, try extentValue(extent, row, a.dropLast(), operands))
            // A B of rank 2 serves every batch.
            let batch = b.count == 2 ? 0 : row / a[a.count - 2].factor
            return LeafTerms(
                places: first..<max(first, end), row: row, starts: [row * length, (batch * columns + column) * length],
                pivot: nil)
        case .reduce(_, let input, let extent, let prefix):
            let row = prefix ? element / length : element
            if prefix { end = min(end, element % length + 1) }
            end = min(end, try extentValue(extent, row, types[Int(input.index)].shape.dropLast(), operands))
            return LeafTerms(places: first..<max(first, end), row: row, starts: [row * length], pivot: nil)
        case .sort:
            if !isPossible(claim) { throw .impossible("index") }
            let start = element / length * length
            return LeafTerms(places: first..<end, row: 0, starts: [start], pivot: start + claim)
        case .map, .gather: throw .outside("segment")
        }
    }

    private func extentValue(
        _ extent: ValueID?, _ row: UInt64, _ rows: ArraySlice<Dimension>, _ operands: some LeafOperands
    ) throws(LeafFault) -> UInt64 {
        guard let extent else { return .max }
        let operand = Int(extent.index)
        let value = try load(operand, broadcastOffset(Leaf.coordinates(row, rows), operand), operands)
        return UInt64(max(0, value))
    }

    // MARK: Contract

    func contracted(
        _ total: RunningTotal, _ terms: LeafTerms, selected: Bool, _ operands: some LeafOperands
    ) throws(LeafFault) -> RunningTotal {
        if types[0].element == .i8 {
            var sum = Int32(truncatingIfNeeded: total.word)
            for place in terms.places {
                let a = try load(0, terms.starts[0] + place, operands)
                let b = try load(1, terms.starts[1] + place, operands)
                sum &+= Int32(a * b)
            }
            return RunningTotal(word: Int64(sum))
        }
        var chain = Binary32.zero
        for place in terms.places {
            let a = try load(0, terms.starts[0] + place, operands)
            if selected && a != Int64(terms.row) { continue }
            let b = LeafValue.float(try load(1, terms.starts[1] + place, operands))
            chain = selected ? chain + b : .fma(LeafValue.float(a), b, chain)
        }
        return RunningTotal(word: LeafValue.word(LeafValue.float(total.word) + chain))
    }

    // MARK: Reduce

    /// ROW: 32 lanes folded, or the ascending chain of a prefix.
    func summed(
        _ total: RunningTotal, _ terms: LeafTerms, isChain: Bool, _ operands: some LeafOperands
    ) throws(LeafFault) -> RunningTotal {
        if types[0].element != .f32 {
            var sum = total.word
            for place in terms.places { sum &+= try load(0, terms.starts[0] + place, operands) }
            return RunningTotal(word: types[0].element == .i32 ? Int64(Int32(truncatingIfNeeded: sum)) : sum)
        }
        let before = LeafValue.float(total.word)
        if isChain {
            var chain = Binary32.zero
            for place in terms.places {
                chain = chain + LeafValue.float(try load(0, terms.starts[0] + place, operands))
            }
            return RunningTotal(word: LeafValue.word(before + chain))
        }
        var lanes = [Binary32](repeating: .zero, count: 32)
        for place in terms.places {
            let lane = Int((place - terms.places.lowerBound) % 32)
            lanes[lane] = lanes[lane] + LeafValue.float(try load(0, terms.starts[0] + place, operands))
        }
        for width in [16, 8, 4, 2, 1] {
            for lane in 0..<width { lanes[lane] = lanes[lane] + lanes[lane + width] }
        }
        return RunningTotal(word: LeafValue.word(before + lanes[0]))
    }

    /// The key by which values are ordered; the NaN of f32 beyond all, on the side where it wins.
    private func key(_ word: Int64, largest: Bool) -> Int64 {
        if types[0].element != .f32 { return word }
        let float = LeafValue.float(word)
        return float.isNotANumber ? (largest ? .max : .min) : Int64(float.orderKey)
    }

    private static func isLargest(_ reduction: Reduction) -> Bool {
        reduction == .maximum || reduction == .argumentOfMaximum
    }

    func extreme(
        _ total: RunningTotal, _ terms: LeafTerms, _ reduction: Reduction, _ operands: some LeafOperands
    ) throws(LeafFault) -> RunningTotal {
        let largest = Leaf.isLargest(reduction)
        var (best, index) = (total.word, total.index)
        for place in terms.places {
            let found = key(try load(0, terms.starts[0] + place, operands), largest: largest)
            // Of equals the first stays, of NaNs too.
            if index == RunningTotal.noIndex || (largest ? found > best : found < best) {
                (best, index) = (found, place)
            }
        }
        return RunningTotal(word: best, index: index)
    }

    func finishedExtreme(_ total: RunningTotal, _ reduction: Reduction) -> UInt64 {
        let isNone = total.index == RunningTotal.noIndex
        if reduction == .argumentOfMaximum || reduction == .argumentOfMinimum {
            return LeafValue.stored(isNone ? 0 : Int64(truncatingIfNeeded: total.index), result.element)
        }
        let largest = Leaf.isLargest(reduction)
        let element = types[0].element
        if element == .f32 {
            let value: Binary32
            if isNone {
                value = largest ? -.infinity : .infinity
            } else {
                value = Int32(exactly: total.word).map { Binary32(orderKey: $0) } ?? .notANumber
            }
            return LeafValue.stored(LeafValue.word(value), result.element)
        }
        // Of nothing, what every value beats or equals.
        let (least, most) = element == .i32 ? (Int64(Int32.min), Int64(Int32.max)) : (.min, .max)
        return LeafValue.stored(isNone ? (largest ? least : most) : total.word, result.element)
    }

    // MARK: Sort

    /// How many more come before the claimed one. NaN stands above all; of equals the earlier comes first.
    func counted(
        _ total: RunningTotal, _ terms: LeafTerms, _ claim: UInt64, _ descending: Bool, _ operands: some LeafOperands
    ) throws(LeafFault) -> RunningTotal {
        guard let pivot = terms.pivot else { throw .outside("segment") }
        let held = key(try load(0, pivot, operands), largest: true)
        var count = total.word
        for place in terms.places {
            let found = key(try load(0, terms.starts[0] + place, operands), largest: true)
            if found == held ? place < claim : (found < held) != descending { count &+= 1 }
        }
        return RunningTotal(word: count)
    }
}

// MARK: Totals as bytes

extension Leaf {
    /// Bytes of a running total of this op: an f32 or i32 sum 4, an i64 sum or a count 8, an extreme 16.
    public var totalSize: Int {
        switch operation {
        case .map, .gather: 0
        case .contract: 4
        case .reduce(.sum, _, _, _): types[0].element == .i64 ? 8 : 4
        case .reduce: 16
        case .sort: 8
        }
    }

    public func write(_ total: RunningTotal, into writer: inout ByteWriter) {
        switch totalSize {
        case 4: writer.write(UInt32(truncatingIfNeeded: total.word))
        case 8: writer.write(UInt64(bitPattern: total.word))
        case 16:
            writer.write(UInt64(bitPattern: total.word))
            writer.write(total.index)
        default: break
        }
    }

    /// Reads a total; what no run could have left is refused.
    public func readTotal(from reader: inout ByteReader) throws(DecodingFault) -> RunningTotal {
        let element = types.first?.element
        switch operation {
        case .map, .gather: throw .invalid("an op without segments has no running totals")
        case .contract where element == .i8, .reduce(.sum, _, _, _) where element == .i32:
            return RunningTotal(word: Int64(Int32(bitPattern: try reader.readUInt32())))
        case .reduce(.sum, _, _, _) where element == .i64:
            return RunningTotal(word: Int64(bitPattern: try reader.readUInt64()))
        case .contract, .reduce(.sum, _, _, _):
            let float = Binary32(bits: try reader.readUInt32())
            // Sums begin at +0, so −0 never comes out of one.
            if float != float.canonical || float == .negativeZero {
                throw .invalid("a running total is of another form than its rule gives")
            }
            return RunningTotal(word: LeafValue.word(float))
        case .reduce(let reduction, _, _, _):
            let total = RunningTotal(word: Int64(bitPattern: try reader.readUInt64()), index: try reader.readUInt64())
            if total.index == RunningTotal.noIndex {
                if total.word != 0 { throw .invalid("a running extreme of nothing has a value") }
            } else if total.index >= rowLength || !isKey(total.word, largest: Leaf.isLargest(reduction)) {
                throw .invalid("a running extreme is outside its row or its type")
            }
            return total
        case .sort:
            let count = Int64(bitPattern: try reader.readUInt64())
            if count < 0 || count > Int64(rowLength) { throw .invalid("a running count is longer than its row") }
            return RunningTotal(word: count)
        }
    }

    private func isKey(_ word: Int64, largest: Bool) -> Bool {
        switch types[0].element {
        case .f32: word == (largest ? .max : .min) || word.magnitude <= 0x7F80_0000
        case .i32: Int32(exactly: word) != nil
        default: true
        }
    }
}
