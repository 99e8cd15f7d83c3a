internal import Consensus
internal import Foundation
internal import Ledger
internal import Logging
internal import Networking
internal import Primitives
internal import Programs
internal import Replica
internal import Storage
internal import Worker

/// What the parts of a running node share.
final class NodeServices: ChainAccess, ChallengerAccess, @unchecked Sendable {
    let configuration: NodeConfiguration
    let genesis: Genesis
    let identity: PublicKey
    /// What this node votes with, where it is a validator.
    let consensusKey: PublicKey?
    let epochs: EpochArchive
    let snapshots: SnapshotService
    let driver: ReplicaDriver
    let blocks: BlockStore
    let outcomes: OutcomeIndex
    let network: NetworkService
    let blobs: BlobService
    let walks: WalkService
    let logger: Logger
    let finality = FinalityTracker()
    let receipts: ReceiptService
    let startedAt = Date()
    /// The newest block of the runs before this one.
    let restoredTip: Height
    private let turn = Turn()
    private let reader = ProviderReader()
    // Written once, before anything runs.
    private(set) var worker: WorkerService?
    private(set) var challenger: ChallengerService?
    private var working: Task<Void, Never>?
    private var watching: Task<Void, Never>?

    init(
        configuration: NodeConfiguration, genesis: Genesis, identity: PublicKey, consensusKey: PublicKey?,
        epochs: EpochArchive, snapshots: SnapshotService, driver: ReplicaDriver, blocks: BlockStore,
        outcomes: OutcomeIndex, network: NetworkService, blobs: BlobService, walks: WalkService,
        logger: Logger
    ) {
        self.configuration = configuration
        self.genesis = genesis
        self.identity = identity
        self.consensusKey = consensusKey
        self.epochs = epochs
        self.snapshots = snapshots
        self.driver = driver
        self.blocks = blocks
        self.outcomes = outcomes
        self.network = network
        self.blobs = blobs
        self.walks = walks
        self.logger = logger
        restoredTip = blocks.finalizedTip ?? 0
        receipts = ReceiptService(driver: driver)
    }

    func startWorker(_ configuration: WorkerConfiguration, answersChallengers: Bool) {
        let worker = WorkerService(
            configuration: configuration, chain: self, blobs: blobs, peers: walks, logger: logger)
        self.worker = worker
        if answersChallengers { walks.attach(worker) }
        working = Task { await worker.run() }
    }

    func startChallenger(_ configuration: ChallengerConfiguration, key: SecretKey) {
        let challenger = ChallengerService(
            key: key, rules: configuration.rules, threads: configuration.threads, memory: configuration.memory,
            chain: self, blobs: blobs, peers: walks, logger: logger)
        self.challenger = challenger
        watching = Task { await challenger.run() }
    }

    /// Keeps the proofs of the epochs that have ended.
    func takeUpEpochs() async {
        let epochs = epochs
        do {
            try await driver.access { replica in try epochs.takeUp(replica.stateStore) }
        } catch NodeFault.stopping {
            // The next start finds them.
        } catch { logger.error("the proof of an epoch could not be kept: \(error)") }
    }

    func stopWorker() {
        working?.cancel()
        watching?.cancel()
    }

    // MARK: Submitting

    /// Checks a transaction's signature, lets it wait here, and passes it on.
    func submit(_ transaction: SignedTransaction) async throws {
        if !SignatureMeter.shared.measure(1, { transaction.isSigned }) { throw AdmissionFault.badSignature }
        try await driver.access { replica in
            try replica.check(transaction)
        }
        driver.enqueue(.transactions([transaction], local: true))
    }

    /// The same for many; returns how many were let in.
    func submit(_ transactions: [SignedTransaction]) async -> Int {
        let good = SignatureMeter.shared.measure(transactions.count) { transactions.filter { $0.isSigned } }
        driver.enqueue(.transactions(good, local: true))
        return good.count
    }

    func submit(
        _ payloads: [Payload], as key: SecretKey, ended: @escaping @Sendable (Int, String?) async -> Void
    ) async {
        // One signature for many moves: each costs every node a check.
        let bundles = Payload.bundles(of: payloads)
        let ids: [Digest]
        do { ids = try await hand(bundles.map(\.payload), over: key) } catch {
            for index in payloads.indices { await ended(index, "\(error)") }
            return
        }
        let finality = finality
        await withDiscardingTaskGroup { group in
            for (id, bundle) in zip(ids, bundles) {
                group.addTask {
                    let ends = await finality.ends(of: id, moves: bundle.places.count, timeout: 20)
                    for (place, end) in zip(bundle.places, ends) { await ended(place, end) }
                }
            }
        }
    }

