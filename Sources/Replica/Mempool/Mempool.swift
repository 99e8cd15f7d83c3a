/// Transactions waiting for a block: by sender in nonce order without gaps, bounded by count, by bytes, per account and in time.
///
/// Some come before their predecessors. They wait beside the others (`EarlyTransactions`), in no block and told to nobody, until the nonce before
/// them is taken; what follows at once takes their room. *Ready* is what waits without a gap.
///
/// Order of selection: senders with the highest tip at their next nonce first, ties by the sender's key, so that equal pools build equal
/// blocks. A transaction with the nonce of another replaces it when its tip is at least an eighth higher.
///
/// Costs: inserting behind a sender's last, finding by id, and what a sender's waiting transactions take together are constant.
public import Ledger
public import Primitives

public struct Mempool: Sendable {
    /// Why a transaction was not taken.
    public enum Refusal: Error, Equatable, Sendable, CustomStringConvertible {
        case known
        case full(limit: Int)
        case outOfBytes(limit: Int)
        case accountFull(limit: Int)
        case staleNonce(found: Nonce, next: Nonce)
        case replacementTooCheap
        case tooFarAhead(found: Nonce, next: Nonce, limit: UInt64)
        case tooManyEarly(limit: Int)

        public var description: String {
            switch self {
            case .known: "the transaction is already waiting"
            case .full(let limit): "\(limit) transactions are waiting already: try again in a few seconds"
            case .outOfBytes(let limit):
                "the waiting transactions fill \(limit >> 20) MiB already: try again in a few seconds"
            case .accountFull(let limit): "this account has \(limit) transactions waiting: wait until some are final"
            case .staleNonce(let found, let next): "nonce \(found) is used: this account's next is \(next)"
            case .replacementTooCheap:
                "a transaction with this nonce is waiting: raise the tip by an eighth to replace it"
            case .tooFarAhead(let found, let next, let limit):
                "its nonce is \(found), the account's next is \(next): at most \(limit) may be missing, send those first"
            case .tooManyEarly(let limit):
                "\(limit) transactions of this account wait for earlier nonces already: send those first"
            }
        }
    }

    public static let maximumTransactions = 50_000
    public static let maximumPerAccount = 4_096
    public static let maximumBytes = 64 << 20
    /// How many nonces may be missing before a transaction that is kept, and how many of an account may be kept so.
    public static let maximumAhead: UInt64 = 16
    /// Of all that wait for predecessors, in number and bytes.
    public static let maximumEarly = 2_048
    public static let maximumEarlyBytes = 8 << 20
    /// Milliseconds after which a transaction that no block took is forgotten. Its sender can give it again.
    public static let lifetime: UInt64 = 600_000

    struct Waiting: Sendable {
        let signed: SignedTransaction
        let id: Digest
        let bytes: Int
        let since: Timestamp

        var nonce: Nonce { signed.transaction.nonce }
        var sender: PublicKey { signed.transaction.sender }
    }

    private struct Queue: Sendable {
        /// From `first` on; what lies before is used up and goes in bulk.
        var waiting: [Waiting] = []
        var first = 0
        var sums = Admission.Pending()

        var live: ArraySlice<Waiting> { waiting[first...] }
    }

    private let parameters: ChainParameters
    private var queues: [PublicKey: Queue] = [:]
    private var early = EarlyTransactions()
    /// What waits, ready or early, by id, with the signature that was checked.
    private var known: [Digest: Signature] = [:]
    /// Of all that waits, ready or early.
    public private(set) var bytes = 0
    private var nextExpiry = Timestamp(milliseconds: 0)

    public init(parameters: ChainParameters) { self.parameters = parameters }

    /// How many are ready.
    public var count: Int { known.count - early.count }

    /// Whether nothing is ready. What waits for a predecessor gives a block nothing to do.
    public var isEmpty: Bool { count == 0 }

    /// How many wait for a predecessor.
    public var earlyCount: Int { early.count }

