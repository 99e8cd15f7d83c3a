/// An account: the first 20 bytes of its public key's digest, written `xpl1…` in bech32m (BIP 350).
public struct Address: Hashable, Sendable, Comparable, CanonicalCodable, CustomStringConvertible {
    @usableFromInline var high: UInt64
    @usableFromInline var middle: UInt64
    @usableFromInline var low: UInt32

    /// The text before the separator.
    public static let prefix = "xpl"

    /// The address of a key.
    public init(of key: PublicKey) { self.init(Digest.of(.address, key.bytes)) }

    /// The addresses of many keys, for less than each alone.
    public static func ofEach(_ keys: some Collection<PublicKey>) -> [Address] {
        var batch = DigestBatch(messages: keys.count, bytesEach: 32)
        for key in keys { batch.append { $0.write(key) } }
        return batch.digests(.address).map(Address.init)
    }

    private init(_ digest: Digest) {
        high = UInt64(bigEndian: digest.a)
        middle = UInt64(bigEndian: digest.b)
        low = UInt32(truncatingIfNeeded: UInt64(bigEndian: digest.c) >> 32)
    }

    private init(unchecked bytes: some Collection<UInt8>) {
        var value: [UInt64] = [0, 0, 0]
        for (i, byte) in bytes.enumerated() { value[i / 8] = value[i / 8] << 8 | UInt64(byte) }
        high = value[0]
        middle = value[1]
        low = UInt32(truncatingIfNeeded: value[2])
    }

    /// Takes exactly 20 bytes.
    public init(bytes: some Collection<UInt8>) throws(DecodingFault) {
        if bytes.count != 20 { throw .invalid("an address has 20 bytes, found \(bytes.count)") }
        self.init(unchecked: bytes)
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        high = try reader.readUInt64().byteSwapped
        middle = try reader.readUInt64().byteSwapped
        low = try reader.readUInt32().byteSwapped
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(high.byteSwapped)
        writer.write(middle.byteSwapped)
        writer.write(low.byteSwapped)
    }

    /// The 20 bytes.
    public var bytes: [UInt8] { canonicalBytes }

    public var description: String { Bech32m.encode(prefix: Address.prefix, bytes: bytes) }

    /// Reads `xpl1…`. One wrong character is found.
    public init(parsing text: String) throws(AddressFault) {
        let decoded: (prefix: String, bytes: [UInt8])
        do throws(AddressFault) { decoded = try Bech32m.decode(text) } catch { throw error }
        if decoded.prefix != Address.prefix { throw .wrongPrefix(decoded.prefix) }
        if decoded.bytes.count != 20 { throw .wrongLength(decoded.bytes.count) }
        self.init(unchecked: decoded.bytes)
    }

    @inlinable
    public static func < (x: Address, y: Address) -> Bool {
        if x.high != y.high { return x.high < y.high }
        return x.middle != y.middle ? x.middle < y.middle : x.low < y.low
    }
}

/// Why a text is no address.
public enum AddressFault: Error, Equatable, Sendable, CustomStringConvertible {
    case malformed
    case badChecksum
    case wrongPrefix(String)
    case wrongLength(Int)

    public var description: String {
        switch self {
        case .malformed: "this is not an address: expected xpl1 and 38 letters or digits"
        case .badChecksum: "the address has a typing error: its checksum does not match"
        case .wrongPrefix(let found): "the address belongs to another network: it begins with \(found)1, expected xpl1"
        case .wrongLength(let found): "the address holds \(found) bytes, expected 20"
        }
    }
}
