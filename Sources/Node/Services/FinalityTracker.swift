internal import Foundation
internal import Ledger
internal import Primitives

/// Remembers what became of recent transactions, and wakes those who wait for theirs. `OutcomeIndex` knows the older ones.
actor FinalityTracker {
    typealias Outcome = TransactionOutcome

    private var outcomes: [Digest: Outcome] = [:]
    private var order: [Digest] = []
    private var first = 0
    private var waiters: [Digest: [UUID: CheckedContinuation<Outcome?, Never>]] = [:]

    /// Those whose refusal somebody asks for, with its reason once there is one.
    private var expected: [Digest: String?] = [:]

    private var isClosed = false

    static let kept = 200_000

    /// The node stops: whoever waits is told that nothing is known, and nobody waits any more.
    func close() {
        isClosed = true
        let waiting = waiters.values.flatMap(\.values)
        waiters.removeAll()
        for waiter in waiting { waiter.resume(returning: nil) }
    }

    func executed(_ height: Height, _ receipts: [TransactionReceipt]) {
        for receipt in receipts {
            let outcome = Outcome(receipt, at: height)
            outcomes[receipt.id] = outcome
            order.append(receipt.id)
            for waiter in (waiters.removeValue(forKey: receipt.id) ?? [:]).values { waiter.resume(returning: outcome) }
        }
        while order.count - first > FinalityTracker.kept {
            outcomes[order[first]] = nil
            first += 1
        }
        if first > FinalityTracker.kept {
            order.removeFirst(first)
            first = 0
        }
    }

    func outcome(of id: Digest) -> Outcome? { outcomes[id] }

    /// Transactions are about to be handed in, and whoever does will ask for their `end`.
    func expect(_ ids: [Digest]) { for id in ids { expected[id] = .some(nil) } }

    /// A transaction may not wait here: whoever waits for it waits no longer.
    func refused(_ id: Digest, _ reason: String) {
        guard expected[id] != nil else { return }
        expected[id] = reason
        for waiter in (waiters.removeValue(forKey: id) ?? [:]).values { waiter.resume(returning: nil) }
    }

    /// Why each move of an expected transaction had no effect, `count` of them; nil where it had.
    func ends(of id: Digest, moves count: Int, timeout: TimeInterval) async -> [String?] {
        var outcome = outcomes[id]
        if outcome == nil, expected[id] == .some(nil) { outcome = await wait(for: id, timeout: timeout) }
        let refusal = expected.removeValue(forKey: id) ?? nil
        guard let outcome else {
            return Array(repeating: refusal ?? "it was not final within \(Int(timeout)) s", count: count)
        }
        if outcome.failures.isEmpty { return Array(repeating: outcome.failure, count: count) }
        var ends = [String?](repeating: nil, count: count)
        for failure in outcome.failures where failure.place < count { ends[Int(failure.place)] = failure.reason }
        return ends
    }

    /// The outcome once there is one, or nil after `timeout`.
    func wait(for id: Digest, timeout: TimeInterval) async -> Outcome? {
        if let known = outcomes[id] { return known }
        if isClosed { return nil }
        let token = UUID()
        Task {
            try? await Task.sleep(nanoseconds: UInt64(timeout * 1e9))
            giveUp(id, token)
        }
        return await withCheckedContinuation { waiters[id, default: [:]][token] = $0 }
    }

    private func giveUp(_ id: Digest, _ token: UUID) {
        guard let waiter = waiters[id]?.removeValue(forKey: token) else { return }
        if waiters[id]?.isEmpty == true { waiters[id] = nil }
        waiter.resume(returning: nil)
    }
}
