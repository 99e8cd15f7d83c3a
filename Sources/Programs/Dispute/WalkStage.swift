public import Primitives

/// A step that a walk has come down to.
public struct WalkStep: Hashable, Sendable, CanonicalCodable {
    /// Counted over all scans.
    public let index: UInt64
    /// The root of the state before it.
    public let before: Digest
    /// What the defender says of it; nil where nothing above has told it yet.
    public let node: StepNode?
    /// The root over its ops' tensors, once it was revealed.
    public let operations: Digest?
    /// Of the defender's tree over its ops: the siblings from the node that was picked last up to that root.
    public let path: [Digest]

    public init(index: UInt64, before: Digest, node: StepNode?, operations: Digest?, path: [Digest] = []) {
        self.index = index
        self.before = before
        self.node = node
        self.operations = operations
        self.path = path
    }

    /// The same, further down its ops.
    func descended(_ siblings: [Digest]) -> WalkStep {
        WalkStep(index: index, before: before, node: node, operations: operations, path: siblings + path)
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        index = try reader.readUInt64()
        before = try reader.read(Digest.self)
        node = try reader.readOptional(StepNode.self)
        operations = try reader.readOptional(Digest.self)
        path = try reader.readList(Digest.self, max: MerkleProof.maximumDepth)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(index)
        writer.write(before)
        writer.write(optional: node)
        writer.write(optional: operations)
        writer.write(list: path)
    }
}

/// An op whose tensor is disputed.
public struct WalkOperation: Hashable, Sendable, CanonicalCodable {
    public let step: WalkStep
    /// Its place in its scan.
    public let operation: UInt32
    /// Of what it makes, by its record.
    public let type: TensorType
    /// Whether its elements may have segments: not those of a map or a gather.
    public let hasSegments: Bool
    /// The root of its tensor, as the defender says.
    public let root: Digest

    init(step: WalkStep, operation: UInt32, type: TensorType, hasSegments: Bool, root: Digest) {
        self.step = step
        self.operation = operation
        self.type = type
        self.hasSegments = hasSegments
        self.root = root
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        step = try reader.read(WalkStep.self)
        operation = try reader.readUInt32()
        type = try reader.read(TensorType.self)
        hasSegments = try reader.readBool()
        root = try reader.read(Digest.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(step)
        writer.write(operation)
        writer.write(type)
        writer.write(bool: hasSegments)
        writer.write(root)
    }

    /// The path of an earlier op's tensor to the root that the defender revealed: what a challenger knows of that tree are the tensors before the disputed one,
    /// on which both agree (`agreed`, their roots in order), and what was revealed on the way down to it.
    public func siblings(ofEarlier index: Int, agreed: [Digest]) -> [Digest] {
        precondition(index < Int(operation) && agreed.count == Int(operation), "an operand is made before its op")
        // The nodes over the disputed op, from its leaf up.
        var over = [root]
        for (height, sibling) in step.path.enumerated() {
            let isRight = operation >> UInt32(height) & 1 == 1
            over.append(isRight ? MerkleTree.node(sibling, over[height]) : MerkleTree.node(over[height], sibling))
        }
        return step.path.indices.map { height in
            let sibling = TreeNode(height: UInt8(height), index: UInt64(index >> height ^ 1))
            let place = UInt64(operation) >> UInt64(height)
            if sibling.index == place { return over[height] }
            // On the common way up the siblings are the disputed op's own.
            if UInt64(index >> height) == place { return step.path[height] }
            let first = Int(sibling.index) << height
            return sibling.digest(ofChildren: Array(agreed[first..<first + 1 << height]), levels: sibling.height)
        }
    }

    /// Blocks of 1,024 bytes that its tensor fills.
    public var blocks: UInt64 {
        (type.byteCount + UInt64(TensorRoot.blockLength) - 1) / UInt64(TensorRoot.blockLength)
    }
}

/// An element that is disputed, and what is known of its running totals.
public struct WalkElement: Hashable, Sendable, CanonicalCodable {
    public let place: WalkOperation
    public let element: UInt64
    /// As the defender says.
    public let bits: UInt64

