public import Primitives

/// All of a program but its ops, short enough to be shown to a chain: numbers as they are, lists by their Merkle roots. Its digest is the first leaf of the
/// program's tree.
public struct ProgramFrame: Hashable, Sendable, CanonicalCodable {
    /// The names of the program's axes.
    public let axes: AgreedList
    /// Declarations of the tensors that enter it.
    public let parameters: AgreedList
    public let inputs: AgreedList
    public let carried: AgreedList
    /// The numbers of the carried tensors that belong to the result.
    public let kept: AgreedList
    public let scans: [ScanFrame]

    public init(_ program: Program) {
        func list(_ declarations: [TensorDeclaration]) -> AgreedList {
            AgreedList(declarations.map { MerkleTree.leaf($0.canonicalBytes) })
        }
        axes = AgreedList(program.axes.map { MerkleTree.leaf(Array($0.utf8)) })
        parameters = list(program.parameters)
        inputs = list(program.inputs)
        carried = list(program.carried)
        kept = AgreedList(program.kept.map { ProgramFrame.leaf(UInt32($0)) })
        scans = program.scans.map(ScanFrame.init)
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        axes = try ProgramFrame.list(from: &reader, most: Program.maximumAxes)
        parameters = try ProgramFrame.list(from: &reader, most: Program.maximumParameters)
        inputs = try ProgramFrame.list(from: &reader, most: Program.maximumParameters)
        carried = try ProgramFrame.list(from: &reader, most: Program.maximumParameters)
        kept = try ProgramFrame.list(from: &reader, most: Program.maximumParameters)
        scans = try reader.readList(ScanFrame.self, max: Program.maximumScans)
    }

    public func encode(into writer: inout ByteWriter) {
        for list in [axes, parameters, inputs, carried, kept] { writer.write(list) }
        writer.write(list: scans)
    }

    static func list(from reader: inout ByteReader, most: Int) throws(DecodingFault) -> AgreedList {
        let list = try reader.read(AgreedList.self)
        if list.count > most { throw .tooLong(found: Int(list.count), limit: most) }
        return list
    }

    /// Ops of all scans: the other leaves of the program's tree.
    public var operationCount: UInt32 { scans.reduce(0) { $0 + $1.operations } }

    /// The place of a scan's first op among all ops.
    public func firstOperation(ofScan scan: Int) -> UInt32 { scans[..<scan].reduce(0) { $0 + $1.operations } }

    /// Its leaf in the program's tree.
    public var treeLeaf: Digest { Digest.of(.program, encoding: self) }

    /// The leaf of a number in a list of tensors' numbers.
    package static func leaf(_ number: UInt32) -> Digest {
        var writer = ByteWriter(capacity: 4)
        writer.write(number)
        return MerkleTree.leaf(writer.bytes)
    }
}

/// A scan without its ops.
public struct ScanFrame: Hashable, Sendable, CanonicalCodable {
    public let steps: Dimension
    public let operations: UInt32
    /// The tensors that it gives out at each step, by number.
    public let outputs: AgreedList
    /// The next value of each carried tensor, by number.
    public let carried: AgreedList
    /// Which carried bool ends it.
    public let stop: UInt16?

    public init(_ scan: Scan) {
        func list(_ values: [ValueID]) -> AgreedList { AgreedList(values.map { ProgramFrame.leaf($0.index) }) }
        steps = scan.steps
        operations = UInt32(scan.operations.count)
        outputs = list(scan.outputs)
        carried = list(scan.carried)
        stop = scan.stop
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        steps = try reader.read(Dimension.self)
        operations = try reader.readUInt32()
        if operations > Scan.maximumOperations {
            throw .tooLong(found: Int(operations), limit: Scan.maximumOperations)
        }
        outputs = try ProgramFrame.list(from: &reader, most: Scan.maximumOutputs)
        carried = try ProgramFrame.list(from: &reader, most: Scan.maximumOutputs)
        stop = try reader.readOptional(UInt16.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(steps)
        writer.write(operations)
        writer.write(outputs)
        writer.write(carried)
        writer.write(optional: stop)
    }
}
