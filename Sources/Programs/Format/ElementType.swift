public import Primitives

/// What a tensor holds. bf16 and f16 are storage only: widened exactly on load.
public enum ElementType: UInt8, Sendable, Hashable, CaseIterable, CanonicalCodable {
    case f32 = 1
    case i8 = 2
    case u8 = 3
    case i32 = 4
    case i64 = 5
    case bool = 6
    case bf16 = 7
    case f16 = 8

    /// Bytes an element.
    public var size: Int {
        switch self {
        case .f32, .i32: 4
        case .i64: 8
        case .bf16, .f16: 2
        case .i8, .u8, .bool: 1
        }
    }

    /// For people and file names.
    public var name: String { "\(self)" }

    public init?(name: String) {
        guard let found = ElementType.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        let tag = try reader.readUInt8()
        guard let type = ElementType(rawValue: tag) else { throw .invalid("an element type has no number \(tag)") }
        self = type
    }

    public func encode(into writer: inout ByteWriter) { writer.write(rawValue) }
}
