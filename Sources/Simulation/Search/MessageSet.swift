/// A set of message numbers below 256.
struct MessageSet: Hashable, Sendable {
    static let capacity = 256
    private var words = SIMD4<UInt64>()

    mutating func insert(_ number: Int) { words[number >> 6] |= 1 << UInt64(number & 63) }

    mutating func formUnion(_ other: MessageSet) { words |= other.words }

    mutating func subtract(_ other: MessageSet) { words &= ~other.words }

    func contains(_ number: Int) -> Bool { words[number >> 6] >> UInt64(number & 63) & 1 == 1 }

    /// Takes out the lowest, or nil.
    mutating func popFirst() -> Int? {
        for place in 0..<4 where words[place] != 0 {
            let bit = words[place].trailingZeroBitCount
            words[place] &= words[place] - 1
            return place << 6 + bit
        }
        return nil
    }
}
