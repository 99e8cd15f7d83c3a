import Primitives
import Programs
import Runtime
import Testing

/// The fast run of a device's challenge is the definition's, to the bit, whatever it is run on.
@Suite struct DeviceRunTests {
    private static let seed = Digest.of(Domain("test"), [3])

    @Test(arguments: KernelVariant.allCases.filter(\.isSupported), [1, 3])
    func everyKernelGivesTheReferencesAnswer(_ variant: KernelVariant, _ threads: Int) throws {
        for (rows, steps) in [(UInt64(8), UInt64(3)), (128, 1), (1, 4)] {
            let chain = DeviceChain(seed: Self.seed, rows: rows, steps: steps)
            let reference = DeviceChainReference(chain)
            let numbers = [0, chain.numbers / 3, chain.numbers / 2, chain.numbers - 1]
            let run = DeviceRun(chain, showing: numbers, threads: threads, variant: variant)
            #expect(run.root == reference.root)
            #expect(run.samples == numbers.map { reference.sample($0) })
        }
    }

    /// Of several groups of rows, and steps that fill no whole tree.
    @Test(arguments: [1, 2]) func whatIsShownOfALargeChainIsAccepted(_ threads: Int) throws {
        let chain = DeviceChain(seed: Self.seed, rows: 1_024, steps: 5)
        var random = SplitMix64(seed: 5)
        let numbers = (0..<40).map { _ in random.next() % chain.numbers }
        let run = DeviceRun(chain, showing: numbers, threads: threads)
        #expect(run.root == DeviceRun(chain, threads: 1).root)
        for (number, sample) in zip(numbers, run.samples) { try chain.check(sample, at: number, under: run.root) }
    }
}
