public import Primitives

/// The evidence for one leaf: the op's record with its path in the program, and the blocks that it reads with theirs.
///
/// It says nothing by itself: every byte is held against roots that both sides are bound to. A challenger who posts one that does not hold, or that lacks
/// something, loses; so what an honest challenger needs is always in its trace.
public struct Witness: Hashable, Sendable, CanonicalCodable {
    /// The most bytes; `SpecialisedProgram.evidenceBytes` says whether a program stays within.
    public static let maximumBytes = 24 << 10

    /// As the program has it, with named axes.
    public let record: OperationRecord
    /// From the record's leaf to the program's root.
    public let recordSiblings: [Digest]
    /// One for each tensor that the op reads, ascending.
    public let tensors: [WitnessTensor]

    public init(record: OperationRecord, recordSiblings: [Digest], tensors: [WitnessTensor]) {
        self.record = record
        self.recordSiblings = recordSiblings
        self.tensors = tensors
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        let start = reader.offset
        record = try reader.read(OperationRecord.self)
        recordSiblings = try reader.readList(Digest.self, max: MerkleProof.maximumDepth)
        tensors = try reader.readList(
            WitnessTensor.self, max: Operation.maximumPieces + Operation.maximumTables)
        let count = reader.offset - start
        if count > Witness.maximumBytes { throw .tooLong(found: count, limit: Witness.maximumBytes) }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(record)
        writer.write(list: recordSiblings)
        writer.write(list: tensors)
    }
}

/// An operand: its type, and the blocks that are read of it.
public struct WitnessTensor: Hashable, Sendable, CanonicalCodable {
    public let value: ValueID
    public let type: TensorType
    /// Nil for a gather's source or index tensor that decides nothing about the element: its type alone stands, and may not be looked at.
    public let proof: Proof?

    /// That the operand is what the sides agreed on.
    public struct Proof: Hashable, Sendable, CanonicalCodable {
        /// The Merkle root over its blocks.
        public let blocks: Digest
        /// From its root to the root of its list.
        public let siblings: [Digest]
        /// Ascending, each after the end of the one before.
        public let ranges: [BlockRange]

        public init(blocks: Digest, siblings: [Digest], ranges: [BlockRange]) {
            self.blocks = blocks
            self.siblings = siblings
            self.ranges = ranges
        }

        public init(from reader: inout ByteReader) throws(DecodingFault) {
            blocks = try reader.read(Digest.self)
            siblings = try reader.readList(Digest.self, max: MerkleProof.maximumDepth)
            ranges = try reader.readList(BlockRange.self, max: Leaf.blockLimit)
            for (a, b) in zip(ranges, ranges.dropFirst()) where b.first < a.first || b.first - a.first < a.count {
                throw .invalid("ranges of blocks must ascend without overlap")
            }
        }

        public func encode(into writer: inout ByteWriter) {
            writer.write(blocks)
            writer.write(list: siblings)
            writer.write(list: ranges)
        }
    }

    public init(value: ValueID, type: TensorType, proof: Proof?) {
        self.value = value
        self.type = type
        self.proof = proof
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        value = try reader.read(ValueID.self)
        type = try reader.read(TensorType.self)
        proof = try reader.readOptional(Proof.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(value)
        writer.write(type)
        writer.write(optional: proof)
    }
}

/// Why a witness is none.
public enum WitnessFault: Error, Equatable, Sendable, CustomStringConvertible {
    case record(String)
    case tensor(ValueID, String)
    case program(ProgramFault)
    case leaf(LeafFault)
    case claim(String)

    public var description: String {
        switch self {
        case .record(let reason): "the op's record is not shown: \(reason)"
        case .tensor(let value, let reason): "tensor \(value.index) is not shown: \(reason)"
        case .program(let fault): fault.description
        case .leaf(let fault): fault.description
        case .claim(let reason): "there is nothing to judge: \(reason)"
        }
    }
}

/// What the arithmetic says of a claim.
public enum Verdict: Hashable, Sendable {
    /// The defender's value is what its operands give.
    case upheld
    /// It is not: the defender lied.
    case refuted
}
