import Primitives
import Programs
import Runtime

/// Random small programs of every primitive, with values that are hard on arithmetic.
struct RandomGraph {
    var random: SplitMix64
    var graph: GraphBuilder
    let program: Program
    let fixed: SpecialisedProgram

    static let sizes: [UInt64] = [1, 2, 3, 4, 5, 7, 16, 17, 33, 64, 257, 300]

    /// A program of `operations` ops over some parameters, inputs and carried tensors.
    init(seed: UInt64, operations count: Int) throws {
        random = SplitMix64(seed: seed)
        func dimension(_ random: inout SplitMix64) -> UInt64 { Self.sizes[Int(random.next() % 9)] }
        func type(_ random: inout SplitMix64, _ element: ElementType) -> TensorType {
            let rank = Int(random.next() % 4)
            return TensorType(element, (0..<rank).map { _ in Dimension(dimension(&random)) })
        }
        let elements: [ElementType] = [.f32, .f32, .f32, .i32, .i64, .bool, .bf16, .f16, .i8, .u8]
        var leading: [TensorType] = []
        // Three parameters, three inputs and two carried tensors, some of them matrices that can be multiplied.
        let (m, n, k) = (dimension(&random), dimension(&random), Self.sizes[Int(random.next() % 12)])
        leading.append(TensorType(.f32, [Dimension(n), Dimension(k)]))
        leading.append(type(&random, elements[Int(random.next() % 10)]))
        leading.append(type(&random, .f32))
        leading.append(TensorType(.f32, [Dimension(m), Dimension(k)]))
        leading.append(type(&random, elements[Int(random.next() % 10)]))
        leading.append(TensorType(.i32, [Dimension(m)]))
        leading.append(type(&random, .f32))
        leading.append(type(&random, [.f32, .i32, .bool, .bf16][Int(random.next() % 4)]))
        graph = GraphBuilder(leading: leading)
        // A first product and a first table, so that most programs have one.
        _ = graph.contract(ValueID(3), ValueID(0))
        while graph.operations.count < count { Self.addOperation(&graph, &random) }
        let last = graph.types.count - 1
        var outputs = [ValueID(last)]
        for _ in 0..<Int(random.next() % 3) { outputs.append(ValueID(Int(random.next() % UInt64(last + 1)))) }
        let all = graph.types
        // The next value of each carried tensor: something of its type, or itself.
        var carried: [ValueID] = []
        for place in 6..<8 {
            let fitting = all.indices.filter { all[$0] == leading[place] }
            carried.append(ValueID(fitting[Int(random.next() % UInt64(fitting.count))]))
        }
        func declared(_ range: Range<Int>, _ prefix: String) -> [TensorDeclaration] {
            range.map { TensorDeclaration(name: "\(prefix)\($0)", type: leading[$0]) }
        }
        program = try Program(
            axes: [], parameters: declared(0..<3, "w"), inputs: declared(3..<6, "x"), carried: declared(6..<8, "s"),
            kept: [0], scans: [Scan(steps: 3, operations: graph.operations, outputs: outputs, carried: carried)])
        fixed = try program.specialise([])
    }

    private static func pick(_ random: inout SplitMix64, _ graph: GraphBuilder, _ element: Set<ElementType>) -> ValueID?
    {
        let found = graph.types.indices.filter { element.contains(graph.types[$0].element) }
        if found.isEmpty { return nil }
        // Late values more often, so that ops build on one another.
        let first = random.next() % 3 == 0 ? 0 : found.count / 2
        return ValueID(found[first + Int(random.next() % UInt64(found.count - first))])
    }

    private static func shape(_ graph: GraphBuilder, _ id: ValueID) -> [UInt64] { graph.type(id).shape.map(\.factor) }

