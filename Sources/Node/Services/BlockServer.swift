internal import Consensus
internal import Primitives
internal import Replica
internal import Storage

/// Answers peers' requests for blocks from the store, bounded in count and bytes.
enum BlockServer {
    static func answer(_ request: BlockRequest, from store: BlockStore) -> BlockAnswer? {
        switch request {
        case .byDigest(let digest):
            guard let bytes = try? store.get(digest) else { return nil }
            return BlockAnswer(blocks: [FinalizedBlock(block: bytes, certificate: nil)])
        case .range(let from, let count):
            var blocks: [FinalizedBlock] = []
            var size = 0
            var height = from
            for _ in 0..<min(Int(count), BlockAnswer.maximumBlocks) {
                guard let found = StoredBlocks.finalized(at: height, in: store) else { break }
                size += found.block.count
                if !blocks.isEmpty && size > BlockAnswer.softByteLimit { break }
                blocks.append(found)
                height = height.next()
            }
            return BlockAnswer(blocks: blocks)
        }
    }
}

/// Reads the replica's blocks back from disk.
final class StoredBlocks: BlockArchive {
    private let store: BlockStore

    init(_ store: BlockStore) { self.store = store }

    func block(_ digest: Digest) -> [UInt8]? { try? store.get(digest) }

    func finalized(at height: Height) -> FinalizedBlock? { StoredBlocks.finalized(at: height, in: store) }

    static func finalized(at height: Height, in store: BlockStore) -> FinalizedBlock? {
        guard let found = try? store.finalized(height) else { return nil }
        return FinalizedBlock(
            block: found.block, certificate: found.certificate.flatMap { try? Certificate(canonicalBytes: $0) })
    }
}
