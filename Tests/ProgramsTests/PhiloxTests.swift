import Programs
import Testing

struct PhiloxTests {
    /// The known answers that Random123 publishes for philox4x32 with ten rounds.
    @Test(
        arguments: [
            ([0, 0, 0, 0], [0, 0], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            (
                [.max, .max, .max, .max], [.max, .max],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
            ),
        ] as [(SIMD4<UInt32>, SIMD2<UInt32>, SIMD4<UInt32>)])
    func thePublishedAnswers(counter: SIMD4<UInt32>, key: SIMD2<UInt32>, expected: SIMD4<UInt32>) {
        #expect(Philox.block(counter: counter, key: key) == expected)
    }

    @Test func aWordIsAtItsPlaceInTheCounter() {
        let seed: UInt64 = 0x299f_31d0_a409_3822
        let element: UInt64 = 0x85a3_08d3_243f_6a88
        let words = Philox.block(
            counter: [UInt32(truncatingIfNeeded: element >> 2), UInt32(element >> 34), 0x0719_8a2e, 0x0370_7344],
            key: [0xa409_3822, 0x299f_31d0])
        for offset in 0..<4 {
            let word = Philox.word(
                seed: seed, element: element + UInt64(offset), operation: 0x19_8a2e, draw: 7, step: 0x0370_7344)
            #expect(word == words[offset])
        }
    }

    @Test func everyPartOfThePlaceTellsWordsApart() {
        var words: Set<UInt32> = []
        words.insert(Philox.word(seed: 1, element: 0, operation: 0, draw: 0, step: 0))
        words.insert(Philox.word(seed: 1 << 32, element: 0, operation: 0, draw: 0, step: 0))
        words.insert(Philox.word(seed: 1, element: 1, operation: 0, draw: 0, step: 0))
        words.insert(Philox.word(seed: 1, element: 4, operation: 0, draw: 0, step: 0))
        words.insert(Philox.word(seed: 1, element: 1 << 34, operation: 0, draw: 0, step: 0))
        words.insert(Philox.word(seed: 1, element: 0, operation: 1, draw: 0, step: 0))
        words.insert(Philox.word(seed: 1, element: 0, operation: Philox.operationLimit - 1, draw: 0, step: 0))
        words.insert(Philox.word(seed: 1, element: 0, operation: 0, draw: 1, step: 0))
        words.insert(Philox.word(seed: 1, element: 0, operation: 0, draw: 255, step: 0))
        words.insert(Philox.word(seed: 1, element: 0, operation: 0, draw: 0, step: 1))
        #expect(words.count == 10)
    }
}