    public func contains(_ id: Digest) -> Bool { known[id] != nil }

    /// Whether it waits with this very signature, which then needs no check. Its id alone says nothing of the signature.
    public func contains(_ id: Digest, signature: Signature) -> Bool { known[id] == signature }

    /// Whether it waits and no nonce before its own is missing.
    public func isReady(_ id: Digest) -> Bool { contains(id) && early(id) == nil }

    func hasEarly(of sender: PublicKey) -> Bool { early.count > 0 && !early.waiting(of: sender).isEmpty }

    /// A transaction that waits for a predecessor. Looks at all that do.
    public func early(_ id: Digest) -> SignedTransaction? { known[id] == nil ? nil : early.find(id)?.signed }

    /// What waits of one sender for a predecessor, in nonce order.
    public func early(of sender: PublicKey) -> [SignedTransaction] { early.waiting(of: sender).map(\.signed) }

    /// All that waits: what is ready, then what is early, each by sender in nonce order.
    public var all: [SignedTransaction] { first(known.count) + early.all.map(\.signed) }

    /// What of one sender is ready, in nonce order.
    public func pending(of sender: PublicKey) -> [SignedTransaction] { queues[sender]?.live.map(\.signed) ?? [] }

    /// What a sender's waiting transactions before a nonce take together.
    func sums(of sender: PublicKey, before nonce: Nonce) -> Admission.Pending {
        guard let queue = queues[sender], let last = queue.live.last else { return Admission.Pending() }
        if last.nonce < nonce { return queue.sums }
        // A replacement: rare, so it may cost a look at each. What was summed once does not overflow now.
        return
            (try? Admission.Pending(
                queue.live.lazy.map(\.signed.transaction).filter { $0.nonce < nonce }, parameters)) ?? queue.sums
    }

    /// What a sender's early transactions take together, that with the given nonce left out.
    func earlySums(of sender: PublicKey, without nonce: Nonce) throws(AmountFault) -> Admission.Pending {
        try Admission.Pending(
            early.waiting(of: sender).lazy.map(\.signed.transaction).filter { $0.nonce != nonce }, parameters)
    }

    /// Some of what is ready, senders in order of their keys; only of senders whose next has waited since `bound` or longer, where one is given. At most
    /// `count`, and but for the last at most `limit` bytes.
    public func first(_ count: Int, bytes limit: Int = .max, since bound: Timestamp? = nil) -> [SignedTransaction] {
        var found: [SignedTransaction] = []
        var bytes = 0
        let senders = queues.filter { _, queue in
            guard let bound else { return true }
            return queue.live.first.map { $0.since <= bound } ?? false
        }
        for sender in senders.keys.sorted() where found.count < count {
            for waiting in (queues[sender]?.live ?? []).prefix(count - found.count) {
                if bytes >= limit { return found }
                bytes += waiting.bytes
                found.append(waiting.signed)
            }
        }
        return found
    }

    /// The first nonce, from `next` on, that this sender has not used here.
    public func nextNonce(of sender: PublicKey, after next: Nonce) -> Nonce {
        guard let last = queues[sender]?.live.last?.nonce, last >= next else { return next }
        return last.next()
    }

    /// Whether a transaction would be taken. `next` is its sender's next nonce in the state.
    func check(_ transaction: SignedTransaction, id: Digest, next: Nonce) throws(Refusal) {
        try check(transaction, id: id, size: Mempool.size(transaction), next: next)
    }

    /// Canonical bytes.
    private static func size(_ transaction: SignedTransaction) -> Int { transaction.byteCount }

