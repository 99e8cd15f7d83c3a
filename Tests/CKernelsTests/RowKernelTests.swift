import CKernels
import Testing

/// Row kernels: each against its own words, then every variant against the reference.
@Suite struct RowKernelTests {
    typealias Random = VariantTests.Random

    static let all = VariantTests.variants + [PK_SCALAR]

    func softmax(
        _ variant: pk_variant, rows: Int, n: Int, extents: [Int32]?, _ x: [Float], scale: Float = 1
    ) -> [Float] {
        var y = [Float](repeating: 7, count: rows * n)
        if let extents {
            pk_softmax_f32(variant, Int32(rows), Int32(n), extents, x, n, scale, &y, n)
        } else {
            pk_softmax_f32(variant, Int32(rows), Int32(n), nil, x, n, scale, &y, n)
        }
        return y
    }

    @Test(arguments: [1, 7, 16, 31, 33, 64, 100, 255, 256, 257, 600])
    func softmaxAgreesForEveryExtent(_ n: Int) {
        for special in [false, true] {
            var random = Random(state: UInt64(n))
            let x = random.floats(5 * n, special: special)
            let extents = [0, 1, Int32(n / 2), Int32(max(0, n - 1)), Int32(n)]
            for chosen in [nil, extents] {
                let expected = softmax(PK_SCALAR, rows: 5, n: n, extents: chosen, x, scale: 0.3)
                for variant in VariantTests.variants {
                    let found = softmax(variant, rows: 5, n: n, extents: chosen, x, scale: 0.3)
                    #expect(zip(found, expected).allSatisfy { $0.bitPattern == $1.bitPattern }, "n \(n) \(variant)")
                }
            }
        }
    }