    init(place: WalkOperation, element: UInt64, bits: UInt64) {
        self.place = place
        self.element = element
        self.bits = bits
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        place = try reader.read(WalkOperation.self)
        element = try reader.readUInt64()
        bits = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(place)
        writer.write(element)
        writer.write(bits)
    }
}

/// Segments of an element: the total before the first of them is agreed (empty at the row's start), that after the last is the defender's (empty where it is
/// still to be told).
public struct WalkSegments: Hashable, Sendable, CanonicalCodable {
    /// As the defender says; 0 before it has said.
    public let count: UInt64
    public let from: UInt64
    /// 0 where all are asked for.
    public let to: UInt64
    public let before: [UInt8]
    public let after: [UInt8]

    init(count: UInt64, from: UInt64, to: UInt64, before: [UInt8], after: [UInt8]) {
        self.count = count
        self.from = from
        self.to = to
        self.before = before
        self.after = after
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        count = try reader.readUInt64()
        from = try reader.readUInt64()
        to = try reader.readUInt64()
        before = try reader.readBytes(max: LeafClaim.maximumTotalBytes)
        after = try reader.readBytes(max: LeafClaim.maximumTotalBytes)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(count)
        writer.write(from)
        writer.write(to)
        writer.write(bytes: before)
        writer.write(bytes: after)
    }
}

/// Where a walk stands. The first case of each pair waits for the defender, the second for the challenger.
public enum WalkStage: Hashable, Sendable, CanonicalCodable {
    /// `claim` is nil at the top, where the commitment says it.
    case steps(TreeNode, before: Digest, claim: StepNode?)
    case chooseStep(TreeNode, before: Digest, [StepNode])
    case operations(WalkStep, TreeNode, root: Digest?)
    case chooseOperation(WalkStep, TreeNode, [Digest])
    case entries(WalkStep, EntryList, TreeNode, root: Digest)
    case chooseEntry(WalkStep, EntryList, TreeNode, [Digest])
    /// The challenger says what the entry should be.
    case entry(WalkStep, EntryList, index: UInt64, claim: Digest)
    case blocks(WalkOperation, TreeNode, root: Digest?)
    case chooseBlock(WalkOperation, TreeNode, [Digest])
    /// `digest` is nil where the tensor has one block.
    case values(WalkOperation, block: UInt64, digest: Digest?)
    case chooseElement(WalkOperation, block: UInt64, [UInt8])
    case totals(WalkElement, WalkSegments)
    case chooseTotal(WalkElement, WalkSegments, [[UInt8]])
    /// The challenger shows the operands. `segments` is what the defender said, nil of an op that has none.
    case leaf(WalkElement, LeafClaim, segments: UInt64?)
    case over(DisputeOutcome)

    private static let maximumChildren = 1 << Int(Reveal.levels)

