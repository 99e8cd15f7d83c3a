internal import Programs

/// One fused step: a run of the program's ops that one kernel computes with the same bits.
enum FusedStep: Equatable, Sendable {
    /// Rows of a table by an i32 vector over tokens.
    case rows(table: ValueID, indices: ValueID, out: ValueID)
    case row(Int, table: ValueID, out: ValueID)
    /// Elementwise; the second operand may be a vector over the last axis.
    case add(ValueID, ValueID, out: ValueID)
    case linear(ValueID, weight: ValueID, bias: ValueID, gelu: Bool, residual: ValueID?, out: ValueID)
    /// Rows as whole numbers of eight bits; what belongs to them lies behind the words.
    case rounded(ValueID, words: ValueID)
    /// A linear layer of such rows: i8 weights, [n, k], and their scales.
    case wholeLinear(
        ValueID, words: ValueID, scales: ValueID, bias: ValueID, gelu: Bool, residual: ValueID?, out: ValueID)
    /// Rows in two halves; the low ones and the powers lie behind the high ones.
    case halved(ValueID, high: ValueID)
    case halvedLinear(ValueID, HalvedWeight, bias: ValueID, gelu: Bool, residual: ValueID?, out: ValueID)
    case layerNorm(ValueID, gain: ValueID, bias: ValueID, epsilon: Float, out: ValueID)
    case attention(query: ValueID, key: ValueID, value: ValueID, heads: Int, width: Int, scale: Float, out: ValueID)
    case pool(ValueID, out: ValueID)
    case normalize(ValueID, floor: Float, out: ValueID)

    var out: ValueID {
        switch self {
        case .rows(_, _, let out), .row(_, _, let out), .add(_, _, let out), .linear(_, _, _, _, _, let out),
            .wholeLinear(_, _, _, _, _, _, let out), .halvedLinear(_, _, _, _, _, let out),
            .layerNorm(_, _, _, _, let out),
            .attention(_, _, _, _, _, _, let out), .pool(_, let out), .rounded(_, let out),
            .halved(_, let out), .normalize(_, _, let out):
            out
        }
    }

    /// The tensors that it reads, but for the batch's layout.
    var operands: [ValueID] {
        switch self {
        case .rows(let table, _, _), .row(_, let table, _): [table]
        case .add(let a, let b, _): [a, b]
        case .linear(let x, let weight, let bias, _, let residual, _):
            [x, weight, bias] + (residual.map { [$0] } ?? [])
        case .wholeLinear(let x, let words, let scales, let bias, _, let residual, _):
            [x, words, scales, bias] + (residual.map { [$0] } ?? [])
        case .halvedLinear(let x, let weight, let bias, _, let residual, _):
            [x, weight.high, weight.low, weight.powers, bias] + (residual.map { [$0] } ?? [])
        case .layerNorm(let x, let gain, let bias, _, _): [x, gain, bias]
        case .attention(let query, let key, let value, _, _, _, _): [query, key, value]
        case .pool(let x, _), .normalize(let x, _, _), .rounded(let x, _), .halved(let x, _): [x]
        }
    }
}

extension FusedStep {
    /// Weights of i8, [n, k], which are packed once.
    var wholeWeights: [ValueID] {
        switch self {
        case .wholeLinear(_, let words, _, _, _, _, _): [words]
        case .halvedLinear(_, let weight, _, _, _, _): [weight.high, weight.low]
        default: []
        }
    }
}
