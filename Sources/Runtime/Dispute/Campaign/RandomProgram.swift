internal import Primitives
package import Programs

/// Small random programs that use every primitive in every form over several steps and scans, on values on which arithmetic goes wrong: what campaigns dispute
/// about beside real models.
package struct RandomProgram {
    package let program: Program
    /// Parameters, inputs and the first state, in one form of NaN.
    package let parameters: [Tensor]
    package let inputs: [Tensor]
    package let carried: [Tensor]

    /// Lengths that a row may have: around the ends of a segment, and some that need two reveals of totals.
    private static let lengths: [UInt64] = [0, 1, 2, 3, 7, 31, 64, 255, 256, 257, 300, 513, 1_100]
    private static let elements: [ElementType] = [.f32, .i8, .u8, .i32, .i64, .bool, .bf16, .f16]
    /// Places of carried tensors among the leading ones.
    private static let parameterCount = 4

    package init(seed: UInt64) throws {
        var maker = Maker(seed: seed)
        (program, parameters, inputs, carried) = try maker.make()
    }

    private struct Maker {
        var random: SplitMix64
        var graph = GraphBuilder(leading: [])
        var declarations: [TensorDeclaration] = []

        init(seed: UInt64) { random = SplitMix64(seed: seed) }

        mutating func next(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
        mutating func chance() -> Bool { random.next() & 1 == 0 }
        mutating func pick<T>(_ list: [T]) -> T? { list.isEmpty ? nil : list[next(list.count)] }

        mutating func make() throws -> (Program, [Tensor], [Tensor], [Tensor]) {
            let (m, n, batch) = (UInt64(next(4) + 1), UInt64(next(4) + 1), UInt64(next(3) + 1))
            let k = pick(lengths) ?? 1
            var shapes: [(ElementType, [UInt64])] = [
                (.f32, [n, k]), (.f32, [batch, n, k]), (.i8, [n, k]), (.f32, [m, n]),
                // Inputs: the other sides, extents and tables, rows to reduce and sort.
                (.f32, [m, k]), (.f32, [batch, m, k]), (.i8, [m, k]), (.i8, [batch, m, k]), (.i8, [batch, n, k]),
                (.i32, [k]), (.i32, [m]), (.i32, [batch, m]), (.i32, [1]), (.i32, []), (.i32, [m, k]), (.i64, [m, k]),
            ]
            let element = pick(elements) ?? .f32
            for element in [element, .f32, .bool, .bf16, .f16, .u8] {
                shapes += [(element, [m, n]), (element, [n]), (element, [])]
            }
            let state: [(ElementType, [UInt64])] = [
                (.f32, [m, n]), (.f32, [m, k]), (.i64, []), (.bool, []), (element, [m, n]),
            ]
            let firstCarried = shapes.count
            declarations = (shapes + state).enumerated().map { place, type in
                TensorDeclaration(name: "\(place)", type: TensorType(type.0, type.1.map { Dimension($0) }))
            }
            let leading = declarations.map(\.type)
            // Two scans of other ops over one state; a counter ends the second.
            let isLong = next(6) == 0
            let limit = next(isLong ? 40 : 5) + 1
            var scans: [Scan] = []
            for number in 0..<2 {
                graph = GraphBuilder(leading: leading)
                let start = next(6)
                for form in 0..<(7 + next(6)) { add(start + form) }
                let counter = ValueID(firstCarried + 2)
                let count = graph.map(.i64, [], [counter]) { e in
                    let x = e.input(0)
                    _ = e.apply(.add, x, e.node(.constant(.i64, bits: 1)))
                }
                let flag = graph.map(.bool, [], [count]) { e in
                    let x = e.input(0)
                    _ = e.apply(.lessOrEqual, e.node(.constant(.i64, bits: UInt64(limit + 2))), x)
                }
                var carried: [ValueID] = []
                for place in state.indices {
                    let type = leading[firstCarried + place]
                    let made = values { $0 == type }.filter { Int($0.index) >= leading.count }
                    // Something that an op made, where there is any; else what it was.
                    carried.append(
                        place == 2
                            ? count
                            : place == 3
                                ? flag : (chance() ? made.last : pick(made)) ?? ValueID(firstCarried + place))
                }
                var outputs = [ValueID(graph.types.count - 3)]
                for _ in 0..<next(4) { outputs.append(ValueID(next(graph.types.count))) }
                scans.append(
                    Scan(
                        steps: Dimension(UInt64(number == 0 ? next(3) : next(8) + (isLong ? 24 : 1))),
                        operations: graph.operations, outputs: outputs, carried: carried,
                        stop: number == 0 ? nil : 3))
            }
            let parameterCount = RandomProgram.parameterCount
            let program = try Program(
                axes: [], parameters: Array(declarations[..<parameterCount]),
                inputs: Array(declarations[parameterCount..<firstCarried]),
                carried: Array(declarations[firstCarried...]), kept: chance() ? [0, 4, 2] : [1], scans: scans)
            var tensors = declarations.map { tensor($0.type) }
            tensors[firstCarried + 2].bytes = [UInt8](repeating: 0, count: 8)
            tensors[firstCarried + 3].bytes = [0]
            return (
                program, Array(tensors[..<parameterCount]), Array(tensors[parameterCount..<firstCarried]),
                Array(tensors[firstCarried...])
            )
        }

        // MARK: Values

        private mutating func tensor(_ type: TensorType) -> Tensor {
            var bytes: [UInt8] = []
            // A whole tensor of tame numbers now and then, so that not every sum is a NaN.
            let style = next(4)
            for _ in 0..<type.count {
                let bits = word(type.element, style)
                for byte in 0..<type.element.size { bytes.append(UInt8(truncatingIfNeeded: bits >> (8 * byte))) }
            }
            bytes.withUnsafeMutableBytes { bytes in
                if let base = bytes.baseAddress { canonicalize(type.element, base, count: Int(type.count)) }
            }
            return Tensor(element: type.element, shape: type.dimensions, bytes: bytes)
        }

        private mutating func word(_ element: ElementType, _ style: Int) -> UInt64 {
            let word = random.next()
            switch element {
            case .f32:
                let spread: [UInt32] = [8, 40, 200]
                if style < 3 || word & 0xF != 0 {
                    let width = spread[min(style, 2)]
                    // Around 1, over a width of exponents; whole numbers cancel.
                    let exponent = 127 - width / 2 + UInt32(word >> 32 & 0xFFFF) % width
                    let fraction = UInt32(truncatingIfNeeded: word) & (word >> 62 == 0 ? 0x7F_FFFF : 0x78_0000)
                    return UInt64(UInt32(word >> 63) << 31 | exponent << 23 | fraction)
                }
                let hard: [UInt32] = [
                    0, 0x8000_0000, 1, 0x807F_FFFF, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0x7F7F_FFFF,
                ]
                return UInt64(hard[Int(word >> 8 & 7)])
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

        private func values(_ isWanted: (TensorType) -> Bool) -> [ValueID] {
            graph.types.indices.map { ValueID($0) }.filter { isWanted(graph.type($0)) }
        }

        /// Of these one that an op made as often as any.
        private mutating func source(_ isWanted: (TensorType) -> Bool) -> ValueID? {
            let all = values(isWanted)
            let made = all.filter { Int($0.index) >= declarations.count }
            return pick(made.isEmpty || chance() ? all : made)
        }

        /// Appends what is valid, and nothing else.
        private mutating func append(_ operation: Programs.Operation, _ result: TensorType) {
            if result.count > 6_000 { return }
            var trial = graph
            _ = trial.append(operation, result)
            let program = try? Program(
                axes: [], parameters: [], inputs: declarations,
                scans: [Scan(steps: 1, operations: trial.operations, outputs: [])])
            if (try? program?.specialise([])) != nil { graph = trial }
        }

        private static func isRow(_ type: TensorType) -> Bool {
            [.f32, .i32, .i64].contains(type.element) && !type.shape.isEmpty
        }

        private mutating func add(_ form: Int) {
            switch form % 6 {
            case 0: addReduce()
            case 1: addContract()
            case 2: addGather()
            case 3:
                guard let source = source(Self.isRow) else { return }
                append(.sort(input: source, descending: chance()), TensorType(.i32, graph.type(source).shape))
            default: addMap()
            }
        }

        /// An i32 tensor that broadcasts to these rows, or none.
        private mutating func extent(_ rows: [Dimension]) -> ValueID? {
            chance() ? nil : pick(values { $0.element == .i32 && Self.broadcasts($0.shape, to: rows) })
        }

        private static func broadcasts(_ shape: [Dimension], to result: [Dimension]) -> Bool {
            shape.count <= result.count && zip(shape.reversed(), result.reversed()).allSatisfy { $0 == $1 || $0 == 1 }
        }

        private mutating func addReduce() {
            guard let source = source(Self.isRow), let reduction = pick(Reduction.allCases) else { return }
            let type = graph.type(source)
            let isPrefix = chance()
            let isIndex = reduction == .argumentOfMaximum || reduction == .argumentOfMinimum
            let rows = Array(type.shape.dropLast())
            append(
                .reduce(reduction, input: source, extent: extent(rows), prefix: isPrefix),
                TensorType(isIndex ? .i32 : type.element, isPrefix ? type.shape : rows))
        }

        private mutating func addContract() {
            guard let left = source({ ($0.element == .f32 || $0.element == .i8) && $0.shape.count >= 2 }) else {
                return
            }
            let a = graph.type(left)
            let fitting = values {
                $0.element == a.element && $0.shape.count >= 2 && $0.shape.last == a.shape.last
                    && ($0.shape.count == 2 || $0.shape.dropLast(2) == a.shape.dropLast(2))
            }
            guard let right = pick(fitting) else { return }
            let b = graph.type(right)
            let tables = values { $0.element == .i32 && $0.shape == [b.shape[b.shape.count - 1]] }
            if a.element == .f32, b.shape.count == 2, next(3) == 0, let indices = pick(tables) {
                append(
                    .contract(left: indices, right: right, extent: nil, selected: true),
                    TensorType(.f32, [Dimension(UInt64(next(4) + 1)), b.shape[0]]))
                return
            }
            let rows = Array(a.shape.dropLast())
            append(
                .contract(left: left, right: right, extent: extent(rows), selected: false),
                TensorType(a.element == .i8 ? .i32 : .f32, rows + [b.shape[b.shape.count - 2]]))
        }

        private mutating func addGather() {
            guard let first = source({ _ in true }) else { return }
            let element = graph.type(first).element
            var result = (0..<next(4)).map { _ in Dimension(UInt64(next(5) + 1)) }
            // The length of an index tensor, so that one can be read.
            if let table = pick(values { $0.element == .i32 && $0.shape.count == 1 && $0.shape[0].factor < 9 }) {
                result.append(graph.type(table).shape[0])
            }
            var pieces: [GatherPiece] = []
            for _ in 0..<next(4) {
                guard let source = source({ $0.element == element }) else { continue }
                let start = result.map { dimension in
                    chance() ? 0 : Dimension(UInt64(next(Int(dimension.factor) + 1)))
                }
                let size = zip(result, start).map { Dimension($0.factor - $1.factor) }
                let coordinates = graph.type(source).shape.map { _ in coordinate(result) }
                pieces.append(GatherPiece(start: start, size: size, source: source, coordinates: coordinates))
            }
            let fill = random.next() >> UInt64(64 - 8 * element.size)
            append(.gather(pieces, fill: element == .bool ? fill & 1 : fill), TensorType(element, result))
        }

        private mutating func coordinate(_ result: [Dimension]) -> Coordinate {
            var terms: [Coordinate.Term] = []
            for axis in result.indices where chance() {
                let isHard = next(8) == 0
                terms.append(
                    .init(
                        axis: UInt8(axis),
                        coefficient: isHard ? Int64(bitPattern: random.next()) >> 6 : Int64(next(5)) - 1))
            }
            var table: ValueID?
            var tableAxes: [UInt8] = []
            if !result.isEmpty, next(3) == 0 {
                let axis = next(result.count)
                table = pick(values { $0.element == .i32 && $0.shape == [result[axis]] })
                if table != nil { tableAxes = [UInt8(axis)] }
            }
            let hard: [UInt64] = [2, 3, 1 << 40, (1 << 62) - 1, 1 << 62]
            let far: [Int64] = [-(1 << 61), -(1 << 40), -1, 1 << 40, 1 << 61]
            return Coordinate(
                offset: next(6) == 0 ? pick(far) ?? 0 : Int64(next(4)) - 1, terms: terms, table: table,
                tableAxes: tableAxes, quotient: chance() ? 1 : Dimension(pick(hard) ?? 2),
                modulus: chance() ? 0 : Dimension(pick([1, 2, 3, 5] + hard) ?? 3), exact: chance())
        }

        /// A map of random operations, each on random earlier nodes of types that it takes.
        private mutating func addMap() {
            let shape = source({ $0.count <= 2_000 }).map { graph.type($0).shape } ?? []
            var inputs: [ValueID] = []
            for _ in 0..<next(5) {
                if let input = source({ Self.broadcasts($0.shape, to: shape) }) { inputs.append(input) }
            }
            var types: [ElementType] = []
            var nodes: [MapNode] = []
            for (place, input) in inputs.enumerated() {
                let type = graph.type(input).element
                nodes.append(.input(UInt8(place)))
                types.append(type == .bf16 || type == .f16 ? .f32 : type)
            }
            for element in elements where element != .bf16 && element != .f16 {
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
            while operations < 12 {
                guard let operation = pick(ScalarOperation.allCases) else { return }
                let first = next(nodes.count)
                // Few triples fit by chance: the others are of the first one's type.
                let same = types.indices.filter { types[$0] == types[first] }
                var arguments = (0..<operation.argumentCount).map { _ in UInt8(same[next(same.count)]) }
                if operation == .select {
                    let flags = types.indices.filter { types[$0] == .bool }
                    arguments[0] = UInt8(flags[next(flags.count)])
                }
                guard let type = Self.result(operation, arguments.map { types[Int($0)] }) else { continue }
                nodes.append(.operation(operation, arguments))
                types.append(type)
                operations += 1
            }
            for end in [nodes.count - next(3), nodes.count] {
                let type = types[end - 1]
                let storage: ElementType = type == .f32 ? pick([.f32, .f32, .f32, .bf16, .f16]) ?? .f32 : type
                append(.map(MapExpression(Array(nodes[..<end])), inputs: inputs), TensorType(storage, shape))
            }
        }

        /// The result's type, where the operation takes these.
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
}

extension DisputeJob {
    /// A random program as a job.
    static func random(seed: UInt64) throws -> DisputeJob {
        let made = try RandomProgram(seed: seed)
        return try DisputeJob(
            "random \(seed)", made.program, parameters: made.parameters, inputs: made.inputs, carried: made.carried,
            seed: seed)
    }
}
