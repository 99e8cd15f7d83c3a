/// An element outside its tensor: f32 (and what was widened to it) as its bits, integers with their sign, bool as 0 or 1.
enum LeafValue {
    /// What an op sees of stored bits: one form of NaN, storage types widened, any bool that is not 0 as 1 (rule 3).
    static func loaded(_ bits: UInt64, _ element: ElementType) -> Int64 {
        switch element {
        case .f32: word(Binary32(bits: UInt32(truncatingIfNeeded: bits)))
        case .bf16: word(Binary32(bfloat16: UInt16(truncatingIfNeeded: bits)))
        case .f16: word(Binary32(float16: UInt16(truncatingIfNeeded: bits)))
        case .i8: Int64(Int8(truncatingIfNeeded: bits))
        case .u8: Int64(UInt8(truncatingIfNeeded: bits))
        case .i32: Int64(Int32(truncatingIfNeeded: bits))
        case .i64: Int64(bitPattern: bits)
        case .bool: bits & 0xFF == 0 ? 0 : 1
        }
    }

    /// The bits that a tensor keeps.
    static func stored(_ word: Int64, _ element: ElementType) -> UInt64 {
        switch element {
        case .f32: UInt64(float(word).canonical.bits)
        case .bf16: UInt64(float(word).bfloat16)
        case .f16: UInt64(float(word).float16)
        case .i8, .u8: UInt64(UInt8(truncatingIfNeeded: word))
        case .bool: word == 0 ? 0 : 1
        case .i32: UInt64(UInt32(truncatingIfNeeded: word))
        case .i64: UInt64(bitPattern: word)
        }
    }

    static func float(_ word: Int64) -> Binary32 { Binary32(bits: UInt32(truncatingIfNeeded: word)) }

    static func word(_ float: Binary32) -> Int64 { Int64(float.canonical.bits) }
}
