import CKernels
import Testing

/// Contractions whose left side's terms lie apart, or whose rows have extents, against the reference.
@Suite struct StridedContractTests {
    typealias Random = VariantTests.Random

    func contract(
        _ variant: pk_variant, _ m: Int, _ n: Int, _ k: Int, _ extents: [Int32]?, _ a: [Float], row: Int, step: Int,
        _ b: [Float], ldc: Int
    ) -> [Float] {
        var packed = [Float](repeating: 0, count: pk_pack_size(variant, Int32(n), Int32(k)))
        pk_pack(variant, Int32(n), Int32(k), b, k, &packed)
        var c = [Float](repeating: -1, count: m * ldc)
        if let extents {
            pk_contract_strided_f32(
                variant, Int32(m), Int32(n), Int32(k), extents, a, row, step, packed, &c, ldc)
        } else {
            pk_contract_strided_f32(variant, Int32(m), Int32(n), Int32(k), nil, a, row, step, packed, &c, ldc)
        }
        return c
    }

    func same(_ x: [Float], _ y: [Float]) -> Bool {
        x.count == y.count && zip(x, y).allSatisfy { $0.bitPattern == $1.bitPattern }
    }

    @Test(arguments: [0, 1, 5, 255, 256, 257, 513, 800])
    func everyShapeAndStrideAgrees(_ k: Int) {
        var random = Random(state: UInt64(k) &+ 3)
        for (m, n) in [(1, 1), (7, 5), (8, 16), (15, 17), (16, 32), (17, 33), (33, 48), (5, 80), (31, 100), (12, 128)] {
            for (row, step) in [(1, m), (1, m + 3), (k + 1, 1), (2, 2 * m + 1)] {
                for special in [false, true] {
                    let a = random.floats((m - 1) * row + max(0, k - 1) * step + 1, special: special)
                    let b = random.floats(n * k, special: special)
                    let most = UInt64(k + 1)
                    let extents = (0..<m).map { _ in Int32(random.next() % most) }
                    let rising = (0..<m).map { Int32(min(k, $0 * 9)) }
                    let even = [Int32](repeating: Int32(k / 2), count: m)
                    for taken in [nil, extents, rising, even] {
                        let expected = contract(PK_SCALAR, m, n, k, taken, a, row: row, step: step, b, ldc: n + 2)
                        for variant in VariantTests.variants {
                            let found = contract(variant, m, n, k, taken, a, row: row, step: step, b, ldc: n + 2)
                            #expect(
                                same(found, expected),
                                "m \(m) n \(n) k \(k) row \(row) step \(step) \(variant) extents \(taken ?? [])")
                        }
                    }
                }
            }
        }
    }

    /// Both sides as they lie: the right one by rows or by columns, in a wider matrix.
    @Test(arguments: [0, 1, 5, 255, 256, 257, 513, 800])
    func aRightSidePackedBySegmentsGivesTheSameBits(_ k: Int) {
        var random = Random(state: UInt64(k) &+ 11)
        for (m, n) in [(1, 1), (7, 5), (16, 48), (17, 33), (33, 49), (5, 80), (40, 128), (3, 100)] {
            for (row, step) in [(1, m), (1, m + 3), (k + 1, 1)] {
                for isTurned in [false, true] {
                    for special in [false, true] {
                        let a = random.floats((m - 1) * row + max(0, k - 1) * step + 1, special: special)
                        let b = random.floats(n * k + n + k + 1, special: special)
                        let (column, apart) = isTurned ? (1, n + 1) : (k + 1, 1)
                        func outer(_ variant: pk_variant) -> [Float] {
                            var scratch = [Float](repeating: 3, count: pk_outer_scratch(variant, Int32(n)))
                            var c = [Float](repeating: -1, count: m * (n + 2))
                            pk_contract_outer_f32(
                                variant, Int32(m), Int32(n), Int32(k), a, row, step, b, column, apart, &c, n + 2,
                                &scratch)
                            return c
                        }
                        var plain = [Float](repeating: 0, count: n * k)
                        for j in 0..<n { for t in 0..<k { plain[j * k + t] = b[j * column + t * apart] } }
                        let expected = contract(PK_SCALAR, m, n, k, nil, a, row: row, step: step, plain, ldc: n + 2)
                        #expect(same(outer(PK_SCALAR), expected), "m \(m) n \(n) k \(k) row \(row) turned \(isTurned)")
                        for variant in VariantTests.variants {
                            #expect(
                                same(outer(variant), expected),
                                "m \(m) n \(n) k \(k) row \(row) step \(step) turned \(isTurned) \(variant)")
                        }
                    }
                }
            }
        }
    }

    /// Few rows read the right side as it lies, by rows or by columns, each row as far as its extent goes.
    @Test(arguments: [1, 5, 15, 16, 64, 159, 255, 256, 257, 513, 800])
    func fewRowsAgainstARightSideThatIsNotPackedGiveTheSameBits(_ k: Int) {
        var random = Random(state: UInt64(k) &+ 17)
        for (m, n) in [(1, 1), (1, 16), (2, 5), (3, 48), (4, 33), (1, 64), (5, 80), (8, 100), (2, 31)] {
            for (row, step) in [(1, m), (k + 1, 1), (2, 2 * m + 1)] {
                for isTurned in [false, true] {
                    for special in [false, true] {
                        let a = random.floats((m - 1) * row + (k - 1) * step + 1, special: special)
                        let (column, apart) = isTurned ? (1, n + 3) : (k + 1, 1)
                        let b = random.floats((n - 1) * column + (k - 1) * apart + 1, special: special)
                        let bias = random.floats(n, special: special)
                        let most = UInt64(k + 1)
                        let ragged = (0..<m).map { _ in Int32(random.next() % most) }
                        let even = [Int32](repeating: Int32(k / 2), count: m)
                        var plain = [Float](repeating: 0, count: n * k)
                        for j in 0..<n { for t in 0..<k { plain[j * k + t] = b[j * column + t * apart] } }
                        for taken in [nil, ragged, even] {
                            for isAdded in [false, true] {
                                func few(_ variant: pk_variant) -> [Float] {
                                    var c = [Float](repeating: -1, count: m * (n + 2))
                                    let extents = taken ?? [Int32](repeating: Int32(k), count: m)
                                    extents.withUnsafeBufferPointer { extents in
                                        bias.withUnsafeBufferPointer { bias in
                                            pk_contract_few_f32(
                                                variant, Int32(m), Int32(n), Int32(k),
                                                taken == nil ? nil : extents.baseAddress, a, row, step, b, column,
                                                apart, isAdded ? bias.baseAddress : nil, &c, n + 2)
                                        }
                                    }
                                    return c
                                }
                                var expected = contract(
                                    PK_SCALAR, m, n, k, taken, a, row: row, step: step, plain, ldc: n + 2)
                                if isAdded {
                                    for i in 0..<m {
                                        for j in 0..<n {
                                            let sum = expected[i * (n + 2) + j] + bias[j]
                                            expected[i * (n + 2) + j] = sum.isNaN ? Float(bitPattern: 0x7FC0_0000) : sum
                                        }
                                    }
                                }
                                for variant in VariantTests.variants + [PK_SCALAR] {
                                    #expect(
                                        same(few(variant), expected),
                                        "m \(m) n \(n) k \(k) row \(row) turned \(isTurned) \(variant) extents \(taken ?? [])"
                                    )
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
