public import Primitives

/// One scan: a step graph and how often it runs.
public struct Scan: Hashable, Sendable, CanonicalCodable {
    public static let maximumOperations = 1 << 16
    /// Of outputs, and of carried tensors: a training carries three a weight.
    public static let maximumOutputs = 1 << 12

    /// Steps, a number or an axis.
    public let steps: Dimension
    public let operations: [OperationRecord]
    /// Given out at every step.
    public let outputs: [ValueID]
    /// The next value of each carried tensor, in order.
    public let carried: [ValueID]
    /// Which carried bool ends the scan, by its place in the list.
    public let stop: UInt16?

    public init(
        steps: Dimension, operations: [OperationRecord], outputs: [ValueID], carried: [ValueID] = [],
        stop: UInt16? = nil
    ) {
        self.steps = steps
        self.operations = operations
        self.outputs = outputs
        self.carried = carried
        self.stop = stop
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        steps = try reader.read(Dimension.self)
        operations = try reader.readList(OperationRecord.self, max: Scan.maximumOperations)
        outputs = try reader.readList(ValueID.self, max: Scan.maximumOutputs)
        carried = try reader.readList(ValueID.self, max: Scan.maximumOutputs)
        stop = try reader.readOptional(UInt16.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(steps)
        writer.write(list: operations)
        writer.write(list: outputs)
        writer.write(list: carried)
        writer.write(optional: stop)
    }
}

/// A tensor program with named axes.
public struct Program: Hashable, Sendable, CanonicalCodable {
    public static let maximumAxes = 16
    public static let maximumParameters = 1 << 14
    public static let maximumScans = 16
    /// Canonical bytes of a program file.
    public static let maximumBytes = 16 << 20

    public let axes: [String]
    public let parameters: [TensorDeclaration]
    public let inputs: [TensorDeclaration]
    public let carried: [TensorDeclaration]
    /// Which carried tensors belong to the result at the end.
    public let kept: [UInt16]
    public let scans: [Scan]

    /// Makes a program and checks it.
    public init(
        axes: [String], parameters: [TensorDeclaration], inputs: [TensorDeclaration], carried: [TensorDeclaration] = [],
        kept: [UInt16] = [], scans: [Scan]
    ) throws(ProgramFault) {
        self.axes = axes
        self.parameters = parameters
        self.inputs = inputs
        self.carried = carried
        self.kept = kept
        self.scans = scans
        try validate()
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        let count = Int(try reader.readUInt32())
        if count > Program.maximumAxes { throw .tooLong(found: count, limit: Program.maximumAxes) }
        var axes: [String] = []
        for _ in 0..<count { axes.append(try reader.readString(max: TensorDeclaration.maximumNameBytes)) }
        self.axes = axes
        parameters = try reader.readList(TensorDeclaration.self, max: Program.maximumParameters)
        inputs = try reader.readList(TensorDeclaration.self, max: Program.maximumParameters)
        carried = try reader.readList(TensorDeclaration.self, max: Program.maximumParameters)
        kept = try reader.readList(UInt16.self, max: Program.maximumParameters)
        scans = try reader.readList(Scan.self, max: Program.maximumScans)
        do throws(ProgramFault) { try validate() } catch { throw .invalid(error.description) }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(UInt32(axes.count))
        for axis in axes { writer.write(string: axis) }
        writer.write(list: parameters)
        writer.write(list: inputs)
        writer.write(list: carried)
        writer.write(list: kept)
        writer.write(list: scans)
    }

    /// How many tensors stand before the first op's result.
    public var leadingCount: Int { parameters.count + inputs.count + carried.count }

    /// The program's name: a Merkle tree whose first leaf is all but the ops, then one leaf an op, so that a chain can be shown any one of them.
    public var root: Digest { MerkleTree.root(treeLeaves) }

    /// The leaves of the program's tree: an op's leaf is one more than its place among all ops, scans in order.
    public var treeLeaves: [Digest] {
        var leaves = [ProgramFrame(self).treeLeaf]
        for scan in scans { for record in scan.operations { leaves.append(record.treeLeaf) } }
        return leaves
    }

    /// Fixes the named axes. Every axis needs a value; none may be zero.
    public func specialise(_ values: [(name: String, value: UInt64)]) throws(ProgramFault) -> SpecialisedProgram {
        for (name, _) in values where !axes.contains(name) { throw .unknownAxis(name) }
        var fixed: [UInt64] = []
        for axis in axes {
            guard let value = values.first(where: { $0.name == axis })?.value else { throw .missingAxis(axis) }
            if value == 0 { throw .invalid(op: nil, "the axis \"\(axis)\" must be at least 1") }
            fixed.append(value)
        }
        return try SpecialisedProgram(self, fixed)
    }
}
