/// Rounded rows in a place of the arena: the words, then each row's scale, number apart and its place.
struct RoundedMemory {
    let words: UnsafeMutablePointer<Int8>
    let scale: UnsafeMutablePointer<Float>
    let top: UnsafeMutablePointer<Float>
    let place: UnsafeMutablePointer<Int32>

    /// Floats of a row in all.
    static func floats(width: Int) -> Int { (width + 3) / 4 + 3 }

    init(_ base: UnsafeMutablePointer<Float>, rows: Int, width: Int) {
        words = UnsafeMutableRawPointer(base).assumingMemoryBound(to: Int8.self)
        scale = base + rows * ((width + 3) / 4)
        top = scale + rows
        place = UnsafeMutableRawPointer(top + rows).assumingMemoryBound(to: Int32.self)
    }
}

/// Rows in two halves in a place of the arena: the high ones, the low ones, then each row's power.
struct HalvedMemory {
    let high: UnsafeMutablePointer<Int8>
    let low: UnsafeMutablePointer<Int8>
    let power: UnsafeMutablePointer<Float>

    /// Floats of a row in all.
    static func floats(width: Int) -> Int { 2 * ((width + 3) / 4) + 1 }

    init(_ base: UnsafeMutablePointer<Float>, rows: Int, width: Int) {
        let floats = rows * ((width + 3) / 4)
        high = UnsafeMutableRawPointer(base).assumingMemoryBound(to: Int8.self)
        low = UnsafeMutableRawPointer(base + floats).assumingMemoryBound(to: Int8.self)
        power = base + 2 * floats
    }
}
