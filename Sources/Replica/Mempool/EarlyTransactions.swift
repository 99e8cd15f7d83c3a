import Ledger
import Primitives

/// Transactions whose predecessors are missing, by sender in nonce order, for the mempool.
///
/// Nobody pays for waiting here, so little may wait: a few an account and a few in all (`Mempool.maximumAhead`, `maximumEarly`). What has waited
/// longest goes first: a predecessor that is on its way comes within moments.
struct EarlyTransactions: Sendable {
    private var queues: [PublicKey: [Mempool.Waiting]] = [:]
    private(set) var count = 0
    private(set) var bytes = 0

    func waiting(of sender: PublicKey) -> [Mempool.Waiting] { queues[sender] ?? [] }

    /// By sender in nonce order.
    var all: [Mempool.Waiting] { queues.keys.sorted().flatMap { queues[$0] ?? [] } }

    func find(_ id: Digest) -> Mempool.Waiting? {
        for queue in queues.values {
            if let found = queue.first(where: { $0.id == id }) { return found }
        }
        return nil
    }

    /// Its nonce waits not yet.
    mutating func insert(_ entry: Mempool.Waiting) {
        var queue = queues[entry.sender] ?? []
        queue.insert(entry, at: queue.firstIndex { $0.nonce > entry.nonce } ?? queue.count)
        queues[entry.sender] = queue
        count += 1
        bytes += entry.bytes
    }

    mutating func take(of sender: PublicKey, nonce: Nonce) -> Mempool.Waiting? {
        take(of: sender) { $0.nonce == nonce }.first
    }

    mutating func take(of sender: PublicKey, upTo nonce: Nonce) -> [Mempool.Waiting] {
        take(of: sender) { $0.nonce <= nonce }
    }

    mutating func take(where isWanted: (Mempool.Waiting) -> Bool) -> [Mempool.Waiting] {
        queues.keys.sorted().flatMap { take(of: $0, where: isWanted) }
    }

    /// The one that has waited longest, of equals the first by sender and nonce.
    mutating func takeOldest() -> Mempool.Waiting? {
        let oldest = queues.values.joined().min {
            ($0.since, $0.sender, $0.nonce) < ($1.since, $1.sender, $1.nonce)
        }
        return oldest.flatMap { take(of: $0.sender, nonce: $0.nonce) }
    }

    private mutating func take(
        of sender: PublicKey, where isWanted: (Mempool.Waiting) -> Bool
    ) -> [Mempool.Waiting] {
        guard let queue = queues[sender] else { return [] }
        let taken = queue.filter(isWanted)
        if taken.isEmpty { return [] }
        let left = queue.filter { !isWanted($0) }
        queues[sender] = left.isEmpty ? nil : left
        count -= taken.count
        bytes -= taken.reduce(0) { $0 + $1.bytes }
        return taken
    }
}
