import CKernels
import Foundation
import Primitives
import Programs
import Testing

/// The integer arithmetic that validators judge by against this machine's own floating point.
@Suite struct SoftfloatTests {
    /// Random cases an operation; PLASMA_SOFTFLOAT_CASES asks for more (the design's run is 100000000).
    static var cases: Int { count("PLASMA_SOFTFLOAT_CASES", otherwise: 1_000_000) }
    /// Every how many-th of the 2³² inputs a function is compared on; prime to 2³². PLASMA_SOFTFLOAT_STRIDE=1 takes all.
    static var stride: UInt32 { UInt32(clamping: count("PLASMA_SOFTFLOAT_STRIDE", otherwise: 65_537)) }
    /// PLASMA_SOFTFLOAT_SEED replays a failing run.
    static var seed: UInt64 { UInt64(count("PLASMA_SOFTFLOAT_SEED", otherwise: 20_261)) }

    static func count(_ name: String, otherwise: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? otherwise
    }

    /// Where arithmetic goes wrong: zeros, ends of the ranges, halves, the infinities, NaNs of several forms.
    static let specials: [UInt32] =
        [
            0, 1, 2, 3, 0x007F_FFFE, 0x007F_FFFF, 0x0080_0000, 0x0080_0001, 0x00FF_FFFF, 0x0100_0000, 0x3380_0000,
            0x3400_0000,
            0x3EFF_FFFF, 0x3F00_0000, 0x3F00_0001, 0x3F7F_FFFF, 0x3F80_0000, 0x3F80_0001, 0x3FC0_0000, 0x4020_0000,
            0x42FE_0000,
            0x42FF_0000, 0x4300_0000, 0x437F_0000, 0x437F_8000, 0x4380_0000, 0x477F_E000, 0x477F_EFFF, 0x477F_F000,
            0x4B00_0000,
            0x4B7F_FFFF, 0x4B80_0000, 0x4EFF_FFFF, 0x4F00_0000, 0x5EFF_FFFF, 0x5F00_0000, 0x7F00_0000, 0x7F7F_FFFE,
            0x7F7F_FFFF,
            0x7F80_0000, 0x7F80_0001, 0x7FBF_FFFF, 0x7FC0_0000, 0x7FFF_FFFF,
        ].flatMap { [$0, $0 | 0x8000_0000] }

    /// Bits that meet the hard cases often: any pattern, subnormals, few significant bits (ties), exponents near another's.
    static func draw(_ random: inout SplitMix64, near other: UInt32) -> UInt32 {
        let word = random.next()
        let bits = UInt32(truncatingIfNeeded: word)
        switch word >> 60 {
        case 0: return bits & 0x807F_FFFF
        case 1: return bits & 0xFFF0_0000
        case 2: return specials[Int(word >> 32 & 0xFFFF) % specials.count]
        case 3: return bits & 0x8000_0FFF | other & 0x7FFF_F000
        case 4, 5, 6, 7:
            // Within 27 powers of two of the other.
            let exponent = Int(other >> 23 & 0xFF) + Int(word >> 40 & 0xFF) % 55 - 27
            return bits & 0x807F_FFFF | UInt32(min(254, max(0, exponent))) << 23
        case 8: return bits & 0x807F_FFFF | 0x3F80_0000
        default: return bits
        }
    }

    static func form(_ value: Float) -> UInt32 { value.isNaN ? 0x7FC0_0000 : value.bitPattern }

    struct Mismatch: Error, CustomStringConvertible {
        let description: String
    }

    /// All pairs and triples of specials, then random ones.
    static func triples(_ body: (UInt32, UInt32, UInt32) throws -> Void) throws {
        for x in specials { for y in specials { try body(x, y, specials[Int(x ^ y) % specials.count]) } }
        var random = SplitMix64(seed: seed)
        var last: UInt32 = 0
        for _ in 0..<cases {
            let x = draw(&random, near: last)
            let y = draw(&random, near: x)
            // Often near the product, where an fma cancels.
            let product = (Float(bitPattern: x) * Float(bitPattern: y)).bitPattern
            let z = draw(&random, near: product)
            try body(x, y, z)
            last = z
        }
    }

    static func hold(
        _ name: String, _ found: UInt32, _ expected: Float, _ a: UInt32, _ b: UInt32 = 0, _ c: UInt32 = 0
    ) throws {
        if found != form(expected) { throw mismatch(name, found, form(expected), a, b, c) }
    }