    /// An extent for rows of this shape: any i32 value that broadcasts to them.
    private static func extent(_ random: inout SplitMix64, _ graph: GraphBuilder, rows: [UInt64]) -> ValueID? {
        if random.next() % 2 == 0 { return nil }
        let fitting = graph.types.indices.filter { index in
            let own = graph.types[index].shape.map(\.factor)
            return graph.types[index].element == .i32 && own.count <= rows.count
                && zip(own.reversed(), rows.reversed()).allSatisfy { $0 == $1 || $0 == 1 }
        }
        return fitting.isEmpty ? nil : ValueID(fitting[Int(random.next() % UInt64(fitting.count))])
    }

    private static func addOperation(_ graph: inout GraphBuilder, _ random: inout SplitMix64) {
        let all = Set(ElementType.allCases)
        switch random.next() % 17 {
        case 0, 1, 2, 3: addMap(&graph, &random)
        case 4, 5:
            guard let input = pick(&random, graph, [.f32, .i32, .i64]), !shape(graph, input).isEmpty else { return }
            let own = graph.type(input)
            let reduction = Reduction.allCases[Int(random.next() % 5)]
            let prefix = random.next() % 4 == 0
            let isArgument = reduction == .argumentOfMaximum || reduction == .argumentOfMinimum
            let extent = extent(&random, graph, rows: Array(shape(graph, input).dropLast()))
            _ = graph.append(
                .reduce(reduction, input: input, extent: extent, prefix: prefix),
                TensorType(isArgument ? .i32 : own.element, prefix ? own.shape : Array(own.shape.dropLast())))
        case 6:
            guard let left = pick(&random, graph, [.f32]), let right = pick(&random, graph, [.f32]) else { return }
            let (a, b) = (shape(graph, left), shape(graph, right))
            guard a.count >= 2, b.count >= 2, a.last == b.last,
                b.count == 2 || Array(b.dropLast(2)) == Array(a.dropLast(2))
            else { return }
            let extent = extent(&random, graph, rows: Array(a.dropLast()))
            _ = graph.contract(left, right, extent: extent)
        case 7:
            guard let input = pick(&random, graph, [.f32, .i32, .i64]), !shape(graph, input).isEmpty,
                graph.type(input).count < 5000
            else { return }
            _ = graph.append(
                .sort(input: input, descending: random.next() % 2 == 0), TensorType(.i32, graph.type(input).shape))
        case 8:
            // A transposition or a broadcast: what a kernel may read past.
            guard let input = pick(&random, graph, all) else { return }
            let own = shape(graph, input)
            var order = Array(own.indices)
            for i in order.indices.reversed() where i > 0 { order.swapAt(i, Int(random.next() % UInt64(i + 1))) }
            var result = order.map { Dimension(own[$0]) }
            var coordinates = own.indices.map { axis in Coordinate.axis(UInt8(order.firstIndex(of: axis) ?? 0)) }
            if random.next() % 3 == 0 && result.count < 4 {
                result.insert(3, at: 0)
                coordinates = own.indices.map { axis in Coordinate.axis(UInt8(1 + (order.firstIndex(of: axis) ?? 0))) }
            }
            if result.reduce(1, { $0 * $1.factor }) > 20000 { return }
            _ = graph.gather(input, result, coordinates)
        case 9:
            // A reshape.
            guard let input = pick(&random, graph, all) else { return }
            let own = shape(graph, input)
            let count = own.reduce(1, *)
            if count == 0 { return }
            let divisors = (1...count).filter { count % $0 == 0 }
            let first = divisors[Int(random.next() % UInt64(divisors.count))]
            var result = [first, count / first]
            if random.next() % 2 == 0 { result = [count] }
            _ = graph.gather(input, result.map { Dimension($0) }, reshape(own, result))
        case 10: addSelected(&graph, &random)
        case 11: addUpdate(&graph, &random)
        case 12: addBias(&graph, &random)
        case 13: addMask(&graph, &random)
        case 14: addWholeProduct(&graph, &random)
        case 15:
            // What a sum gives its terms as a gradient: a map that changes nothing.
            guard let input = pick(&random, graph, [.f32]) else { return }
            _ = graph.map(.f32, graph.type(input).shape, [input]) { e in
                let x = e.input(0)
                if random.next() % 2 == 0 { _ = e.apply(.toF32, x) }
            }
        default: addPieces(&graph, &random)
        }
    }