    private func check(_ transaction: SignedTransaction, id: Digest, size: Int, next: Nonce) throws(Refusal) {
        if known[id] != nil { throw .known }
        let nonce = transaction.transaction.nonce
        if nonce < next { throw .staleNonce(found: nonce, next: next) }
        let queue = queues[transaction.transaction.sender] ?? Queue()
        let readyBytes = bytes - early.bytes
        if let place = Mempool.place(of: nonce, in: queue) {
            try Mempool.checkReplacement(of: queue.waiting[place], by: transaction)
            if readyBytes - queue.waiting[place].bytes + size > Mempool.maximumBytes {
                throw .outOfBytes(limit: Mempool.maximumBytes)
            }
            return
        }
        // What is early never keeps another out: it gives way.
        if count >= Mempool.maximumTransactions { throw .full(limit: Mempool.maximumTransactions) }
        if readyBytes + size > Mempool.maximumBytes { throw .outOfBytes(limit: Mempool.maximumBytes) }
        if queue.live.count >= Mempool.maximumPerAccount { throw .accountFull(limit: Mempool.maximumPerAccount) }
        let expected = nextNonce(of: transaction.transaction.sender, after: next)
        if nonce > expected { try checkEarly(transaction, expected: expected) }
    }

    private static func checkReplacement(of held: Waiting, by transaction: SignedTransaction) throws(Refusal) {
        let tip = held.signed.transaction.tip.baseUnits
        if transaction.transaction.tip.baseUnits <= tip + tip / 8 { throw .replacementTooCheap }
    }

    private func checkEarly(_ transaction: SignedTransaction, expected: Nonce) throws(Refusal) {
        let nonce = transaction.transaction.nonce
        if nonce.value - expected.value > Mempool.maximumAhead {
            throw .tooFarAhead(found: nonce, next: expected, limit: Mempool.maximumAhead)
        }
        let waiting = early.waiting(of: transaction.transaction.sender)
        if let held = waiting.first(where: { $0.nonce == nonce }) {
            try Mempool.checkReplacement(of: held, by: transaction)
        } else if waiting.count >= Int(Mempool.maximumAhead) {
            throw .tooManyEarly(limit: Int(Mempool.maximumAhead))
        }
    }

    /// Takes a transaction, among the early ones where nonces before its own are missing. `next` is its sender's next nonce in the state.
    public mutating func insert(
        _ transaction: SignedTransaction, next: Nonce, at now: Timestamp = Timestamp(milliseconds: 0)
    ) throws(Refusal) {
        let id = transaction.id
        let size = Mempool.size(transaction)
        try check(transaction, id: id, size: size, next: next)
        let sender = transaction.transaction.sender
        let nonce = transaction.transaction.nonce
        // In place: a copy of the queue would cost its length each time.
        let place = queues[sender].flatMap { Mempool.place(of: nonce, in: $0) }
        let entry = Waiting(signed: transaction, id: id, bytes: size, since: now)
        if let place, let held = queues[sender]?.waiting[place] {
            forget(held)
            queues[sender]?.waiting[place] = entry
            _ = try? queues[sender]?.sums.remove(held.signed.transaction, parameters)
        } else if nonce > nextNonce(of: sender, after: next) {
            return insert(early: entry)
        } else {
            queues[sender, default: Queue()].waiting.append(entry)
        }
        makeRoom(size)
        // Admission has summed the same.
        _ = try? queues[sender]?.sums.add(transaction.transaction, parameters)
        remember(entry)
    }

    private mutating func insert(early entry: Waiting) {
        if let held = early.take(of: entry.sender, nonce: entry.nonce) { forget(held) }
        makeRoom(entry.bytes)
        while early.count >= Mempool.maximumEarly || early.bytes + entry.bytes > Mempool.maximumEarlyBytes,
            let oldest = early.takeOldest()
        { forget(oldest) }
        early.insert(entry)
        remember(entry)
    }

    /// Early transactions give way to one more, those that have waited longest first.
    private mutating func makeRoom(_ size: Int) {
        while known.count >= Mempool.maximumTransactions || bytes + size > Mempool.maximumBytes,
            let oldest = early.takeOldest()
        { forget(oldest) }
    }

    private mutating func remember(_ entry: Waiting) {
        known[entry.id] = entry.signed.signature
        bytes += entry.bytes
    }

