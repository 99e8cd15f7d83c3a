import Programs

extension SpecialisedProgram {
    /// What `body` makes of one input, x.
    static func over(
        _ element: ElementType, _ shape: [Int], _ body: (inout GraphBuilder, ValueID) -> ValueID
    ) throws -> SpecialisedProgram {
        let type = TensorType(element, shape.map { Dimension(UInt64($0)) })
        var graph = GraphBuilder(leading: [type])
        let result = body(&graph, ValueID(0))
        return try Program(
            axes: [], parameters: [], inputs: [TensorDeclaration(name: "x", type: type)],
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [result])]
        ).specialise([])
    }
}