    static func hold<Value: FixedWidthInteger>(
        _ name: String, _ found: Value, _ expected: Value, _ a: UInt32, _ b: UInt32 = 0
    ) throws {
        if found != expected { throw mismatch(name, found, expected, a, b, 0) }
    }

    static func hold(_ name: String, _ found: Bool, _ expected: Bool, _ a: UInt32, _ b: UInt32 = 0) throws {
        if found != expected { throw mismatch(name, found ? 1 : 0, expected ? 1 : 0, a, b, 0) }
    }

    static func mismatch<Value: FixedWidthInteger>(
        _ name: String, _ found: Value, _ expected: Value, _ operands: UInt32...
    ) -> Mismatch {
        let list = operands.map { "0x" + String($0, radix: 16) }.joined(separator: ", ")
        let (ours, its) = (String(found, radix: 16), String(expected, radix: 16))
        return Mismatch(description: "\(name)(\(list)) is 0x\(ours), the machine says 0x\(its); seed \(seed)")
    }

    @Test func arithmeticGivesTheMachinesBits() throws {
        try Self.triples { a, b, c in
            let (x, y, z) = (Binary32(bits: a), Binary32(bits: b), Binary32(bits: c))
            let (u, v, w) = (Float(bitPattern: a), Float(bitPattern: b), Float(bitPattern: c))
            try Self.hold("add", (x + y).bits, u + v, a, b)
            try Self.hold("subtract", (x - y).bits, u - v, a, b)
            try Self.hold("multiply", (x * y).bits, u * v, a, b)
            try Self.hold("divide", (x / y).bits, u / v, a, b)
            try Self.hold("fma", Binary32.fma(x, y, z).bits, w.addingProduct(u, v), a, b, c)
            try Self.hold("fma that cancels", Binary32.fma(x, y, -(x * y)).bits, (-(u * v)).addingProduct(u, v), a, b)
            try Self.hold("square root", x.squareRoot.bits, u.squareRoot(), a)
        }
    }

    @Test func comparisonsAndWholeNumbersAreTheMachines() throws {
        try Self.triples { a, b, _ in
            let (x, y) = (Binary32(bits: a), Binary32(bits: b))
            let (u, v) = (Float(bitPattern: a), Float(bitPattern: b))
            try Self.hold("equal", Binary32.isEqual(x, y), u == v, a, b)
            try Self.hold("less", Binary32.isLess(x, y), u < v, a, b)
            try Self.hold("less or equal", Binary32.isLessOrEqual(x, y), u <= v, a, b)
            let (most, least) = ([u, v], [u, v])
            try Self.hold("maximum", Binary32.maximum(x, y).bits, pk_row_max_f32(most, 2), a, b)
            try Self.hold("minimum", Binary32.minimum(x, y).bits, pk_row_min_f32(least, 2), a, b)
            try Self.hold("floor", x.floor.bits, u.rounded(.down), a)
            try Self.hold("ceil", x.ceil.bits, u.rounded(.up), a)
            try Self.hold("truncate", x.truncated.bits, u.rounded(.towardZero), a)
            try Self.hold("round", x.roundedToEven.bits, u.rounded(.toNearestOrEven), a)
        }
    }

    @Test func conversionsAreTheKernels() throws {
        try Self.triples { a, b, _ in
            let (x, u) = (Binary32(bits: a), Float(bitPattern: a))
            try Self.hold("i32", x.int32, pk_f32_to_i32(u), a)
            try Self.hold("i64", x.int64, pk_f32_to_i64(u), a)
            try Self.hold("i8", x.int8, pk_f32_to_i8(u), a)
            try Self.hold("u8", x.uint8, pk_f32_to_u8(u), a)
            try Self.hold("bool", x.bool, u != 0, a)
            try Self.hold("bf16", x.bfloat16, pk_f32_to_bf16(u), a)
            try Self.hold("f16", x.float16, pk_f32_to_f16(u), a)
            // Whole numbers of every length.
            let whole = Int64(bitPattern: UInt64(a) << 32 | UInt64(b)) >> Int64(b & 63)
            try Self.hold("of i64", Binary32(whole).bits, Float(whole), a, b)
        }
        for half in UInt16.min...UInt16.max {
            try Self.hold("widened bf16", Binary32(bfloat16: half).bits, pk_bf16_to_f32(half), UInt32(half))
            try Self.hold("widened f16", Binary32(float16: half).bits, pk_f16_to_f32(half), UInt32(half))
        }
        for whole in [Int64.min, .min + 1, -1, 0, 1, .max - 1, .max] {
            try Self.hold("of i64", Binary32(whole).bits, Float(whole), 0)
        }
    }

