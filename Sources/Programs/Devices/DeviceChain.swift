public import Primitives

/// The work by which a device is measured: a chain of f32 `contract` steps over a state that fills memory, whose every number a validator can make again from
/// one row of the state before.
///
/// The state of a step is `rows` × 256 bytes, zeros at first. A step reads them row by row, each byte changed by a random one, as whole numbers −128 to 127,
/// and multiplies them with a matrix of random f32 of magnitude 1 to 2:
///
///     sum[i, j]           = Σₖ fma(i8(before[256·i + k] ⊕ byte[256·i + k]), weight[j, k])    k ascending from +0, as SEG (docs/numerics.md)
///     after[j · rows + i] = the low eight bits of sum[i, j]
///
/// - The low bits of a sum are right only where each of its 256 roundings is, so nothing cheaper than the products will do.
/// - Results are stored by columns: each number of the next step's next step depends on 65,536 of this one's, and after four steps on all of up to 2³² bytes.
///   So no part of the state can be left out.
/// - The random words of a step are drawn by the digest of the state before it. Who writes down a state that no step gives, so that the next is easy to come
///   by, does not know what the next one reads of it: every number that is right has cost its 256 products, and what is saved is what is wrong.
///
/// The answer is one Merkle root over the rows of all steps' states. `DeviceSample` shows a number of it.
public struct DeviceChain: Hashable, Sendable {
    /// Terms of a sum, numbers of a row, and columns: one segment of SEG.
    public static let width = 256
    /// Of one row in one step.
    public static let operationsPerRow: UInt64 = 2 * 256 * 256
    /// So many steps mix states of up to 2³² bytes whole.
    public static let minimumSteps: UInt64 = 4
    public static let maximumSteps: UInt64 = 1 << 10
    public static let minimumRows: UInt64 = 1 << 4
    public static let maximumRows: UInt64 = 1 << 26
    /// Levels of the tree over the rows of all steps.
    public static let maximumDepth = 36

    /// Known to nobody before the challenge, and no other device's.
    public let seed: Digest
    /// A power of two.
    public let rows: UInt64
    public let steps: UInt64

    public init(seed: Digest, rows: UInt64, steps: UInt64) {
        precondition(rows > 0 && rows & (rows - 1) == 0 && rows <= DeviceChain.maximumRows, "rows are a power of two")
        precondition(steps > 0 && steps <= DeviceChain.maximumSteps, "a chain has 1 to 1,024 steps")
        self.seed = seed
        self.rows = rows
        self.steps = steps
    }

    /// The chain that takes a machine of this rate so many milliseconds: in as much of `memory` as that lets it go through four times, and not shorter or
    /// longer than the shortest and the longest that there are.
    ///
    /// - Parameters:
    ///   - rate: weighted operations a second.
    ///   - memory: bytes for the states before and after a step.
    public init(seed: Digest, rate: UInt64, memory: UInt64, milliseconds: UInt64) {
        let wanted = UInt128(rate) * UInt128(milliseconds) / 1000
        let byMemory = UInt128(memory) / UInt128(2 * DeviceChain.width)
        let byWork = wanted / UInt128(DeviceChain.operationsPerRow * DeviceChain.minimumSteps)
        let most = min(byMemory, byWork, UInt128(DeviceChain.maximumRows))
        var rows = DeviceChain.minimumRows
        while UInt128(rows) * 2 <= most { rows *= 2 }
        let steps = wanted / UInt128(DeviceChain.operationsPerRow * rows)
        self.init(
            seed: seed, rows: rows,
            steps: UInt64(min(max(steps, UInt128(DeviceChain.minimumSteps)), UInt128(DeviceChain.maximumSteps))))
    }

    /// What a machine has shown that took so many milliseconds for the chain of a claimed rate and a time: the claim, where it took no longer than that; a part
    /// of it, where it did. The longest chain there is shows no more than itself.
    public func rate(claimed: UInt64, milliseconds: UInt64, spent: UInt64) -> UInt64 {
        let time = UInt128(max(1, milliseconds))
        var most = UInt128(claimed)
        if steps == DeviceChain.maximumSteps { most = min(most, UInt128(operations) * 1000 / time) }
        return UInt64(max(1, most * time / max(time, UInt128(spent))))
    }

