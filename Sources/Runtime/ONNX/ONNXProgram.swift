public import Programs

/// A program made of an ONNX graph, and the weights it takes.
public struct ONNXProgram: Sendable {
    /// A weight in the program's order; its bytes lie in the model's file or in memory of its own.
    public struct Parameter: @unchecked Sendable {
        // Unchecked, because the pointer is into memory that the owner keeps and nobody writes.
        public let name: String
        public let type: TensorType
        private let bytes: UnsafeRawBufferPointer
        private let owner: AnyObject?

        init(name: String, _ tensor: ConstantTensor) {
            self.name = name
            type = tensor.type
            (bytes, owner) = tensor.dense
        }

        /// Reads the bytes, which are valid within the call.
        public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
            try withExtendedLifetime(owner) { try body(bytes) }
        }
    }

    public let program: Program
    /// The program, which names no axes, checked.
    public let specialised: SpecialisedProgram
    public let parameters: [Parameter]
    /// The outputs' names, in the program's order.
    public let outputs: [String]
    /// Inputs of the model whose values are fixed in this program.
    public let boundInputs: [String]

    init(
        _ lowering: ONNXLowering, inputs: [String], outputs: [(name: String, operand: Operand)], bound: [String]
    ) throws(ONNXFault) {
        let results = outputs.map { lowering.value($0.operand) }
        let needed = lowering.graph.ancestors(of: results)
        let used = lowering.parameters.filter { needed.contains($0.id) }
        var names: Set<String> = []
        var parameters: [Parameter] = []
        for (place, parameter) in used.enumerated() {
            var name = parameter.tensor.name ?? ""
            if name.isEmpty || name.utf8.count > TensorDeclaration.maximumNameBytes || names.contains(name) {
                name = "constant.\(place)"
            }
            // A file may call its own tensors so.
            while !names.insert(name).inserted { name += "." }
            parameters.append(Parameter(name: name, parameter.tensor))
        }
        let leading = used.map(\.id) + inputs.indices.map { ValueID($0) }
        let (operations, values) = lowering.graph.assembled(leading: leading, outputs: results)
        do throws(ProgramFault) {
            program = try Program(
                axes: [], parameters: parameters.map { TensorDeclaration(name: $0.name, type: $0.type) },
                inputs: inputs.enumerated().map { place, name in
                    TensorDeclaration(name: name, type: lowering.graph.type(ValueID(place)))
                }, scans: [Scan(steps: 1, operations: operations, outputs: values)])
            specialised = try program.specialise([])
        } catch { throw .program(error) }
        self.parameters = parameters
        self.outputs = outputs.map(\.name)
        boundInputs = bound
    }
}
