import Foundation
import Ledger
import Node
import Primitives
import Storage
import Testing

/// What became of transactions, over crashes and pruning.
final class OutcomeIndexTests {
    private let folder = NSTemporaryDirectory() + "plasma-outcomes-\(UUID().uuidString)"

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func id(_ number: UInt64) -> Digest { Digest.of(Domain("test.transaction"), number.canonicalBytes) }

    private func receipts(_ numbers: Range<UInt64>) -> [TransactionReceipt] {
        numbers.map {
            TransactionReceipt(
                id: id($0), succeeded: $0 % 3 != 0, reason: $0 % 3 == 0 ? "reason \($0)" : "", weight: 1, fee: .zero)
        }
    }

    private func expected(_ number: UInt64, at height: Height) -> TransactionOutcome {
        TransactionOutcome(height: height, failure: number % 3 == 0 ? "reason \(number)" : nil)
    }

    /// A block of ten transactions as the driver takes it in: state, then outcomes.
    private func add(_ height: UInt64, to store: LMDBStore, _ index: OutcomeIndex) throws {
        try store.commit(StateWrites(), height: Height(height))
        try index.note(Height(height), receipts(height * 10..<height * 10 + 10))
    }

    @Test func aCrashTakesTheOutcomesOfTheBlocksThatAreExecutedAgainAndNoOthers() throws {
        do {
            let store = try LMDBStore(directory: folder, blocksPerFlush: 1_000)
            let index = try OutcomeIndex(store)
            for height in 0..<20 as Range<UInt64> {
                try add(height, to: store, index)
                if height == 12 { try store.flush() }
            }
            for number in 0..<200 as Range<UInt64> {
                #expect(try index.outcome(of: id(number)) == expected(number, at: Height(number / 10)))
            }
            #expect(try index.outcome(of: id(200)) == nil)
        }
        let store = try LMDBStore(directory: folder, blocksPerFlush: 1_000)
        let index = try OutcomeIndex(store)
        #expect(store.height == 12)
        for number in 0..<130 as Range<UInt64> {
            #expect(try index.outcome(of: id(number)) == expected(number, at: Height(number / 10)))
        }
        #expect(try index.outcome(of: id(130)) == nil)
        for height in 13..<20 as Range<UInt64> { try add(height, to: store, index) }
        #expect(try index.outcome(of: id(199)) == expected(199, at: 19))
    }

    @Test func whatIsPrunedIsForgottenSpanBySpan() throws {
        let store = try LMDBStore(directory: folder, blocksPerFlush: 512)
        let index = try OutcomeIndex(store)
        let heights = OutcomeIndex.span * 3
        for height in 0..<heights { try add(height, to: store, index) }
        func isKnown(_ height: UInt64) throws -> Bool {
            try index.outcome(of: id(height * 10 + 7)) == expected(height * 10 + 7, at: Height(height))
        }
        // Nothing of a span goes before its last block does.
        try index.prune(below: Height(OutcomeIndex.span - 1))
        let first = try isKnown(0)
        #expect(first)
        try index.prune(below: Height(OutcomeIndex.span * 2))
        for height in stride(from: 0, to: heights, by: 61) {
            let known = try isKnown(height)
            #expect(known == (height >= OutcomeIndex.span * 2), "height \(height)")
        }
        // It goes on where it stands, also after a restart.
        try store.flush()
        let again = try OutcomeIndex(store)
        let number = (heights - 1) * 10
        #expect(try again.outcome(of: id(number)) == expected(number, at: Height(heights - 1)))
        try again.prune(below: Height(heights))
        #expect(try again.outcome(of: id(number)) == nil)
        #expect(try store.scanIndex(prefix: [], limit: 10).isEmpty)
    }

    @Test func nothingIsKnownOfAnEmptyChain() throws {
        let index = try OutcomeIndex(try LMDBStore(directory: folder))
        #expect(try index.outcome(of: id(1)) == nil)
        try index.prune(below: 1_000_000)
    }
}
