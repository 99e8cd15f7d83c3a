import Consensus
import Ledger
import Primitives
import Replica

/// How blocks are asked for and given.
enum ReplicaTarget: FuzzTarget {
    static let name = "block-requests"

    static func forms() throws -> [Form] {
        let network = try Fixture.genesis().digest
        let block = try Fixture.block(network, Array(try Fixture.transactions(network).prefix(2)))
        let certificate = try Fixture.certificate(.finalize(Fixture.proposal(3, block.digest)), network: network)
        let first = FinalizedBlock(block: block.canonicalBytes, certificate: certificate)
        let second = FinalizedBlock(block: [1, 2, 3], certificate: nil)
        return [
            Form([BlockRequest.byDigest(.zero), .range(from: 7, count: 64)]),
            Form([[], [first], [first, second]].map { BlockAnswer(blocks: $0) }),
            Form([first, second]),
        ]
    }
}
