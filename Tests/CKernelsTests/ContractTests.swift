import CKernels
import Testing

/// What holds of contractions beyond a variant's agreement with the reference.
@Suite struct ContractTests {
    typealias Random = VariantTests.Random

    func contract(
        _ variant: pk_variant, _ m: Int, _ n: Int, _ k: Int, _ a: [Float], _ b: [Float], bias: [Float]? = nil,
        activation: pk_activation = PK_NONE, residual: [Float]? = nil
    ) -> [Float] {
        var packed = [Float](repeating: 0, count: pk_pack_size(variant, Int32(n), Int32(k)))
        pk_pack(variant, Int32(n), Int32(k), b, k, &packed)
        var c = [Float](repeating: -1, count: m * n)
        func run(_ bias: UnsafePointer<Float>?, _ residual: UnsafePointer<Float>?) {
            var epilogue = pk_epilogue(bias: bias, activation: activation, residual: residual, ldr: n)
            pk_contract_f32(variant, Int32(m), Int32(n), Int32(k), a, k, packed, &c, n, &epilogue)
        }
        (bias ?? []).withUnsafeBufferPointer { bias in
            (residual ?? []).withUnsafeBufferPointer { residual in
                run(bias.isEmpty ? nil : bias.baseAddress, residual.isEmpty ? nil : residual.baseAddress)
            }
        }
        return c
    }

    func same(_ x: [Float], _ y: [Float]) -> Bool {
        x.count == y.count && zip(x, y).allSatisfy { $0.bitPattern == $1.bitPattern }
    }

    static let activations: [(pk_activation, pk_function?)] = [
        (PK_NONE, nil), (PK_GELU, PK_GELU_FN), (PK_RELU_ACTIVATION, PK_RELU), (PK_TANH_ACTIVATION, PK_TANH),
        (PK_SILU_ACTIVATION, PK_SILU),
    ]

    /// A fused kernel is right when it equals its expansion bit for bit.
    @Test func epiloguesEqualTheSeparateSteps() {
        let (m, n, k) = (13, 101, 300)
        for special in [false, true] {
            var random = Random(state: 21)
            let a = random.floats(m * k)
            let b = random.floats(n * k)
            let bias = random.floats(n, special: special)
            let residual = random.floats(m * n, special: special)
            for variant in VariantTests.variants + [PK_SCALAR] {
                let sums = contract(variant, m, n, k, a, b)
                for (activation, function) in Self.activations {
                    var expected = sums
                    for i in 0..<m * n { expected[i] += bias[i % n] }
                    pk_canonicalize_f32(&expected, m * n)
                    if let function {
                        let before = expected
                        pk_unary_f32(PK_SCALAR, function, m * n, before, &expected)
                    }
                    for i in 0..<m * n { expected[i] += residual[i] }
                    pk_canonicalize_f32(&expected, m * n)
                    let found = contract(
                        variant, m, n, k, a, b, bias: bias, activation: activation, residual: residual)
                    #expect(same(found, expected), "\(variant) \(activation)")
                }
            }
        }
    }

    /// The result of a row depends on that row alone: on no batch, no tile and no share of the columns.
    @Test func rowsAndPanelsMayBeSharedOutAnyhow() {
        let (m, n, k) = (37, 200, 520)
        var random = Random(state: 8)
        let a = random.floats(m * k, special: true)
        let b = random.floats(n * k)
        let expected = contract(PK_SCALAR, m, n, k, a, b)
        for variant in VariantTests.variants {
            var packed = [Float](repeating: 0, count: pk_pack_size(variant, Int32(n), Int32(k)))
            pk_pack(variant, Int32(n), Int32(k), b, k, &packed)
            let step = Int(pk_panel_columns(variant))
            for height in 1...m {
                var c = [Float](repeating: 0, count: m * n)
                c.withUnsafeMutableBufferPointer { c in
                    a.withUnsafeBufferPointer { a in
                        packed.withUnsafeBufferPointer { packed in
                            for i in stride(from: 0, to: m, by: height) {
                                for j in stride(from: 0, to: n, by: step) {
                                    pk_contract_f32(
                                        variant, Int32(min(height, m - i)), Int32(min(step, n - j)), Int32(k),
                                        a.baseAddress! + i * k, k, packed.baseAddress! + j * k,
                                        c.baseAddress! + i * n + j, n, nil)
                                }
                            }
                        }
                    }
                }
                #expect(same(c, expected), "\(variant) height \(height)")
            }
        }
    }

    /// Nothing is written outside the matrix, and rows may lie apart.
    @Test func stridesAreKept() {
        let (m, n, k, lda, ldc) = (11, 53, 70, 75, 60)
        var random = Random(state: 4)
        let a = random.floats(m * lda)
        let b = random.floats(n * k)
        let tight = (0..<m).flatMap { a[$0 * lda..<$0 * lda + k] }
        let expected = contract(PK_SCALAR, m, n, k, tight, b)
        for variant in VariantTests.variants + [PK_SCALAR] {
            var packed = [Float](repeating: 0, count: pk_pack_size(variant, Int32(n), Int32(k)))
            pk_pack(variant, Int32(n), Int32(k), b, k, &packed)
            var c = [Float](repeating: 9, count: m * ldc)
            pk_contract_f32(variant, Int32(m), Int32(n), Int32(k), a, lda, packed, &c, ldc, nil)
            for i in 0..<m {
                #expect(same(Array(c[i * ldc..<i * ldc + n]), Array(expected[i * n..<i * n + n])))
                #expect(c[i * ldc + n..<(i + 1) * ldc].allSatisfy { $0 == 9 }, "\(variant)")
            }
        }
    }

    /// Attention is two contractions with a softmax between.
    @Test func attentionIsItsExpansion() {
        let (rows, extent, width) = (9, 300, 40)
        var random = Random(state: 77)
        let q = random.floats(rows * width)
        let k = random.floats(extent * width)
        let v = random.floats(extent * width)
        let scores = contract(PK_SCALAR, rows, extent, width, q, k)
        var p = [Float](repeating: 0, count: rows * extent)
        pk_softmax_f32(PK_SCALAR, Int32(rows), Int32(extent), nil, scores, extent, 0.25, &p, extent)
        let turned = (0..<width * extent).map { v[$0 % extent * width + $0 / extent] }
        let expected = contract(PK_SCALAR, rows, width, extent, p, turned)
        for variant in VariantTests.variants + [PK_SCALAR] {
            var out = [Float](repeating: 0, count: rows * width)
            let size = pk_attention_scratch(Int32(rows), Int32(extent), Int32(width))
            // Guards show that the scratch asked for is enough.
            var scratch = [Float](repeating: 5, count: size + 16)
            pk_attention_f32(
                variant, Int32(rows), Int32(extent), Int32(width), q, width, k, width, v, width, 0.25, &out, width,
                &scratch)
            #expect(same(out, expected), "\(variant)")
            #expect(scratch[size...].allSatisfy { $0 == 5 })
        }
    }
}
