internal import Programs

/// What a training draws before it starts: its first weights and where each row of each batch begins. All of it from the seed, by splitmix64.
public enum TrainingDraws {
    private static func splitmix64(_ value: UInt64) -> UInt64 {
        var x = value &+ 0x9E37_79B9_7F4A_7C15
        x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
        x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
        return x ^ (x >> 31)
    }

    /// Norms 1, biases 0, all else uniform with a deviation of 0.02.
    public static func weights(_ configuration: GPTConfiguration, seed: UInt64) -> [Tensor] {
        let key = seed &* 0xD134_2543_DE82_EF95
        let scale = Float(2 * 3.0.squareRoot() * 0.02)
        return configuration.weights.enumerated().map { number, declaration in
            let count = Int(declaration.type.count)
            let shape = declaration.type.dimensions
            if shape.count == 1 {
                return Tensor([Float](repeating: declaration.name.hasSuffix(".w") ? 1 : 0, count: count), shape: shape)
            }
            let values = (0..<count).map { index -> Float in
                let draw = splitmix64(UInt64(index) &+ (UInt64(number) << 32) &+ key) >> 40
                return (Float(draw) * 0x1p-24 - 0.5) * scale
            }
            return Tensor(values, shape: shape)
        }
    }

    /// For every step the offsets of its rows in the text. A row takes `context` bytes and one more.
    public static func starts(
        steps: Int, batch: Int, text: Int, context: Int, seed: UInt64
    ) throws(TrainingFault) -> [Int32] {
        if text < context + 2 || text > Int(Int32.max) { throw .text(bytes: text, needed: context + 1) }
        let key = seed &* 0xD134_2543_DE82_EF95
        let places = UInt64(text - context - 1)
        return (0..<steps * batch).map { index -> Int32 in
            let draw = splitmix64((1 << 40) &+ UInt64(index) &+ key)
            return Int32(draw % places)
        }
    }
}
