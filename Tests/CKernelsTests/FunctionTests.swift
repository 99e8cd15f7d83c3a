import CKernels
import Foundation
import Testing

@Suite struct FunctionTests {
    /// Distance from the true value in units of the result's last place.
    static func error(_ found: Float, _ truth: Double) -> Double {
        if truth.isNaN { return found.isNaN ? 0 : .infinity }
        let rounded = Float(truth)
        if rounded.isInfinite { return found == rounded || found.nextUp == rounded ? 0 : .infinity }
        let unit = max(Double(rounded.ulp), 0x1p-149)
        return abs(Double(found) - truth) / unit
    }

    /// A function, its bound in ulp, the truth in double precision, and the digest of its results over the stride: no compiler, machine or change
    /// of the sources may move a bit of it unnoticed.
    struct Case: Sendable, CustomStringConvertible {
        let description: String
        let function: pk_function
        let bound: Double
        let digest: UInt64
        let truth: @Sendable (Double) -> Double
    }

    static let cases: [Case] = [
        Case(
            description: "exp", function: PK_EXP, bound: 1.0, digest: 0x656D_078A_A1DF_8782,
            truth: { Foundation.exp($0) }),
        Case(
            description: "log", function: PK_LOG, bound: 1.0, digest: 0x3522_34EA_B13B_4DE0,
            truth: { Foundation.log($0) }),
        Case(
            description: "tanh", function: PK_TANH, bound: 1.6, digest: 0xEDD7_364B_BA63_BD50,
            truth: { Foundation.tanh($0) }),
        Case(
            description: "erf", function: PK_ERF, bound: 1.1, digest: 0x175F_A75E_8F87_E3CA,
            truth: { Foundation.erf($0) }),
        Case(
            description: "sin", function: PK_SIN, bound: 1.5, digest: 0x71C1_C5BC_EAC7_E33D,
            truth: { Foundation.sin($0) }),
        Case(
            description: "cos", function: PK_COS, bound: 1.5, digest: 0xEF66_0A56_3826_4D2E,
            truth: { Foundation.cos($0) }),
        Case(
            description: "sqrt", function: PK_SQRT, bound: 0.5, digest: 0x1975_3641_2DEC_28C3,
            truth: { $0.squareRoot() }),
        Case(
            description: "rsqrt", function: PK_RSQRT, bound: 1.6, digest: 0x23B3_8002_F414_E5C7,
            truth: { 1 / $0.squareRoot() }),
        Case(
            description: "relu", function: PK_RELU, bound: 0, digest: 0xD0DF_CD6E_E8AA_F4DC,
            truth: { $0.isNaN ? $0 : Swift.max($0, 0) }),
    ]

    /// A stride through all bit patterns that is prime to 2^32, so that every exponent and sign is met.
    static let stride: UInt32 = 4_099

