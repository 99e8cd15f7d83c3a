public import Primitives

/// What stands at a node over steps [a, b).
public struct StepNode: Hashable, Sendable, CanonicalCodable {
    /// The root of its part of the tree of outputs.
    public let outputs: Digest
    /// Over the roots of all carried tensors after step b − 1.
    public let state: Digest

    public init(outputs: Digest, state: Digest) {
        self.outputs = outputs
        self.state = state
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        outputs = try reader.read(Digest.self)
        state = try reader.read(Digest.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(outputs)
        writer.write(state)
    }
}

/// A list whose entries are tensors of a step, by the program.
public enum EntryList: UInt8, Sendable, Hashable, CaseIterable {
    /// What a step gives out.
    case outputs = 0
    /// The carried tensors after it.
    case carried = 1
    /// What the program keeps of the last state.
    case kept = 2
}

/// What a defender reveals: the same for every challenger of one result, so that each is revealed once.
public enum RevealPoint: Hashable, Sendable, CanonicalCodable {
    /// The nodes below one over steps.
    case steps(TreeNode)
    /// The nodes below one over the ops of a step (counted over all scans).
    case operations(step: UInt64, TreeNode)
    /// The nodes below one over a list of a step; `kept` belongs to the last.
    case entries(step: UInt64, EntryList, TreeNode)
    /// The nodes below one over the blocks of what an op makes.
    case blocks(step: UInt64, operation: UInt32, TreeNode)
    /// The bytes of a block.
    case values(step: UInt64, operation: UInt32, block: UInt64)
    /// The running totals after some of the segments `from` to `to` of an element; all of them where `to` is 0.
    case totals(step: UInt64, operation: UInt32, element: UInt64, from: UInt64, to: UInt64)

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        let tag = try reader.readUInt8()
        if tag == 0 {
            self = .steps(try reader.read(TreeNode.self))
            return
        }
        let step = try reader.readUInt64()
        switch tag {
        case 1: self = .operations(step: step, try reader.read(TreeNode.self))
        case 2:
            let code = try reader.readUInt8()
            guard let list = EntryList(rawValue: code) else { throw .invalid("a step has no list \(code)") }
            self = .entries(step: step, list, try reader.read(TreeNode.self))
        case 3: self = .blocks(step: step, operation: try reader.readUInt32(), try reader.read(TreeNode.self))
        case 4: self = .values(step: step, operation: try reader.readUInt32(), block: try reader.readUInt64())
        case 5:
            let (operation, element) = (try reader.readUInt32(), try reader.readUInt64())
            self = .totals(
                step: step, operation: operation, element: element, from: try reader.readUInt64(),
                to: try reader.readUInt64())
        default: throw .invalid("nothing is revealed under the tag \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .steps(let node):
            writer.write(UInt8(0))
            writer.write(node)
        case .operations(let step, let node):
            writer.write(UInt8(1))
            writer.write(step)
            writer.write(node)
        case .entries(let step, let list, let node):
            writer.write(UInt8(2))
            writer.write(step)
            writer.write(list.rawValue)
            writer.write(node)
        case .blocks(let step, let operation, let node):
            writer.write(UInt8(3))
            writer.write(step)
            writer.write(operation)
            writer.write(node)
        case .values(let step, let operation, let block):
            writer.write(UInt8(4))
            writer.write(step)
            writer.write(operation)
            writer.write(block)
        case .totals(let step, let operation, let element, let from, let to):
            writer.write(UInt8(5))
            writer.write(step)
            writer.write(operation)
            writer.write(element)
            writer.write(from)
            writer.write(to)
        }
    }
}

/// A defender's move.
public enum Reveal: Hashable, Sendable, CanonicalCodable {
    /// Levels of a tree of steps, and of any other tree, that one reveal goes down.
    public static let stepLevels: UInt8 = 4
    public static let levels: UInt8 = 5
    /// The most running totals in a reveal.
    public static let maximumTotals = 256

    case steps([StepNode])
    /// `node` where there is one step alone, which no node above has told.
    case operations([Digest], node: StepNode?)
    case digests([Digest])
    case values([UInt8])
    /// How many segments the element has, and totals after every `stride(of:)`th of those asked for. None where there is one segment or none.
    case totals(segments: UInt64, [[UInt8]])

    /// Evenly spaced: after how many segments each total of a reveal over so many stands.
    public static func stride(of segments: UInt64) -> UInt64 {
        max(1, segments / UInt64(maximumTotals) + (segments % UInt64(maximumTotals) == 0 ? 0 : 1))
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0: self = .steps(try reader.readList(StepNode.self, max: 1 << Int(Reveal.stepLevels)))
        case 1:
            let digests = try reader.readList(Digest.self, max: 1 << Int(Reveal.levels))
            self = .operations(digests, node: try reader.readOptional(StepNode.self))
        case 2: self = .digests(try reader.readList(Digest.self, max: 1 << Int(Reveal.levels)))
        case 3: self = .values(try reader.readRaw(TensorRoot.blockLength))
        case 4:
            let segments = try reader.readUInt64()
            let count = Int(try reader.readUInt16())
            let size = Int(try reader.readUInt8())
            if count > Reveal.maximumTotals { throw .tooLong(found: count, limit: Reveal.maximumTotals) }
            if size > LeafClaim.maximumTotalBytes { throw .tooLong(found: size, limit: LeafClaim.maximumTotalBytes) }
            if count == 0 && size != 0 || count > 0 && size == 0 {
                throw .invalid("totals have a size if there are any")
            }
            var totals: [[UInt8]] = []
            for _ in 0..<count { totals.append(try reader.readRaw(size)) }
            self = .totals(segments: segments, totals)
        case let tag: throw .invalid("no reveal has the tag \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .steps(let nodes):
            writer.write(UInt8(0))
            writer.write(list: nodes)
        case .operations(let digests, let node):
            writer.write(UInt8(1))
            writer.write(list: digests)
            writer.write(optional: node)
        case .digests(let digests):
            writer.write(UInt8(2))
            writer.write(list: digests)
        case .values(let bytes):
            writer.write(UInt8(3))
            writer.write(raw: bytes)
        case .totals(let segments, let totals):
            writer.write(UInt8(4))
            writer.write(segments)
            writer.write(UInt16(truncatingIfNeeded: totals.count))
            writer.write(UInt8(truncatingIfNeeded: totals.first?.count ?? 0))
            for total in totals { writer.write(raw: total) }
        }
    }
}
