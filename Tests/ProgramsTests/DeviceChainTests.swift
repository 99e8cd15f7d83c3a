import Primitives
import Programs
import Testing

/// The work by which devices are measured: what each of its numbers depends on, and what is accepted of an answer.
@Suite struct DeviceChainTests {
    static let seed = Digest.of(Domain("test"), [1])
    private let chain = DeviceChain(seed: seed, rows: 8, steps: 3)

    @Test func eachNumberOfARightAnswerIsAccepted() throws {
        let run = DeviceChainReference(chain)
        for number in stride(from: UInt64(0), to: chain.numbers, by: 97) {
            try chain.check(run.sample(number), at: number, under: run.root)
        }
    }

    /// Any other byte, row, path, place, seed or size.
    @Test func nothingElseIsAccepted() throws {
        let run = DeviceChainReference(chain)
        // Of the second step, so that there is a row before it.
        let number: UInt64 = 2_048 + 700
        let sample = run.sample(number)
        let before = try #require(sample.before)
        func fails(_ sample: DeviceSample, _ fault: DeviceFault, at place: UInt64? = nil, in other: DeviceChain? = nil)
        {
            #expect(throws: fault) { try (other ?? chain).check(sample, at: place ?? number, under: run.root) }
        }
        func flipped(_ leaf: DeviceLeaf) -> DeviceLeaf {
            var bytes = leaf.bytes
            bytes[3] ^= 1
            return DeviceLeaf(bytes: bytes, siblings: leaf.siblings)
        }
        func moved(_ leaf: DeviceLeaf) -> DeviceLeaf {
            var siblings = leaf.siblings
            siblings[1] = .zero
            return DeviceLeaf(bytes: leaf.bytes, siblings: siblings)
        }
        for change in [flipped, moved] {
            fails(DeviceSample(after: change(sample.after), before: before), .path)
            fails(DeviceSample(after: sample.after, before: change(before)), .path)
        }
        // A node of the tree is no row, and a row is none that lies elsewhere.
        func short(_ leaf: DeviceLeaf) -> DeviceLeaf {
            DeviceLeaf(bytes: leaf.bytes, siblings: Array(leaf.siblings.dropLast()))
        }
        func long(_ leaf: DeviceLeaf) -> DeviceLeaf { DeviceLeaf(bytes: leaf.bytes, siblings: leaf.siblings + [.zero]) }
        for change in [short, long] {
            fails(DeviceSample(after: change(sample.after), before: before), .shape)
            fails(DeviceSample(after: sample.after, before: change(before)), .shape)
        }
        fails(DeviceSample(after: sample.after, before: sample.after), .path)
        fails(sample, .path, at: number + 256)
        fails(sample, .path, at: number + 2_048)
        // The row that it is made of is asked for from the second step on, and not in the first.
        fails(DeviceSample(after: sample.after, before: nil), .shape)
        let first = run.sample(700)
        fails(DeviceSample(after: first.after, before: before), .shape, at: 700)
        // The same answer to a challenge of another device.
        let other = DeviceChain(seed: Digest.of(Domain("test"), [2]), rows: 8, steps: 3)
        #expect(throws: DeviceFault.self) { try other.check(sample, at: number, under: run.root) }
    }

    /// A wrong number is found where it is sampled, whatever is made of it afterwards.
    @Test func aWrongNumberIsFoundWhereItStands() throws {
        let run = DeviceChainReference(chain) { step, state in if step == 2 { state[700] ^= 1 } }
        let wrong: UInt64 = 2_048 + 700
        var found: [UInt64] = []
        for number in 0..<chain.numbers {
            do { try chain.check(run.sample(number), at: number, under: run.root) } catch { found.append(number) }
        }
        #expect(found == [wrong])
    }

