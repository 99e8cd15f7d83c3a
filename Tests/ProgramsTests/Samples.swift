import Primitives
import Programs

/// Small programs that between them use everything of the format.
enum Samples {
    static let tokens = Dimension(1, axis: 0)
    static let sentences = Dimension(1, axis: 1)

    static func declare(_ name: String, _ element: ElementType, _ shape: [Dimension]) -> TensorDeclaration {
        TensorDeclaration(name: name, type: TensorType(element, shape))
    }

    /// Rows of a table picked by an index tensor, contracted, scaled, reduced and sorted: each primitive once or more.
    static func everyPrimitive() throws -> Program {
        let parameters = [declare("table", .f32, [10, 4]), declare("weight", .f32, [3, 4])]
        let inputs = [declare("ids", .i32, [tokens]), declare("length", .i32, [1])]
        var graph = GraphBuilder(leading: (parameters + inputs).map(\.type))
        let rows = graph.rows(of: ValueID(0), at: ValueID(2))
        let product = graph.contract(rows, ValueID(1), extent: ValueID(3))
        let shifted = graph.map(.f32, [tokens, 3], [product]) { e in
            let x = e.input(0)
            let exponential = e.apply(.exp, x)
            _ = e.apply(.fma, x, exponential, e.constant(bits: 0x3F80_0000))
        }
        let total = graph.reduce(.sum, shifted)
        let order = graph.append(.sort(input: total, descending: true), TensorType(.i32, [tokens]))
        let first = graph.gather(total, [tokens], [Coordinate(table: order, tableAxes: [0])])
        return try Program(
            axes: ["tokens", "sentences"], parameters: parameters, inputs: inputs,
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [first, order])])
    }

    /// A counter that runs for a named number of steps, with a flag that may end it, and is kept.
    static func counter() throws -> Program {
        let carried = [declare("count", .i64, []), declare("done", .bool, [])]
        var graph = GraphBuilder(leading: carried.map(\.type))
        let next = graph.map(.i64, [], [ValueID(0)]) { e in
            let x = e.input(0)
            let step = e.node(.step)
            _ = e.apply(.add, x, step)
        }
        let over = graph.map(.bool, [], [next]) { e in
            let x = e.input(0)
            let limit = e.node(.constant(.i64, bits: 100))
            _ = e.apply(.less, limit, x)
        }
        let drawn = graph.map(.i64, [2], []) { e in
            let word = e.node(.random(1))
            let place = e.node(.index(0))
            _ = e.apply(.exclusiveOr, word, place)
        }
        return try Program(
            axes: ["tokens", "sentences", "steps"], parameters: [], inputs: [], carried: carried, kept: [0],
            scans: [
                Scan(
                    steps: Dimension(2, axis: 2), operations: graph.operations, outputs: [drawn],
                    carried: [next, over], stop: 1)
            ])
    }

    /// One op over tensors of these types.
    static func single(
        _ operation: Programs.Operation, _ result: TensorType, over types: [TensorType]
    ) throws(ProgramFault) -> Program {
        try Program(
            axes: ["tokens", "sentences"], parameters: [],
            inputs: types.enumerated().map { TensorDeclaration(name: "input \($0)", type: $1) },
            scans: [Scan(steps: 1, operations: [OperationRecord(operation, result)], outputs: [ValueID(types.count)])])
    }

    static func fixed(_ program: Program, _ count: UInt64 = 5) throws(ProgramFault) -> SpecialisedProgram {
        try program.specialise(program.axes.map { ($0, count) })
    }
}
