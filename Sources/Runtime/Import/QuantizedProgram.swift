package import Programs

/// How a model's linear layers are made smaller at import.
public enum Quantization: String, Sendable, CaseIterable {
    /// Weights and activations of eight bits, as docs/numerics.md fixes them: one scale for each output channel and for each row.
    case w8a8
}

/// A program whose linear layers work on whole numbers of eight bits. Rows are scaled when they are there, weights once at import; all of it is ordinary ops, so the
/// result is as exact as any program's: a run of it has one result, but that is near the f32 program's, not equal to it.
///
/// A row's greatest number stands apart and is multiplied as it is: in trained networks one number of a row is often many times the others, and a scale made for
/// it leaves them few of the eight bits.
package struct QuantizedProgram: Sendable {
    /// A weight as a contraction reads it, [n, k], in the memory of a parameter.
    package struct Matrix: Sendable, Hashable {
        let parameter: Int
        let offset: Int
        /// Between successive n, and successive k.
        let row: Int
        let step: Int
        let n: Int
        let k: Int
    }

    /// What a parameter of the program is made of.
    package enum Source: Sendable, Hashable {
        /// A parameter of the f32 program.
        case parameter(Int)
        /// i8 [n, k].
        case words(Matrix)
        /// f32 [n].
        case scales(Matrix)
    }

    package let program: Program
    /// In the order of the program's parameters.
    package let sources: [Source]

    /// The longest sum of products of eight bits that fits 32.
    private static let longestSum = 131_071

    package init(_ original: Program) throws(ProgramFault) {
        let leading = (original.parameters + original.inputs + original.carried).map(\.type)
        let found = original.scans.map { QuantizedProgram.matrices($0, original, leading) }
        var matrices: [Matrix] = []
        for matrix in found.flatMap({ $0.sorted { $0.key < $1.key }.map(\.value) }) where !matrices.contains(matrix) {
            matrices.append(matrix)
        }
        // Behind all leading tensors of the original, so that no number of them changes; `assembled` puts them where they belong.
        let declarations = matrices.enumerated().flatMap { number, matrix -> [TensorDeclaration] in
            let name = "\(original.parameters[matrix.parameter].name).\(number)"
            let (n, k) = (Dimension(UInt64(matrix.n)), Dimension(UInt64(matrix.k)))
            return [
                TensorDeclaration(name: name + ".int8", type: TensorType(.i8, [n, k])),
                TensorDeclaration(name: name + ".scale", type: TensorType(.f32, [n])),
            ]
        }
        let added = declarations.indices.map { ValueID(leading.count + $0) }
        var graphs: [(graph: GraphBuilder, results: [ValueID])] = []
        var needed: Set<ValueID> = []
        for (scan, chosen) in zip(original.scans, found) {
            var graph = GraphBuilder(leading: leading + declarations.map(\.type))
            var numbers = leading.indices.map { ValueID($0) }
            var rounded: [ValueID: RoundedRows] = [:]
            for (number, record) in scan.operations.enumerated() {
                if let matrix = chosen[number], case .contract(let left, _, _, _) = record.operation,
                    let place = matrices.firstIndex(of: matrix)
                {
                    let x = numbers[Int(left.index)]
                    let row = rounded[x] ?? graph.rounded(x)
                    rounded[x] = row
                    numbers.append(
                        graph.product(row, words: added[2 * place], scale: added[2 * place + 1], record.result))
                } else {
                    numbers.append(
                        graph.append(record.operation.renumbered { numbers[Int($0.index)] }, record.result))
                }
            }
            let results = (scan.outputs + scan.carried).map { numbers[Int($0.index)] }
            graphs.append((graph, results))
            needed.formUnion(graph.ancestors(of: results))
        }
        let kept = original.parameters.indices.filter { needed.contains(ValueID($0)) }
        let others = (original.parameters.count..<leading.count).map { ValueID($0) }
        let order = kept.map { ValueID($0) } + added + others
        let scans = zip(original.scans, graphs).map { scan, made -> Scan in
            let (operations, results) = made.graph.assembled(leading: order, outputs: made.results)
            return Scan(
                steps: scan.steps, operations: operations, outputs: Array(results.prefix(scan.outputs.count)),
                carried: Array(results.dropFirst(scan.outputs.count)), stop: scan.stop)
        }
        program = try Program(
            axes: original.axes, parameters: kept.map { original.parameters[$0] } + declarations,
            inputs: original.inputs, carried: original.carried, kept: original.kept, scans: scans)
        sources = kept.map { .parameter($0) } + matrices.flatMap { [.words($0), .scales($0)] }
    }

    /// The contractions of a scan that are done on whole numbers, by their place among its ops.
    private static func matrices(_ scan: Scan, _ program: Program, _ leading: [TensorType]) -> [Int: Matrix] {
        let types = leading + scan.operations.map(\.result)
        // Parameters, and other ways to read one: turned round or widened.
        var weights: [ValueID: Access] = [:]
        for (number, declaration) in program.parameters.enumerated() {
            if [.f32, .bf16, .f16].contains(declaration.type.element), declaration.type.shape.count == 2 {
                weights[ValueID(number)] = Access(whole: ValueID(number), shape: declaration.type.dimensions)
            }
        }
        var found: [Int: Matrix] = [:]
        for (number, record) in scan.operations.enumerated() {
            let value = ValueID(leading.count + number)
            switch record.operation {
            case .map(let expression, let inputs):
                guard let copied = expression.copiedInput, let access = weights[inputs[copied]],
                    record.result.element == .f32, types[Int(inputs[copied].index)].shape == record.result.shape
                else { continue }
                weights[value] = access
            case .gather(let pieces, _):
                guard pieces.count == 1, let access = weights[pieces[0].source], record.result.shape.count == 2,
                    record.result.shape.allSatisfy({ $0.axis == nil })
                else { continue }
                let form = GatherForm(pieces[0], result: record.result.dimensions, types: types)
                weights[value] = form.view(result: record.result.dimensions, source: access)
            case .contract(let left, let right, nil, false):
                guard let access = weights[right], types[Int(left.index)].element == .f32 else { continue }
                let shape = types[Int(right.index)].dimensions
                let parameter = Int(access.root.index)
                if shape[1] > longestSum || shape[0] == 0 || shape[1] == 0 { continue }
                found[number] = Matrix(
                    parameter: parameter, offset: access.offset, row: access.strides[0], step: access.strides[1],
                    n: shape[0], k: shape[1])
            default: continue
            }
        }
        return found
    }
}

