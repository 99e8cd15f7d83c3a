public import Primitives

/// The state tree as it is defined, and nothing else: all leaves, halved bit by bit. Slow, kept in memory, and without a line of the real one.
public struct NaiveStateTree {
    public private(set) var values: [[UInt8]: [UInt8]] = [:]

    public init() {}

    public mutating func set(_ key: [UInt8], _ value: [UInt8]?) { values[key] = value }

    public var root: Digest {
        NaiveStateTree.root(
            values.map { key, value in
                (path: Digest.of(Domain("plasma.st.path"), key), value: Digest.of(Domain("plasma.st.value"), value))
            }, bit: 0)
    }

    private static func root(_ leaves: [(path: Digest, value: Digest)], bit: Int) -> Digest {
        if leaves.isEmpty { return .zero }
        if leaves.count == 1 { return Digest.of(Domain("plasma.st.leaf"), leaves[0].path, leaves[0].value) }
        return Digest.of(
            Domain("plasma.st.node"), root(leaves.filter { !$0.path[bit: bit] }, bit: bit + 1),
            root(leaves.filter { $0.path[bit: bit] }, bit: bit + 1))
    }
}
