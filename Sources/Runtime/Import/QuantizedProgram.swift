package import Programs

/// How a model's linear layers are made smaller at import.
public enum Quantization: String, Sendable, CaseIterable {
    /// Weights and activations of eight bits, as docs/numerics.md fixes them: one scale for each output channel and for each row.
    case w8a8
}

/// A program whose linear layers work on whole numbers of eight bits. Rows are scaled when they are there, weights once at import; all of it is ordinary ops, so the
/// result is as exact as any program's: a run of it has one result, but that is near the f32 program's, not equal to it.
///
/// The projections to queries, keys and values stay f32: what they lose costs most and gains least.
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

    /// Parts of names that say that a weight makes queries, keys or values.
    private static let projections = [
        "attention.self.", "attention.attention.", "q_proj", "k_proj", "v_proj", "c_attn",
    ]

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
            var rounded: [ValueID: (words: ValueID, scale: ValueID)] = [:]
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
                let name = program.parameters[parameter].name
                if shape[1] > longestSum || shape[0] == 0 || shape[1] == 0 { continue }
                if projections.contains(where: name.contains) { continue }
                found[number] = Matrix(
                    parameter: parameter, offset: access.offset, row: access.strides[0], step: access.strides[1],
                    n: shape[0], k: shape[1])
            default: continue
            }
        }
        return found
    }
}

extension GraphBuilder {
    /// Rows as whole numbers: q = rint(x·r) within ±127 with r = 127/amax, 0 where amax is not above 0, and the rows' scales amax/127, with a last axis of 1.
    mutating func rounded(_ x: ValueID) -> (words: ValueID, scale: ValueID) {
        let shape = type(x).shape
        let rows = Array(shape.dropLast()) + [1]
        let most = Float(127).bitPattern
        let greatest = column(reduce(.maximum, x))
        let least = column(reduce(.minimum, x))
        let extent = map(.f32, rows, [greatest, least]) { e in
            let (high, low) = (e.input(0), e.input(1))
            _ = e.apply(.maximum, high, e.apply(.subtract, e.constant(bits: 0), low))
        }
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
        let words = map(.i8, shape, [x, factor]) { e in
            let (value, r) = (e.input(0), e.input(1))
            let t = e.apply(.multiply, value, r)
            let above = e.apply(.maximum, t, e.constant(bits: Float(-127).bitPattern))
            _ = e.apply(.toI8, e.apply(.minimum, above, e.constant(bits: most)))
        }
        return (words, scale)
    }

    /// (f32(Σ q·w)·sᵢ)·wⱼ.
    mutating func product(
        _ x: (words: ValueID, scale: ValueID), words: ValueID, scale: ValueID, _ result: TensorType
    ) -> ValueID {
        map(.f32, result.shape, [contract(x.words, words), x.scale, scale]) { e in
            let sum = e.apply(.toF32, e.input(0))
            let scaled = e.apply(.multiply, sum, e.input(1))
            _ = e.apply(.multiply, scaled, e.input(2))
        }
    }
}
