/// Random words that depend on their place alone: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011).
///
/// The key is the job's seed, low word first. The counter is (⌊element/4⌋ low, ⌊element/4⌋ high, operation + 2²⁴·draw, step); of the four words that
/// come out an element takes number `element mod 4`. `operation` is the op's place among *all* ops of the program, scans in order, so that prefill and
/// decode draw different words; there are at most 2²⁰ of them, so the draw fits above. `step` is counted from 0 in each scan, its low 32 bits.
public enum Philox {
    /// Ops of a program stay below this.
    public static let operationLimit: UInt32 = 1 << 24

    /// The word of one element of one draw of one op in one step.
    public static func word(seed: UInt64, element: UInt64, operation: UInt32, draw: UInt8, step: UInt32) -> UInt32 {
        block(seed: seed, number: element / 4, operation: operation, draw: draw, step: step)[Int(element % 4)]
    }

    /// The words of elements 4·number to 4·number + 3.
    public static func block(
        seed: UInt64, number: UInt64, operation: UInt32, draw: UInt8, step: UInt32
    ) -> SIMD4<UInt32> {
        precondition(operation < operationLimit, "a program has fewer than 2²⁴ ops")
        return block(
            counter: [
                UInt32(truncatingIfNeeded: number), UInt32(truncatingIfNeeded: number >> 32),
                operation | UInt32(draw) << 24, step,
            ],
            key: [UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)])
    }

    /// Ten rounds.
    package static func block(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
        var words = counter
        var key = key
        for _ in 0..<10 {
            let even = words[0].multipliedFullWidth(by: 0xD251_1F53)
            let odd = words[2].multipliedFullWidth(by: 0xCD9E_8D57)
            words = [odd.high ^ words[1] ^ key[0], odd.low, even.high ^ words[3] ^ key[1], even.low]
            key = key &+ [0x9E37_79B9, 0xBB67_AE85]
        }
        return words
    }
}
