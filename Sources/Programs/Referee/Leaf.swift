/// One element of one op, evaluated in integers from the elements that it depends on: what every validator does to judge a dispute.
///
/// - A map or a gather gives its element at once. The others go through their row in *segments* of 256 terms, each from an agreed running total to the next;
///   `finished` makes the element of the last.
/// - A sort is not computed but checked: that place r of a row holds index j is right if exactly r elements of the row come before j.
/// - How many segments an element has depends on shapes alone. Terms at or past a row's extent do not take part: segments past it leave the total as it is.
/// - What is read is known beforehand (`reads`): at most one block of each input, or those that 256 terms touch, an extent, and a gather's index tensors.
/// - Whatever values the operands hold, one judgement takes at most `cost` softfloat operations and `blockLimit` blocks.
///
/// Its rules are those of docs/numerics.md; no floating point takes part.
public struct Leaf: Sendable {
    /// Terms of a segment: a chunk of ROW, a segment of SEG.
    public static let segmentLength: UInt64 = 256

    /// The most blocks that one judgement reads: a gather's index tensors and its source. Any other op reads five at most: a contract two of each side, as 256
    /// terms may begin within a block, and an extent.
    public static let blockLimit = Operation.maximumTables + 1

    /// Where the op stands in its run.
    public struct Context: Hashable, Sendable {
        /// The job's seed.
        public let seed: UInt64
        /// The op's place among all ops of the program, scans in order.
        public let operation: UInt32
        /// The step, counted from 0 in its scan.
        public let step: UInt64

        public init(seed: UInt64, operation: UInt32, step: UInt64) {
            self.seed = seed
            self.operation = operation
            self.step = step
        }
    }

    /// The op, its operands numbered by their place in the list of what it reads.
    let operation: Operation
    let result: TensorType
    let types: [TensorType]
    /// The operands' types, by their place.
    public var operandTypes: [TensorType] { types }
    let context: Context
    private let map: LeafMap?

    /// An op of a specialised program and its operands' types, as `Operation.operands` lists them. Throws where no valid program has such an op, so that
    /// nothing that is decoded from elsewhere can trap later.
    public init(_ record: OperationRecord, operands types: [TensorType], context: Context) throws(ProgramFault) {
        let operation = record.operation.numbered()
        if types.count != operation.operands.count {
            throw .invalid(op: nil, "it reads \(operation.operands.count) tensors, \(types.count) types were given")
        }
        for type in types + [record.result] {
            if type.shape.count > TensorType.maximumRank || type.shape.contains(where: { $0.axis != nil }) {
                throw .invalid(op: nil, "a leaf is of an op whose shapes are numbers")
            }
            try SpecialisedProgram.bound(type)
        }
        if case .gather(let pieces, _) = operation, pieces.contains(where: { $0.namesAxis }) {
            throw .invalid(op: nil, "a leaf is of an op whose shapes are numbers")
        }
        if context.operation >= Philox.operationLimit { throw .invalid(op: nil, "no program has so many ops") }
        let numbered = OperationRecord(operation, record.result)
        let element = try Program.elementType(numbered, types.map(\.element))
        if !Program.mayMake(record, element) {
            throw .invalid(op: nil, "it makes \(element) and says \(record.result.element)")
        }
        if let reason = ShapeRules.problem(numbered, types) { throw .invalid(op: nil, reason) }
        self.operation = operation
        result = record.result
        self.types = types
        self.context = context
        if case .map(let expression, let inputs) = operation {
            map = LeafMap(
                nodes: expression.nodes,
                types: try expression.types(
                    inputs: inputs.map { types[Int($0.index)].element }, rank: record.result.shape.count))
        } else {
            map = nil
        }
    }

    /// How many segments lead to an element: none for a map or a gather, and where a row is empty.
    public func segmentCount(of element: UInt64) -> UInt64 {
        switch operation {
        case .map, .gather: 0
        case .reduce(_, _, _, let prefix):
            // A prefix's own chunk is the last.
            prefix ? element % max(1, rowLength) / Leaf.segmentLength + 1 : segments(rowLength)
        case .contract, .sort: segments(rowLength)
        }
    }

    private func segments(_ length: UInt64) -> UInt64 { (length + Leaf.segmentLength - 1) / Leaf.segmentLength }

    /// What is known before the first segment.
    public var start: RunningTotal {
        if case .reduce(let reduction, _, _, _) = operation, reduction != .sum {
            return RunningTotal(word: 0, index: RunningTotal.noIndex)
        }
        return RunningTotal(word: 0)
    }