/// Rows as whole numbers of eight bits, but for the greatest of each.
struct RoundedRows: Sendable, Hashable {
    /// i8, the rows' shape; 0 at the place.
    let words: ValueID
    /// f32, with a last axis of 1.
    let scale: ValueID
    /// The number that stands apart, and the place where it stood, an i32 without the last axis.
    let top: ValueID
    let place: ValueID
}

extension GraphBuilder {
    /// Rows as whole numbers. The first of the greatest magnitude stands apart; of the others q = rint(x·r) within ±127 with r = 127/amax, 0 where amax is not
    /// above 0, and the scale is amax/127. The words are made last.
    mutating func rounded(_ x: ValueID) -> RoundedRows {
        let shape = type(x).shape
        let axis = UInt8(shape.count - 1)
        let rows = Array(shape.dropLast()) + [1]
        let most = Float(127).bitPattern
        let magnitude = map(.f32, shape, [x]) { e in
            let value = e.input(0)
            _ = e.apply(.maximum, value, e.apply(.subtract, e.constant(bits: 0), value))
        }
        let place = reduce(.argumentOfMaximum, magnitude)
        let top = gather(
            x, rows, (0..<axis).map { .axis($0) } + [Coordinate(table: place, tableAxes: Array(0..<axis))])
        let column = column(place)
        let others = map(.f32, shape, [magnitude, column]) { e in
            let value = e.input(0)
            let isTop = e.apply(.equal, e.node(.index(axis)), e.apply(.toI64, e.input(1)))
            _ = e.apply(.select, isTop, e.constant(bits: 0), value)
        }
        let extent = self.column(reduce(.maximum, others))
        let scale = map(.f32, rows, [extent]) { e in
            let amax = e.input(0)
            _ = e.apply(.divide, amax, e.constant(bits: most))
        }
        let factor = map(.f32, rows, [extent]) { e in
            let amax = e.input(0)
            let zero = e.constant(bits: 0)
            let quotient = e.apply(.divide, e.constant(bits: most), amax)
            _ = e.apply(.select, e.apply(.less, zero, amax), quotient, zero)
        }
        let words = map(.i8, shape, [x, factor, column]) { e in
            let (value, r) = (e.input(0), e.input(1))
            let t = e.apply(.multiply, value, r)
            let above = e.apply(.maximum, t, e.constant(bits: Float(-127).bitPattern))
            let within = e.apply(.minimum, above, e.constant(bits: most))
            let isTop = e.apply(.equal, e.node(.index(axis)), e.apply(.toI64, e.input(2)))
            _ = e.apply(.toI8, e.apply(.select, isTop, e.constant(bits: 0), within))
        }
        return RoundedRows(words: words, scale: scale, top: top, place: place)
    }

    /// fma(f32(Σ q·w), sᵢ, topᵢ·f32(w of its place))·wⱼ.
    mutating func product(
        _ x: RoundedRows, words: ValueID, scale: ValueID, _ result: TensorType
    ) -> ValueID {
        let axis = UInt8(result.shape.count - 1)
        let sums = contract(x.words, words)
        let right = gather(
            words, result.shape, [.axis(axis), Coordinate(table: x.place, tableAxes: Array(0..<axis))])
        let apart = map(.f32, result.shape, [x.top, right]) { e in
            let top = e.input(0)
            _ = e.apply(.multiply, top, e.apply(.toF32, e.input(1)))
        }
        return map(.f32, result.shape, [sums, x.scale, apart, scale]) { e in
            let sum = e.apply(.toF32, e.input(0))
            let all = e.apply(.fma, sum, e.input(1), e.input(2))
            _ = e.apply(.multiply, all, e.input(3))
        }
    }
}