    /// Weighted operations of all steps; at most 2⁵³.
    public var operations: UInt64 { DeviceChain.operationsPerRow * rows * steps }
    /// Bytes of one state.
    public var stateBytes: UInt64 { UInt64(DeviceChain.width) * rows }
    /// Numbers in the states of all steps.
    public var numbers: UInt64 { stateBytes * steps }
    /// Levels of the tree under which one step's rows lie.
    public var stepDepth: Int { MerkleLevels.height(of: rows) }
    /// Levels of the whole tree.
    public var depth: Int { stepDepth + MerkleLevels.height(of: steps) }

    // MARK: What is random

    /// By what a step draws; `before` is the root of the state that it reads, nothing for the first.
    public func words(_ step: UInt64, after before: Digest?) -> DeviceWords {
        var writer = ByteWriter(capacity: 80)
        writer.write(seed)
        writer.write(step)
        writer.write(before ?? .zero)
        return DeviceWords(Digest.of(.deviceStep, writer.bytes))
    }

    // MARK: The tree

    /// The answer: over the roots of all steps.
    public func root(_ steps: [Digest]) -> Digest { path(0, steps).root }

    /// What stands beside a step's root on the way up.
    public func siblings(of step: Int, among steps: [Digest]) -> [Digest] { path(step, steps).siblings }

    private func path(_ place: Int, _ steps: [Digest]) -> (root: Digest, siblings: [Digest]) {
        var (level, place) = (steps, place)
        var padding = MerkleLevels.padding(stepDepth)
        var siblings: [Digest] = []
        while level.count > 1 {
            if level.count % 2 == 1 { level.append(padding) }
            siblings.append(level[place ^ 1])
            level = stride(from: 0, to: level.count, by: 2).map { MerkleTree.node(level[$0], level[$0 + 1]) }
            padding = MerkleTree.node(padding, padding)
            place >>= 1
        }
        return (level.first ?? .zero, siblings)
    }
}

/// The random numbers of one step of a chain.
public struct DeviceWords: Hashable, Sendable {
    /// The key of Philox (`Philox`): op 0 draws the weights, op 1 what the state's bytes are changed by, sixteen of them from a block.
    public let key: UInt64

    public static let weights: UInt32 = 0
    public static let bytes: UInt32 = 1

    init(_ digest: Digest) {
        key = digest.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
    }

    /// Sign and fraction of a word, with an exponent of 0.
    @inline(__always)
    public static func weight(_ word: UInt32) -> UInt32 { word & 0x807F_FFFF | 0x3F80_0000 }

    /// The bits of 256 weights: those of a column.
    public func column(_ column: UInt64) -> [UInt32] {
        var bits: [UInt32] = []
        let first = column * UInt64(DeviceChain.width / 4)
        for number in first..<first + UInt64(DeviceChain.width / 4) {
            let words = Philox.block(
                seed: key, number: number, operation: DeviceWords.weights, draw: 0, step: 0)
            for word in 0..<4 { bits.append(DeviceWords.weight(words[word])) }
        }
        return bits
    }

    /// What a row of the state is changed by.
    public func row(_ row: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        let first = row * UInt64(DeviceChain.width / 16)
        for number in first..<first + UInt64(DeviceChain.width / 16) {
            let words = Philox.block(seed: key, number: number, operation: DeviceWords.bytes, draw: 0, step: 0)
            for word in 0..<4 { withUnsafeBytes(of: words[word].littleEndian) { bytes.append(contentsOf: $0) } }
        }
        return bytes
    }

    /// One number of the state after the step, by the softfloat: from the row before it, and its column.
    public func number(_ before: [UInt8], row: UInt64, column: UInt64) -> UInt8 {
        number(read(before, row: row), column: self.column(column))
    }

    /// A row as the step reads it.
    func read(_ before: [UInt8], row: UInt64) -> [Binary32] {
        zip(before, self.row(row)).map { Binary32(Int64(Int8(bitPattern: $0 ^ $1))) }
    }

    func number(_ read: [Binary32], column: [UInt32]) -> UInt8 {
        var sum = Binary32.zero
        for (left, right) in zip(read, column) { sum = .fma(left, Binary32(bits: right), sum) }
        // As SEG ends: the segment is added to nothing, and then +0.
        return UInt8(truncatingIfNeeded: (Binary32.zero + sum + Binary32.zero).bits)
    }
}