    /// The total after a segment, where that before it is agreed. `claim` is the element as the defender has it; only a sort looks at it.
    public func advanced(
        _ total: RunningTotal, segment: UInt64, of element: UInt64, claim: UInt64, from operands: some LeafOperands
    ) throws(LeafFault) -> RunningTotal {
        try check(element)
        guard segment < segmentCount(of: element) else { throw .outside("segment") }
        let terms = try terms(segment, element, claim, operands)
        switch operation {
        case .contract(_, _, _, let selected):
            return try contracted(total, terms, selected: selected, operands)
        case .reduce(.sum, _, _, let prefix):
            // The last chunk of a prefix is a chain up to its place, the others are whole chunks.
            let isChain = prefix && segment == segmentCount(of: element) - 1
            return try summed(total, terms, isChain: isChain, operands)
        case .reduce(let reduction, _, _, _): return try extreme(total, terms, reduction, operands)
        case .sort(_, let descending): return try counted(total, terms, claim, descending, operands)
        case .map, .gather: throw .outside("segment")
        }
    }

    /// The element that the last total makes: for a sort the claim, or nil where another index stands there.
    public func finished(_ total: RunningTotal, element: UInt64, claim: UInt64) throws(LeafFault) -> UInt64? {
        try check(element)
        switch operation {
        case .map, .gather: throw .outside("segment")
        case .contract, .reduce(.sum, _, _, _):
            // Rule 4.
            let word = result.element == .f32 ? LeafValue.word(LeafValue.float(total.word) + .zero) : total.word
            return LeafValue.stored(word, result.element)
        case .reduce(let reduction, _, _, _): return finishedExtreme(total, reduction)
        case .sort:
            return total.word == Int64(element % rowLength) && isPossible(claim) ? claim : nil
        }
    }

    /// The whole element: a map's or a gather's value, or all segments of a row one after another, which costs as much as the row is long.
    public func value(
        of element: UInt64, claim: UInt64, from operands: some LeafOperands
    ) throws(LeafFault) -> UInt64? {
        try check(element)
        switch operation {
        case .map:
            guard let map else { throw .outside("element") }
            let coordinates = coordinates(element)
            var inputs: [Int64] = []
            for place in types.indices {
                inputs.append(try load(place, broadcastOffset(coordinates, place), operands))
            }
            let word = map.value(inputs, coordinates: coordinates, element: element, context: context)
            return LeafValue.stored(word, result.element)
        case .gather(_, let fill):
            guard let source = try gathered(element, operands) else {
                return LeafValue.stored(LeafValue.loaded(fill, result.element), result.element)
            }
            return LeafValue.stored(try load(source.operand, source.first, operands), result.element)
        case .reduce, .contract, .sort:
            // A sort's claim that names no element cannot be followed; it is wrong.
            if case .sort = operation, !isPossible(claim) { return nil }
            var total = start
            for segment in 0..<segmentCount(of: element) {
                total = try advanced(total, segment: segment, of: element, claim: claim, from: operands)
            }
            return try finished(total, element: element, claim: claim)
        }
    }

    /// All that is read for one segment of an element, or for an element that has no segments (`segment` 0). What an extent or an index tensor says decides
    /// the rest, so these are asked of `operands`; nothing else is.
    public func reads(
        segment: UInt64, of element: UInt64, claim: UInt64, from operands: some LeafOperands
    ) throws(LeafFault) -> [LeafRange] {
        try check(element)
        let count = segmentCount(of: element)
        if segment >= max(1, count) { throw .outside("segment") }
        let recorder = Recorder(operands)
        switch operation {
        case .map:
            let coordinates = coordinates(element)
            return types.indices.map { LeafRange(operand: $0, first: broadcastOffset(coordinates, $0), count: 1) }
        case .gather:
            let source = try gathered(element, recorder)
            return recorder.ranges + (source.map { [$0] } ?? [])
        case .reduce, .contract, .sort:
            if count == 0 { return [] }
            let terms = try terms(segment, element, claim, recorder)
            return recorder.ranges + terms.ranges
        }
    }

    /// The operands whose shapes or elements decide about an element: of a gather those of the pieces that are tried, else all.
    public func consulted(of element: UInt64, from operands: some LeafOperands) throws(LeafFault) -> Set<Int> {
        try check(element)
        guard case .gather = operation else { return Set(types.indices) }
        let recorder = Recorder(operands)
        _ = try gathered(element, recorder)
        return recorder.consulted.union(recorder.ranges.map(\.operand))
    }

    private final class Recorder<Operands: LeafOperands>: LeafOperands {
        private let operands: Operands
        private(set) var ranges: [LeafRange] = []
        private(set) var consulted: Set<Int> = []

        func consult(operand: Int) throws(LeafFault) {
            consulted.insert(operand)
            try operands.consult(operand: operand)
        }

        init(_ operands: Operands) { self.operands = operands }

        func bits(operand: Int, element: UInt64) throws(LeafFault) -> UInt64 {
            ranges.append(LeafRange(operand: operand, first: element, count: 1))
            return try operands.bits(operand: operand, element: element)
        }
    }

