public import Primitives

/// A tensor's name: its type, shape, and a Merkle tree over blocks of 1,024 bytes.
public enum TensorRoot {
    public static let blockLength = 1_024

    /// The root of row-major little-endian bytes. Hashes all of them once.
    public static func of(_ element: ElementType, _ shape: [UInt64], _ bytes: UnsafeRawBufferPointer) -> Digest {
        of(element, shape, blocks: MerkleTree.root(leaves(bytes)))
    }

    /// The root of a tensor whose blocks have this Merkle root.
    public static func of(_ element: ElementType, _ shape: [UInt64], blocks: Digest) -> Digest {
        var writer = ByteWriter(capacity: 128)
        writer.write(element)
        writer.write(UInt8(shape.count))
        for dimension in shape { writer.write(dimension) }
        writer.write(blocks)
        return Digest.of(.tensor, writer.bytes)
    }

    /// The digests of a tensor's blocks, the last one filled up with zeros.
    public static func leaves(_ bytes: UnsafeRawBufferPointer) -> [Digest] {
        var leaves: [Digest] = []
        leaves.reserveCapacity(bytes.count / blockLength + 1)
        let whole = bytes.count / blockLength
        // Several at a time take a third of the time; as many as stay in a first-level cache.
        let together = 16
        for first in stride(from: 0, to: whole, by: together) {
            let count = min(together, whole - first)
            var batch = DigestBatch(messages: count, bytesEach: blockLength)
            for block in first..<first + count {
                let start = block * blockLength
                batch.append { $0.write(raw: UnsafeRawBufferPointer(rebasing: bytes[start..<start + blockLength])) }
            }
            leaves += MerkleTree.leaves(batch)
        }
        if whole * blockLength < bytes.count {
            leaves.append(MerkleTree.leaf(padded(UnsafeRawBufferPointer(rebasing: bytes[(whole * blockLength)...]))))
        }
        return leaves
    }

    /// A block of at most 1,024 bytes, filled up with zeros.
    static func padded(_ block: UnsafeRawBufferPointer) -> [UInt8] {
        Array(block) + [UInt8](repeating: 0, count: blockLength - block.count)
    }

    public static func of(_ element: ElementType, _ shape: [UInt64], _ bytes: [UInt8]) -> Digest {
        bytes.withUnsafeBytes { of(element, shape, $0) }
    }
}

/// The roots of a result commitment.
public enum ResultRoots {
    /// Over all step outputs: for each step the tree over its tensors' roots, then the tree over the steps.
    public static func outputRoot(_ steps: [[Digest]]) -> Digest {
        wrapped(MerkleTree.root(steps.map { MerkleTree.root($0) }))
    }

    /// Over the kept carried tensors.
    public static func stateRoot(_ kept: [Digest]) -> Digest { wrapped(MerkleTree.root(kept)) }

    /// The tensors of a list, by their roots, parted into so many steps; nil where no so many steps have this list's root.
    ///
    /// A list under an output root may be parted in another way than the steps that gave it out, four lists of one as two of two: the tree over it is the same.
    /// As long as nothing but tensors stands in it, the tree says where each of them is, and the number of steps what the way to it means.
    public static func parted(_ list: [[Digest]], into count: UInt64) -> [[Digest]]? {
        if UInt64(list.count) == count { return list }
        let top = MerkleLevels.height(of: count)
        let above = MerkleLevels.height(of: UInt64(list.count))
        // More steps than tensors there are not.
        let tensors = list.reduce(0) { $0 + $1.count }
        guard count > 0, count <= UInt64(tensors) else { return nil }
        var steps = [[Digest]](repeating: [], count: Int(count))
        for (place, group) in list.enumerated() {
            let below = MerkleLevels.height(of: UInt64(group.count))
            guard above + below >= top else { return nil }
            for (index, root) in group.enumerated() {
                let step = (UInt64(place) << UInt64(below) | UInt64(index)) >> UInt64(above + below - top)
                guard step < count else { return nil }
                steps[Int(step)].append(root)
            }
        }
        // An empty step weighs in a tree what none does.
        if steps.contains(where: \.isEmpty) { return nil }
        return outputRoot(steps) == outputRoot(list) ? steps : nil
    }

    /// A tree's root as a commitment names it.
    public static func wrapped(_ root: Digest) -> Digest { Digest.of(.outputs, root.bytes) }
}
