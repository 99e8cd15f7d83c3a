public import Primitives

/// The Merkle root of a list of tensor roots that both sides are bound to, and how many there are.
public struct AgreedList: Hashable, Sendable, CanonicalCodable {
    public let root: Digest
    public let count: UInt32

    public init(root: Digest, count: UInt32) {
        self.root = root
        self.count = count
    }

    public init(_ roots: [Digest]) { self.init(root: MerkleTree.root(roots), count: UInt32(roots.count)) }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        root = try reader.read(Digest.self)
        count = try reader.readUInt32()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(root)
        writer.write(count)
    }
}

/// The step that a walk has descended into: everything that a leaf may read is under one of these roots.
///
/// The ops' tensors before the disputed op are agreed because the first that differs was named; its own and later ones are never read.
public struct DisputedStep: Hashable, Sendable, CanonicalCodable {
    public let program: Digest
    /// Ops of all scans: with the frame before them the leaves of the program's tree.
    public let programOperations: UInt32
    /// The job's values of the program's axes, in the program's order.
    public let axes: [UInt64]
    /// The job's seed.
    public let seed: UInt64
    /// Counted from 0 in its scan of the whole run.
    public let step: UInt64
    /// The place of the scan's first op among all ops.
    public let firstOperation: UInt32
    public let parameters: AgreedList
    public let inputs: AgreedList
    /// The carried tensors before the step.
    public let carried: AgreedList
    /// The tensors that the step's ops make, as the defender says.
    public let operations: AgreedList

    public init(
        program: Digest, programOperations: UInt32, axes: [UInt64], seed: UInt64, step: UInt64, firstOperation: UInt32,
        parameters: AgreedList, inputs: AgreedList, carried: AgreedList, operations: AgreedList
    ) {
        self.program = program
        self.programOperations = programOperations
        self.axes = axes
        self.seed = seed
        self.step = step
        self.firstOperation = firstOperation
        self.parameters = parameters
        self.inputs = inputs
        self.carried = carried
        self.operations = operations
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        program = try reader.read(Digest.self)
        programOperations = try reader.readUInt32()
        axes = try reader.readList(UInt64.self, max: Program.maximumAxes)
        seed = try reader.readUInt64()
        step = try reader.readUInt64()
        firstOperation = try reader.readUInt32()
        parameters = try reader.read(AgreedList.self)
        inputs = try reader.read(AgreedList.self)
        carried = try reader.read(AgreedList.self)
        operations = try reader.read(AgreedList.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(program)
        writer.write(programOperations)
        writer.write(list: axes)
        writer.write(seed)
        writer.write(step)
        writer.write(firstOperation)
        writer.write(parameters)
        writer.write(inputs)
        writer.write(carried)
        writer.write(operations)
    }

    /// The list that holds a value's root, and its place there.
    func place(of value: ValueID) -> (list: AgreedList, index: UInt64)? {
        var index = UInt64(value.index)
        for list in [parameters, inputs, carried, operations] {
            if index < UInt64(list.count) { return (list, index) }
            index -= UInt64(list.count)
        }
        return nil
    }

    /// How many tensors stand before the ops' own.
    var leadingCount: UInt64 { UInt64(parameters.count) + UInt64(inputs.count) + UInt64(carried.count) }
}

/// What the defender says of one element of an op, down to where the challenger disagrees. Running totals are as `Leaf.write` encodes them.
public enum LeafClaim: Hashable, Sendable, CanonicalCodable {
    /// A map's or a gather's element, or one whose row has at most one segment.
    case element(UInt64, bits: UInt64)
    /// One segment of an element; `before` is agreed, and empty for the first.
    case segment(UInt64, of: UInt64, bits: UInt64, before: [UInt8], after: [UInt8])
    /// That the last running total makes the element.
    case finish(UInt64, bits: UInt64, total: [UInt8])

    /// The longest encoding of a running total.
    public static let maximumTotalBytes = 16

    public var element: UInt64 {
        switch self {
        case .element(let element, _), .segment(_, let element, _, _, _), .finish(let element, _, _): element
        }
    }

    public var bits: UInt64 {
        switch self {
        case .element(_, let bits), .segment(_, _, let bits, _, _), .finish(_, let bits, _): bits
        }
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        let tag = try reader.readUInt8()
        let element = try reader.readUInt64()
        let bits = try reader.readUInt64()
        switch tag {
        case 0: self = .element(element, bits: bits)
        case 1:
            self = .segment(
                try reader.readUInt64(), of: element, bits: bits,
                before: try reader.readBytes(max: LeafClaim.maximumTotalBytes),
                after: try reader.readBytes(max: LeafClaim.maximumTotalBytes))
        case 2: self = .finish(element, bits: bits, total: try reader.readBytes(max: LeafClaim.maximumTotalBytes))
        default: throw .invalid("no claim has the tag \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .element: writer.write(UInt8(0))
        case .segment: writer.write(UInt8(1))
        case .finish: writer.write(UInt8(2))
        }
        writer.write(element)
        writer.write(bits)
        switch self {
        case .element: break
        case .segment(let number, _, _, let before, let after):
            writer.write(number)
            writer.write(bytes: before)
            writer.write(bytes: after)
        case .finish(_, _, let total): writer.write(bytes: total)
        }
    }
}
