import CKernels
import Testing

/// Every vector variant gives the bits of the scalar specification.
@Suite struct VariantTests {
    static let variants = [PK_AVX2, PK_AVX512, PK_NEON].filter { pk_variant_supported($0) != 0 }

    struct Random {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }

        /// Mostly ordinary numbers; sometimes what breaks kernels.
        mutating func float(special: Bool = false) -> Float {
            if special && next() % 37 == 0 {
                let odd: [Float] = [
                    .nan, .infinity, -.infinity, -0.0, 0, 0x1p-133, -0x1p-140, .greatestFiniteMagnitude, 0x1p-126,
                ]
                return odd[Int(next() % UInt64(odd.count))]
            }
            return (Float(next() % 2_000_001) - 1_000_000) / 300_000
        }

        mutating func floats(_ count: Int, special: Bool = false) -> [Float] {
            (0..<count).map { _ in float(special: special) }
        }
    }

    func same(_ x: [Float], _ y: [Float]) -> Bool {
        zip(x, y).allSatisfy { $0.bitPattern == $1.bitPattern } && x.count == y.count
    }

    func contract(
        _ variant: pk_variant, _ m: Int, _ n: Int, _ k: Int, _ a: [Float], _ b: [Float], bias: [Float],
        residual: [Float],
        gelu: Bool
    ) -> [Float] {
        var packed = [Float](repeating: 0, count: pk_pack_size(variant, Int32(n), Int32(k)))
        pk_pack(variant, Int32(n), Int32(k), b, k, &packed)
        var c = [Float](repeating: -1, count: m * n)
        bias.withUnsafeBufferPointer { bias in
            residual.withUnsafeBufferPointer { residual in
                var epilogue = pk_epilogue(
                    bias: bias.baseAddress, activation: gelu ? PK_GELU : PK_NONE,
                    residual: residual.isEmpty ? nil : residual.baseAddress, ldr: n)
                pk_contract_f32(variant, Int32(m), Int32(n), Int32(k), a, k, packed, &c, n, &epilogue)
            }
        }
        return c
    }

    @Test(arguments: [0, 1, 2, 7, 17, 255, 256, 257, 600])
    func contractsAgreeForEveryDepthAndTail(_ k: Int) {
        var random = Random(state: UInt64(k))
        for (m, n) in [
            (1, 1), (7, 5), (8, 48), (9, 49), (13, 97), (17, 31), (3, 130), (4, 96), (2, 97), (5, 33), (6, 16),
            (1, 145),
        ] {
            for special in [false, true] {
                let a = random.floats(m * k, special: special)
                let b = random.floats(n * k, special: special)
                let bias = random.floats(n)
                let residual = special ? random.floats(m * n) : []
                for gelu in [false, true] {
                    let expected = contract(PK_SCALAR, m, n, k, a, b, bias: bias, residual: residual, gelu: gelu)
                    for variant in Self.variants {
                        let found = contract(variant, m, n, k, a, b, bias: bias, residual: residual, gelu: gelu)
                        #expect(same(found, expected), "m \(m) n \(n) k \(k) gelu \(gelu) variant \(variant.rawValue)")
                    }
                }
            }
        }
    }

    @Test func anEmptySumIsPlusZero() {
        for variant in Self.variants + [PK_SCALAR] {
            var c: [Float] = [7]
            pk_contract_f32(variant, 1, 1, 0, [], 0, [Float](repeating: 0, count: 64), &c, 1, nil)
            #expect(c[0].bitPattern == 0)
        }
    }

    /// The specification itself, against its own words: segments of 256, left to right.
    @Test func theScalarContractIsSegmented() {
        var random = Random(state: 5)
        let a = random.floats(600)
        let b = random.floats(600)
        var total: Float = 0
        for start in stride(from: 0, to: 600, by: 256) {
            var segment: Float = 0
            for i in start..<min(600, start + 256) { segment = segment.addingProduct(a[i], b[i]) }
            total += segment
        }
        var c: [Float] = [0]
        pk_contract_f32(PK_SCALAR, 1, 1, 600, a, 600, b, &c, 1, nil)
        #expect(c[0].bitPattern == (total + 0).bitPattern)
    }

    @Test(arguments: [
        (1, 1, 32), (5, 7, 32), (33, 33, 32), (16, 300, 64), (9, 128, 20), (8, 16, 16), (3, 17, 7), (20, 520, 33),
        (2, 0, 8),
    ])
    func attentionAgrees(_ rows: Int, _ extent: Int, _ width: Int) {
        for seed in 0..<3 {
            var random = Random(state: UInt64(seed * 1000 + rows))
            let q = random.floats(rows * width, special: seed == 2)
            let k = random.floats(extent * width)
            let v = random.floats(extent * width)
            func run(_ variant: pk_variant) -> [Float] {
                var out = [Float](repeating: 0, count: rows * width)
                var scratch = [Float](
                    repeating: 0, count: pk_attention_scratch(Int32(rows), Int32(extent), Int32(width)))
                pk_attention_f32(
                    variant, Int32(rows), Int32(extent), Int32(width), q, width, k, width, v, width, 0.17677669, &out,
                    width,
                    &scratch)
                return out
            }
            let expected = run(PK_SCALAR)
            for variant in Self.variants { #expect(same(run(variant), expected), "variant \(variant.rawValue)") }
        }
    }

    @Test(arguments: [1, 15, 31, 32, 33, 255, 256, 257, 384, 1000])
    func rowsAgree(_ n: Int) {
        var random = Random(state: UInt64(n))
        let x = random.floats(3 * n, special: n % 2 == 1)
        let gain = random.floats(n)
        let bias = random.floats(n)
        func norm(_ variant: pk_variant) -> [Float] {
            var y = [Float](repeating: 0, count: 3 * n)
            pk_layer_norm_f32(variant, 3, Int32(n), x, n, gain, bias, 1e-12, &y, n)
            return y
        }
        func columns(_ variant: pk_variant) -> [Float] {
            var y = [Float](repeating: 0, count: 3)
            pk_column_row_sum_f32(variant, Int32(n), 3, x, 3, &y)
            return y
        }
        for variant in Self.variants {
            #expect(pk_row_sum_f32(variant, x, n).bitPattern == pk_row_sum_f32(PK_SCALAR, x, n).bitPattern)
            #expect(same(norm(variant), norm(PK_SCALAR)))
            #expect(same(columns(variant), columns(PK_SCALAR)))
        }
        // A column's ROW sum is that of the column laid out as a row.
        let column = (0..<n).map { x[$0 * 3] }
        #expect(columns(PK_SCALAR)[0].bitPattern == pk_row_sum_f32(PK_SCALAR, column, n).bitPattern)
    }
}