    /// One at a time: of two drafts made at once both would have the same nonce, and the second would be lost without a word.
    private func hand(_ payloads: [Payload], over key: SecretKey) async throws -> [Digest] {
        await turn.take()
        let drafts: [Transaction]
        do {
            drafts = try await driver.access { replica in try replica.drafts(payloads, from: key.publicKey) }
        } catch {
            await turn.pass()
            throw error
        }
        let signed = drafts.map { $0.signed(by: key) }
        let ids = signed.map(\.id)
        await finality.expect(ids)
        // What is drafted next finds these: the driver takes up what was handed in before it lets anybody read.
        driver.enqueue(.transactions(signed, local: true))
        await turn.pass()
        return ids
    }

    // MARK: The provider's view

    func work(
        of provider: Address, watching: [DisputeDesk.Attempt: [RevealPoint]]
    ) async throws -> ProviderView {
        let reader = reader
        return try await driver.access { replica in
            try reader.view(of: provider, watching: watching, in: replica.stateStore)
        }
    }

    func results(
        for account: Address, _ rules: ChallengerRules, watching: [DisputeDesk.Attempt: [RevealPoint]]
    ) async throws -> ChallengerView {
        try await driver.access { replica in
            try ChallengerView(of: account, rules, watching: watching, in: replica.stateStore)
        }
    }

    func permit(_ ask: WalkAsk, to provider: Address) async -> Result<WalkPermit, WalkAskRefusal> {
        do {
            return .success(
                try await driver.access { replica in
                    try WalkPermit(
                        job: ask.job, attempt: ask.attempt, challenger: ask.challenger.address, provider: provider,
                        in: replica.stateStore)
                })
        } catch {
            return .failure(error as? WalkAskRefusal ?? .busy)
        }
    }

    /// Keeps the outputs that providers have shown to the chain: whoever asks for them has them here, as any blob.
    func keepOutputs(of block: Block, _ result: ExecutionResult) {
        var outputs: [PostedOutput] = []
        for (signed, receipt) in zip(block.transactions, result.receipts) where receipt.succeeded {
            if case .postOutput(_, _, let output) = signed.transaction.payload { outputs.append(output) }
        }
        if outputs.isEmpty { return }
        let (blobs, logger) = (blobs, logger)
        // Off the driver's thread: the disk is slow, and nobody votes on it.
        Task { [outputs] in
            for output in outputs {
                do { try blobs.keep(output) } catch { logger.warning("an output could not be kept: \(error)") }
            }
        }
    }

    /// On the driver's thread: a block has changed the state.
    func executed(_ result: ExecutionResult) { reader.executed(result) }
}

/// Reads the state for this node's provider: all of it now and then, between that only jobs that blocks have written. On the driver's thread alone.
private final class ProviderReader: @unchecked Sendable {
    private var jobs: ProviderJobs?
    private var changed: Set<Digest> = []
    /// When all of it is read again.
    private var wholeAt: UInt64 = 0

    /// Nanoseconds between two such readings, and how many times as long as the last took: it takes a hundredth of the time where there are many jobs.
    private static let wholeEvery: (least: UInt64, timesTaken: UInt64) = (1_000_000_000, 100)

    func executed(_ result: ExecutionResult) {
        // Nobody has asked yet.
        if jobs == nil { return }
        changed.formUnion(result.changedJobs)
    }

    func view(
        of provider: Address, watching watched: [DisputeDesk.Attempt: [RevealPoint]], in state: any StateStore
    ) throws -> ProviderView {
        let now = DispatchTime.now().uptimeNanoseconds
        let isFirst = jobs == nil
        var current = jobs ?? ProviderJobs(of: provider)
        // What is changed has one owner, or all of it would be copied. Where reading fails, all is read at the next look.
        jobs = nil
        if isFirst || now >= wholeAt {
            try current.readAll(in: state)
            let done = DispatchTime.now().uptimeNanoseconds
            let every = ProviderReader.wholeEvery
            wholeAt = done + max(every.least, every.timesTaken * (done - now))
        } else {
            try current.read(changed, in: state)
        }
        changed.removeAll(keepingCapacity: true)
        jobs = current
        return try current.view(watching: watched, in: state)
    }
}

/// Taken by one at a time, in the order of asking.
private actor Turn {
    private var isTaken = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func take() async {
        if isTaken { return await withCheckedContinuation { waiting.append($0) } }
        isTaken = true
    }

    func pass() {
        if waiting.isEmpty { isTaken = false } else { waiting.removeFirst().resume() }
    }
}