    private mutating func forget(_ entry: Waiting) {
        known[entry.id] = nil
        bytes -= entry.bytes
    }

    /// Takes out the early transaction with a nonce and since when it waits: its predecessor has come.
    mutating func takeEarly(of sender: PublicKey, nonce: Nonce) -> (signed: SignedTransaction, since: Timestamp)? {
        guard let entry = early.take(of: sender, nonce: nonce) else { return nil }
        forget(entry)
        return (entry.signed, entry.since)
    }

    /// Where the transaction with a nonce waits; they follow one another.
    private static func place(of nonce: Nonce, in queue: Queue) -> Int? {
        guard let first = queue.live.first?.nonce, nonce >= first else { return nil }
        let place = queue.first + Int(clamping: nonce.value - first.value)
        return place < queue.waiting.count ? place : nil
    }

    /// Forgets what a final block used up: everything of its senders up to the nonces in it.
    public mutating func remove(finalized transactions: [SignedTransaction]) {
        var used: [PublicKey: Nonce] = [:]
        for transaction in transactions { used[transaction.transaction.sender] = transaction.transaction.nonce }
        for (sender, nonce) in used {
            while let queue = queues[sender], let head = queue.live.first, head.nonce <= nonce {
                forget(head)
                _ = try? queues[sender]?.sums.remove(head.signed.transaction, parameters)
                queues[sender]?.first += 1
            }
            compact(sender)
            for stale in early.take(of: sender, upTo: nonce) { forget(stale) }
        }
    }

    private mutating func compact(_ sender: PublicKey) {
        guard let queue = queues[sender] else { return }
        if queue.live.isEmpty {
            queues[sender] = nil
        } else if queue.first > queue.waiting.count / 2 {
            queues[sender]?.waiting.removeFirst(queue.first)
            queues[sender]?.first = 0
        }
    }

    /// Forgets one transaction and what depends on it: it can no longer be paid.
    public mutating func drop(from transaction: SignedTransaction) {
        let sender = transaction.transaction.sender
        while let last = queues[sender]?.live.last, last.nonce >= transaction.transaction.nonce {
            forget(last)
            _ = try? queues[sender]?.sums.remove(last.signed.transaction, parameters)
            queues[sender]?.waiting.removeLast()
        }
        compact(sender)
    }

    /// Forgets what has waited longer than `lifetime`, and what depends on it. Looks at each sender once a minute.
    public mutating func expire(at now: Timestamp) {
        if now < nextExpiry { return }
        nextExpiry = now.adding(milliseconds: 60_000)
        for sender in queues.keys.sorted() {
            let old = queues[sender]?.live.first { $0.since.adding(milliseconds: Mempool.lifetime) <= now }
            if let old { drop(from: old.signed) }
        }
        for old in early.take(where: { $0.since.adding(milliseconds: Mempool.lifetime) <= now }) { forget(old) }
    }

    /// Offers transactions in the order a block should take them. `take` says whether one was taken: where it was not, its sender's rest is
    /// passed over. `next` is each sender's next nonce at the block's place.
    public func select(next: (PublicKey) -> Nonce, take: (SignedTransaction) -> Bool) {
        struct Head {
            let sender: PublicKey
            let place: Int
            let tip: Amount
        }
        var heads: [Head] = []
        for (sender, queue) in queues {
            guard let place = Mempool.place(of: next(sender), in: queue) else { continue }
            heads.append(
                Head(sender: sender, place: place, tip: queue.waiting[place].signed.transaction.tip))
        }
        heads.sort { $0.tip != $1.tip ? $0.tip > $1.tip : $0.sender < $1.sender }
        // One pass a sender: its transactions follow one another.
        for head in heads {
            guard let queue = queues[head.sender] else { continue }
            for entry in queue.waiting[head.place...] {
                if !take(entry.signed) { break }
            }
        }
    }
}
