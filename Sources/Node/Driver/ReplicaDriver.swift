internal import Consensus
internal import Foundation
internal import Ledger
internal import Logging
internal import Primitives
internal import Replica
internal import Storage

/// What the driver needs of the network.
protocol ReplicaTransport: AnyObject, Sendable {
    func broadcast(consensus message: [UInt8])
    func send(consensus message: [UInt8], to peer: PublicKey)
    func broadcast(block bytes: [UInt8])
    func send(block bytes: [UInt8], to peer: PublicKey)
    func broadcast(transactions: [SignedTransaction])
    func request(block digest: Digest, from peer: PublicKey)
    func requestBlocks(from height: Height, count: Int, peer: PublicKey)
    func misbehaved(_ peer: PublicKey, _ reason: String)
}

/// What the driver tells the rest of the node. Called on the driver's thread: must not block.
protocol ReplicaObserver: AnyObject, Sendable {
    func executed(_ block: Block, _ result: ExecutionResult)
    func refused(_ transaction: Digest, _ fault: SubmissionFault)
    func certified(_ header: Header, _ certificate: Certificate)
    func epochEnded()
    /// The state after the height at which the next set is fixed, for a snapshot.
    func kept(_ view: StateView, root: Digest)
}

/// Feeds the replica from one thread and carries out its outputs.
///
/// Inputs queue up and are taken together. All durable writes of one round come first, with at most one sync of the blocks and one of the journal
/// (`HeldRecords` says when); then the sends.
final class ReplicaDriver: @unchecked Sendable {
    private let memory: SigningMemory
    private let journal: Journal
    private let blocks: BlockStore
    private let state: LMDBStore
    private let outcomes: OutcomeIndex
    private let logger: Logger
    private let condition = NSCondition()
    // Guarded by `condition`.
    private var inputs: [ReplicaInput] = []
    private var readers: [(inout Replica) -> Void] = []
    private var stopping = false
    private var stopped = false
    // The driver's thread alone.
    private var replica: Replica
    private var wakeUp: Instant?
    private var held = HeldRecords()
    private var isAmnesiac: Bool
    /// The journal's length at which it is shortened next.
    private var journalLimit = ReplicaDriver.journalBytes
    private let started = DispatchTime.now().uptimeNanoseconds
    /// When the process began to open its home.
    private let opened: UInt64
    /// From then to the first vote that left.
    private(set) var votingAfter: Interval?
    private var fault: (any Error)?

    weak var transport: (any ReplicaTransport)?
    weak var observer: (any ReplicaObserver)?
    /// Called once, on the driver's thread, when storage failed and the node must stop.
    var onFailure: (@Sendable (any Error) -> Void)?

    /// A journal that has grown to this loses what no restart can need: else a start would read the votes of years.
    static let journalBytes: UInt64 = 8 << 20

    init(
        replica: Replica, memory: SigningMemory, blocks: BlockStore, state: LMDBStore, outcomes: OutcomeIndex,
        opened: UInt64, logger: Logger
    ) {
        self.replica = replica
        self.memory = memory
        self.opened = opened
        journal = memory.journal
        isAmnesiac = memory.isAmnesiac
        self.blocks = blocks
        self.state = state
        self.outcomes = outcomes
        self.logger = logger
    }

    func start() {
        let thread = Thread { [self] in run() }
        thread.name = "replica"
        thread.stackSize = 8 << 20
        enqueue(.start)
        thread.start()
    }

    /// Ends the thread after what is queued, and flushes the state.
    func stop() async {
        condition.withLock {
            stopping = true
            condition.signal()
        }
        while !condition.withLock({ stopped }) { try? await Task.sleep(nanoseconds: 5_000_000) }
    }

    func enqueue(_ input: ReplicaInput) {
        condition.withLock {
            inputs.append(input)
            condition.signal()
        }
    }

