public import Primitives

/// A row of a state with its path to the root of a device's answer.
public struct DeviceLeaf: Hashable, Sendable, CanonicalCodable {
    /// 256 of them.
    public let bytes: [UInt8]
    public let siblings: [Digest]

    public init(bytes: [UInt8], siblings: [Digest]) {
        precondition(bytes.count == DeviceChain.width, "a row has 256 bytes")
        self.bytes = bytes
        self.siblings = siblings
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        bytes = try reader.readRaw(DeviceChain.width)
        siblings = try reader.readList(Digest.self, max: DeviceChain.maximumDepth)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(raw: bytes)
        writer.write(list: siblings)
    }

    /// The nodes above it: of its step's state, and of the whole tree.
    fileprivate func nodes(at index: UInt64, _ chain: DeviceChain) -> (step: Digest, root: Digest) {
        var (node, place) = (MerkleTree.leaf(bytes), index)
        var step = node
        for (level, sibling) in siblings.enumerated() {
            node = place & 1 == 0 ? MerkleTree.node(node, sibling) : MerkleTree.node(sibling, node)
            if level + 1 == chain.stepDepth { step = node }
            place >>= 1
        }
        return (step, node)
    }
}

/// One number of a device's answer, with the row that it is made of. Where it stands is not in it: the chain has drawn that.
public struct DeviceSample: Hashable, Sendable, CanonicalCodable {
    /// The row that the number stands in.
    public let after: DeviceLeaf
    /// The row of the state before; none for a number of the first step.
    public let before: DeviceLeaf?

    public init(after: DeviceLeaf, before: DeviceLeaf?) {
        self.after = after
        self.before = before
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        after = try reader.read(DeviceLeaf.self)
        before = try reader.readOptional(DeviceLeaf.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(after)
        writer.write(optional: before)
    }
}

/// Where a number of a chain stands.
public struct DevicePosition: Hashable, Sendable {
    /// From 1.
    public let step: UInt64
    public let row: UInt64
    public let column: UInt64

    /// The place among the rows of all steps of the one that the number stands in, and the number's place in that.
    public let leaf: UInt64
    public let offset: Int
    /// The place of the row that it is made of; nil in the first step.
    public let source: UInt64?

    /// - Parameter number: below `chain.numbers`.
    public init(_ number: UInt64, in chain: DeviceChain) {
        precondition(number < chain.numbers, "a number is one of the chain's")
        let place = number % chain.stateBytes
        step = number / chain.stateBytes + 1
        row = place % chain.rows
        column = place / chain.rows
        leaf = number / UInt64(DeviceChain.width)
        offset = Int(number % UInt64(DeviceChain.width))
        source = step == 1 ? nil : (step - 2) * chain.rows + row
    }
}

/// Why what was shown of an answer is not accepted.
public enum DeviceFault: Error, Hashable, Sendable, CustomStringConvertible {
    case shape
    case path
    case wrong(expected: UInt8, found: UInt8)

    public var description: String {
        switch self {
        case .shape: "the sample's rows and paths are not those of its place"
        case .path: "the sample does not lie under the answer's root"
        case .wrong(let expected, let found): "the sampled number is \(found), its row gives \(expected)"
        }
    }
}

extension DeviceChain {
    /// Checks a number of an answer: two paths, and 256 fmas.
    public func check(_ sample: DeviceSample, at number: UInt64, under root: Digest) throws(DeviceFault) {
        let position = DevicePosition(number, in: self)
        if sample.after.siblings.count != depth || (sample.before == nil) != (position.source == nil) { throw .shape }
        if let before = sample.before, before.siblings.count != depth { throw .shape }
        if sample.after.nodes(at: position.leaf, self).root != root { throw .path }
        var state: Digest?
        if let before = sample.before, let source = position.source {
            let nodes = before.nodes(at: source, self)
            if nodes.root != root { throw .path }
            state = nodes.step
        }
        let row = sample.before?.bytes ?? [UInt8](repeating: 0, count: DeviceChain.width)
        let expected = words(position.step, after: state).number(row, row: position.row, column: position.column)
        let found = sample.after.bytes[position.offset]
        if found != expected { throw .wrong(expected: expected, found: found) }
    }
}
