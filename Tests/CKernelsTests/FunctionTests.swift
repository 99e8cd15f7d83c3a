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

    struct Case: Sendable, CustomStringConvertible {
        let description: String
        let function: pk_function
        let bound: Double
        let truth: @Sendable (Double) -> Double
    }

    static let cases: [Case] = [
        Case(description: "exp", function: PK_EXP, bound: 1.0, truth: { Foundation.exp($0) }),
        Case(description: "log", function: PK_LOG, bound: 1.0, truth: { Foundation.log($0) }),
        Case(description: "tanh", function: PK_TANH, bound: 1.6, truth: { Foundation.tanh($0) }),
        Case(description: "erf", function: PK_ERF, bound: 1.1, truth: { Foundation.erf($0) }),
        Case(description: "sin", function: PK_SIN, bound: 1.5, truth: { Foundation.sin($0) }),
        Case(description: "cos", function: PK_COS, bound: 1.5, truth: { Foundation.cos($0) }),
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
        for variant in VariantTests.variants {
            var found = [Float](repeating: 0, count: batch.count)
            pk_unary_f32(variant, item.function, batch.count, batch, &found)
            #expect(
                zip(found, scalar).allSatisfy { $0.bitPattern == $1.bitPattern }, "\(item) variant \(variant.rawValue)")
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

    @Test func theFloatEnvironmentIsChecked() { #expect(pk_check_float_environment() != 0) }
}
