import Primitives
import Programs
import Runtime

/// Small random programs that use every primitive in every form, over values on which arithmetic goes wrong. Every op's tensor is an output.
struct AdversarialGraph {
    private(set) var graph: GraphBuilder
    let inputs: [TensorDeclaration]
    private var random: SplitMix64

    /// Lengths that a row may have: around the segment's ends.
    private static let lengths: [UInt64] = [0, 1, 2, 3, 7, 31, 33, 64, 255, 256, 257, 300, 513]
    private static let elements: [ElementType] = [.f32, .i8, .u8, .i32, .i64, .bool, .bf16, .f16]

    init(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        func pick<T>(_ list: [T]) -> T { list[Int(random.next() % UInt64(list.count))] }
        func few() -> UInt64 { random.next() % 4 + 1 }
        let (m, n, k, batch) = (few(), few(), pick(Self.lengths), few())
        var shapes: [(ElementType, [UInt64])] = [
            // Two contractions, with and without a batch, in both types.
            (.f32, [m, k]), (.f32, [n, k]), (.f32, [batch, m, k]), (.f32, [batch, n, k]), (.i8, [m, k]), (.i8, [n, k]),
            (.i8, [batch, m, k]), (.i8, [batch, n, k]), (.i32, [k]),
            // Extents for rows of m, and of m in each batch.
            (.i32, [m]), (.i32, [batch, m]), (.i32, [batch, 1]), (.i32, [1]), (.i32, []),
            // Rows to reduce and sort.
            (.i32, [m, k]), (.i64, [m, k]), (.i64, [batch, m, k]),
        ]
        for element in Self.elements {
            shapes.append((element, [m, n]))
            shapes.append((element, [n]))
            shapes.append((element, [batch, 1, n]))
            shapes.append((element, []))
        }
        inputs = shapes.enumerated().map { place, type in
            TensorDeclaration(name: "\(place)", type: TensorType(type.0, type.1.map { Dimension($0) }))
        }
        graph = GraphBuilder(leading: inputs.map(\.type))
        self.random = random
        for form in 0..<18 { add(form) }
    }

    /// All ops' results as outputs.
    func program() throws(ProgramFault) -> Program {
        let outputs = graph.operations.indices.map { ValueID(inputs.count + $0) }
        return try Program(
            axes: [], parameters: [], inputs: inputs,
            scans: [Scan(steps: 2, operations: graph.operations, outputs: outputs)])
    }

    /// Values for the inputs: for f32 mostly such that sums cancel, overflow and go below the normal numbers.
    mutating func tensors() -> [Tensor] {
        inputs.map { declaration in
            var bytes: [UInt8] = []
            // A whole tensor of tame numbers now and then, so that not every sum is a NaN.
            let style = random.next() % 4
            for _ in 0..<declaration.type.count {
                let bits = word(declaration.type.element, style)
                for byte in 0..<declaration.type.element.size {
                    bytes.append(UInt8(truncatingIfNeeded: bits >> (8 * byte)))
                }
            }
            return Tensor(
                element: declaration.type.element, shape: declaration.type.dimensions, bytes: bytes)
        }
    }

    private mutating func word(_ element: ElementType, _ style: UInt64) -> UInt64 {
        let word = random.next()
        switch element {
        case .f32:
            if style < 3 {
                let spread: [UInt32] = [8, 40, 200]
                // Around 1, over a width of exponents; whole numbers cancel.
                let exponent = 127 - spread[Int(style)] / 2 + UInt32(word >> 32) % spread[Int(style)]
                let fraction = UInt32(truncatingIfNeeded: word) & (word >> 62 == 0 ? 0x7F_FFFF : 0x78_0000)
                return UInt64(UInt32(word >> 63) << 31 | exponent << 23 | fraction)
            }
            return UInt64(SoftfloatTests.draw(&random, near: 0x3F80_0000))
        case .i32:
            // Half of them fit as an index or an extent.
            return word >> 63 == 0
                ? UInt64(UInt32(bitPattern: Int32(truncatingIfNeeded: word & 0xFF) % 9 - 2))
                : word >> 62 == 2 ? word & 0x1FF : word & 0xFFFF_FFFF
        case .i64: return word >> 63 == 0 ? word & 0xF : word
        case .bf16, .f16: return word & 0xFFFF
        default: return word & 0xFF
        }
    }

    // MARK: Ops

