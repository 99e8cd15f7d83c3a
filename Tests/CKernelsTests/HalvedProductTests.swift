import CKernels
import Testing

/// Linear layers of fx15: fifteen bits in two halves, the same bits on every variant.
@Suite struct HalvedProductTests {
    typealias Random = VariantTests.Random

    struct Halves: Equatable {
        var high: [Int8]
        var low: [Int8]
        var power: [Float]

        /// A value with NaN equal to itself.
        var bits: [UInt32] { power.map(\.bitPattern) }
    }

    /// Rows a little apart, and a guard behind each.
    static func halved(_ variant: pk_variant, _ x: [Float], rows: Int, _ k: Int) -> Halves {
        var found = Halves(
            high: [Int8](repeating: 99, count: rows * (k + 1)), low: [Int8](repeating: 99, count: rows * (k + 1)),
            power: [Float](repeating: 7, count: rows + 1))
        pk_halve_rows(variant, Int32(rows), Int32(k), x, k, &found.high, &found.low, k + 1, &found.power)
        return found
    }

    /// The magnitudes at which the power changes, in every binade, on either side; what is not finite.
    static func magnitudes() -> [Float] {
        var found: [Float] = [0, .leastNonzeroMagnitude, .greatestFiniteMagnitude, .infinity, .nan]
        for exponent in -149...127 {
            let unit = Float(sign: .plus, exponent: exponent, significand: 1)
            for step in [unit, unit * (32510 / Float(16384)), unit * 1.5] {
                found += [step.nextDown, step, step.nextUp]
            }
        }
        return found
    }

    /// By the definition, in doubles, which hold all of it.
    @Test func aRowsPowerIsTheLeastThatFits() {
        for magnitude in Self.magnitudes() {
            let row = [magnitude / 3, -magnitude, 0, magnitude / 1000]
            for variant in VariantTests.variants + [PK_SCALAR] {
                let found = Self.halved(variant, row, rows: 1, 4)
                #expect(found.high[4] == 99 && found.low[4] == 99 && found.power[1] == 7)
                guard magnitude.isFinite else {
                    #expect(
                        found.power[0].isNaN && found.high.prefix(4) + found.low.prefix(4) == [0, 0, 0, 0, 0, 0, 0, 0])
                    continue
                }
                var exponent = -135
                while Double(magnitude) > 16255 * Double(sign: .plus, exponent: exponent - 14, significand: 1) {
                    exponent += 1
                }
                let power = Double(sign: .plus, exponent: exponent - 14, significand: 1)
                #expect(Double(found.power[0]) == power, "\(magnitude) \(variant)")
                for (place, value) in row.enumerated() {
                    let q = Int((Double(value) / power).rounded(.toNearestOrEven))
                    #expect(
                        Int(found.high[place]) * 128 + Int(found.low[place]) == q, "\(magnitude) \(place) \(variant)")
                    #expect((-64...63).contains(Int(found.low[place])))
                }
            }
        }
    }

    /// With rows of zeros, subnormals, infinities and NaN, a bias, an activation and a residual.
    @Test(arguments: [1, 15, 33, 384, 515, 1536]) func linearLayersAgree(_ k: Int) {
        var random = Random(state: UInt64(k))
        for (m, n) in [(1, 1), (2, 17), (6, 33), (7, 128), (25, 129), (50, 300)] {
            var x = random.floats(m * k, special: true)
            if m > 5 {
                for t in 0..<k {
                    x[t] = 0
                    x[k + t] = Float(bitPattern: UInt32(random.next() % 9))
                    x[2 * k + t] *= 0x1p-110
                }
                x[3 * k] = .nan
                x[4 * k] = -.greatestFiniteMagnitude
                x[5 * k] = -.infinity
            }
            let weights = random.floats(n * k)
            let bias = random.floats(n, special: true)
            let residual = random.floats(m * n, special: true)
            for activation in [PK_NONE, PK_GELU] {
                func run(_ variant: pk_variant) -> (Halves, [Float]) {
                    // Not apart: weights are packed from one piece.
                    var (high, low) = ([Int8](repeating: 0, count: n * k), [Int8](repeating: 0, count: n * k))
                    var powers = [Float](repeating: 0, count: n)
                    pk_halve_rows(variant, Int32(n), Int32(k), weights, k, &high, &low, k, &powers)
                    let size = pk_pack_size_i8(variant, Int32(n), Int32(k))
                    var (packedHigh, packedLow) = (
                        [UInt8](repeating: 0, count: size), [UInt8](repeating: 0, count: size)
                    )
                    pk_pack_i8(variant, Int32(n), Int32(k), high, k, &packedHigh)
                    pk_pack_i8(variant, Int32(n), Int32(k), low, k, &packedLow)
                    let rows = Self.halved(variant, x, rows: m, k)
                    let bytes = pk_linear_halves_scratch(variant, Int32(k))
                    var scratch = [Int64](repeating: 5, count: bytes / 8 + 16)
                    var c = [Float](repeating: 0, count: m * n)
                    bias.withUnsafeBufferPointer { bias in
                        residual.withUnsafeBufferPointer { residual in
                            var epilogue = pk_epilogue(
                                bias: bias.baseAddress, activation: activation, residual: residual.baseAddress, ldr: n)
                            pk_linear_halves(
                                variant, Int32(m), Int32(n), Int32(k), rows.high, rows.low, k + 1, rows.power,
                                packedHigh,
                                packedLow, powers, &epilogue, &c, n, &scratch)
                        }
                    }
                    #expect(scratch[((bytes + 7) / 8)...].allSatisfy { $0 == 5 })
                    return (rows, c)
                }
                let (rows, expected) = run(PK_SCALAR)
                for variant in VariantTests.variants {
                    let (own, found) = run(variant)
                    #expect(
                        own.high == rows.high && own.low == rows.low && own.bits == rows.bits,
                        "m \(m) k \(k) \(variant)")
                    #expect(
                        zip(found, expected).allSatisfy { $0.bitPattern == $1.bitPattern },
                        "m \(m) n \(n) k \(k) \(variant)")
                }
            }
        }
    }
}
