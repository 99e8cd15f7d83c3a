import CKernels
import Testing

/// Products of i8, exact on every variant.
@Suite struct WholeContractTests {
    typealias Random = VariantTests.Random

    /// i8 of a kind: 0 random, 1 all −128, 2 extremes of both signs, 3 small.
    func bytes(_ count: Int, _ kind: Int, _ random: inout Random) -> [Int8] {
        (0..<count).map { _ in
            let word = random.next()
            switch kind {
            case 0: return Int8(truncatingIfNeeded: word)
            case 1: return -128
            case 2: return word % 2 == 0 ? -128 : 127
            default: return Int8(Int64(word % 5) - 2)
            }
        }
    }

    func contract(
        _ variant: pk_variant, _ m: Int, _ n: Int, _ k: Int, _ extents: [Int32]?, _ a: [Int8], lda: Int, _ b: [Int8],
        ldc: Int
    ) -> [Int32] {
        // A guard shows that no more is written than was asked for.
        let size = pk_pack_size_i8(variant, Int32(n), Int32(k))
        var packed = [UInt8](repeating: 0xA5, count: size + 64)
        pk_pack_i8(variant, Int32(n), Int32(k), b, k, &packed)
        #expect(packed[size...].allSatisfy { $0 == 0xA5 })
        var c = [Int32](repeating: 77, count: m * ldc)
        if let extents {
            pk_contract_i8(variant, Int32(m), Int32(n), Int32(k), extents, a, lda, packed, &c, ldc)
        } else {
            pk_contract_i8(variant, Int32(m), Int32(n), Int32(k), nil, a, lda, packed, &c, ldc)
        }
        return c
    }

    /// By the definition, in 64 bits.
    func expected(
        _ m: Int, _ n: Int, _ k: Int, _ extents: [Int32]?, _ a: [Int8], lda: Int, _ b: [Int8], ldc: Int
    ) -> [Int32] {
        var c = [Int32](repeating: 77, count: m * ldc)
        for i in 0..<m {
            for j in 0..<n {
                var sum = 0
                for t in 0..<(extents.map { Int($0[i]) } ?? k) { sum += Int(a[i * lda + t]) * Int(b[j * k + t]) }
                c[i * ldc + j] = Int32(truncatingIfNeeded: sum)
            }
        }
        return c
    }

    @Test(arguments: [0, 1, 3, 4, 5, 63, 64, 127, 384, 2047, 2048, 2049, 4100])
    func everyShapeIsExact(_ k: Int) {
        var random = Random(state: UInt64(k) &+ 11)
        for (m, n) in [(1, 1), (2, 15), (5, 16), (6, 17), (7, 31), (12, 32), (13, 33), (25, 48), (3, 70)] {
            for kind in 0..<4 {
                let lda = k + kind
                let a = bytes(m * lda, kind, &random)
                let b = bytes(n * k, (kind + 1) % 3, &random)
                let extents = (0..<m).map { _ in Int32(random.next() % UInt64(k + 1)) }
                for taken in [nil, extents] {
                    let right = expected(m, n, k, taken, a, lda: lda, b, ldc: n + 1)
                    for variant in VariantTests.variants + [PK_SCALAR] {
                        let found = contract(variant, m, n, k, taken, a, lda: lda, b, ldc: n + 1)
                        #expect(found == right, "m \(m) n \(n) k \(k) kind \(kind) \(variant) \(taken ?? [])")
                    }
                }
            }
        }
    }

    /// More rows than a kernel keeps sums of; rows whose starts lie a power of two apart.
    @Test(arguments: [(3_100, 1_024, 1_024, 3), (400, 384, 390, 70), (30, 1_024, 4_096, 40), (30, 4_096, 8_200, 33)])
    func rowsManyOrFarApartAreExact(_ m: Int, _ k: Int, _ lda: Int, _ n: Int) {
        var random = Random(state: UInt64(lda))
        let a = bytes(m * lda, 0, &random)
        let b = bytes(n * k, 0, &random)
        let right = expected(m, n, k, nil, a, lda: lda, b, ldc: n)
        for variant in VariantTests.variants + [PK_SCALAR] {
            #expect(contract(variant, m, n, k, nil, a, lda: lda, b, ldc: n) == right, "\(variant)")
        }
    }