    /// Runs `body` on the driver's thread between two steps, where state and machine agree.
    func access<T: Sendable>(_ body: @escaping @Sendable (inout Replica) throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            let refused = condition.withLock {
                if stopped { return true }
                readers.append { replica in
                    continuation.resume(with: Result { try body(&replica) })
                }
                condition.signal()
                return false
            }
            if refused { continuation.resume(throwing: NodeFault.stopping) }
        }
    }

    var now: ReplicaTime {
        ReplicaTime(
            monotonic: Instant(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds - started)),
            wall: Timestamp(milliseconds: UInt64(max(0, Date().timeIntervalSince1970 * 1000))))
    }

    private func run() {
        while true {
            condition.lock()
            while inputs.isEmpty && readers.isEmpty && !stopping {
                if let wakeUp {
                    let wait = wakeUp.interval(since: now.monotonic)
                    if wait <= .zero { break }
                    _ = condition.wait(until: Date(timeIntervalSinceNow: Double(wait.nanoseconds) / 1e9))
                } else {
                    condition.wait()
                }
            }
            var batch = inputs
            inputs.removeAll()
            let reads = readers
            readers.removeAll()
            let end = stopping
            condition.unlock()

            if let wakeUp, wakeUp <= now.monotonic {
                self.wakeUp = nil
                batch.append(.timer)
            }
            // Who hands something in and then reads finds it there.
            if !batch.isEmpty && fault == nil { step(batch) }
            for read in reads { read(&replica) }
            if end || fault != nil { break }
        }
        // After a failed write the state may be ahead of the blocks on disk: it is left behind them, and caught up at the next start.
        if fault == nil {
            do {
                try syncHeld()
                try state.flush()
            } catch { logger.error("the state could not be flushed: \(error)") }
        }
        let late = condition.withLock {
            stopped = true
            defer { readers.removeAll() }
            return readers
        }
        for read in late { read(&replica) }
    }

    private func step(_ batch: [ReplicaInput]) {
        var outputs: [ReplicaOutput] = []
        for input in batch { outputs += replica.handle(input, at: now) }
        do {
            try writeDurably(outputs)
        } catch {
            // Nothing of this step was sent, so stopping here loses nothing that anybody was told.
            fault = error
            logger.critical("storage failed, the node stops: \(error)")
            onFailure?(error)
            return
        }
        for output in outputs { carryOut(output) }
    }

    private func writeDurably(_ outputs: [ReplicaOutput]) throws {
        for output in outputs {
            switch output {
            case .storeBlock(let digest, let bytes): try blocks.put(digest, bytes)
            case .markFinalized(let height, let digest, let certificate):
                try blocks.markFinalized(height, digest, certificate: certificate?.canonicalBytes)
            case .executed(_, let result): try outcomes.note(result.height, result.receipts)
            default: break
            }
        }
        let due = held.hold(outputs, flushing: state.keepsView)
        let forgives = isAmnesiac && !replica.isAmnesiac
        if due.sync || forgives { try syncHeld() }
        if forgives {
            // From here on the journal knows of every vote that could matter.
            try memory.forgive()
            isAmnesiac = false
            logger.notice("the network has moved past what this validator's key may have signed: it votes again")
        }
        if due.flush {
            try state.flush()
            held.noteFlush()
            if let view = state.takeView(), let root = try Query.stateRoot(at: view.height, in: state) {
                observer?.kept(view, root: root)
            }
        }
    }

    private func syncHeld() throws {
        try blocks.sync()
        try journal.append(held.takeRecords().map(\.canonicalBytes))
        if journal.byteCount >= journalLimit { try shortenJournal() }
    }

    private func shortenJournal() throws {
        let kept = try journal.replay().filter { replica.needs(try JournalRecord(canonicalBytes: $0)) }
        // Where nothing becomes final nearly everything is needed: then it is left as it is, and not tried at every step.
        if kept.reduce(0, { $0 + UInt64($1.count) }) > ReplicaDriver.journalBytes / 2 {
            journalLimit = journal.byteCount + ReplicaDriver.journalBytes
            return
        }
        try journal.rewrite(keeping: kept)
        journalLimit = ReplicaDriver.journalBytes
    }

    private func noteFirstVote(_ message: ConsensusMessage) {
        guard case .vote(let vote) = message, replica.ownIndex == Int(vote.signer) else { return }
        let now = DispatchTime.now().uptimeNanoseconds
        let whole = Interval(nanoseconds: Int64(now - opened))
        let opening = Interval(nanoseconds: Int64(started - opened))
        votingAfter = whole
        logger.notice(
            "voting \(whole.milliseconds) ms after the start, in view \(vote.subject.view) (\(opening.milliseconds) ms of it to read the disk)"
        )
    }

    private func carryOut(_ output: ReplicaOutput) {
        switch output {
        case .persist, .storeBlock, .markFinalized: break
        case .broadcastConsensus(let message):
            transport?.broadcast(consensus: message.canonicalBytes)
            if votingAfter == nil { noteFirstVote(message) }
        case .sendConsensus(let message, let peer): transport?.send(consensus: message.canonicalBytes, to: peer)
        case .broadcastBlock(let bytes): transport?.broadcast(block: bytes)
        case .sendBlock(let bytes, let peer): transport?.send(block: bytes, to: peer)
        case .broadcastTransactions(let transactions): transport?.broadcast(transactions: transactions)
        case .refused(let transaction, let fault): observer?.refused(transaction, fault)
        case .requestBlock(let digest, let peer): transport?.request(block: digest, from: peer)
        case .requestBlocks(let height, let count, let peer):
            transport?.requestBlocks(from: height, count: count, peer: peer)
        case .verifySignatures(let id, let items):
            let results = SignatureMeter.shared.measure(items.count) {
                items.map { $0.key.verify($0.signature, of: $0.message) }
            }
            enqueue(.signaturesVerified(id: id, results: results))
        case .setTimer(let instant):
            if wakeUp.map({ instant < $0 }) ?? true { wakeUp = instant }
        case .executed(let block, let result): observer?.executed(block, result)
        case .certified(let header, let certificate): observer?.certified(header, certificate)
        case .misbehaviour(let peer, let reason):
            logger.warning("peer \(peer.hex.prefix(8)): \(reason)")
            transport?.misbehaved(peer, reason)
        case .keyInUseElsewhere(let view):
            logger.critical(
                "another machine votes with this validator's key (heard in view \(view)): this node votes no more. Stop one of the two for good"
            )
        case .evidence(let evidence):
            logger.warning(
                "validator \(evidence.signer) of epoch \(evidence.epoch) has signed two things in view \(evidence.first.subject.view): the evidence is on its way to the chain"
            )
        case .epochEnded(let epoch, let last):
            logger.notice(
                "epoch \(epoch) ended with block \(last.height); this node \(replica.ownIndex.map { "votes as number \($0)" } ?? "follows")"
            )
            observer?.epochEnded()
        }
    }
}
