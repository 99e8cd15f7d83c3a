internal import CKernels
internal import Programs
internal import Synchronization

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

/// One block that is kept from a run to the next: large memory that is new costs the system's time for every page.
final class SpareBlock: Sendable {
    private let held = Mutex<Block?>(nil)

    /// At least `count` bytes of any content, taken back when nothing holds them any more.
    func lend(_ count: Int) -> LentBlock {
        let kept = held.withLock { held -> Block? in
            guard let block = held, block.count >= count else { return nil }
            held = nil
            return block
        }
        return LentBlock(kept ?? Block(count, zeroed: false), of: self)
    }

    /// The larger one is kept.
    fileprivate func takeBack(_ block: Block) {
        held.withLock { held in
            if held.map({ $0.count < block.count }) ?? true { held = block }
        }
    }
}

final class LentBlock: Sendable {
    private let block: Block
    private let owner: SpareBlock

    var base: UnsafeMutableRawPointer { block.base }

    fileprivate init(_ block: Block, of owner: SpareBlock) {
        self.block = block
        self.owner = owner
    }

    deinit { owner.takeBack(block) }
}

/// The threads' scratch and what they share, from a run to the next.
struct SpareScratch: Sendable {
    let threads: [SpareBlock]
    let shared = SpareBlock()

    init(threads: Int) { self.threads = (0..<threads).map { _ in SpareBlock() } }
}

/// What a step's kernels run on: where each value's root lies, scratch, threads, and the step's random words.
///
/// Unchecked: threads of one kernel write disjoint parts, and kernels follow one another.
final class StepMemory: @unchecked Sendable {
    /// By value; nil for values without memory.
    var bases: [UnsafeMutableRawPointer?]
    let sizes: [Int]
    let team: ThreadTeam
    let variant: KernelVariant
    var random: RandomSource
    private let scratch: [LentBlock]
    /// One for all threads.
    let shared: LentBlock

    /// Scratch comes from what `spare` kept of the run before: it is of any content.
    init(
        types: [TensorType], team: ThreadTeam, variant: KernelVariant, threadScratch: Int, sharedScratch: Int,
        spare: SpareScratch, seed: UInt64
    ) {
        bases = [UnsafeMutableRawPointer?](repeating: nil, count: types.count)
        sizes = types.map(\.element.size)
        self.team = team
        self.variant = variant
        random = RandomSource(seed: seed, operation: 0, step: 0)
        scratch = spare.threads.map { $0.lend(threadScratch) }
        shared = spare.shared.lend(sharedScratch)
    }

    /// The same memory for one thread, which runs whole steps by itself.
    func alone(_ thread: Int) -> StepMemory { StepMemory(self, thread) }

    private init(_ all: StepMemory, _ thread: Int) {
        (bases, sizes, variant, random, shared) = (all.bases, all.sizes, all.variant, all.random, all.shared)
        team = ThreadTeam(threads: 1)
        scratch = [all.scratch[thread]]
    }

    /// A thread's own scratch.
    func scratch(_ thread: Int) -> UnsafeMutableRawPointer { scratch[thread].base }

    /// The first element of an access.
    func pointer(_ access: Access) -> UnsafeMutableRawPointer {
        let index = Int(access.root.index)
        guard let base = bases[index] else { preconditionFailure("a kernel reads value \(index), which has no memory") }
        return base + access.offset * sizes[index]
    }

    func floats(_ access: Access) -> UnsafeMutablePointer<Float> {
        pointer(access).assumingMemoryBound(to: Float.self)
    }

    /// The first element of a value with memory of its own.
    func base(_ value: ValueID) -> UnsafeMutableRawPointer {
        guard let base = bases[Int(value.index)] else {
            preconditionFailure("a kernel writes value \(value.index), which has no memory")
        }
        return base
    }
}

/// A pointer that threads of one kernel share: each writes its own part.
struct SharedPointer: @unchecked Sendable {
    let raw: UnsafeMutableRawPointer

    init(_ raw: UnsafeMutableRawPointer) { self.raw = raw }

    func floats(_ offset: Int) -> UnsafeMutablePointer<Float> { raw.assumingMemoryBound(to: Float.self) + offset }

    func whole(_ offset: Int) -> UnsafeMutablePointer<Int32> { raw.assumingMemoryBound(to: Int32.self) + offset }

    func bytes(_ offset: Int) -> UnsafeMutablePointer<Int8> { raw.assumingMemoryBound(to: Int8.self) + offset }
}

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
