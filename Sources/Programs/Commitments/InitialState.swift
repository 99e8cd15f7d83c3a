public import Primitives

extension TensorRoot {
    /// The root of a tensor of zeros, without making it.
    public static func ofZeros(_ element: ElementType, _ shape: [UInt64]) -> Digest {
        let bytes = shape.reduce(UInt64(element.size), &*)
        var count = bytes / UInt64(blockLength) + (bytes % UInt64(blockLength) == 0 ? 0 : 1)
        if count == 0 { return of(element, shape, blocks: .zero) }
        // All nodes of a level are one digest, but for the last, which padding may have entered.
        var inner = MerkleTree.leaf([UInt8](repeating: 0, count: blockLength))
        var last = inner
        var padding = Digest.zero
        while count > 1 {
            last = count % 2 == 0 ? MerkleTree.node(inner, last) : MerkleTree.node(last, padding)
            inner = MerkleTree.node(inner, inner)
            padding = MerkleTree.node(padding, padding)
            count = count / 2 + count % 2
        }
        return of(element, shape, blocks: last)
    }
}

extension SpecialisedProgram {
    /// The Merkle root over the roots of all carried tensors before the first step: those that are given, by their place, and zeros for the others.
    public func initialState(_ given: [Int: Digest] = [:]) -> Digest {
        MerkleTree.root(
            carried.enumerated().map { place, declaration in
                given[place]
                    ?? TensorRoot.ofZeros(declaration.type.element, declaration.type.shape.map(\.factor))
            })
    }
}
