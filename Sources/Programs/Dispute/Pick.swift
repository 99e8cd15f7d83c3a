public import Primitives

/// A challenger's move: the first of what was revealed that it disagrees with, so that all before it is agreed by both; at the end, the evidence.
public enum Pick: Hashable, Sendable, CanonicalCodable {
    /// A node, or a running total, by its place in the reveal.
    case child(UInt32)
    /// An op, by its place in the reveal, with its record as the program has it and the path to the program's root.
    case operation(UInt32, OperationRecord, siblings: [Digest])
    /// All ops are right and an entry of a list is not the tensor that it should be.
    case list(EntryList)
    /// The step should not be: the carried flag had ended its scan before. The path of the flag in the state before.
    case stopped([Digest])
    /// The step should not be its scan's last: the flag does not end it. The path of the flag in the state after.
    case goesOn([Digest])
    /// An element of a block, by its place there.
    case element(UInt32)
    /// All totals are right and the last does not make the element.
    case finish
    /// What a disputed entry should be.
    case entry(EntryWitness)
    /// The operands of the disputed element or segment.
    case leaf(Witness)

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0: self = .child(try reader.readUInt32())
        case 1:
            let (place, record) = (try reader.readUInt32(), try reader.read(OperationRecord.self))
            self = .operation(
                place, record, siblings: try reader.readList(Digest.self, max: MerkleProof.maximumDepth))
        case 2:
            let code = try reader.readUInt8()
            guard let list = EntryList(rawValue: code) else { throw .invalid("a step has no list \(code)") }
            self = .list(list)
        case 3: self = .stopped(try reader.readList(Digest.self, max: MerkleProof.maximumDepth))
        case 4: self = .goesOn(try reader.readList(Digest.self, max: MerkleProof.maximumDepth))
        case 5: self = .element(try reader.readUInt32())
        case 6: self = .finish
        case 7: self = .entry(try reader.read(EntryWitness.self))
        case 8: self = .leaf(try reader.read(Witness.self))
        case let tag: throw .invalid("no pick has the tag \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .child(let place):
            writer.write(UInt8(0))
            writer.write(place)
        case .operation(let place, let record, let siblings):
            writer.write(UInt8(1))
            writer.write(place)
            writer.write(record)
            writer.write(list: siblings)
        case .list(let list):
            writer.write(UInt8(2))
            writer.write(list.rawValue)
        case .stopped(let siblings):
            writer.write(UInt8(3))
            writer.write(list: siblings)
        case .goesOn(let siblings):
            writer.write(UInt8(4))
            writer.write(list: siblings)
        case .element(let place):
            writer.write(UInt8(5))
            writer.write(place)
        case .finish: writer.write(UInt8(6))
        case .entry(let witness):
            writer.write(UInt8(7))
            writer.write(witness)
        case .leaf(let witness):
            writer.write(UInt8(8))
            writer.write(witness)
        }
    }
}

/// The tensor that the program says stands at an entry of a list, with its number's path in the program's frame and its root's path in the list of its like.
public struct EntryWitness: Hashable, Sendable, CanonicalCodable {
    /// The number that the program has at the entry: of a value, or for `kept` of a carried tensor.
    public let value: UInt32
    public let valueSiblings: [Digest]
    /// The tensor's root.
    public let root: Digest
    public let siblings: [Digest]

    public init(value: UInt32, valueSiblings: [Digest], root: Digest, siblings: [Digest]) {
        self.value = value
        self.valueSiblings = valueSiblings
        self.root = root
        self.siblings = siblings
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        value = try reader.readUInt32()
        valueSiblings = try reader.readList(Digest.self, max: MerkleProof.maximumDepth)
        root = try reader.read(Digest.self)
        siblings = try reader.readList(Digest.self, max: MerkleProof.maximumDepth)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(value)
        writer.write(list: valueSiblings)
        writer.write(root)
        writer.write(list: siblings)
    }
}
