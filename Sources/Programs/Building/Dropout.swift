import Primitives

/// Elements left out at random, the others made larger so that the mean stays (Srivastava et al., 2014).
public struct Dropout: Sendable, Hashable {
    /// Words below this leave their element out: the share left out times 2³².
    public let threshold: UInt64
    /// 1/(1 − the share), as f32 bits.
    public let scale: UInt32

    public init(threshold: UInt64, scale: UInt32) {
        self.threshold = threshold
        self.scale = scale
    }
}

extension GraphBuilder {
    /// x·scale, or 0 where the element's Philox word is below the threshold. The choice is an op of its own, so that the way back reads the same one.
    public mutating func dropout(_ x: ValueID, _ dropout: Dropout) -> ValueID {
        let shape = type(x).shape
        let kept = map(.bool, shape, []) { e in
            let threshold = e.node(.constant(.i64, bits: dropout.threshold))
            _ = e.apply(.lessOrEqual, threshold, e.node(.random(0)))
        }
        return map(.f32, shape, [x, kept]) { e in
            let (x, k) = (e.input(0), e.input(1))
            let scaled = e.apply(.multiply, x, e.constant(bits: dropout.scale))
            _ = e.apply(.select, k, scaled, e.constant(bits: 0))
        }
    }
}
