import Runtime
import Testing

@Suite struct HalfPrecisionTests {
    @Test func everyHalfIsWidenedToItsOwnValue() {
        for half in UInt16.min...UInt16.max {
            let exponent = (half >> 10) & 0x1F
            let fraction = Double(half & 0x3FF)
            let found = Double(Float(bitPattern: HalfPrecision.widened(half)))
            if exponent == 0x1F {
                #expect(fraction == 0 ? found.isInfinite : found.isNaN)
            } else {
                // 2⁻²⁴ is the least subnormal half; a normal one is (1024 + fraction) · 2^(exponent − 25).
                let power = Double(sign: .plus, exponent: exponent == 0 ? -24 : Int(exponent) - 25, significand: 1)
                let magnitude = (fraction + (exponent == 0 ? 0 : 1024)) * power
                #expect(found == (half >> 15 == 0 ? magnitude : -magnitude))
            }
        }
    }
}
