public import Primitives

/// A chain from its definition alone, number by number with the softfloat: what fast runs are compared with. For small chains.
public struct DeviceChainReference: Sendable {
    public let chain: DeviceChain
    /// After each step.
    public private(set) var states: [[UInt8]] = []
    private let tree: MerkleLevels

    public init(_ chain: DeviceChain) {
        self.init(chain) { _, _ in }
    }

    /// The same where each state is changed before it is written down, as those do that answer something else.
    public init(_ chain: DeviceChain, changing: (_ step: UInt64, _ state: inout [UInt8]) -> Void) {
        self.chain = chain
        let width = DeviceChain.width
        var state = [UInt8](repeating: 0, count: Int(chain.stateBytes))
        var root: Digest?
        var leaves: [Digest] = []
        for step in 1...chain.steps {
            let words = chain.words(step, after: root)
            let columns = (0..<UInt64(width)).map { words.column($0) }
            var after = state
            for row in 0..<Int(chain.rows) {
                let read = words.read(Array(state[row * width..<(row + 1) * width]), row: UInt64(row))
                for column in 0..<width {
                    after[column * Int(chain.rows) + row] = words.number(read, column: columns[column])
                }
            }
            changing(step, &after)
            state = after
            states.append(state)
            let rows = stride(from: 0, to: state.count, by: width).map {
                MerkleTree.leaf(Array(state[$0..<$0 + width]))
            }
            leaves += rows
            root = MerkleTree.root(rows)
        }
        tree = MerkleLevels(leaves)
    }

    public var root: Digest { tree.root }

    private func leaf(_ index: UInt64) -> DeviceLeaf {
        let (step, row) = (Int(index / chain.rows), Int(index % chain.rows))
        let start = row * DeviceChain.width
        return DeviceLeaf(
            bytes: Array(states[step][start..<start + DeviceChain.width]), siblings: tree.proof(Int(index)).siblings)
    }

    /// A number of it, shown.
    public func sample(_ number: UInt64) -> DeviceSample {
        let position = DevicePosition(number, in: chain)
        return DeviceSample(after: leaf(position.leaf), before: position.source.map { leaf($0) })
    }
}
