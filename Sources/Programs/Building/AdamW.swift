import Primitives

/// Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019), as docs/numerics.md fixes it. Floats are given by their bits.
public struct AdamW: Sendable, Hashable {
    public let firstDecay: UInt32
    /// 1 − the first decay, rounded once.
    public let firstRest: UInt32
    public let secondDecay: UInt32
    public let secondRest: UInt32
    public let epsilon: UInt32
    public let weightDecay: UInt32

    public init(
        firstDecay: UInt32, firstRest: UInt32, secondDecay: UInt32, secondRest: UInt32, epsilon: UInt32,
        weightDecay: UInt32
    ) {
        self.firstDecay = firstDecay
        self.firstRest = firstRest
        self.secondDecay = secondDecay
        self.secondRest = secondRest
        self.epsilon = epsilon
        self.weightDecay = weightDecay
    }
}

extension GraphBuilder {
    /// A carried f32 [] times a constant.
    public mutating func product(_ x: ValueID, bits: UInt32) -> ValueID {
        map(.f32, type(x).shape, [x]) { e in
            let x = e.input(0)
            _ = e.apply(.multiply, x, e.constant(bits: bits))
        }
    }

    /// One step: m = fma(b₁, m, (1−b₁)·g), v = fma(b₂, v, (1−b₂)·(g·g)), m̂ = m/(1−b₁ᵗ), v̂ = v/(1−b₂ᵗ), w = fma(−r, m̂/(√v̂+ε), w − (r·d)·w).
    /// `firstPower`, `secondPower`: b₁ᵗ and b₂ᵗ of this step; `rate`: f32 [].
    public mutating func adamW(
        _ settings: AdamW, weight: ValueID, gradient: ValueID, first: ValueID, second: ValueID, firstPower: ValueID,
        secondPower: ValueID, rate: ValueID
    ) -> (weight: ValueID, first: ValueID, second: ValueID) {
        let shape = type(weight).shape
        let nextFirst = map(.f32, shape, [first, gradient]) { e in
            let (m, g) = (e.input(0), e.input(1))
            let part = e.apply(.multiply, e.constant(bits: settings.firstRest), g)
            _ = e.apply(.fma, e.constant(bits: settings.firstDecay), m, part)
        }
        let nextSecond = map(.f32, shape, [second, gradient]) { e in
            let (v, g) = (e.input(0), e.input(1))
            let part = e.apply(.multiply, e.constant(bits: settings.secondRest), e.apply(.multiply, g, g))
            _ = e.apply(.fma, e.constant(bits: settings.secondDecay), v, part)
        }
        let mean = map(.f32, shape, [nextFirst, firstPower]) { e in
            let (m, p) = (e.input(0), e.input(1))
            _ = e.apply(.divide, m, e.apply(.subtract, e.constant(bits: GraphBuilder.one), p))
        }
        let spread = map(.f32, shape, [nextSecond, secondPower]) { e in
            let (v, p) = (e.input(0), e.input(1))
            _ = e.apply(.divide, v, e.apply(.subtract, e.constant(bits: GraphBuilder.one), p))
        }
        let next = map(.f32, shape, [mean, spread, weight, rate]) { e in
            let (m, v, w, r) = (e.input(0), e.input(1), e.input(2), e.input(3))
            let step = e.apply(.divide, m, e.apply(.add, e.apply(.squareRoot, v), e.constant(bits: settings.epsilon)))
            let decay = e.apply(.multiply, e.apply(.multiply, r, e.constant(bits: settings.weightDecay)), w)
            let kept = e.apply(.subtract, w, decay)
            // −r·step is exact in its sign.
            _ = e.apply(.fma, e.apply(.multiply, r, e.constant(bits: 0xBF80_0000)), step, kept)
        }
        return (next, nextFirst, nextSecond)
    }
}
