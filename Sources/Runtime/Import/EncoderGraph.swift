/// What an encoder asks of a graph builder: the compositions of `numerics.md`, on packed tokens.
///
/// Shapes are in named axes: `tokens`, `sentences`, `length`. An index of −1 is out of range and gives 0.
public protocol EncoderGraph {
    /// A tensor of the graph.
    associatedtype Value

    /// The next parameter, f32. Called in the order of `ImportedModel.parameters`.
    mutating func parameter(_ name: String, shape: [Int]) -> Value
    /// An i32 input of the batch.
    mutating func input(_ name: String, axes: [String]) -> Value
    /// Rows of a table by index: [n, width] and [m] give [m, width].
    mutating func rows(of table: Value, at indices: Value) -> Value
    /// Row `row` of a table, as a vector.
    mutating func row(_ row: Int, of table: Value) -> Value
    /// The elementwise sum; the second operand may be a vector over the last axis.
    mutating func sum(_ a: Value, _ b: Value) -> Value
    /// `x · weightᵀ + bias`: SEG, then the bias.
    mutating func linear(_ x: Value, weight: Value, bias: Value) -> Value
    /// LayerNorm over the last axis.
    mutating func layerNorm(_ x: Value, gain: Value, bias: Value, epsilon: Float) -> Value
    /// GELU by erf.
    mutating func gelu(_ x: Value) -> Value
    /// Bidirectional attention: q, k, v are [tokens, heads × width]; each sentence's tokens see each other.
    /// Gathered by `slots` to [sentences × heads, length, width], scores scaled by `scale`, softmax and both products
    /// with the extents `lengths`, and packed again by `places` to [tokens, heads × width].
    mutating func attention(
        query: Value, key: Value, value: Value, slots: Value, lengths: Value, places: Value, heads: Int, scale: Float
    ) -> Value
    /// ROW sums of each sentence's tokens over its length, divided by the length: [sentences, width].
    mutating func meanPooled(_ x: Value, slots: Value, lengths: Value) -> Value
    /// Each row divided by its L2 norm, the norm being at least `floor`.
    mutating func normalized(_ x: Value, floor: Float) -> Value
}
