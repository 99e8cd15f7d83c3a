import Primitives
import Programs
import Testing

struct MerkleLevelsTests {
    static func leaves(_ count: Int) -> [Digest] { (0..<count).map { MerkleTree.leaf([UInt8($0)]) } }

    @Test(arguments: [0, 1, 2, 3, 5, 8, 9, 33, 64, 65]) func itIsTheTreeAndItsPaths(count: Int) {
        let leaves = Self.leaves(count)
        let levels = MerkleLevels(leaves)
        #expect(levels.root == MerkleTree.root(leaves))
        for index in leaves.indices { #expect(levels.proof(index) == MerkleTree.proof(leaves, index)) }
    }

    @Test(arguments: [1, 2, 5, 33, 64, 65]) func childrenCombineToTheirNode(count: Int) throws {
        let levels = MerkleLevels(Self.leaves(count))
        for height in 0...levels.height {
            for index in 0..<1 << (levels.height - height) {
                for depth in [0, 1, 2, 5] {
                    let children = try #require(levels.children(height: height, index, depth: depth))
                    #expect(children.count == 1 << min(depth, height))
                    var nodes = children
                    while nodes.count > 1 {
                        nodes = stride(from: 0, to: nodes.count, by: 2).map {
                            MerkleTree.node(nodes[$0], nodes[$0 + 1])
                        }
                    }
                    #expect(nodes[0] == levels.node(height: height, index))
                }
            }
            #expect(levels.node(height: height, 1 << (levels.height - height)) == nil)
        }
        #expect(levels.node(height: levels.height + 1, 0) == nil && levels.node(height: 0, -1) == nil)
    }
}
