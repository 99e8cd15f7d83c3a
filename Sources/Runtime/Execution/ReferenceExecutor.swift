internal import CKernels
public import Programs

/// Computes every op of a program by its definition, one element at a time. Clear, not fast: what it gives is right by inspection, and what the
/// fused executor gives must equal it bit for bit.
public struct ReferenceExecutor {
    /// A tensor as 64-bit words: f32 as its bits, integers sign-extended, bool 0 or 1.
    struct Value {
        let element: ElementType
        let shape: [Int]
        var words: [Int64]

        var count: Int { words.count }

        func float(_ index: Int) -> Float { Float(bitPattern: UInt32(truncatingIfNeeded: words[index])) }
    }

    private let program: SpecialisedProgram

    public init(_ program: SpecialisedProgram) { self.program = program }

    /// Runs all scans. Parameters and inputs in the program's order; `carried` gives the start of carried tensors by their place, the others start as zeros.
    public func run(
        parameters: [UnsafeRawBufferPointer], inputs: [UnsafeRawBufferPointer],
        carried: [Int: UnsafeRawBufferPointer] = [:], seed: UInt64 = 0
    ) throws(ExecutionFault) -> ProgramResult {
        let leading = try load(parameters: parameters, inputs: inputs)
        var state = try loadCarried(carried)
        var steps: [UInt64] = []
        var outputs: [[Tensor]] = []
        var firstOperation = 0
        for (place, scan) in program.scans.enumerated() {
            var taken: UInt64 = 0
            while taken < scan.steps.factor {
                let values = try evaluate(
                    scan, leading + state, step: program.firstSteps[place] + taken, firstOperation: firstOperation,
                    seed: seed)
                outputs.append(scan.outputs.map { ReferenceExecutor.store(values[Int($0.index)]) })
                state = scan.carried.map { values[Int($0.index)] }
                taken += 1
                if let stop = scan.stop, state[Int(stop)].words.first.map({ $0 != 0 }) == true { break }
            }
            steps.append(taken)
            firstOperation += scan.operations.count
        }
        return ProgramResult(steps: steps, outputs: outputs, carried: state.map(ReferenceExecutor.store))
    }

    /// All values of one step, leading ones first.
    func evaluate(
        _ scan: Scan, _ leading: [Value], step: UInt64, firstOperation: Int, seed: UInt64
    ) throws(ExecutionFault) -> [Value] {
        var values = leading
        for (number, record) in scan.operations.enumerated() {
            let draw = RandomSource(seed: seed, operation: firstOperation + number, step: step)
            values.append(try ReferenceExecutor.evaluate(record, values, draw))
        }
        return values
    }

    func load(
        parameters: [UnsafeRawBufferPointer], inputs: [UnsafeRawBufferPointer]
    ) throws(ExecutionFault) -> [Value] {
        if parameters.count != program.parameters.count {
            throw .inputCount(expected: program.parameters.count, found: parameters.count)
        }
        if inputs.count != program.inputs.count {
            throw .inputCount(expected: program.inputs.count, found: inputs.count)
        }
        var leading: [Value] = []
        for (declaration, bytes) in zip(program.parameters + program.inputs, parameters + inputs) {
            leading.append(try ReferenceExecutor.load(declaration, bytes))
        }
        return leading
    }

    func loadCarried(_ given: [Int: UnsafeRawBufferPointer]) throws(ExecutionFault) -> [Value] {
        var state: [Value] = []
        for (place, declaration) in program.carried.enumerated() {
            if let bytes = given[place] {
                state.append(try ReferenceExecutor.load(declaration, bytes))
            } else {
                let type = declaration.type
                state.append(
                    Value(
                        element: type.element, shape: type.dimensions,
                        words: [Int64](repeating: 0, count: Int(type.count))))
            }
        }
        return state
    }

    // MARK: Loading and storing

    static let canonicalNaN: UInt32 = 0x7FC0_0000

    static func canonical(_ value: Float) -> Int64 { Int64(value.isNaN ? canonicalNaN : value.bitPattern) }

    private static func load(
        _ declaration: TensorDeclaration, _ bytes: UnsafeRawBufferPointer
    ) throws(ExecutionFault) -> Value {
        if bytes.count != Int(clamping: declaration.type.byteCount) {
            throw .inputSize(name: declaration.name, expected: declaration.type.byteCount, found: bytes.count)
        }
        return load(declaration.type, bytes)
    }