    /// Coordinates of a reshape, as divisions and remainders of the row-major number.
    private static func reshape(_ own: [UInt64], _ result: [UInt64]) -> [Coordinate] {
        var strides = [Int64](repeating: 1, count: result.count)
        for axis in result.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * Int64(result[axis + 1]) }
        let terms = result.indices.map { Coordinate.Term(axis: UInt8($0), coefficient: strides[$0]) }
        var after: UInt64 = 1
        var out: [Coordinate] = []
        for size in own.reversed() {
            out.insert(Coordinate(terms: terms, quotient: Dimension(after), modulus: Dimension(size)), at: 0)
            after *= size
        }
        return out
    }

    /// A product and a vector that is added to its rows; sometimes a row or a matrix of which a kernel can make nothing.
    private static func addBias(_ graph: inout GraphBuilder, _ random: inout SplitMix64) {
        guard let left = pick(&random, graph, [.f32]), let right = pick(&random, graph, [.f32]) else { return }
        let (a, b) = (shape(graph, left), shape(graph, right))
        guard a.count >= 2, b.count == 2, a.last == b.last else { return }
        let product = graph.contract(left, right)
        let own = shape(graph, product)
        let fitting = graph.types.indices.filter { index in
            let other = graph.types[index].shape.map(\.factor)
            return graph.types[index].element == .f32 && other.count <= own.count
                && zip(other.reversed(), own.reversed()).allSatisfy { $0 == $1 || $0 == 1 }
        }
        let bias: ValueID
        if let found = fitting.last, random.next() % 2 == 0 {
            bias = ValueID(found)
        } else {
            bias = graph.reduce(.maximum, right)
        }
        _ = graph.map(.f32, graph.type(product).shape, random.next() % 2 == 0 ? [product, bias] : [bias, product]) {
            e in
            let (x, y) = (e.input(0), e.input(1))
            _ = e.apply(.add, x, y)
        }
    }

    /// Places of each row that are below an extent, or the one that an index names.
    private static func addMask(_ graph: inout GraphBuilder, _ random: inout SplitMix64) {
        guard let input = pick(&random, graph, [.f32]), !shape(graph, input).isEmpty else { return }
        let own = graph.type(input).shape
        guard let extent = extent(&random, graph, rows: Array(shape(graph, input).dropLast())) else { return }
        let column = graph.column(extent)
        let comparison: ScalarOperation = random.next() % 2 == 0 ? .less : .equal
        let axis = random.next() % 4 == 0 ? UInt64(0) : UInt64(own.count - 1)
        _ = graph.map(.f32, own, [input, column]) { e in
            let value = e.input(0)
            let end = e.apply(.toI64, e.input(1))
            let inside = e.apply(comparison, e.node(.index(UInt8(axis))), end)
            _ = e.apply(.select, inside, value, e.constant(bits: 0x3F00_0000))
        }
    }

    /// Both sides rounded to i8, and their product.
    private static func addWholeProduct(_ graph: inout GraphBuilder, _ random: inout SplitMix64) {
        guard let left = pick(&random, graph, [.f32, .i8]), let right = pick(&random, graph, [.f32, .i8]) else {
            return
        }
        let (a, b) = (shape(graph, left), shape(graph, right))
        guard a.count >= 2, b.count >= 2, a.last == b.last,
            b.count == 2 || Array(b.dropLast(2)) == Array(a.dropLast(2))
        else { return }
        func rounded(_ value: ValueID) -> ValueID {
            if graph.type(value).element == .i8 { return value }
            return graph.map(.i8, graph.type(value).shape, [value]) { e in
                let scaled = e.apply(.multiply, e.input(0), e.constant(bits: 0x41C8_0000))
                _ = e.apply(.toI8, scaled)
            }
        }
        let (x, y) = (rounded(left), rounded(right))
        let extent = extent(&random, graph, rows: Array(a.dropLast()))
        let product = graph.contract(x, y, extent: extent)
        _ = graph.map(.f32, graph.type(product).shape, [product]) { e in
            let number = e.apply(.toF32, e.input(0))
            _ = e.apply(.multiply, number, e.constant(bits: 0x3C23_D70A))
        }
    }

    private static func addSelected(_ graph: inout GraphBuilder, _ random: inout SplitMix64) {
        guard let indices = pick(&random, graph, [.i32]), shape(graph, indices).count == 1 else { return }
        let count = shape(graph, indices)[0]
        let fitting = graph.types.indices.filter {
            graph.types[$0].element == .f32 && graph.types[$0].shape.count == 2
                && graph.types[$0].shape[1].factor == count
        }
        guard !fitting.isEmpty else { return }
        let right = ValueID(fitting[Int(random.next() % UInt64(fitting.count))])
        _ = graph.append(
            .contract(left: indices, right: right, extent: nil, selected: true),
            TensorType(.f32, [Dimension(random.next() % 6 + 1), Dimension(shape(graph, right)[0])]))
    }

    /// A tensor with one place of an axis taken from elsewhere, by a table of positions or at a fixed one: what a cache does.
    private static func addUpdate(_ graph: inout GraphBuilder, _ random: inout SplitMix64) {
        // The carried tensors first, so that some are changed where they lie.
        let old = random.next() % 2 == 0 ? ValueID(6 + Int(random.next() % 2)) : pick(&random, graph, [.f32])
        guard let old, !shape(graph, old).isEmpty, graph.type(old).element == .f32 else { return }
        let whole = shape(graph, old)
        let axis = Int(random.next() % UInt64(whole.count))
        var one = whole
        one[axis] = 1
        let sources = graph.types.indices.filter { graph.types[$0] == TensorType(.f32, one.map { Dimension($0) }) }
        let reduced = graph.reduce(.maximum, old)
        let new: ValueID
        if let found = sources.last, random.next() % 2 == 0 {
            new = ValueID(found)
        } else {
            // A row of the old one, or its maxima, broadcast: always there.
            new = graph.gather(
                reduced, one.map { Dimension($0) },
                shape(graph, reduced).indices.map { $0 == axis ? Coordinate() : .axis(UInt8($0)) })
        }
        let zero = [Dimension](repeating: 0, count: whole.count)
        let identity = whole.indices.map { Coordinate.axis(UInt8($0)) }
        var coordinates = identity
        var table: ValueID?
        var tableAxes: [UInt8] = []
        for index in graph.types.indices.reversed() where graph.types[index].element == .i32 && table == nil {
            let own = graph.types[index].shape.map(\.factor)
            if own.count == 1, let along = whole.firstIndex(of: own[0]), along != axis || random.next() % 4 == 0 {
                table = ValueID(index)
                tableAxes = [UInt8(along)]
            }
        }
        coordinates[axis] = Coordinate(
            offset: -Int64(random.next() % 4), terms: [.init(axis: UInt8(axis), coefficient: 1)], table: table,
            tableAxes: tableAxes, quotient: Dimension(random.next() % 3 == 0 ? 64 : whole[axis] + random.next() % 3),
            exact: true)
        let shape = whole.map { Dimension($0) }
        _ = graph.append(
            .gather(
                [
                    GatherPiece(start: zero, size: shape, source: new, coordinates: coordinates),
                    GatherPiece(start: zero, size: shape, source: old, coordinates: identity),
                ], fill: 0), TensorType(.f32, shape))
    }

    /// Overlapping boxes with offsets, steps back, divisions, remainders and tables, some outside their source.
    private static func addPieces(_ graph: inout GraphBuilder, _ random: inout SplitMix64) {
        guard let first = pick(&random, graph, Set(ElementType.allCases)) else { return }
        let element = graph.type(first).element
        let rank = Int(random.next() % 3) + 1
        let result = (0..<rank).map { _ in sizes[Int(random.next() % 7)] }
        var pieces: [GatherPiece] = []
        for _ in 0..<Int(random.next() % 3 + 1) {
            guard let source = pick(&random, graph, [element]) else { break }
            let start = result.map { random.next() % $0 }
            let size = zip(result, start).map { whole, at in
                random.next() % 2 == 0 ? whole - at : random.next() % (whole - at + 1)
            }
            let coordinates = shape(graph, source).map { _ -> Coordinate in
                var terms: [Coordinate.Term] = []
                for axis in 0..<rank where random.next() % 2 == 0 {
                    terms.append(.init(axis: UInt8(axis), coefficient: Int64(random.next() % 7) - 2))
                }
                var table: ValueID?
                var tableAxes: [UInt8] = []
                if random.next() % 4 == 0 {
                    let fitting = graph.types.indices.filter {
                        graph.types[$0].element == .i32 && graph.types[$0].shape.count == 1
                            && result.contains(graph.types[$0].shape[0].factor)
                    }
                    if let chosen = fitting.last {
                        table = ValueID(chosen)
                        let length = graph.types[chosen].shape[0].factor
                        tableAxes = [UInt8(result.firstIndex(of: length) ?? 0)]
                    }
                }
                return Coordinate(
                    offset: Int64(random.next() % 9) - 3, terms: terms, table: table, tableAxes: tableAxes,
                    quotient: Dimension([1, 1, 1, 2, 3, 1 << 20][Int(random.next() % 6)]),
                    modulus: Dimension([0, 0, 4, 5][Int(random.next() % 4)]), exact: random.next() % 3 == 0)
            }
            pieces.append(
                GatherPiece(
                    start: start.map { Dimension($0) }, size: size.map { Dimension($0) }, source: source,
                    coordinates: coordinates))
        }
        let fill: UInt64 = element == .bool ? random.next() % 2 : random.next() % 200
        _ = graph.append(.gather(pieces, fill: fill), TensorType(element, result.map { Dimension($0) }))
    }

    private static func addMap(_ graph: inout GraphBuilder, _ random: inout SplitMix64) {
        guard let base = pick(&random, graph, Set(ElementType.allCases)) else { return }
        let shape = shape(graph, base)
        // Inputs that broadcast to the first one's shape.
        let fitting = graph.types.indices.filter { index in
            let own = graph.types[index].shape.map(\.factor)
            return own.count <= shape.count && zip(own.reversed(), shape.reversed()).allSatisfy { $0 == $1 || $0 == 1 }
        }
        var inputs = [base]
        for _ in 0..<Int(random.next() % 4) {
            let late = fitting.suffix(6)
            let from = random.next() % 2 == 0 ? Array(late) : fitting
            inputs.append(ValueID(from[Int(random.next() % UInt64(from.count))]))
        }
        var nodes: [MapNode] = []
        var types: [ElementType] = []
        func computed(_ type: ElementType) -> ElementType { type == .bf16 || type == .f16 ? .f32 : type }
        for number in inputs.indices {
            nodes.append(.input(UInt8(number)))
            types.append(computed(graph.type(inputs[number]).element))
        }
        let constants: [UInt32] = [
            0x3F80_0000, 0xBF00_0000, 0x7F80_0000, 0x7FC0_0000, 0x8000_0000, 0x0000_0001, 0x4048_F5C3,
        ]
        nodes.append(.constant(.f32, bits: UInt64(constants[Int(random.next() % 7)])))
        types.append(.f32)
        nodes.append(.constant(.i32, bits: random.next() % (1 << 32)))
        types.append(.i32)
        if !shape.isEmpty {
            nodes.append(.index(UInt8(random.next() % UInt64(shape.count))))
            types.append(.i64)
        }
        nodes.append(random.next() % 2 == 0 ? .step : .random(UInt8(random.next() % 3)))
        types.append(.i64)
        for _ in 0..<Int(random.next() % 12 + 1) {
            let operation = ScalarOperation.allCases[Int(random.next() % UInt64(ScalarOperation.allCases.count))]
            var arguments: [UInt8] = []
            var wanted: ElementType?
            for place in 0..<operation.argumentCount {
                let candidates = types.indices.filter { index in
                    let type = types[index]
                    if operation == .select { return place == 0 ? type == .bool : place == 1 || type == wanted }
                    if let wanted { return type == wanted }
                    switch operation {
                    case .add, .subtract, .multiply, .divide, .minimum, .maximum:
                        return [.f32, .i32, .i64].contains(type)
                    case .fma, .squareRoot, .exp, .log, .tanh, .erf, .sin, .cos, .floor, .ceil, .truncate, .roundToEven:
                        return type == .f32
                    case .and, .or, .exclusiveOr: return [.bool, .i32, .i64].contains(type)
                    case .shiftLeft, .shiftRight, .multiplyHigh: return [.i32, .i64].contains(type)
                    default: return true
                    }
                }
                guard !candidates.isEmpty else { break }
                let chosen = candidates[Int(random.next() % UInt64(candidates.count))]
                arguments.append(UInt8(chosen))
                if operation != .select || place == 1 { wanted = types[chosen] }
            }
            guard arguments.count == operation.argumentCount else { continue }
            nodes.append(.operation(operation, arguments))
            let first = types[Int(arguments[0])]
            switch operation {
            case .equal, .notEqual, .less, .lessOrEqual, .toBool: types.append(.bool)
            case .select: types.append(types[Int(arguments[1])])
            case .toF32: types.append(.f32)
            case .toI32: types.append(.i32)
            case .toI64: types.append(.i64)
            case .toI8: types.append(.i8)
            case .toU8: types.append(.u8)
            default: types.append(first)
            }
        }
        guard let last = types.last else { return }
        let stored: ElementType = last == .f32 && random.next() % 6 == 0 ? [.bf16, .f16][Int(random.next() % 2)] : last
        _ = graph.append(
            .map(MapExpression(nodes), inputs: inputs), TensorType(stored, shape.map { Dimension($0) }))
    }

    /// A tensor of a type: mostly small numbers, sometimes what is hard. Integers are small, so that they serve as extents and indices.
    mutating func tensor(_ type: TensorType) -> Tensor {
        let shape = type.dimensions
        let count = Int(type.count)
        let special: [UInt32] = [
            0x7FC0_1234, 0xFF80_0000, 0x7F80_0000, 0x8000_0000, 0x0000_0003, 0x7F7F_FFFF, 0xFFC0_0000,
        ]
        let hasSpecials = random.next() % 4 == 0
        var bytes: [UInt8] = []
        for _ in 0..<count {
            let small = Int64(random.next() % 41) - 8
            switch type.element {
            case .f32:
                let value = Float(Int64(random.next() % 4001) - 2000) / 512
                let isSpecial = hasSpecials && random.next() % 50 == 0
                let bits = isSpecial ? special[Int(random.next() % 7)] : value.bitPattern
                withUnsafeBytes(of: bits) { bytes.append(contentsOf: $0) }
            case .i32: withUnsafeBytes(of: Int32(small)) { bytes.append(contentsOf: $0) }
            case .i64: withUnsafeBytes(of: small) { bytes.append(contentsOf: $0) }
            case .i8, .u8: bytes.append(UInt8(truncatingIfNeeded: small))
            case .bool: bytes.append(UInt8(random.next() % 3))
            case .bf16, .f16:
                let bits = UInt16(truncatingIfNeeded: random.next())
                withUnsafeBytes(of: bits) { bytes.append(contentsOf: $0) }
            }
        }
        return Tensor(element: type.element, shape: shape, bytes: bytes)
    }
}
