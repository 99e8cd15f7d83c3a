package import Programs

/// A program whose linear layers work on whole numbers. Rows are scaled when they are there, weights once at import; all of it is ordinary ops, so the
/// result is as exact as any program's: a run of it has one result, but that is near the f32 program's, not equal to it.
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
        /// A part of a weight.
        case part(Quantization.Part, Matrix)
    }

    package let program: Program
    /// In the order of the program's parameters.
    package let sources: [Source]

    /// The longest sum of products of eight bits that fits 32.
    private static let longestSum = 131_071

    package init(_ original: Program, _ quantization: Quantization) throws(ProgramFault) {
        let leading = (original.parameters + original.inputs + original.carried).map(\.type)
        let found = original.scans.map { QuantizedProgram.matrices($0, original, leading) }
        var matrices: [Matrix] = []
        for matrix in found.flatMap({ $0.sorted { $0.key < $1.key }.map(\.value) }) where !matrices.contains(matrix) {
            matrices.append(matrix)
        }
        let parts = quantization.parts
        // Behind all leading tensors of the original, so that no number of them changes; `assembled` puts them where they belong.
        let declarations = matrices.enumerated().flatMap { number, matrix -> [TensorDeclaration] in
            let name = "\(original.parameters[matrix.parameter].name).\(number)"
            return parts.map { TensorDeclaration(name: "\(name).\($0.rawValue)", type: $0.type(matrix)) }
        }
        let added = declarations.indices.map { ValueID(leading.count + $0) }
        var graphs: [(graph: GraphBuilder, results: [ValueID])] = []
        var needed: Set<ValueID> = []
        for (scan, chosen) in zip(original.scans, found) {
            var graph = GraphBuilder(leading: leading + declarations.map(\.type))
            var numbers = leading.indices.map { ValueID($0) }
            var quantized: [ValueID: QuantizedRows] = [:]
            for (number, record) in scan.operations.enumerated() {
                if let matrix = chosen[number], case .contract(let left, _, _, _) = record.operation,
                    let place = matrices.firstIndex(of: matrix)
                {
                    let x = numbers[Int(left.index)]
                    let rows = quantized[x] ?? graph.quantized(x, quantization)
                    quantized[x] = rows
                    let weight = added[place * parts.count..<(place + 1) * parts.count]
                    numbers.append(graph.product(rows, Array(weight), record.result))
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
        sources = kept.map { .parameter($0) } + matrices.flatMap { matrix in parts.map { .part($0, matrix) } }
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

extension Program {
    /// The same with whole numbers for its linear layers where that is asked for, and its parameters made of this one's.
    package func quantized(
        _ quantization: Quantization?, _ parameters: [StoredParameter]
    ) throws(ProgramFault) -> (program: Program, parameters: [StoredParameter]) {
        guard let quantization else { return (self, parameters) }
        let quantized = try QuantizedProgram(self, quantization)
        return (quantized.program, QuantizedWeights(parameters).parameters(of: quantized))
    }
}
