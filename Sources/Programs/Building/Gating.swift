import Primitives

/// Activations of decoders beside `gelu`.
extension GraphBuilder {
    /// Bits of √(2/π) and 0.044715.
    private static let rootTwoOverPi: UInt32 = 0x3F4C_422A
    private static let cubeWeight: UInt32 = 0x3D37_2713

    /// silu(gate)·up, with silu(x) = x·(1/(1 + exp(−x))).
    public mutating func swiGLU(gate: ValueID, up: ValueID) -> ValueID {
        map(.f32, type(gate).shape, [gate, up]) { e in
            let x = e.input(0)
            let negative = e.apply(.subtract, e.constant(bits: 0), x)
            let exponential = e.apply(.exp, negative)
            let sum = e.apply(.add, e.constant(bits: GraphBuilder.one), exponential)
            let sigmoid = e.apply(.divide, e.constant(bits: GraphBuilder.one), sum)
            let silu = e.apply(.multiply, x, sigmoid)
            let u = e.input(1)
            _ = e.apply(.multiply, silu, u)
        }
    }

    /// (0.5·x)·(1 + tanh(0.7978846·(x + 0.044715·((x·x)·x)))): the GELU of GPT-2.
    public mutating func geluByTanh(_ x: ValueID) -> ValueID {
        map(.f32, type(x).shape, [x]) { e in
            let x = e.input(0)
            let square = e.apply(.multiply, x, x)
            let cube = e.apply(.multiply, square, x)
            let weighted = e.apply(.multiply, e.constant(bits: GraphBuilder.cubeWeight), cube)
            let sum = e.apply(.add, x, weighted)
            let inner = e.apply(.multiply, e.constant(bits: GraphBuilder.rootTwoOverPi), sum)
            let tanh = e.apply(.tanh, inner)
            let shifted = e.apply(.add, e.constant(bits: GraphBuilder.one), tanh)
            let half = e.apply(.multiply, e.constant(bits: GraphBuilder.half), x)
            _ = e.apply(.multiply, half, shifted)
        }
    }

    /// A tensor of a storage type (bf16, f16) as f32, each element exactly; an f32 tensor is given back as it is.
    public mutating func widened(_ x: ValueID) -> ValueID {
        if type(x).element == .f32 { return x }
        return map(.f32, type(x).shape, [x]) { e in _ = e.input(0) }
    }
}
