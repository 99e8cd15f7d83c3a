/// What a digest is about. The name is BLAKE2b's 16-byte personalisation, so equal bytes in two domains never share a digest.
public struct Domain: Hashable, Sendable {
    let low: UInt64
    let high: UInt64

    /// A domain of at most 16 ASCII bytes, zero-padded.
    public init(_ name: StaticString) {
        precondition(name.utf8CodeUnitCount <= 16 && name.isASCII, "a domain's name is at most 16 ASCII bytes")
        var words: (UInt64, UInt64) = (0, 0)
        withUnsafeMutableBytes(of: &words) { out in
            for i in 0..<name.utf8CodeUnitCount { out[i] = name.utf8Start[i] }
        }
        low = words.0
        high = words.1
    }
}

extension Domain {
    static let merkleLeaf = Domain("plasma.leaf")
    static let merkleNode = Domain("plasma.node")
    static let address = Domain("plasma.address")
}
