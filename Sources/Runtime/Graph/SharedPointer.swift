/// A pointer that threads of one kernel share: each writes its own part.
struct SharedPointer: @unchecked Sendable {
    let raw: UnsafeMutableRawPointer

    init(_ raw: UnsafeMutableRawPointer) { self.raw = raw }

    func floats(_ offset: Int) -> UnsafeMutablePointer<Float> { raw.assumingMemoryBound(to: Float.self) + offset }

    func whole(_ offset: Int) -> UnsafeMutablePointer<Int32> { raw.assumingMemoryBound(to: Int32.self) + offset }

    func bytes(_ offset: Int) -> UnsafeMutablePointer<Int8> { raw.assumingMemoryBound(to: Int8.self) + offset }
}
