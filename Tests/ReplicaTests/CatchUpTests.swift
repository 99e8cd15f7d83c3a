import Ledger
import Primitives
import Replica
import Testing

/// A node that is far behind fetches rows of blocks from several peers at once.
@Suite struct CatchUpTests {
    /// Four validators, the last of which was away for some 250 blocks.
    private static func behind() throws -> ReplicaNetwork {
        let network = try ReplicaNetwork()
        try network.run(milliseconds: 3_000)
        network.nodes[3].isUp = false
        let target = network.keys[1].publicKey.address
        for nonce in 0..<260 {
            network.push(
                0, .input(.transactions([network.transfer(.xpl(1), nonce: UInt64(nonce), to: target)], local: true)),
                after: Int64(nonce) * 100)
        }
        try network.run(milliseconds: 30_000)
        network.rowsAsked.removeAll()
        return network
    }

    private static func catchesUp(_ network: ReplicaNetwork, within milliseconds: Int64 = 10_000) throws {
        let target = network.nodes[0].replica.executed.height
        let start = network.nodes[3].archive.tip
        #expect(target.value >= start.value + 200)
        try network.restart(3)
        try network.run(milliseconds: milliseconds)
        #expect(network.nodes[3].archive.tip >= target)
        for height in start.value...target.value {
            let own = network.nodes[3].archive.byHeight[Height(height)]?.0
            #expect(own == network.nodes[0].archive.byHeight[Height(height)]?.0, "height \(height)")
        }
    }

    @Test func severalAreAskedAtOnceAndAnswersMayComeInAnyOrder() throws {
        let network = try Self.behind()
        network.givesRow = { peer, row in (row, after: [300, 150, 20][peer % 3]) }
        try Self.catchesUp(network)
        let first = try #require(network.rowsAsked.first)
        let together = network.rowsAsked.filter { $0.at < first.at + 20 }
        #expect(Set(together.map(\.peer)).count == 3, "\(together)")
        #expect(Set(together.map(\.from)).count == together.count)
        // Nothing is asked for twice where everyone answers.
        #expect(Set(network.rowsAsked.map(\.from)).count == network.rowsAsked.count, "\(network.rowsAsked)")
    }

    @Test func shortRowsAreFilledUp() throws {
        let network = try Self.behind()
        network.givesRow = { peer, row in (Array(row.prefix(peer == 0 ? 64 : 7)), after: 5 + Int64(peer)) }
        try Self.catchesUp(network)
        #expect(network.misbehaviours.isEmpty)
    }

    /// A block that only a descendant's finalization covers may be the last of its row.
    @Test func aRowsLastBlocksAreCoveredByTheNext() throws {
        let network = try Self.behind()
        network.givesRow = { _, row in
            let bare = row.map { block -> FinalizedBlock in
                let height = (try? Block(canonicalBytes: block.block))?.header.height.value ?? 0
                return FinalizedBlock(block: block.block, certificate: height % 37 == 0 ? block.certificate : nil)
            }
            return (bare, after: 5)
        }
        try Self.catchesUp(network, within: 20_000)
        #expect(network.misbehaviours.isEmpty)
    }

    @Test(arguments: ["silence", "nothing", "other blocks", "false certificates"])
    func oneLiarHoldsNobodyUp(_ lie: String) throws {
        let network = try Self.behind()
        let wrong = network.nodes[1].archive.finalized(at: 2)
        network.givesRow = { peer, row in
            if peer != 1 { return (row, after: 5) }
            switch lie {
            case "silence": return (row, after: 60_000)
            case "nothing": return ([], after: 5)
            case "other blocks":
                return (wrong.map { [FinalizedBlock](repeating: $0, count: row.count) } ?? [], after: 5)
            default:
                return (
                    row.map { FinalizedBlock(block: $0.block, certificate: wrong?.certificate ?? $0.certificate) },
                    after: 5
                )
            }
        }
        try Self.catchesUp(network, within: 30_000)
        if lie == "false certificates" { #expect(network.misbehaviours.contains { $0.contains("does not hold") }) }
    }
}
