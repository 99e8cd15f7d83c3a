import Primitives
import Programs

/// Programs from strangers. What decodes is specialised, priced and measured too.
enum ProgramTarget: FuzzTarget {
    static let name = "programs"

    private static func sample() throws -> Program {
        func declare(_ name: String, _ element: ElementType, _ shape: [Dimension]) -> TensorDeclaration {
            TensorDeclaration(name: name, type: TensorType(element, shape))
        }
        let tokens = Dimension(1, axis: 0)
        let parameters = [declare("table", .f32, [10, 4]), declare("weight", .f32, [3, 4])]
        let inputs = [declare("ids", .i32, [tokens]), declare("length", .i32, [1])]
        var graph = GraphBuilder(leading: (parameters + inputs).map(\.type))
        let rows = graph.rows(of: ValueID(0), at: ValueID(2))
        let product = graph.contract(rows, ValueID(1), extent: ValueID(3))
        let shifted = graph.map(.f32, [tokens, 3], [product]) { expression in
            let value = expression.input(0)
            let exponential = expression.apply(.exp, value)
            _ = expression.apply(.fma, value, exponential, expression.constant(bits: 0x3F80_0000))
        }
        let total = graph.reduce(.sum, shifted)
        let order = graph.append(.sort(input: total, descending: true), TensorType(.i32, [tokens]))
        let first = graph.gather(total, [tokens], [Coordinate(table: order, tableAxes: [0])])
        return try Program(
            axes: ["tokens"], parameters: parameters, inputs: inputs,
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [first, order])])
    }

    static func forms() throws -> [Form] {
        [
            Form([try sample()]) { program in
                for count in [1, 5, UInt64(1) << 33, .max] {
                    guard let fixed = try? program.specialise(program.axes.map { ($0, count) }) else { continue }
                    _ = try? fixed.cost()
                    _ = fixed.memoryEstimate
                    _ = fixed.parameterCount
                }
                _ = program.root
            },
            Form([ModelManifest]()),
        ]
    }
}
