internal import Programs

/// How a model's linear layers are made smaller at import, as docs/numerics.md fixes it.
public enum Quantization: String, Sendable, CaseIterable {
    /// Weights and activations of eight bits: one scale for each output channel and for each row, but for a row's greatest number.
    case w8a8
    /// Weights and activations of fifteen bits in two halves of eight: a power of two for each output channel and for each row.
    case fx15

    /// What a weight becomes, as a parameter's name ends.
    package enum Part: String, Sendable, Hashable {
        /// i8 [n, k].
        case words = "int8"
        case high, low
        /// f32 [n].
        case scales = "scale"
        case powers = "power"

        func type(_ matrix: QuantizedProgram.Matrix) -> TensorType {
            let (n, k) = (Dimension(UInt64(matrix.n)), Dimension(UInt64(matrix.k)))
            return switch self {
            case .words, .high, .low: TensorType(.i8, [n, k])
            case .scales, .powers: TensorType(.f32, [n])
            }
        }
    }

    /// In the order of their parameters.
    package var parts: [Part] {
        switch self {
        case .w8a8: [.words, .scales]
        case .fx15: [.high, .low, .powers]
        }
    }
}

/// Rows in the form of one of them.
enum QuantizedRows {
    case rounded(RoundedRows)
    case halved(HalvedRows)
}

extension GraphBuilder {
    mutating func quantized(_ x: ValueID, _ quantization: Quantization) -> QuantizedRows {
        switch quantization {
        case .w8a8: .rounded(rounded(x))
        case .fx15: .halved(halved(x))
        }
    }

    /// The product of such rows with a weight, given by its parts.
    mutating func product(_ x: QuantizedRows, _ weight: [ValueID], _ result: TensorType) -> ValueID {
        switch x {
        case .rounded(let rows): product(rows, words: weight[0], scale: weight[1], result)
        case .halved(let rows): product(rows, HalvedWeight(high: weight[0], low: weight[1], powers: weight[2]), result)
        }
    }
}