    struct Function: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let kernel: @Sendable (Float) -> Float
        let softfloat: @Sendable (Binary32) -> Binary32
    }

    static let functions = [
        Function(testDescription: "exp", kernel: pk_exp_f32, softfloat: { $0.exponential }),
        Function(testDescription: "log", kernel: pk_log_f32, softfloat: { $0.logarithm }),
        Function(testDescription: "tanh", kernel: pk_tanh_f32, softfloat: { $0.hyperbolicTangent }),
        Function(testDescription: "erf", kernel: pk_erf_f32, softfloat: { $0.errorFunction }),
        Function(testDescription: "sin", kernel: pk_sin_f32, softfloat: { $0.sine }),
        Function(testDescription: "cos", kernel: pk_cos_f32, softfloat: { $0.cosine }),
    ]

    @Test(arguments: functions) func functionsGiveTheKernelsBits(_ function: Function) throws {
        for bits in Self.specials {
            try Self.hold(
                function.testDescription, function.softfloat(Binary32(bits: bits)).bits,
                function.kernel(Float(bitPattern: bits)), bits)
        }
        var bits: UInt32 = 0
        while true {
            try Self.hold(
                function.testDescription, function.softfloat(Binary32(bits: bits)).bits,
                function.kernel(Float(bitPattern: bits)), bits)
            let (next, overflow) = bits.addingReportingOverflow(Self.stride)
            if overflow { break }
            bits = next
        }
    }

    /// The constants are written twice, in C and as bits: nothing may be in one place alone.
    @Test func theCoefficientsAreTheKernels() throws {
        let header = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Sources/CKernels/coefficients.h")
        var defined: [String: UInt32] = [:]
        for line in try String(contentsOf: header, encoding: .utf8).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, words[0] == "#define" else { continue }
            if words[1].hasSuffix("_BITS") {
                defined[String(words[1])] = UInt32(words[2].dropFirst(2), radix: 16)
            } else {
                defined[String(words[1])] = Float(words[2].dropLast()).map(\.bitPattern)
            }
        }
        var ours: [String: UInt32] = [
            "PK_LOG2E": Coefficients.binaryLogarithmOfE.bits, "PK_LN2_HIGH": Coefficients.logarithmOfTwoHigh.bits,
            "PK_LN2_LOW": Coefficients.logarithmOfTwoLow.bits, "PK_ROUND": Coefficients.rounding.bits,
            "PK_ROUND_BITS": Coefficients.rounding.bits, "PK_EXP_LOW": Coefficients.expLow.bits,
            "PK_EXP_HIGH": Coefficients.expHigh.bits, "PK_ERF_SPLIT": Coefficients.erfSplit.bits,
            "PK_ERF_END": Coefficients.erfEnd.bits, "PK_TANH_SPLIT": Coefficients.tanhSplit.bits,
            "PK_TANH_END": Coefficients.tanhEnd.bits, "PK_CIRCULAR_FAST": Coefficients.circularFast.bits,
            "PK_TWO_OVER_PI": Coefficients.twoOverPi.bits, "PK_HALF_PI_1": Coefficients.halfPi1.bits,
            "PK_HALF_PI_2": Coefficients.halfPi2.bits, "PK_HALF_PI_3": Coefficients.halfPi3.bits,
            "PK_ROOT_HALF_BITS": Coefficients.rootHalfBits,
            // No function of `map` uses it; GELU's expansion has it as a constant of its own.
            "PK_INVERSE_ROOT_TWO": 0x3F35_04F3,
        ]
        for (name, polynomial) in [
            ("EXP_C", Coefficients.exp), ("ERF_S", Coefficients.erfSmall), ("ERF_L", Coefficients.erfLarge),
            ("LOG_C", Coefficients.log), ("TANH_C", Coefficients.tanh), ("SIN_C", Coefficients.sine),
            ("COS_C", Coefficients.cosine),
        ] {
            for (power, bits) in polynomial.reversed().enumerated() { ours["PK_\(name)\(power)"] = bits }
        }
        #expect(defined == ours)
    }
}
