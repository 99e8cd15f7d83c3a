import Consensus
import Primitives
import Replica
import Testing

/// When a shell must sync, on what real replicas say.
struct HeldRecordsTests {
    /// What one of four validators says in twenty seconds.
    private func steps() throws -> [[ReplicaOutput]] {
        let net = try ReplicaNetwork()
        try net.run(milliseconds: 20_000)
        return net.said
    }

    private func isWord(_ output: ReplicaOutput) -> Bool {
        switch output {
        case .broadcastBlock: true
        case .broadcastConsensus(.vote), .sendConsensus(.vote, _): true
        default: false
        }
    }

    @Test func noVoteAndNoBlockLeavesBeforeAllThatWasFoundOutIsDurable() throws {
        let steps = try steps()
        var held = HeldRecords()
        var durable: [JournalRecord] = []
        var found: [JournalRecord] = []
        var words = 0
        for outputs in steps {
            for case .persist(let record) in outputs { found.append(record) }
            if held.hold(outputs).sync { durable += held.takeRecords() }
            guard outputs.contains(where: isWord) else { continue }
            words += 1
            // In the order in which they were found out, and none of them missing.
            #expect(durable == found)
        }
        #expect(words > 10 && found.count > words)
    }

    @Test func whereNothingIsPromisedAStepNeedsNoSyncUntilTheStateIsFlushed() throws {
        let steps = try steps()
        var held = HeldRecords()
        var executed = 0
        var flushes = 0
        for outputs in steps {
            // What a follower of the same network finds out: the same, less its own votes and blocks.
            let found = outputs.filter {
                if case .persist(let record) = $0 { return !record.isPromise }
                if case .broadcastBlock = $0 { return false }
                return true
            }
            for case .executed in found { executed += 1 }
            let due = held.hold(found)
            #expect(due.flush == (executed >= HeldRecords.flushInterval))
            // The state is never ahead of the blocks and the journal.
            #expect(!due.flush || due.sync)
            if due.sync {
                #expect(due.flush || held.takeRecords().count >= HeldRecords.limit)
                _ = held.takeRecords()
            }
            guard due.flush else { continue }
            flushes += 1
            executed = 0
            held.noteFlush()
        }
        #expect(flushes > 0)
    }

    @Test func recordsDoNotGatherWithoutBound() throws {
        let record = try #require(
            try steps().joined().first {
                if case .persist(let record) = $0 { return !record.isPromise }
                return false
            })
        var held = HeldRecords()
        for number in 1...HeldRecords.limit {
            #expect(held.hold([record]).sync == (number == HeldRecords.limit))
        }
        #expect(held.takeRecords().count == HeldRecords.limit)
        #expect(held.hold([record]) == HeldRecords.Due(sync: false, flush: false))
        // A node that leaves off flushes, however little it has executed.
        #expect(held.hold([], flushing: true) == HeldRecords.Due(sync: true, flush: true))
    }
}