    private var tag: UInt8 {
        switch self {
        case .steps: 0
        case .chooseStep: 1
        case .operations: 2
        case .chooseOperation: 3
        case .entries: 4
        case .chooseEntry: 5
        case .entry: 6
        case .blocks: 7
        case .chooseBlock: 8
        case .values: 9
        case .chooseElement: 10
        case .totals: 11
        case .chooseTotal: 12
        case .leaf: 13
        case .over: 14
        }
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        func list(_ reader: inout ByteReader) throws(DecodingFault) -> EntryList {
            let code = try reader.readUInt8()
            guard let list = EntryList(rawValue: code) else { throw .invalid("a step has no list \(code)") }
            return list
        }
        func digests(_ reader: inout ByteReader) throws(DecodingFault) -> [Digest] {
            try reader.readList(Digest.self, max: WalkStage.maximumChildren)
        }
        switch try reader.readUInt8() {
        case 0:
            self = .steps(
                try reader.read(TreeNode.self), before: try reader.read(Digest.self),
                claim: try reader.readOptional(StepNode.self))
        case 1:
            self = .chooseStep(
                try reader.read(TreeNode.self), before: try reader.read(Digest.self),
                try reader.readList(StepNode.self, max: WalkStage.maximumChildren))
        case 2:
            self = .operations(
                try reader.read(WalkStep.self), try reader.read(TreeNode.self),
                root: try reader.readOptional(Digest.self))
        case 3:
            self = .chooseOperation(
                try reader.read(WalkStep.self), try reader.read(TreeNode.self), try digests(&reader))
        case 4:
            self = .entries(
                try reader.read(WalkStep.self), try list(&reader), try reader.read(TreeNode.self),
                root: try reader.read(Digest.self))
        case 5:
            self = .chooseEntry(
                try reader.read(WalkStep.self), try list(&reader), try reader.read(TreeNode.self),
                try digests(&reader))
        case 6:
            self = .entry(
                try reader.read(WalkStep.self), try list(&reader), index: try reader.readUInt64(),
                claim: try reader.read(Digest.self))
        case 7:
            self = .blocks(
                try reader.read(WalkOperation.self), try reader.read(TreeNode.self),
                root: try reader.readOptional(Digest.self))
        case 8:
            self = .chooseBlock(
                try reader.read(WalkOperation.self), try reader.read(TreeNode.self), try digests(&reader))
        case 9:
            self = .values(
                try reader.read(WalkOperation.self), block: try reader.readUInt64(),
                digest: try reader.readOptional(Digest.self))
        case 10:
            self = .chooseElement(
                try reader.read(WalkOperation.self), block: try reader.readUInt64(),
                try reader.readRaw(TensorRoot.blockLength))
        case 11: self = .totals(try reader.read(WalkElement.self), try reader.read(WalkSegments.self))
        case 12:
            let (element, segments) = (try reader.read(WalkElement.self), try reader.read(WalkSegments.self))
            guard case .totals(let count, let totals) = try reader.read(Reveal.self), count == segments.count else {
                throw .invalid("totals were revealed here")
            }
            self = .chooseTotal(element, segments, totals)
        case 13:
            self = .leaf(
                try reader.read(WalkElement.self), try reader.read(LeafClaim.self),
                segments: try reader.readOptional(UInt64.self))
        case 14: self = .over(try reader.read(DisputeOutcome.self))
        case let tag: throw .invalid("no walk stands at \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(tag)
        switch self {
        case .steps(let node, let before, let claim):
            writer.write(node)
            writer.write(before)
            writer.write(optional: claim)
        case .chooseStep(let node, let before, let children):
            writer.write(node)
            writer.write(before)
            writer.write(list: children)
        case .operations(let step, let node, let root):
            writer.write(step)
            writer.write(node)
            writer.write(optional: root)
        case .chooseOperation(let step, let node, let children):
            writer.write(step)
            writer.write(node)
            writer.write(list: children)
        case .entries(let step, let list, let node, let root):
            writer.write(step)
            writer.write(list.rawValue)
            writer.write(node)
            writer.write(root)
        case .chooseEntry(let step, let list, let node, let children):
            writer.write(step)
            writer.write(list.rawValue)
            writer.write(node)
            writer.write(list: children)
        case .entry(let step, let list, let index, let claim):
            writer.write(step)
            writer.write(list.rawValue)
            writer.write(index)
            writer.write(claim)
        case .blocks(let place, let node, let root):
            writer.write(place)
            writer.write(node)
            writer.write(optional: root)
        case .chooseBlock(let place, let node, let children):
            writer.write(place)
            writer.write(node)
            writer.write(list: children)
        case .values(let place, let block, let digest):
            writer.write(place)
            writer.write(block)
            writer.write(optional: digest)
        case .chooseElement(let place, let block, let bytes):
            writer.write(place)
            writer.write(block)
            writer.write(raw: bytes)
        case .totals(let element, let segments):
            writer.write(element)
            writer.write(segments)
        case .chooseTotal(let element, let segments, let totals):
            writer.write(element)
            writer.write(segments)
            writer.write(Reveal.totals(segments: segments.count, totals))
        case .leaf(let element, let claim, let segments):
            writer.write(element)
            writer.write(claim)
            writer.write(optional: segments)
        case .over(let outcome): writer.write(outcome)
        }
    }
}
