internal import CKernels
public import Primitives
public import Programs
internal import Synchronization

/// A device's challenge, run with the kernels that jobs are run with: the answer, and what is to be shown of it.
///
/// Holds the states before and after a step and nothing else that grows with them. What is shown is cut out of another run: to keep all states would take
/// `steps` times the memory, and the tree over their rows a quarter of that.
public struct DeviceRun: Sendable {
    /// What a device answers.
    public let root: Digest
    /// As many as were asked for.
    public let samples: [DeviceSample]

    /// Rows whose leaves are made together.
    private static let group = 256
    /// Rows of a task.
    private static let block = 64

    /// - Parameters:
    ///   - numbers: what to show, by its place in the chain.
    ///   - threads: how many share it out.
    public init(
        _ chain: DeviceChain, showing numbers: [UInt64] = [], threads: Int, variant: KernelVariant = .best
    ) {
        let positions = numbers.map { DevicePosition($0, in: chain) }
        let wanted = Set(positions.flatMap { [$0.leaf] + ($0.source.map { [$0] } ?? []) })
        let team = ThreadTeam(threads: threads)
        let (rows, width) = (Int(chain.rows), DeviceChain.width)
        var (before, after) = (Block(rows * width), Block(rows * width))
        let scratch = (0..<team.threads).map { _ in Block(2 * DeviceRun.block * width * 4) }
        var roots: [Digest] = []
        var cuts: [UInt64: (bytes: [UInt8], siblings: [Digest])] = [:]
        for step in 1...chain.steps {
            let words = chain.words(step, after: roots.last)
            let weights = DeviceRun.weights(words, variant, team)
            let (from, to) = (SharedPointer(before.base), SharedPointer(after.base))
            team.run(over: rows, grain: DeviceRun.block) { range, thread in
                DeviceRun.multiply(
                    range, of: rows, words, weights, variant, from, to, scratch[thread].base)
            }
            let first = (step - 1) * chain.rows
            let tree = DeviceRun.tree(
                to, rows: rows, team,
                showing: wanted.filter { $0 >= first && $0 < first + chain.rows }.map { $0 - first })
            for (row, cut) in tree.cuts { cuts[first + row] = cut }
            roots.append(tree.root)
            swap(&before, &after)
        }
        root = chain.root(roots)
        func leaf(_ index: UInt64) -> DeviceLeaf {
            // Each that was wanted was cut out of its step.
            let (bytes, siblings) = cuts[index] ?? ([UInt8](repeating: 0, count: DeviceChain.width), [])
            let step = Int(index / chain.rows)
            return DeviceLeaf(bytes: bytes, siblings: siblings + chain.siblings(of: step, among: roots))
        }
        samples = positions.map { DeviceSample(after: leaf($0.leaf), before: $0.source.map { leaf($0) }) }
    }

    private static func weights(_ words: DeviceWords, _ variant: KernelVariant, _ team: ThreadTeam) -> PackedWeight {
        let width = DeviceChain.width
        let matrix = Block(width * width * 4)
        let target = SharedPointer(matrix.base)
        team.run(over: width, grain: 16) { columns, _ in
            let bits = target.raw.assumingMemoryBound(to: UInt32.self)
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 4) { four in
                guard let base = four.baseAddress else { return }
                for number in columns.lowerBound * width / 4..<columns.upperBound * width / 4 {
                    pk_philox(words.key, UInt64(number), DeviceWords.weights, 0, 0, base)
                    for word in 0..<4 { bits[number * 4 + word] = DeviceWords.weight(base[word]) }
                }
            }
        }
        return PackedWeight(
            variant, matrix.base.assumingMemoryBound(to: Float.self), row: width, step: 1, n: width, k: width)
    }

    /// Some rows of a step.
    private static func multiply(
        _ range: Range<Int>, of rows: Int, _ words: DeviceWords, _ weights: PackedWeight, _ variant: KernelVariant,
        _ from: SharedPointer, _ to: SharedPointer, _ scratch: UnsafeMutableRawPointer
    ) {
        let width = DeviceChain.width
        let read = scratch.assumingMemoryBound(to: Float.self)
        let sums = read + block * width
        let before = UnsafeRawPointer(from.raw + range.lowerBound * width)
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 4) { four in
            guard let base = four.baseAddress else { return }
            let bytes = UnsafeRawPointer(base)
            let first = range.lowerBound * width / 16
            for part in 0..<range.count * width / 16 {
                pk_philox(words.key, UInt64(first + part), DeviceWords.bytes, 0, 0, base)
                for word in 0..<4 { base[word] = base[word].littleEndian }
                for place in 0..<16 {
                    let at = part * 16 + place
                    let byte =
                        before.load(fromByteOffset: at, as: UInt8.self)
                        ^ bytes.load(fromByteOffset: place, as: UInt8.self)
                    read[at] = Float(Int8(bitPattern: byte))
                }
            }
        }
        pk_contract_f32(
            variant.code, Int32(range.count), Int32(width), Int32(width), read, width,
            weights.memory.base.assumingMemoryBound(to: Float.self), sums, width, nil)
        let bits = UnsafeRawPointer(sums).assumingMemoryBound(to: UInt32.self)
        let after = to.raw.assumingMemoryBound(to: UInt8.self)
        for column in 0..<width {
            let target = after + column * rows + range.lowerBound
            for row in 0..<range.count { target[row] = UInt8(truncatingIfNeeded: bits[row * width + column]) }
        }
    }

    /// The root of a state, and some of its rows with their paths to it.
    private static func tree(
        _ state: SharedPointer, rows: Int, _ team: ThreadTeam, showing wanted: [UInt64]
    ) -> (root: Digest, cuts: [UInt64: (bytes: [UInt8], siblings: [Digest])]) {
        let (width, group) = (DeviceChain.width, min(DeviceRun.group, rows))
        @Sendable func levels(_ number: Int) -> [Digest] {
            var batch = DigestBatch(messages: group, bytesEach: width)
            for row in number * group..<(number + 1) * group {
                batch.append { $0.write(raw: UnsafeRawBufferPointer(start: state.raw + row * width, count: width)) }
            }
            return MerkleTree.leaves(batch)
        }
        let found = Mutex([Digest](repeating: .zero, count: rows / group))
        team.run(rows / group) { number, _ in
            let root = MerkleTree.root(levels(number))
            found.withLock { $0[number] = root }
        }
        let upper = MerkleLevels(found.withLock { $0 })
        var cuts: [UInt64: (bytes: [UInt8], siblings: [Digest])] = [:]
        for row in wanted {
            let (number, place) = (Int(row) / group, Int(row) % group)
            let bytes = Array(UnsafeRawBufferPointer(start: state.raw + Int(row) * width, count: width))
            cuts[row] = (bytes, MerkleTree.proof(levels(number), place).siblings + upper.proof(number).siblings)
        }
        return (upper.root, cuts)
    }
}