    /// Who writes down an easy state gains nothing in the next step: what that reads is drawn by the state's own root. A state that makes the next one's rows
    /// alike for one draw does so for no other.
    @Test func anEasyStateMakesTheNextStepNoEasier() {
        let easy = DeviceChainReference(chain) { step, state in
            if step == 1 { state = [UInt8](repeating: 0, count: state.count) }
        }
        let rows = stride(from: 0, to: 2_048, by: 256).map { Array(easy.states[1][$0..<$0 + 256]) }
        #expect(Set(rows).count == rows.count)
        for row in rows { #expect(Set(row).count > 100) }
        let other = DeviceChainReference(chain) { step, state in
            if step == 1 { state = [UInt8](repeating: 1, count: state.count) }
        }
        #expect(chain.words(2, after: MerkleTree.root([easy.root])).key != chain.words(2, after: nil).key)
        #expect(easy.states[1] != other.states[1])
    }

    /// Each number of the last state depends on every byte of the first, so none of it can be left out.
    @Test func fourStepsMixAWholeState() {
        // 2^14 bytes are mixed by two steps beyond the one that is changed.
        let chain = DeviceChain(seed: Self.seed, rows: 64, steps: 3)
        let run = DeviceChainReference(chain)
        let other = DeviceChainReference(chain) { step, state in if step == 1 { state[5] ^= 1 } }
        let differing = zip(run.states[2], other.states[2]).count { $0 != $1 }
        // All but those that are equal by chance, one in 256.
        #expect(differing > 16_384 * 98 / 100)
    }

    // MARK: Sizes

    struct Size: Sendable {
        let rate: UInt64
        let memory: UInt64
        let time: UInt64
        let rows: UInt64
        let steps: UInt64
    }

    /// A laptop's core for a tenth of a second goes seven times through what is claimed, or through less, and for ten seconds through more; then the least, and
    /// the most, that there is.
    static let sizes: [Size] = [
        Size(rate: 40_000_000_000, memory: 2 << 20, time: 100, rows: 4_096, steps: 7),
        Size(rate: 40_000_000_000, memory: 1 << 30, time: 100, rows: 4_096, steps: 7),
        Size(rate: 40_000_000_000, memory: 1 << 30, time: 10_000, rows: 524_288, steps: 5),
        Size(rate: 1, memory: 0, time: 1, rows: 16, steps: 4),
        Size(rate: .max, memory: .max, time: .max, rows: 1 << 26, steps: 1_024),
        Size(rate: .max, memory: 1 << 20, time: 1_000, rows: 2_048, steps: 1_024),
    ]

    @Test(arguments: sizes) func aChainIsAsLongAsTheRateSays(_ size: Size) {
        let chain = DeviceChain(seed: Self.seed, rate: size.rate, memory: size.memory, milliseconds: size.time)
        #expect(chain.rows == size.rows && chain.steps == size.steps)
        #expect(chain.depth <= DeviceChain.maximumDepth)
        #expect(chain.operations == 2 * 256 * chain.numbers)
    }

    @Test func aRateIsWhatIsSaidOrAsMuchLessAsItTookLonger() {
        let chain = DeviceChain(seed: Self.seed, rate: 8_388_608, memory: 0, milliseconds: 1_000)
        func shown(_ spent: UInt64) -> UInt64 { chain.rate(claimed: 8_388_608, milliseconds: 1_000, spent: spent) }
        #expect([0, 1_000, 1_001, 2_000, .max].map(shown) == [8_388_608, 8_388_608, 8_380_227, 4_194_304, 1])
        // Whoever says more than the longest chain can show has shown that.
        let longest = DeviceChain(seed: Self.seed, rate: .max, memory: 1 << 13, milliseconds: 1_000)
        #expect(longest.rows == 16 && longest.steps == DeviceChain.maximumSteps)
        #expect(longest.rate(claimed: .max, milliseconds: 1_000, spent: 0) == longest.operations)
        #expect(longest.rate(claimed: .max, milliseconds: 1_000, spent: 2_000) == longest.operations / 2)
    }

    @Test func placesOfNumbersStayWithinTheChain() {
        let chain = DeviceChain(seed: Self.seed, rows: 1 << 26, steps: 1 << 10)
        let last = DevicePosition(chain.numbers - 1, in: chain)
        #expect(last.step == 1_024 && last.row == chain.rows - 1 && last.column == 255)
        #expect(last.leaf == chain.rows * 1_024 - 1 && last.offset == 255)
        #expect(last.source == chain.rows * 1_023 - 1)
        let first = DevicePosition(0, in: chain)
        #expect(first.step == 1 && first.leaf == 0 && first.source == nil)
    }

    @Test func samplesHaveOneEncoding() throws {
        let run = DeviceChainReference(chain)
        for number in [UInt64(5), 2_748] {
            let sample = run.sample(number)
            let bytes = sample.canonicalBytes
            #expect(try DeviceSample(canonicalBytes: bytes) == sample)
            for count in 0..<bytes.count {
                #expect(throws: DecodingFault.self) { _ = try DeviceSample(canonicalBytes: Array(bytes[..<count])) }
            }
            #expect(throws: DecodingFault.self) { _ = try DeviceSample(canonicalBytes: bytes + [0]) }
        }
        let deep = DeviceLeaf(bytes: [UInt8](repeating: 0, count: 256), siblings: [Digest](repeating: .zero, count: 37))
        #expect(throws: DecodingFault.self) { _ = try DeviceLeaf(canonicalBytes: deep.canonicalBytes) }
    }
}
