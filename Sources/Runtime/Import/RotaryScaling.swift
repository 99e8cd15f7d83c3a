/// The frequencies of a rotary embedding, as Hugging Face's settings describe them.
///
/// Everything is f32 in the order in which transformers computes it, but for the power, which is taken in f64 by additions, multiplications and divisions
/// alone, so that two machines make the same parameter.
struct RotaryScaling: Sendable, Equatable {
    /// What is done to the frequencies base^(−2i/width).
    enum Rule: Sendable, Equatable {
        case none
        /// All divided by a factor.
        case linear(factor: Float)
        /// Llama 3: long waves divided by a factor, short ones kept, those between blended.
        case llama3(factor: Float, low: Float, high: Float, original: Float)
    }

    let base: Float
    let rule: Rule

    /// Reads `rope_theta` and `rope_scaling`, or `rope_parameters`, which newer files have instead.
    init(_ reader: SettingsReader) throws(ImportFault) {
        let scaling: SettingsReader?
        let key: String
        if let parameters = reader["rope_parameters"] {
            key = "rope_parameters"
            guard parameters.object != nil else { throw reader.fault(key, "is not an object") }
            scaling = SettingsReader(parameters)
            base = try SettingsReader(parameters).number("rope_theta", above: 1, below: 1e12, usual: 10_000)
        } else {
            key = "rope_scaling"
            base = try reader.number("rope_theta", above: 1, below: 1e12, usual: 10_000)
            if let found = reader[key] {
                guard found.object != nil else { throw reader.fault(key, "is not an object") }
                scaling = SettingsReader(found)
            } else {
                scaling = nil
            }
        }
        guard let scaling else {
            rule = .none
            return
        }
        let part = try scaling.number("partial_rotary_factor", above: 0, below: 2, usual: 1)
        if part != 1 { throw .unsupported("partial_rotary_factor", found: "\(part)") }
        let name = try scaling.text("rope_type", usual: try scaling.text("type", usual: "default"))
        switch name {
        case "default": rule = .none
        case "linear": rule = .linear(factor: try scaling.number("factor", above: 0, below: 1e6))
        case "llama3":
            let low = try scaling.number("low_freq_factor", above: 0, below: 1e6)
            let high = try scaling.number("high_freq_factor", above: 0, below: 1e6)
            if high <= low { throw scaling.fault("high_freq_factor", "is not above low_freq_factor") }
            rule = .llama3(
                factor: try scaling.number("factor", above: 0, below: 1e6), low: low, high: high,
                original: try scaling.number("original_max_position_embeddings", above: 0, below: 1e9))
        default: throw .unsupported(key, found: name)
        }
    }

    /// The frequencies of a head of this width, half as many as it is wide.
    func frequencies(width: Int) -> [Float] {
        (0..<width / 2).map { index in
            let exponent = Float(2 * index) / Float(width)
            let plain = 1 / Float(RotaryScaling.power(Double(base), Double(exponent)))
            switch rule {
            case .none: return plain
            case .linear(let factor): return plain / factor
            case .llama3(let factor, let low, let high, let original):
                let wave = 2 * Float.pi / plain
                if wave > original / low { return plain / factor }
                if wave < original / high { return plain }
                let smooth = (original / wave - low) / (high - low)
                return (1 - smooth) * plain / factor + smooth * plain
            }
        }
    }

    /// x^y for x above 1 and y from 0 to 1, to about 1e-15: 2^(y·log₂ x) by series.
    static func power(_ x: Double, _ y: Double) -> Double {
        if y == 0 { return 1 }
        // x = m·2^e with m in [1, 2): ln m = 2·artanh((m − 1)/(m + 1)), whose argument is below 1/3.
        let ratio = (x.significand - 1) / (x.significand + 1)
        let square = ratio * ratio
        var term = ratio
        var logarithm = 0.0
        for n in stride(from: 1, to: 60, by: 2) {
            logarithm += term / Double(n)
            term *= square
        }
        let ln2 = 0.693_147_180_559_945_3
        let exponent = y * (2 * logarithm + Double(x.exponent) * ln2)
        // e^(k·ln 2 + r) = 2^k·e^r with |r| at most ln 2 / 2.
        let turns = (exponent / ln2).rounded(.toNearestOrEven)
        let rest = exponent - turns * ln2
        var sum = 1.0
        var part = 1.0
        for n in 1..<24 {
            part *= rest / Double(n)
            sum += part
        }
        return sum * Double(sign: .plus, exponent: Int(turns), significand: 1)
    }
}
