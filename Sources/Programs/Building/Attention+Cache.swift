import Primitives

/// The cache of keys and values that a decoder carries from step to step, both [batch, heads, capacity, width]: what a token adds is one run of memory for each
/// head. The place in the cache is the token's position.
///
/// The last piece of every update is the carried tensor itself, so an executor may write in place.
extension GraphBuilder {
    /// [batch, length, heads, width] as keys, and as the cache has keys and values: [batch, heads, length, width].
    public mutating func keyRows(_ x: ValueID) -> ValueID { transpose(x, [0, 2, 1, 3]) }

    /// [batch, length, heads, width] as values: [batch, heads, width, length].
    public mutating func valueColumns(_ x: ValueID) -> ValueID { transpose(x, [0, 2, 3, 1]) }

    /// The cache with its first places taken from `new`, which is no longer than the cache.
    public mutating func cache(_ cache: ValueID, startingWith new: ValueID) -> ValueID {
        let shape = type(cache).shape
        let zero = [Dimension](repeating: 0, count: shape.count)
        let identity = shape.indices.map { Coordinate.axis(UInt8($0)) }
        return append(
            .gather(
                [
                    GatherPiece(start: zero, size: type(new).shape, source: new, coordinates: identity),
                    GatherPiece(start: zero, size: shape, source: cache, coordinates: identity),
                ], fill: 0), type(cache))
    }

    /// The cache with the one place of each row that is its position taken from `new`, whose extent there is 1.
    ///
    /// The coordinate is (place − position) ÷ capacity, exact: with places and positions below the capacity only their difference 0 is
    /// divided without remainder, so the piece applies nowhere else. `negativePositions`: i32 [batch].
    public mutating func cache(
        _ cache: ValueID, with new: ValueID, negativePositions: ValueID
    ) -> ValueID {
        let shape = type(cache).shape
        let zero = [Dimension](repeating: 0, count: shape.count)
        let identity = shape.indices.map { Coordinate.axis(UInt8($0)) }
        let axis = 2
        var coordinates = identity
        coordinates[axis] = Coordinate(
            terms: [.init(axis: UInt8(axis), coefficient: 1)], table: negativePositions, tableAxes: [0],
            quotient: shape[axis], exact: true)
        return append(
            .gather(
                [
                    GatherPiece(start: zero, size: shape, source: new, coordinates: coordinates),
                    GatherPiece(start: zero, size: shape, source: cache, coordinates: identity),
                ], fill: 0), type(cache))
    }
}
