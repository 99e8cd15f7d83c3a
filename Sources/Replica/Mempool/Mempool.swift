/// Transactions waiting for a block: by sender in nonce order, bounded by count, bytes and per account.
///
/// Order of selection: senders with the highest tip at their next nonce first, ties by the sender's key, so that equal pools build equal
/// blocks. A transaction with the nonce of another replaces it when its tip is at least an eighth higher.
public import Ledger
public import Primitives

public struct Mempool: Sendable {
    /// Why a transaction was not taken.
    public enum Refusal: Error, Equatable, Sendable, CustomStringConvertible {
        case known
        case full(limit: Int)
        case accountFull(limit: Int)
        case staleNonce(found: Nonce, next: Nonce)
        case replacementTooCheap

        public var description: String {
            switch self {
            case .known: "the transaction is already waiting"
            case .full(let limit): "\(limit) transactions are waiting already: try again in a few seconds"
            case .accountFull(let limit): "this account has \(limit) transactions waiting: wait until some are final"
            case .staleNonce(let found, let next): "nonce \(found) is used: this account's next is \(next)"
            case .replacementTooCheap:
                "a transaction with this nonce is waiting: raise the tip by an eighth to replace it"
            }
        }
    }

    public static let maximumTransactions = 50_000
    public static let maximumPerAccount = 4_096

    private struct Queue: Sendable {
        var waiting: [SignedTransaction] = []
    }

    private var queues: [PublicKey: Queue] = [:]
    private var known: Set<Digest> = []

    public init() {}

    /// How many wait.
    public var count: Int { known.count }

    public var isEmpty: Bool { known.isEmpty }

    public func contains(_ id: Digest) -> Bool { known.contains(id) }

    /// What waits of one sender, in nonce order.
    public func pending(of sender: PublicKey) -> [SignedTransaction] { queues[sender]?.waiting ?? [] }

    /// Some of what waits, senders in order of their keys.
    public func first(_ count: Int) -> [SignedTransaction] {
        var found: [SignedTransaction] = []
        for sender in queues.keys.sorted() where found.count < count {
            found += (queues[sender]?.waiting ?? []).prefix(count - found.count)
        }
        return found
    }

    /// The first nonce, from `next` on, that this sender has not used here.
    public func nextNonce(of sender: PublicKey, after next: Nonce) -> Nonce {
        var nonce = next
        for transaction in pending(of: sender) where transaction.transaction.nonce == nonce { nonce = nonce.next() }
        return nonce
    }

    /// Takes a transaction. `next` is its sender's next nonce in the state.
    public mutating func insert(_ transaction: SignedTransaction, next: Nonce) throws(Refusal) {
        if known.contains(transaction.id) { throw .known }
        let nonce = transaction.transaction.nonce
        if nonce < next { throw .staleNonce(found: nonce, next: next) }
        let sender = transaction.transaction.sender
        var queue = queues[sender] ?? Queue()
        let position = queue.waiting.firstIndex { $0.transaction.nonce >= nonce } ?? queue.waiting.count
        if position < queue.waiting.count, queue.waiting[position].transaction.nonce == nonce {
            let held = queue.waiting[position]
            let floor = held.transaction.tip.baseUnits + held.transaction.tip.baseUnits / 8
            if transaction.transaction.tip.baseUnits <= floor { throw .replacementTooCheap }
            known.remove(held.id)
            queue.waiting[position] = transaction
        } else {
            if known.count >= Mempool.maximumTransactions { throw .full(limit: Mempool.maximumTransactions) }
            if queue.waiting.count >= Mempool.maximumPerAccount {
                throw .accountFull(limit: Mempool.maximumPerAccount)
            }
            queue.waiting.insert(transaction, at: position)
        }
        known.insert(transaction.id)
        queues[sender] = queue
    }

    /// Forgets what a final block used up: everything of its senders below their next nonce.
    public mutating func remove(finalized transactions: [SignedTransaction]) {
        for transaction in transactions {
            let sender = transaction.transaction.sender
            guard var queue = queues[sender] else { continue }
            var dropped = 0
            while dropped < queue.waiting.count,
                queue.waiting[dropped].transaction.nonce <= transaction.transaction.nonce
            {
                known.remove(queue.waiting[dropped].id)
                dropped += 1
            }
            queue.waiting.removeFirst(dropped)
            queues[sender] = queue.waiting.isEmpty ? nil : queue
        }
    }

    /// Forgets one transaction and what depends on it: it can no longer be paid.
    public mutating func drop(from transaction: SignedTransaction) {
        let sender = transaction.transaction.sender
        guard var queue = queues[sender] else { return }
        while let last = queue.waiting.last, last.transaction.nonce >= transaction.transaction.nonce {
            known.remove(last.id)
            queue.waiting.removeLast()
        }
        queues[sender] = queue.waiting.isEmpty ? nil : queue
    }

    /// Offers transactions in the order a block should take them. `take` says whether one was taken: where it was not, its sender's rest is
    /// passed over. `next` is each sender's next nonce at the block's place.
    public func select(next: (PublicKey) -> Nonce, take: (SignedTransaction) -> Bool) {
        struct Head {
            let sender: PublicKey
            var position: Int
            var transaction: SignedTransaction
        }
        var heads: [Head] = []
        for (sender, queue) in queues {
            let nonce = next(sender)
            guard let position = queue.waiting.firstIndex(where: { $0.transaction.nonce == nonce }) else { continue }
            heads.append(Head(sender: sender, position: position, transaction: queue.waiting[position]))
        }
        func precedes(_ x: Head, _ y: Head) -> Bool {
            let (a, b) = (x.transaction.transaction.tip, y.transaction.transaction.tip)
            return a != b ? a > b : x.sender < y.sender
        }
        heads.sort(by: precedes)
        // One pass a sender: its transactions follow one another while they are consecutive.
        for head in heads {
            guard let queue = queues[head.sender] else { continue }
            var expected = head.transaction.transaction.nonce
            for transaction in queue.waiting[head.position...] {
                if transaction.transaction.nonce != expected || !take(transaction) { break }
                expected = expected.next()
            }
        }
    }
}