    /// Results of two million numbers go past the caches where they begin with a line, and not where they lie anyhow; what is beside them stays.
    @Test(arguments: [64, 70, 2_052])
    func largeResultsAreExactWhereverTheyLie(_ k: Int) {
        let (m, n, ldc) = (2_113, 1_000, 1_008)
        var random = Random(state: UInt64(k))
        let a = bytes(m * k, 0, &random)
        let b = bytes(n * k, 0, &random)
        let right = contract(PK_SCALAR, m, n, k, nil, a, lda: k, b, ldc: ldc)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: (m * ldc + 16) * 4, alignment: 64)
        defer { memory.deallocate() }
        for variant in VariantTests.variants {
            var packed = [UInt8](repeating: 0, count: pk_pack_size_i8(variant, Int32(n), Int32(k)))
            pk_pack_i8(variant, Int32(n), Int32(k), b, k, &packed)
            for shift in [0, 4] {
                let c = memory.bindMemory(to: Int32.self)[shift..<shift + m * ldc]
                let found = UnsafeMutableBufferPointer(rebasing: c)
                found.update(repeating: 77)
                pk_contract_i8(
                    variant, Int32(m), Int32(n), Int32(k), nil, a, k, packed, found.baseAddress, ldc)
                #expect(found.elementsEqual(right), "\(variant) shifted by \(shift)")
            }
        }
    }

    /// The longest sum, of the greatest products: 131,071 × 16,384 is just below 2³¹.
    @Test func theLongestSumDoesNotWrap() {
        let k = 131_071
        let low = [Int8](repeating: -128, count: k)
        let mixed = [Int8](repeating: 127, count: k)
        for variant in VariantTests.variants + [PK_SCALAR] {
            #expect(contract(variant, 1, 1, k, nil, low, lda: k, low, ldc: 1) == [131_071 * 16_384])
            #expect(contract(variant, 1, 1, k, nil, mixed, lda: k, low, ldc: 1) == [-131_071 * 16_256])
        }
    }

    /// One of a longer row wraps, alike everywhere.
    @Test func aSumBeyond32BitsWrapsAlike() {
        let k = 131_073
        let low = [Int8](repeating: -128, count: k)
        for variant in VariantTests.variants + [PK_SCALAR] {
            #expect(
                contract(variant, 1, 1, k, nil, low, lda: k, low, ldc: 1) == [Int32(truncatingIfNeeded: k * 16_384)])
        }
    }

    /// Columns may be shared out at panels.
    @Test func columnsMayBeSharedOut() {
        let (m, n, k) = (9, 150, 301)
        var random = Random(state: 5)
        let a = bytes(m * k, 0, &random)
        let b = bytes(n * k, 0, &random)
        let right = expected(m, n, k, nil, a, lda: k, b, ldc: n)
        for variant in VariantTests.variants + [PK_SCALAR] {
            let step = Int(pk_panel_columns_i8(variant))
            let column = pk_packed_column_i8(variant, Int32(k))
            var packed = [UInt8](repeating: 0, count: pk_pack_size_i8(variant, Int32(n), Int32(k)))
            var c = [Int32](repeating: 0, count: m * n)
            for first in stride(from: 0, to: n, by: step) {
                let count = min(step, n - first)
                packed.withUnsafeMutableBufferPointer { packed in
                    c.withUnsafeMutableBufferPointer { c in
                        b.withUnsafeBufferPointer { b in
                            let panel = packed.baseAddress! + first * column
                            pk_pack_i8(variant, Int32(count), Int32(k), b.baseAddress! + first * k, k, panel)
                            pk_contract_i8(
                                variant, Int32(m), Int32(count), Int32(k), nil, a, k, panel, c.baseAddress! + first, n)
                        }
                    }
                }
            }
            #expect(c == right, "\(variant)")
        }
    }

    /// A linear layer of w8a8 on every variant, with rows of zeros, subnormals, infinities and NaN, is the reference's rounding, product and scaling.
    @Test(arguments: [1, 15, 33, 384, 515])
    func linearLayersAgree(_ k: Int) {
        var random = Random(state: UInt64(k))
        for (m, n) in [(1, 1), (5, 17), (49, 40), (100, 129), (13, 300)] {
            var x = random.floats(m * k, special: true)
            for t in 0..<k where m > 4 {
                x[t] = 0
                x[k + t] = Float(bitPattern: UInt32(random.next() % 9))
                x[2 * k + t] = 3
            }
            if m > 4 {
                x[2 * k] = .infinity
                x[3 * k] = .nan
                x[4 * k] = -.greatestFiniteMagnitude
            }
            let b = bytes(n * k, 0, &random)
            let columns = random.floats(n)
            let bias = random.floats(n, special: true)
            let residual = random.floats(m * n, special: true)
            for (activation, adds) in [
                (PK_NONE, true), (PK_GELU, true), (PK_NONE, false), (PK_GELU, false), (PK_TANH_ACTIVATION, true),
            ] {
                var words: [[Float]] = []
                func run(_ variant: pk_variant) -> [Float] {
                    var packed = [UInt8](repeating: 0, count: pk_pack_size_i8(variant, Int32(n), Int32(k)))
                    pk_pack_i8(variant, Int32(n), Int32(k), b, k, &packed)
                    let size = pk_linear_i8_scratch(variant, Int32(k))
                    var scratch = [Int32](repeating: 5, count: size / 4 + 16)
                    var c = [Float](repeating: 0, count: m * n)
                    // Rows a little apart, and a guard behind the last.
                    var q = [Int8](repeating: 99, count: m * (k + 1))
                    var scale = [Float](repeating: 0, count: m)
                    var top = scale
                    var place = [Int32](repeating: -1, count: m)
                    pk_round_rows(variant, Int32(m), Int32(k), x, k, &q, k + 1, &scale, &top, &place)
                    #expect((0..<m).allSatisfy { q[$0 * (k + 1) + k] == 99 })
                    words.append(q.map { Float($0) } + scale + top + place.map { Float($0) })
                    bias.withUnsafeBufferPointer { bias in
                        residual.withUnsafeBufferPointer { residual in
                            var epilogue = pk_epilogue(
                                bias: adds ? bias.baseAddress : nil, activation: activation,
                                residual: adds ? residual.baseAddress : nil, ldr: n)
                            pk_linear_i8(
                                variant, Int32(m), Int32(n), Int32(k), q, k + 1, scale, top, place, packed, columns,
                                &epilogue, &c, n, &scratch)
                        }
                    }
                    #expect(scratch[((size + 3) / 4)...].allSatisfy { $0 == 5 })
                    return c
                }
                let expected = run(PK_SCALAR)
                for variant in VariantTests.variants {
                    let found = run(variant)
                    #expect(
                        zip(found, expected).allSatisfy { $0.bitPattern == $1.bitPattern },
                        "m \(m) n \(n) k \(k) \(variant)")
                }
                // Bits, since a scale may be no number.
                #expect(words.allSatisfy { $0.map(\.bitPattern) == words[0].map(\.bitPattern) })
            }
        }
    }

    /// The greatest of a row stands apart: the first of equals, whatever the lane; the others have the eight bits to themselves.
    @Test func theGreatestOfARowStandsApart() {
        var row = (0..<100).map { Float($0 % 7) - 3 }
        for (first, other) in [(0, 99), (17, 33), (64, 80), (98, 99)] {
            row[first] = -1000
            row[other] = 1000
            for variant in VariantTests.variants + [PK_SCALAR] {
                var q = [Int8](repeating: 9, count: 100)
                var (scale, top, place) = (Float(0), Float(0), Int32(0))
                pk_round_rows(variant, 1, 100, row, 100, &q, 100, &scale, &top, &place)
                #expect(Int(place) == first && top == -1000 && q[first] == 0)
                #expect(q[other] == 127 && scale == 1000 / 127)
                // Alone, it leaves the others all their bits.
                var lone = row
                lone[other] = 0
                pk_round_rows(variant, 1, 100, lone, 100, &q, 100, &scale, &top, &place)
                #expect(Int(place) == first && scale == 3 / Float(127))
                #expect(q.contains(127) && q.contains(-127))
            }
            row[first] = 1
            row[other] = 1
        }
    }
}
