internal import Programs

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
