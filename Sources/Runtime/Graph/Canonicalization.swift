internal import CKernels
internal import Programs

/// Rule 3 for what was moved and not computed: one form of NaN, a bool of 0 or 1.
func canonicalize(_ element: ElementType, _ pointer: UnsafeMutableRawPointer, count: Int) {
    switch element {
    case .f32: pk_canonicalize_f32(pointer.assumingMemoryBound(to: Float.self), count)
    case .bf16:
        let words = pointer.assumingMemoryBound(to: UInt16.self)
        for i in 0..<count where words[i] & 0x7FFF > 0x7F80 { words[i] = 0x7FC0 }
    case .f16:
        let words = pointer.assumingMemoryBound(to: UInt16.self)
        for i in 0..<count where words[i] & 0x7FFF > 0x7C00 { words[i] = 0x7E00 }
    case .bool:
        let bytes = pointer.assumingMemoryBound(to: UInt8.self)
        for i in 0..<count where bytes[i] > 1 { bytes[i] = 1 }
    case .i8, .u8, .i32, .i64: break
    }
}
