#if canImport(Glibc)
    internal import Glibc
#endif

/// Memory that is freed with its owner. Aligned to a cache line; a large one lies in large pages where the system has them for the asking, so that steps that
/// walk through it spend less on finding its pages.
final class Block: @unchecked Sendable {
    // What is written and read when is the executor's business: a block has no order of its own.
    let base: UnsafeMutableRawPointer
    let count: Int
    /// What the system gave, where it was asked and not the allocator.
    private let region: UnsafeMutableRawBufferPointer?

    /// `count` bytes, zero where they are not to be written at once.
    init(_ count: Int, zeroed: Bool = true) {
        self.count = count
        let isLarge = count >= 2 * Block.page
        let alignment = isLarge ? Block.page : 64
        region = zeroed ? Block.zeros(count, alignment) : nil
        base =
            region?.baseAddress?.alignedUp(toMultipleOf: alignment)
            ?? UnsafeMutableRawPointer.allocate(byteCount: max(64, count), alignment: alignment)
        #if canImport(Glibc)
            // Advice: where it cannot be taken, nothing changes. A part of a page at the end may be others' memory.
            if isLarge { madvise(base, count / Block.page * Block.page, MADV_HUGEPAGE) }
        #endif
        if zeroed && region == nil { base.initializeMemory(as: UInt8.self, repeating: 0, count: count) }
    }

    deinit {
        guard let region else { return base.deallocate() }
        #if canImport(Glibc)
            munmap(region.baseAddress, region.count)
        #endif
    }

    /// Fresh pages, which are zero without being written and are first touched by the thread that needs them; nil where that does not pay or is not to be had.
    private static func zeros(_ count: Int, _ alignment: Int) -> UnsafeMutableRawBufferPointer? {
        #if canImport(Glibc)
            if count < 256 << 10 { return nil }
            let length = alignment == page ? count + page : count
            guard let found = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                found != MAP_FAILED
            else { return nil }
            return UnsafeMutableRawBufferPointer(start: found, count: length)
        #else
            return nil
        #endif
    }

    /// Bytes of a large page.
    private static let page = 2 << 20
}
