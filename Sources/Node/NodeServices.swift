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

    func submit(_ payload: Payload, as key: SecretKey) async throws {
        let signed = try await hand(payload, over: key)
        guard let outcome = await finality.wait(for: signed.id, timeout: 20) else {
            throw NodeFault.cannotStart("the move was not final within 20 s")
        }
        if let failure = outcome.failure { throw NodeFault.cannotStart(failure) }
    }

    /// One at a time: of two drafts made at once both would have the same nonce, and the second would be lost without a word.
    private func hand(_ payload: Payload, over key: SecretKey) async throws -> SignedTransaction {
        await turn.take()
        do {
            let draft = try await driver.access { replica in try replica.draft(payload, from: key.publicKey) }
            let signed = draft.signed(by: key)
            try await submit(signed)
            await turn.pass()
            return signed
        } catch {
            await turn.pass()
            throw error
        }
    }

    // MARK: The provider's view

    func work(
        of provider: Address, watching: [DisputeDesk.Attempt: [RevealPoint]]
    ) async throws -> ProviderView {
        try await driver.access { replica in
            try ProviderView(of: provider, watching: watching, in: replica.stateStore)
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