    private mutating func next(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
    private mutating func chance() -> Bool { random.next() & 1 == 0 }
    private mutating func pick<T>(_ list: [T]) -> T? { list.isEmpty ? nil : list[next(list.count)] }

    private func values(_ isWanted: (TensorType) -> Bool) -> [ValueID] {
        graph.types.indices.map { ValueID($0) }.filter { isWanted(graph.type($0)) }
    }

    /// Appends what is valid, and nothing else.
    private mutating func append(_ operation: Programs.Operation, _ result: TensorType) {
        var trial = graph
        _ = trial.append(operation, result)
        let program = try? Program(
            axes: [], parameters: [], inputs: inputs, scans: [Scan(steps: 1, operations: trial.operations, outputs: [])]
        )
        if (try? program?.specialise([])) != nil { graph = trial }
    }

    private mutating func add(_ form: Int) {
        switch form % 6 {
        case 0: addReduce()
        case 1: addContract()
        case 2: addGather()
        case 3:
            append(.sort(input: pick(rows) ?? ValueID(0), descending: chance()), .init(.i32, graph.type(last).shape))
        default: addMap()
        }
        if form % 6 == 3, let source = pick(rows) {
            append(.sort(input: source, descending: chance()), TensorType(.i32, graph.type(source).shape))
        }
    }

    private var last: ValueID { ValueID(graph.types.count - 1) }
    private var rows: [ValueID] { values { [.f32, .i32, .i64].contains($0.element) && !$0.shape.isEmpty } }

    /// An i32 tensor that broadcasts to these rows, or none.
    private mutating func extent(_ rows: [Dimension]) -> ValueID? {
        if chance() { return nil }
        return pick(values { $0.element == .i32 && Self.broadcasts($0.shape, to: rows) })
    }

    private static func broadcasts(_ shape: [Dimension], to result: [Dimension]) -> Bool {
        shape.count <= result.count && zip(shape.reversed(), result.reversed()).allSatisfy { $0 == $1 || $0 == 1 }
    }

    private mutating func addReduce() {
        guard let source = pick(rows), let reduction = pick(Reduction.allCases) else { return }
        let type = graph.type(source)
        let isPrefix = chance()
        let isIndex = reduction == .argumentOfMaximum || reduction == .argumentOfMinimum
        let shape = isPrefix ? type.shape : Array(type.shape.dropLast())
        append(
            .reduce(reduction, input: source, extent: extent(Array(type.shape.dropLast())), prefix: isPrefix),
            TensorType(isIndex ? .i32 : type.element, shape))
    }

    private mutating func addContract() {
        let left = pick(values { ($0.element == .f32 || $0.element == .i8) && $0.shape.count >= 2 })
        guard let left else { return }
        let a = graph.type(left)
        let right = pick(
            values {
                $0.element == a.element && $0.shape.count >= 2 && $0.shape.last == a.shape.last
                    && ($0.shape.count == 2 || $0.shape.dropLast(2) == a.shape.dropLast(2))
            })
        guard let right else { return }
        let b = graph.type(right)
        if a.element == .f32, next(3) == 0,
            let indices = pick(values { $0.element == .i32 && $0.shape == [b.shape[b.shape.count - 1]] })
        {
            append(
                .contract(left: indices, right: right, extent: nil, selected: true),
                TensorType(.f32, [Dimension(UInt64(next(4) + 1)), b.shape[0]]))
            return
        }
        let shape = Array(a.shape.dropLast()) + [b.shape[b.shape.count - 2]]
        append(
            .contract(left: left, right: right, extent: extent(Array(a.shape.dropLast())), selected: false),
            TensorType(a.element == .i8 ? .i32 : .f32, shape))
    }

    private mutating func addGather() {
        guard let first = pick(values { _ in true }) else { return }
        let element = graph.type(first).element
        var result = (0..<next(4)).map { _ in Dimension(UInt64(next(5) + 1)) }
        // The length of an index tensor, so that one can be read.
        if let table = pick(values { $0.element == .i32 && $0.shape.count == 1 && $0.shape[0].factor < 9 }) {
            result.append(graph.type(table).shape[0])
        }
        var pieces: [GatherPiece] = []
        for _ in 0..<next(4) {
            guard let source = pick(values { $0.element == element }) else { continue }
            var start: [Dimension] = []
            var size: [Dimension] = []
            for dimension in result {
                let from = UInt64(next(Int(dimension.factor) + 1))
                start.append(Dimension(chance() ? 0 : from))
                size.append(Dimension(dimension.factor - start[start.count - 1].factor))
            }
            let coordinates = graph.type(source).shape.map { _ in coordinate(result) }
            pieces.append(GatherPiece(start: start, size: size, source: source, coordinates: coordinates))
        }
        let fill = random.next() >> UInt64(64 - 8 * element.size)
        append(.gather(pieces, fill: element == .bool ? fill & 1 : fill), TensorType(element, result))
    }

    private mutating func coordinate(_ result: [Dimension]) -> Coordinate {
        var terms: [Coordinate.Term] = []
        for axis in result.indices where chance() {
            terms.append(
                .init(
                    axis: UInt8(axis),
                    coefficient: next(8) == 0 ? Int64(bitPattern: random.next()) >> 6 : Int64(next(5)) - 1
                ))
        }
        var table: ValueID?
        var tableAxes: [UInt8] = []
        if let axis = result.indices.randomElement(using: &random), next(3) == 0 {
            table = pick(values { $0.element == .i32 && $0.shape == [result[axis]] })
            if table != nil { tableAxes = [UInt8(axis)] }
        }
        let hard: [UInt64] = [2, 3, 1 << 40, (1 << 62) - 1, 1 << 62]
        return Coordinate(
            offset: next(6) == 0 ? pick([-(1 << 61), -(1 << 40), -1, 1 << 40, 1 << 61]) ?? 0 : Int64(next(4)) - 1,
            terms: terms,
            table: table, tableAxes: tableAxes, quotient: chance() ? 1 : Dimension(pick(hard) ?? 2),
            modulus: chance() ? 0 : Dimension(pick([1, 2, 3, 5] + hard) ?? 3), exact: chance())
    }

    /// A map of random operations, each on random earlier nodes of types that it takes.
    private mutating func addMap() {
        let shape = pick(values { _ in true }).map { graph.type($0).shape } ?? []
        if shape.reduce(1, { $0 * $1.factor }) > 600 { return }
        var inputs: [ValueID] = []
        for _ in 0..<next(5) {
            // Results of other ops as often as inputs.
            let made = chance() ? self.inputs.count : 0
            let fitting = values { Self.broadcasts($0.shape, to: shape) }.filter { $0.index >= made }
            if let input = pick(fitting) { inputs.append(input) }
        }
        var types: [ElementType] = []
        var nodes: [MapNode] = []
        func widened(_ type: ElementType) -> ElementType { type == .bf16 || type == .f16 ? .f32 : type }
        for (place, input) in inputs.enumerated() {
            nodes.append(.input(UInt8(place)))
            types.append(widened(graph.type(input).element))
        }
        for element in Self.elements where element != .bf16 && element != .f16 {
            let bits = word(element, 3)
            nodes.append(.constant(element, bits: element == .bool ? bits & 1 : bits))
            types.append(element)
        }
        nodes += [.step, .random(UInt8(next(256)))]
        types += [.i64, .i64]
        if !shape.isEmpty {
            nodes.append(.index(UInt8(next(shape.count))))
            types.append(.i64)
        }
        var operations = 0
        while operations < 24 {
            guard let operation = pick(ScalarOperation.allCases) else { return }
            let arguments = (0..<operation.argumentCount).map { _ in UInt8(next(nodes.count)) }
            guard let type = Self.result(operation, arguments.map { types[Int($0)] }) else {
                // Few triples fit by chance: look for arguments of the first one's type.
                let same = types.indices.filter { types[$0] == types[Int(arguments[0])] }
                let again = arguments.map { _ in UInt8(same[next(same.count)]) }
                if let type = Self.result(operation, again.map { types[Int($0)] }) {
                    nodes.append(.operation(operation, again))
                    types.append(type)
                    operations += 1
                }
                continue
            }
            nodes.append(.operation(operation, arguments))
            types.append(type)
            operations += 1
        }
        // Every operation's result is shown in turn: an op of its own for each of the last few nodes.
        for end in (nodes.count - 6)...nodes.count {
            let type = types[end - 1]
            let storage: ElementType = type == .f32 ? pick([.f32, .f32, .bf16, .f16]) ?? .f32 : type
            append(.map(MapExpression(Array(nodes[..<end])), inputs: inputs), TensorType(storage, shape))
        }
    }

    /// The result's type, where the operation takes these. Written beside the format's own check, which refuses what is wrong here.
    private static func result(_ operation: ScalarOperation, _ types: [ElementType]) -> ElementType? {
        let same = types.allSatisfy { $0 == types[0] }
        let isWhole = types[0] == .i32 || types[0] == .i64
        switch operation {
        case .add, .subtract, .multiply, .divide, .minimum, .maximum:
            return same && (isWhole || types[0] == .f32) ? types[0] : nil
        case .fma, .squareRoot, .exp, .log, .tanh, .erf, .sin, .cos, .floor, .ceil, .truncate, .roundToEven:
            return same && types[0] == .f32 ? .f32 : nil
        case .equal, .notEqual, .less, .lessOrEqual: return same ? .bool : nil
        case .select: return types[0] == .bool && types[1] == types[2] ? types[1] : nil
        case .and, .or, .exclusiveOr: return same && (isWhole || types[0] == .bool) ? types[0] : nil
        case .shiftLeft, .shiftRight, .multiplyHigh: return same && isWhole ? types[0] : nil
        case .toF32: return .f32
        case .toI32: return .i32
        case .toI64: return .i64
        case .toI8: return .i8
        case .toU8: return .u8
        case .toBool: return .bool
        }
    }
}
