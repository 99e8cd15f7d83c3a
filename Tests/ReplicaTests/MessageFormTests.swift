import Consensus
import Ledger
import Primitives
import Replica
import TestSupport
import Testing

/// What replicas say to one another, and what a light client is shown.
struct MessageFormTests {
    @Test func requestsAndAnswersHaveOneEncoding() throws {
        try WireForm([BlockRequest.byDigest(.zero), .range(from: 7, count: 64)]).holds(inputs: 5_000)
        try WireForm([
            SnapshotRequest.epochs(from: 3), .offers, .chunk(height: 9, index: 65_535), .block(.zero),
        ]).holds(inputs: 5_000)
        let net = try ReplicaNetwork()
        try net.run(milliseconds: 3_000)
        let archive = net.nodes[0].archive
        let first = try #require(archive.finalized(at: 1))
        let second = try #require(archive.finalized(at: archive.tip))
        try WireForm([first, second, FinalizedBlock(block: first.block, certificate: nil)]).holds(inputs: 10_000)
        try WireForm([[], [first], [first, second]].map { BlockAnswer(blocks: $0) }).holds(inputs: 10_000)
    }

    @Test func anAnswerIsBounded() throws {
        let block = FinalizedBlock(block: [1], certificate: nil)
        let most = BlockAnswer(blocks: [FinalizedBlock](repeating: block, count: BlockAnswer.maximumBlocks))
        #expect(try BlockAnswer(canonicalBytes: most.canonicalBytes).blocks.count == BlockAnswer.maximumBlocks)
        let more = BlockAnswer(blocks: most.blocks + [block])
        #expect(throws: DecodingFault.self) { try BlockAnswer(canonicalBytes: more.canonicalBytes) }
    }
}
