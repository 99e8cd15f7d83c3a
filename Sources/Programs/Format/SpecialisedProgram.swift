import Primitives

/// A program with every axis fixed: shapes are numbers, checked against one another, and bounded.
public struct SpecialisedProgram: Hashable, Sendable {
    /// Elements of one tensor.
    public static let maximumElements: UInt64 = 1 << 40

    public let parameters: [TensorDeclaration]
    public let inputs: [TensorDeclaration]
    public let carried: [TensorDeclaration]
    public let kept: [UInt16]
    public let scans: [Scan]
    /// The number of each scan's first step: 0, but in a part of a run.
    public let firstSteps: [UInt64]

    init(
        parameters: [TensorDeclaration], inputs: [TensorDeclaration], carried: [TensorDeclaration], kept: [UInt16],
        scans: [Scan], firstSteps: [UInt64]
    ) {
        self.parameters = parameters
        self.inputs = inputs
        self.carried = carried
        self.kept = kept
        self.scans = scans
        self.firstSteps = firstSteps
    }

    init(_ program: Program, _ axes: [UInt64]) throws(ProgramFault) {
        func fix(_ declarations: [TensorDeclaration]) throws(ProgramFault) -> [TensorDeclaration] {
            var out: [TensorDeclaration] = []
            for declaration in declarations {
                let type = try declaration.type.fixed(axes)
                try SpecialisedProgram.bound(type)
                out.append(TensorDeclaration(name: declaration.name, type: type))
            }
            return out
        }
        parameters = try fix(program.parameters)
        inputs = try fix(program.inputs)
        carried = try fix(program.carried)
        kept = program.kept
        var scans: [Scan] = []
        for scan in program.scans {
            var operations: [OperationRecord] = []
            for record in scan.operations {
                let type = try record.result.fixed(axes)
                try SpecialisedProgram.bound(type)
                operations.append(OperationRecord(try record.operation.fixed(axes), type))
            }
            scans.append(
                Scan(
                    steps: Dimension(try scan.steps.value(axes)), operations: operations, outputs: scan.outputs,
                    carried: scan.carried, stop: scan.stop))
        }
        self.scans = scans
        firstSteps = scans.map { _ in 0 }
        for scan in scans { try check(scan) }
    }

    /// A tensor's elements are bounded, and each axis by itself: beside an axis of zero another could have any length.
    static func bound(_ type: TensorType) throws(ProgramFault) {
        var count: UInt64 = 1
        for dimension in type.shape {
            if dimension.factor > maximumElements { throw .overflow("an axis") }
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension.factor)
            if overflow || product > maximumElements { throw .overflow("a tensor") }
            count = product
        }
    }

    /// The types of all tensors of a scan, leading ones first.
    public func types(of scan: Scan) -> [TensorType] {
        (parameters + inputs + carried).map(\.type) + scan.operations.map(\.result)
    }

    private func check(_ scan: Scan) throws(ProgramFault) {
        let types = types(of: scan)
        for (number, record) in scan.operations.enumerated() {
            if let reason = ShapeRules.problem(record, types) { throw .invalid(op: number, reason) }
        }
        for (index, value) in scan.carried.enumerated() where types[Int(value.index)] != carried[index].type {
            throw .invalid(op: nil, "carried tensor \(index) changes its type or shape")
        }
    }
}