    @Test(arguments: cases) func staysWithinItsBoundAndEqualOnEveryVariant(_ item: Case) {
        var worst = 0.0
        var worstAt: Float = 0
        var batch: [Float] = []
        var bits: UInt32 = 0
        while true {
            batch.append(Float(bitPattern: bits))
            let (next, overflow) = bits.addingReportingOverflow(Self.stride)
            if overflow { break }
            bits = next
        }
        var scalar = [Float](repeating: 0, count: batch.count)
        pk_unary_f32(PK_SCALAR, item.function, batch.count, batch, &scalar)
        for (x, y) in zip(batch, scalar) {
            let error = Self.error(y, item.truth(Double(x)))
            if error > worst { (worst, worstAt) = (error, x) }
            if y.isNaN && y.bitPattern != 0x7FC0_0000 { Issue.record("\(x) gives a NaN of another form") }
        }
        #expect(worst <= item.bound, "\(item): \(worst) ulp at \(worstAt)")
        var digest: UInt64 = 0xCBF2_9CE4_8422_2325
        for y in scalar { digest = (digest ^ UInt64(y.bitPattern)) &* 0x100_0000_01B3 }
        #expect(digest == item.digest, "\(item): 0x\(String(digest, radix: 16))")
        for variant in VariantTests.variants {
            var found = [Float](repeating: 0, count: batch.count)
            pk_unary_f32(variant, item.function, batch.count, batch, &found)
            #expect(
                zip(found, scalar).allSatisfy { $0.bitPattern == $1.bitPattern }, "\(item) variant \(variant.rawValue)")
        }
    }

    /// Where a sweep of all 2³² inputs found each function's largest error.
    @Test(arguments: [
        ("exp", Float(0x1.da3336p+5)), ("erf", 0x1.0e79bap+0), ("erf", 1.00018811), ("erf", 0.998318791),
    ]) func holdsWhereASweepOfAllInputsFoundTheWorst(_ name: String, _ x: Float) throws {
        let item = try #require(Self.cases.first { $0.description == name })
        for sign in [Float(1), -1] {
            let y = scalar(item.function, sign * x)
            #expect(Self.error(y, item.truth(Double(sign * x))) <= item.bound)
        }
    }

    func scalar(_ function: pk_function, _ x: Float) -> Float {
        var y: Float = 0
        withUnsafePointer(to: x) { pk_unary_f32(PK_SCALAR, function, 1, $0, &y) }
        return y
    }

    @Test func specialValuesAreExact() {
        #expect(pk_exp_f32(-.infinity).bitPattern == 0 && pk_exp_f32(.infinity) == .infinity)
        #expect(pk_exp_f32(0) == 1 && pk_exp_f32(-0.0) == 1 && pk_exp_f32(-104) == 0 && pk_exp_f32(89) == .infinity)
        #expect(pk_exp_f32(-103.2) == 0x1p-149)
        #expect(pk_log_f32(0) == -.infinity && pk_log_f32(-0.0) == -.infinity && pk_log_f32(.infinity) == .infinity)
        #expect(pk_log_f32(1).bitPattern == 0 && pk_log_f32(-1).bitPattern == 0x7FC0_0000)
        #expect(pk_erf_f32(.infinity) == 1 && pk_erf_f32(-.infinity) == -1 && pk_tanh_f32(-.infinity) == -1)
        for function in [PK_ERF, PK_TANH, PK_SIN] { #expect(scalar(function, -0.0).bitPattern == 0x8000_0000) }
        #expect(pk_sin_f32(.infinity).bitPattern == 0x7FC0_0000 && pk_cos_f32(-.infinity).bitPattern == 0x7FC0_0000)
        #expect(scalar(PK_RELU, -0.0).bitPattern == 0 && scalar(PK_RELU, -3).bitPattern == 0)
        #expect(scalar(PK_RSQRT, 0) == .infinity && scalar(PK_RSQRT, -1).bitPattern == 0x7FC0_0000)
        #expect(pk_sigmoid_f32(-.infinity) == 0 && pk_sigmoid_f32(.infinity) == 1 && pk_sigmoid_f32(0) == 0.5)
        #expect(scalar(PK_SILU, -.infinity).bitPattern == 0x7FC0_0000)
        // clang takes a square root's NaN for the canonical one unless it is asked for by its bits.
        for variant in VariantTests.variants + [PK_SCALAR] {
            var y = [Float](repeating: 0, count: 40)
            for function in PK_EXP.rawValue...PK_RELU.rawValue {
                let payload = [Float](repeating: Float(bitPattern: 0xFF80_336E), count: 40)
                pk_unary_f32(variant, pk_function(rawValue: function), 40, payload, &y)
                #expect(y.allSatisfy { $0.bitPattern == 0x7FC0_0000 }, "\(variant) \(function)")
            }
        }
    }

    /// Functions made of others are those others, rounded step by step, on every variant and in place.
    @Test func compositesAreTheirExpansions() {
        var x: [Float] = []
        for bits in Swift.stride(from: UInt64(0), to: 1 << 32, by: 16_411 * 7) {
            x.append(Float(bitPattern: UInt32(bits)))
        }
        let gelu = x.map { (0.5 * $0) * (1 + pk_erf_f32($0 * 0.70710677)) }
        let sigmoid = x.map { 1 / (1 + pk_exp_f32(-$0)) }
        let silu = zip(x, sigmoid).map { $0 * $1 }
        let rsqrt = x.map { 1 / $0.squareRoot() }
        for (function, truth) in [(PK_GELU_FN, gelu), (PK_SIGMOID, sigmoid), (PK_SILU, silu), (PK_RSQRT, rsqrt)] {
            var expected = truth
            pk_canonicalize_f32(&expected, expected.count)
            for variant in VariantTests.variants + [PK_SCALAR] {
                var found = x
                found.withUnsafeMutableBufferPointer {
                    pk_unary_f32(variant, function, $0.count, $0.baseAddress, $0.baseAddress)
                }
                #expect(zip(found, expected).allSatisfy { $0.bitPattern == $1.bitPattern }, "\(function) \(variant)")
            }
        }
    }

    @Test func conversionsFollowRuleSix() {
        #expect(pk_f32_to_i32(.nan) == 0)
        #expect(pk_f32_to_i32(1e20) == 2_147_483_520)
        #expect(pk_f32_to_i32(-1e20) == .min)
        #expect(pk_f32_to_i32(2.5) == 2 && pk_f32_to_i32(3.5) == 4 && pk_f32_to_i32(-2.5) == -2)
        #expect(pk_f32_to_i64(1e30) == (1 << 62) + ((1 << 62) - (1 << 39)))
        #expect(pk_f32_to_i8(200) == 127 && pk_f32_to_i8(-200) == -128)
        #expect(pk_f32_to_u8(-1) == 0 && pk_f32_to_u8(300) == 255)
    }

    @Test func halvesWidenExactlyAndRoundToEven() {
        for bits in UInt16.min...UInt16.max {
            let isNaN = bits & 0x7C00 == 0x7C00 && bits & 0x3FF != 0
            if !isNaN { #expect(pk_f32_to_f16(pk_f16_to_f32(bits)) == bits) }
            let isBrainNaN = bits & 0x7F80 == 0x7F80 && bits & 0x7F != 0
            if !isBrainNaN { #expect(pk_f32_to_bf16(pk_bf16_to_f32(bits)) == bits) }
        }
        #expect(pk_f32_to_f16(.nan) == 0x7E00 && pk_f32_to_bf16(.nan) == 0x7FC0)
        #expect(pk_f32_to_f16(65_520) == 0x7C00)
        #expect(pk_f32_to_f16(65_519) == 0x7BFF)
    }

    @Test func arraysConvertAsTheirElements() {
        let halves = (UInt16.min...UInt16.max).map { $0 }
        var wide = [Float](repeating: 0, count: halves.count)
        var back = [UInt16](repeating: 0, count: halves.count)
        pk_widen_f16(halves.count, halves, &wide)
        #expect(zip(halves, wide).allSatisfy { pk_f16_to_f32($0).bitPattern == $1.bitPattern })
        pk_narrow_f16(halves.count, wide, &back)
        #expect(zip(wide, back).allSatisfy { pk_f32_to_f16($0) == $1 })
        pk_widen_bf16(halves.count, halves, &wide)
        #expect(zip(halves, wide).allSatisfy { pk_bf16_to_f32($0).bitPattern == $1.bitPattern })
        pk_narrow_bf16(halves.count, wide, &back)
        #expect(zip(wide, back).allSatisfy { pk_f32_to_bf16($0) == $1 })
    }

    @Test func theFloatEnvironmentIsChecked() { #expect(pk_check_float_environment() != 0) }
}