    /// The composition of docs/numerics.md, from the public pieces.
    @Test func softmaxIsItsExpansion() {
        var random = Random(state: 11)
        let x = random.floats(300)
        let m = pk_row_max_f32(x, 300)
        let e = x.map { pk_exp_f32($0 - m) }
        let inverse = 1 / pk_row_sum_f32(PK_SCALAR, e, 300)
        let expected = e.map { $0 * inverse }
        for variant in Self.all { #expect(softmax(variant, rows: 1, n: 300, extents: nil, x) == expected) }
    }

    @Test func softmaxLeavesZerosBeyondTheExtent() {
        for variant in Self.all {
            let y = softmax(variant, rows: 2, n: 40, extents: [3, 0], [Float](repeating: 1, count: 80))
            #expect(y[3...].allSatisfy { $0.bitPattern == 0 })
            #expect(y[0] == y[1] && y[1] == y[2] && y[0] > 0.333)
        }
    }

    @Test func softmaxOfNaNOrOfNothingFiniteIsNaN() {
        for variant in Self.all {
            for x in [[Float.nan, 1, 2], [-.infinity, -.infinity, -.infinity], [.infinity, 1, 2]] {
                let y = softmax(variant, rows: 1, n: 3, extents: nil, x)
                #expect(y[0].bitPattern == 0x7FC0_0000)
            }
        }
    }

    /// ROW by its own words, in Swift.
    static func row(_ x: [Float]) -> Float {
        var total: Float = 0
        for start in stride(from: 0, to: x.count, by: 256) {
            var lanes = [Float](repeating: 0, count: 32)
            for i in start..<min(x.count, start + 256) { lanes[(i - start) % 32] += x[i] }
            for width in [16, 8, 4, 2, 1] { for l in 0..<width { lanes[l] += lanes[l + width] } }
            total += lanes[0]
        }
        return total + 0
    }

    @Test(arguments: [0, 1, 31, 32, 33, 255, 256, 257, 600, 1025])
    func rowSumsFollowTheOrderOfThePage(_ n: Int) {
        var random = Random(state: UInt64(n + 3))
        let x = random.floats(n)
        let expected = Self.row(x)
        for variant in Self.all { #expect(pk_row_sum_f32(variant, x, n).bitPattern == expected.bitPattern) }
    }

    @Test func sumsOfNegativeZerosArePlusZero() {
        let zeros = [Float](repeating: -0.0, count: 300)
        var column = [Float](repeating: 1, count: 3)
        for variant in Self.all {
            #expect(pk_row_sum_f32(variant, zeros, 300).bitPattern == 0)
            pk_column_row_sum_f32(variant, 100, 3, zeros, 3, &column)
            #expect(column.allSatisfy { $0.bitPattern == 0 })
            var c: [Float] = [1]
            var packed = [Float](repeating: 0, count: pk_pack_size(variant, 1, 300))
            pk_pack(variant, 1, 300, zeros, 300, &packed)
            pk_contract_f32(variant, 1, 1, 300, [Float](repeating: 1, count: 300), 300, packed, &c, 1, nil)
            #expect(c[0].bitPattern == 0)
        }
    }

    @Test(arguments: [1, 256, 257, 600]) func prefixesEndAtChunkSums(_ n: Int) {
        var random = Random(state: UInt64(n))
        let x = random.floats(n)
        var expected: [Float] = []
        var before: Float = 0
        for start in stride(from: 0, to: n, by: 256) {
            let chunk = Array(x[start..<min(n, start + 256)])
            var chain: Float = 0
            for value in chunk {
                chain += value
                expected.append(before + chain)
            }
            before += Self.row(chunk)
        }
        var out = [Float](repeating: 0, count: n)
        pk_row_prefix_f32(x, n, &out)
        #expect(out == expected)
        var inPlace = x
        inPlace.withUnsafeMutableBufferPointer { pk_row_prefix_f32($0.baseAddress, n, $0.baseAddress) }
        #expect(inPlace == expected)
    }

    @Test func maximaAreOrderFree() {
        #expect(pk_row_max_f32([], 0) == -.infinity && pk_row_min_f32([], 0) == .infinity)
        #expect(pk_row_max_f32([-0.0, -1], 2).bitPattern == 0)
        #expect(pk_row_min_f32([-0.0, 1], 2).bitPattern == 0)
        #expect(pk_row_argmax_f32([-0.0, 0, -1], 3) == 0)
        #expect(pk_row_argmax_f32([1, 3, 3], 3) == 1)
        #expect(pk_row_argmax_f32([-3, -2, -.infinity], 3) == 1)
        #expect(pk_row_argmax_f32([-.infinity, -.infinity], 2) == 0)
        #expect(pk_row_argmax_f32([.infinity, .nan, .nan], 3) == 1)
        #expect(pk_row_max_f32([.infinity, -.nan], 2).bitPattern == 0x7FC0_0000)
        #expect(pk_row_min_f32([-.infinity, .nan], 2).bitPattern == 0x7FC0_0000)
        #expect(pk_row_min_f32([0x1p-149, -0x1p-149], 2) == -0x1p-149)
    }

    /// Ties, both zeros, infinities and NaN at every place, in lengths around the pieces that are looked through at once.
    @Test(arguments: VariantTests.variants + [PK_SCALAR])
    func placesOfExtremesAreThoseOfTheScalarKernel(_ variant: pk_variant) {
        var random = Random(state: 77)
        let few: [Float] = [0, -0.0, 1, 1, -1, .infinity, -.infinity, 0x1p-149]
        for n in [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 200, 1000] {
            for kind in 0..<6 {
                var x = random.floats(n)
                if kind > 1 { x = x.indices.map { _ in few[Int(random.next() % 8)] } }
                if kind > 3 && n > 0 { x[Int(random.next() % UInt64(n))] = .nan }
                if kind == 5 && n > 0 { x[Int(random.next() % UInt64(n))] = -.nan }
                #expect(pk_row_argument_f32(variant, x, n, 1) == pk_row_argmax_f32(x, n), "\(n), \(kind)")
                #expect(pk_row_argument_f32(variant, x, n, 0) == pk_row_argmin_f32(x, n), "\(n), \(kind)")
            }
        }
    }
}
