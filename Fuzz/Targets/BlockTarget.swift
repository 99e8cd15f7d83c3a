import Ledger
import Primitives

/// Blocks, headers and what they say of votes, the genesis and the epochs' records.
enum BlockTarget: FuzzTarget {
    static let name = "blocks"

    static func forms() throws -> [Form] {
        let genesis = try Fixture.genesis()
        let transactions = try Fixture.transactions(genesis.digest)
        let block = try Fixture.block(genesis.digest, Array(transactions.prefix(3)))
        return [
            Form([block, try Fixture.block(genesis.digest, [])]) { block in
                _ = block.bodyMatches
                _ = block.digest
            },
            Form([block.header, try Fixture.header(genesis.digest, height: 9, next: Fixture.digest(3))]),
            Form([block.votes, BlockVotes()]),
            Form([genesis]) { genesis in
                _ = try? genesis.validate()
                _ = genesis.digest
            },
            Form([genesis.epochRecord]) { _ = try? $0.validatorSet() },
            Form([genesis.epochStart]),
            Form([genesis.parameters]),
        ]
    }
}