    /// Whether a run of the op could have left these bits in its result: one form of NaN, a bool of 0 or 1, an index of its row.
    public func isPossible(_ bits: UInt64) -> Bool {
        let element = result.element
        if LeafValue.stored(LeafValue.loaded(bits, element), element) != bits { return false }
        switch operation {
        case .sort: return bits < rowLength
        case .reduce(.argumentOfMaximum, _, _, _), .reduce(.argumentOfMinimum, _, _, _): return bits < max(1, rowLength)
        default: return true
        }
    }

    /// The most that one judgement (a whole map or gather, one segment of the others) takes, in softfloat fmas: what a block's budget counts. An integer
    /// operation counts as one too.
    public var cost: Int {
        guard let map else { return Int(Leaf.segmentLength) + 32 }
        return map.nodes.reduce(1) { total, node in
            switch node {
            case .operation(let operation, _): total + Leaf.cost(operation)
            case .random: total + 2
            default: total
            }
        }
    }

    /// The fmas of a named function's program and what stands around them, rounded up.
    private static func cost(_ operation: ScalarOperation) -> Int {
        switch operation {
        case .exp: 16
        case .log: 20
        case .tanh: 24
        case .erf: 36
        case .sin, .cos: 24
        case .squareRoot: 4
        default: 1
        }
    }

    // MARK: Places

    /// The length of the rows that are gone through: K, or the last axis.
    var rowLength: UInt64 {
        switch operation {
        case .contract(_, let right, _, _): types[Int(right.index)].shape.last?.factor ?? 1
        case .reduce(_, let input, _, _), .sort(let input, _): types[Int(input.index)].shape.last?.factor ?? 1
        case .map, .gather: 1
        }
    }

    private func check(_ element: UInt64) throws(LeafFault) {
        if element >= result.count { throw .outside("element") }
    }

    func load(_ operand: Int, _ element: UInt64, _ operands: some LeafOperands) throws(LeafFault) -> Int64 {
        LeafValue.loaded(try operands.bits(operand: operand, element: element), types[operand].element)
    }

    func coordinates(_ element: UInt64) -> [UInt64] { Leaf.coordinates(element, result.shape[...]) }

    /// An element's coordinates in a shape that has it.
    static func coordinates(_ element: UInt64, _ shape: ArraySlice<Dimension>) -> [UInt64] {
        var rest = element
        var coordinates = [UInt64](repeating: 0, count: shape.count)
        for (axis, dimension) in shape.enumerated().reversed() {
            coordinates[axis] = rest % dimension.factor
            rest /= dimension.factor
        }
        return coordinates
    }

    /// Where an operand that is broadcast from the right has its element.
    func broadcastOffset(_ coordinates: [UInt64], _ operand: Int) -> UInt64 {
        let shape = types[operand].shape
        var offset: UInt64 = 0
        for (axis, dimension) in shape.enumerated() {
            let coordinate = coordinates[axis + coordinates.count - shape.count]
            offset = offset * dimension.factor + (dimension.factor == 1 ? 0 : coordinate)
        }
        return offset
    }
}

extension Operation {
    /// The same with its operands numbered 0, 1, 2 … as `operands` lists them.
    func numbered() -> Operation {
        switch self {
        case .map(let expression, let inputs): return .map(expression, inputs: inputs.indices.map { ValueID($0) })
        case .reduce(let reduction, _, let extent, let prefix):
            return .reduce(reduction, input: ValueID(0), extent: extent.map { _ in ValueID(1) }, prefix: prefix)
        case .contract(_, _, let extent, let selected):
            return .contract(
                left: ValueID(0), right: ValueID(1), extent: extent.map { _ in ValueID(2) }, selected: selected)
        case .gather(let pieces, let fill):
            var next = 0
            func number() -> ValueID {
                next += 1
                return ValueID(next - 1)
            }
            var numbered: [GatherPiece] = []
            for piece in pieces {
                let source = number()
                let coordinates = piece.coordinates.map { coordinate in
                    Coordinate(
                        offset: coordinate.offset, terms: coordinate.terms,
                        table: coordinate.table.map { _ in number() }, tableAxes: coordinate.tableAxes,
                        quotient: coordinate.quotient, modulus: coordinate.modulus, exact: coordinate.exact)
                }
                numbered.append(
                    GatherPiece(start: piece.start, size: piece.size, source: source, coordinates: coordinates))
            }
            return .gather(numbered, fill: fill)
        case .sort(_, let descending): return .sort(input: ValueID(0), descending: descending)
        }
    }
}

extension GatherPiece {
    /// Whether a number in it still depends on the program's axes.
    fileprivate var namesAxis: Bool {
        (start + size).contains { $0.axis != nil }
            || coordinates.contains { $0.quotient.axis != nil || $0.modulus.axis != nil }
    }
}