    static func load(_ type: TensorType, _ bytes: UnsafeRawBufferPointer) -> Value {
        let count = Int(type.count)
        var words = [Int64](repeating: 0, count: count)
        for i in 0..<count {
            switch type.element {
            case .f32:
                words[i] = canonical(Float(bitPattern: bytes.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self)))
            case .i32: words[i] = Int64(bytes.loadUnaligned(fromByteOffset: 4 * i, as: Int32.self))
            case .i64: words[i] = bytes.loadUnaligned(fromByteOffset: 8 * i, as: Int64.self)
            case .i8: words[i] = Int64(Int8(bitPattern: bytes[i]))
            case .u8: words[i] = Int64(bytes[i])
            case .bool: words[i] = bytes[i] == 0 ? 0 : 1
            case .bf16:
                words[i] = canonical(pk_bf16_to_f32(bytes.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self)))
            case .f16: words[i] = canonical(pk_f16_to_f32(bytes.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self)))
            }
        }
        return Value(element: type.element, shape: type.dimensions, words: words)
    }

    static func store(_ value: Value) -> Tensor {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(value.count * value.element.size)
        for word in value.words {
            switch value.element {
            case .f32, .i32: withUnsafeBytes(of: UInt32(truncatingIfNeeded: word)) { bytes.append(contentsOf: $0) }
            case .i64: withUnsafeBytes(of: word) { bytes.append(contentsOf: $0) }
            case .i8, .u8, .bool: bytes.append(UInt8(truncatingIfNeeded: word))
            case .bf16, .f16:
                let float = Float(bitPattern: UInt32(truncatingIfNeeded: word))
                let half = value.element == .bf16 ? pk_f32_to_bf16(float) : pk_f32_to_f16(float)
                withUnsafeBytes(of: half) { bytes.append(contentsOf: $0) }
            }
        }
        return Tensor(element: value.element, shape: value.shape, bytes: bytes)
    }

    // MARK: Primitives

    static func evaluate(
        _ record: OperationRecord, _ values: [Value], _ random: RandomSource
    ) throws(ExecutionFault) -> Value {
        let shape = record.result.dimensions
        var out = Value(
            element: record.result.element, shape: shape, words: [Int64](repeating: 0, count: Int(record.result.count)))
        switch record.operation {
        case .map(let expression, let inputs):
            let operands = inputs.map { values[Int($0.index)] }
            let program = MapInterpreter(expression, operands.map(\.element), random)
            var coordinates = [Int](repeating: 0, count: shape.count)
            var elements = [Int64](repeating: 0, count: operands.count)
            for i in 0..<out.count {
                unravel(i, shape, &coordinates)
                for (n, operand) in operands.enumerated() {
                    elements[n] = operand.words[broadcastOffset(coordinates, operand.shape)]
                }
                out.words[i] = stored(program.evaluate(elements, coordinates, element: i), record.result.element)
            }
        case .reduce(let reduction, let input, let extent, let prefix):
            let source = values[Int(input.index)]
            let length = source.shape.last ?? 1
            let rows = Array(source.shape.dropLast())
            var coordinates = [Int](repeating: 0, count: rows.count)
            for row in 0..<rows.reduce(1, *) {
                unravel(row, rows, &coordinates)
                let take = extentValue(extent, values, coordinates, length)
                if prefix {
                    let words = prefixes(reduction, source, start: row * length, count: take, length: length)
                    out.words.replaceSubrange(row * length..<(row + 1) * length, with: words)
                } else {
                    out.words[row] = reduce(reduction, source, start: row * length, count: take)
                }
            }
        case .contract(let left, let right, let extent, let selected):
            let (a, b) = (values[Int(left.index)], values[Int(right.index)])
            if selected { selectedContract(a, b, &out) } else { contract(a, b, extent, values, &out) }
        case .gather(let pieces, let fill):
            var coordinates = [Int](repeating: 0, count: shape.count)
            for i in 0..<out.count {
                unravel(i, shape, &coordinates)
                out.words[i] = gather(pieces, fill, coordinates, values, record.result.element)
            }
        case .sort(let input, let descending):
            let source = values[Int(input.index)]
            let length = source.shape.last ?? 1
            for row in stride(from: 0, to: out.count, by: max(1, length)) {
                let keys = (0..<length).map { order(source, row + $0) }
                let indices = (0..<length).sorted {
                    keys[$0] != keys[$1] ? (descending ? keys[$0] > keys[$1] : keys[$0] < keys[$1]) : $0 < $1
                }
                for (place, index) in indices.enumerated() { out.words[row + place] = Int64(index) }
            }
        }
        return out
    }

    static func unravel(_ index: Int, _ shape: [Int], _ coordinates: inout [Int]) {
        var rest = index
        for axis in shape.indices.reversed() {
            coordinates[axis] = rest % shape[axis]
            rest /= shape[axis]
        }
    }

    static func broadcastOffset(_ coordinates: [Int], _ shape: [Int]) -> Int {
        var offset = 0
        let skip = coordinates.count - shape.count
        for (axis, size) in shape.enumerated() { offset = offset * size + (size == 1 ? 0 : coordinates[axis + skip]) }
        return offset
    }

    private static func extentValue(_ extent: ValueID?, _ values: [Value], _ row: [Int], _ length: Int) -> Int {
        guard let extent else { return length }
        let tensor = values[Int(extent.index)]
        return min(length, max(0, Int(tensor.words[broadcastOffset(row, tensor.shape)])))
    }

    /// The integer key of numerics rule 5: NaN above all, zeros equal.
    private static func order(_ value: Value, _ index: Int) -> Int64 {
        guard value.element == .f32 else { return value.words[index] }
        let float = value.float(index)
        if float.isNaN { return .max }
        let bits = Int64(Int32(bitPattern: float.bitPattern))
        return float == 0 ? 0 : bits < 0 ? -(bits & 0x7FFF_FFFF) : bits
    }

    private static func reduce(_ reduction: Reduction, _ source: Value, start: Int, count: Int) -> Int64 {
        if reduction == .sum {
            if source.element != .f32 {
                let sum = source.words[start..<start + count].reduce(0, &+)
                return source.element == .i32 ? Int64(Int32(truncatingIfNeeded: sum)) : sum
            }
            let row = (0..<count).map { source.float(start + $0) }
            return canonical(pk_row_sum_f32(PK_SCALAR, row, count))
        }
        let largest = reduction == .maximum || reduction == .argumentOfMaximum
        var best = 0
        for i in 1..<max(1, count) {
            let (x, y) = (order(source, start + i), order(source, start + best))
            let isNaN = source.element == .f32 && source.float(start + i).isNaN
            let heldNaN = source.element == .f32 && count > 0 && source.float(start + best).isNaN
            // NaN wins in both directions; ties go to the lowest index.
            if heldNaN { break }
            if isNaN || (largest ? x > y : x < y) { best = i }
        }
        if reduction == .argumentOfMaximum || reduction == .argumentOfMinimum { return Int64(best) }
        if count == 0 {
            // The neutral element: nothing is larger (or smaller) than it.
            if source.element == .f32 {
                return Int64(largest ? (-Float.infinity).bitPattern : Float.infinity.bitPattern)
            }
            if source.element == .i32 { return largest ? Int64(Int32.min) : Int64(Int32.max) }
            return largest ? .min : .max
        }
        if source.element != .f32 { return source.words[start + best] }
        let float = source.float(start + best)
        return canonical(float == 0 ? 0 : float)
    }

    /// Every partial result of a row. Terms past `count` do not take part, so what stands there repeats the last of its chunk, or the chunks before.
    private static func prefixes(
        _ reduction: Reduction, _ source: Value, start: Int, count: Int, length: Int
    ) -> [Int64] {
        guard reduction == .sum else {
            return (0..<length).map { reduce(reduction, source, start: start, count: min($0 + 1, count)) }
        }
        if source.element != .f32 {
            return (0..<length).map { reduce(.sum, source, start: start, count: min($0 + 1, count)) }
        }
        var out: [Int64] = []
        var before: Float = 0
        for chunk in stride(from: 0, to: length, by: 256) {
            let end = min(chunk + 256, length)
            var chain: Float = 0
            for i in chunk..<end {
                if i < count { chain += source.float(start + i) }
                out.append(canonical((before + chain) + 0))
            }
            let taken = max(0, min(end, count) - chunk)
            let row = (0..<taken).map { source.float(start + chunk + $0) }
            before += pk_row_sum_f32(PK_SCALAR, row, taken)
        }
        return out
    }

    /// C[m,n] = the sum of B[n,k] over those k whose index is m, in SEG order: terms that do not take part are skipped, segments are of all k.
    private static func selectedContract(_ indices: Value, _ b: Value, _ out: inout Value) {
        let k = b.shape[1]
        let n = b.shape[0]
        for m in 0..<out.shape[0] {
            for column in 0..<n {
                var total: Float = 0
                for start in stride(from: 0, to: k, by: 256) {
                    var segment: Float = 0
                    for i in start..<min(start + 256, k) where indices.words[i] == Int64(m) {
                        segment += b.float(column * k + i)
                    }
                    total += segment
                }
                out.words[m * n + column] = canonical(total + 0)
            }
        }
    }

    /// What a tensor of storage type keeps of an f32.
    private static func stored(_ word: Int64, _ element: ElementType) -> Int64 {
        let float = Float(bitPattern: UInt32(truncatingIfNeeded: word))
        switch element {
        case .bf16: return canonical(pk_bf16_to_f32(pk_f32_to_bf16(float)))
        case .f16: return canonical(pk_f16_to_f32(pk_f32_to_f16(float)))
        default: return word
        }
    }

    private static func contract(_ a: Value, _ b: Value, _ extent: ValueID?, _ values: [Value], _ out: inout Value) {
        let k = a.shape[a.shape.count - 1]
        let m = a.shape[a.shape.count - 2]
        let n = b.shape[b.shape.count - 2]
        let batches = a.shape.dropLast(2).reduce(1, *)
        let rows = Array(a.shape.dropLast())
        var coordinates = [Int](repeating: 0, count: rows.count)
        for row in 0..<batches * m {
            unravel(row, rows, &coordinates)
            let take = extentValue(extent, values, coordinates, k)
            for column in 0..<n {
                let (x, y) = (row * k, (b.shape.count == 2 ? 0 : row / m * n * k) + column * k)
                if a.element == .i8 {
                    var sum: Int32 = 0
                    for i in 0..<take { sum &+= Int32(a.words[x + i]) &* Int32(b.words[y + i]) }
                    out.words[row * n + column] = Int64(sum)
                    continue
                }
                var total: Float = 0
                var start = 0
                while start < take {
                    var segment: Float = 0
                    for i in start..<min(start + 256, take) {
                        segment = segment.addingProduct(a.float(x + i), b.float(y + i))
                    }
                    total += segment
                    start += 256
                }
                out.words[row * n + column] = canonical(total + 0)
            }
        }
    }

    /// Toward minus infinity, so that −1 stays outside. Coefficients and divisors may be any numbers, so nothing here may overflow.
    private static func floorDivision(_ value: Int64, _ divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    private static func gather(
        _ pieces: [GatherPiece], _ fill: UInt64, _ at: [Int], _ values: [Value], _ element: ElementType
    ) -> Int64 {
        for piece in pieces {
            let inside = zip(at, zip(piece.start, piece.size)).allSatisfy { coordinate, box in
                coordinate >= Int(box.0.factor) && coordinate < Int(box.0.factor + box.1.factor)
            }
            if !inside { continue }
            let source = values[Int(piece.source.index)]
            var offset = 0
            var applies = true
            var outside = false
            for (axis, coordinate) in piece.coordinates.enumerated() {
                var value = coordinate.offset
                for term in coordinate.terms { value &+= term.coefficient &* Int64(at[Int(term.axis)]) }
                if let table = coordinate.table {
                    let tensor = values[Int(table.index)]
                    value &+= tensor.words[broadcastOffset(coordinate.tableAxes.map { at[Int($0)] }, tensor.shape)]
                }
                let (divided, remainder) = floorDivision(value, Int64(clamping: coordinate.quotient.factor))
                if coordinate.exact && remainder != 0 {
                    applies = false
                    break
                }
                value = divided
                if coordinate.modulus.factor != 0 {
                    value = floorDivision(value, Int64(clamping: coordinate.modulus.factor)).remainder
                }
                if value < 0 || value >= Int64(source.shape[axis]) {
                    outside = true
                    break
                }
                offset = offset * source.shape[axis] + Int(value)
            }
            if !applies { continue }
            if !outside { return source.words[offset] }
            break
        }
        switch element {
        case .i32: return Int64(Int32(truncatingIfNeeded: fill))
        case .i8: return Int64(Int8(truncatingIfNeeded: fill))
        case .f32: return canonical(Float(bitPattern: UInt32(truncatingIfNeeded: fill)))
        case .bf16: return canonical(pk_bf16_to_f32(UInt16(truncatingIfNeeded: fill)))
        case .f16: return canonical(pk_f16_to_f32(UInt16(truncatingIfNeeded: fill)))
        default: return Int64(bitPattern: fill)
        }
    }
}
