internal import Programs

/// Whether each step of a plan finds what its kernel takes for granted: programs are anybody's, and one that looks like an encoder need not be one.
///
/// A kernel runs on a group of a batch's tokens, or sentences, at a time. So what it reads row by row must have been made by a step, for as many rows as the
/// batch has; what it has packed must be a parameter; and what is given out must be rows too. Where an op broadcasts, or gives a fill value beyond a tensor's
/// ends, its kernel reads on: vectors must be as wide as what they are added to, heads as wide as their rows. All else runs in general.
struct FusedSoundness {
    private enum Rows {
        case tokens, sentences
        /// One for all.
        case vector
    }

    private let types: [TensorType]
    private let parameters: Int
    private let leading: Int
    private let tokens: Int
    private let sentences: Int
    private let isLayout: Bool
    private var made: [ValueID: Rows] = [:]

    init(_ types: [TensorType], parameters: Int, leading: Int, _ layout: PackedLayout, places: ValueID) {
        self.types = types
        self.parameters = parameters
        self.leading = leading
        tokens = types[Int(places.index)].dimensions.first ?? 0
        sentences = types[Int(layout.lengths.index)].dimensions.first ?? 0
        let slots = types[Int(layout.slots.index)].dimensions
        isLayout =
            types[Int(places.index)].shape.count == 1 && types[Int(layout.lengths.index)].shape.count == 1
            && slots.count == 2 && slots[0] == sentences
    }

    /// Holds all steps, in order, and what the program gives out.
    mutating func holds(_ steps: [FusedStep], outputs: [ValueID]) -> Bool {
        if !isLayout { return false }
        for step in steps {
            guard let rows = rows(step) else { return false }
            let type = types[Int(step.out.index)]
            switch rows {
            case .tokens: if type.shape.count != 2 || type.dimensions[0] != tokens { return false }
            case .sentences: if type.shape.count != 2 || type.dimensions[0] != sentences { return false }
            case .vector: if type.shape.count != 1 { return false }
            }
            made[step.out] = rows
        }
        return outputs.allSatisfy {
            (made[$0] == .tokens || made[$0] == .sentences) && types[Int($0.index)].element == .f32
        }
    }

    /// What a step makes, where it finds what it needs.
    private func rows(_ step: FusedStep) -> Rows? {
        let width = columns(step.out)
        return switch step {
        case .rows(let table, let indices, _):
            isWeight(table, .f32) && (parameters..<leading).contains(Int(indices.index)) ? .tokens : nil
        case .row(let row, let table, _): row >= 0 && isWeight(table, .f32) ? .vector : nil
        case .add(let a, let b, _): isTokens(a) && (isTokens(b) || isVector(b, width)) ? .tokens : nil
        case .linear(let x, let weight, let bias, _, let residual, _):
            isTokens(x) && isWeight(weight, .f32) && isVector(bias, width) && residual.map(isTokens) != false
                ? .tokens : nil
        case .rounded(let x, _), .halved(let x, _): isTokens(x) ? .tokens : nil
        case .wholeLinear(let x, let words, let scales, let bias, _, let residual, _):
            isTokens(x, .i8) && isWeight(words, .i8) && isVector(scales, width) && isVector(bias, width)
                && residual.map(isTokens) != false
                ? .tokens : nil
        case .halvedLinear(let x, let weight, let bias, _, let residual, _):
            isTokens(x, .i8) && isWeight(weight.high, .i8) && isWeight(weight.low, .i8)
                && isVector(weight.powers, width) && isVector(bias, width) && residual.map(isTokens) != false
                ? .tokens : nil
        case .layerNorm(let x, let gain, let bias, _, _):
            isTokens(x) && isVector(gain, width) && isVector(bias, width) ? .tokens : nil
        case .attention(let query, let key, let value, let heads, let headWidth, _, _):
            [query, key, value].allSatisfy { isTokens($0) && columns($0) == width }
                && headWidth > 0 && width % headWidth == 0 && width / headWidth == heads ? .tokens : nil
        case .pool(let x, _): isTokens(x) ? .sentences : nil
        case .normalize(let x, _, _): made[x] == .sentences ? .sentences : nil
        }
    }

    private func isTokens(_ value: ValueID) -> Bool { isTokens(value, .f32) }

    private func isTokens(_ value: ValueID, _ element: ElementType) -> Bool {
        made[value] == .tokens && types[Int(value.index)].element == element
    }

    private func isWeight(_ value: ValueID, _ element: ElementType) -> Bool {
        let type = types[Int(value.index)]
        return Int(value.index) < parameters && type.shape.count == 2 && type.element == element
    }

    private func columns(_ value: ValueID) -> Int { types[Int(value.index)].dimensions.last ?? 0 }

    private func isVector(_ value: ValueID, _ width: Int) -> Bool {
        let type = types[Int(value.index)]
        if type.element != .f32 || type.dimensions.last != width { return false }
        return made[value] == .vector || Int(value.index) < parameters && type.shape.count == 1
    }
}
