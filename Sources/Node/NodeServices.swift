internal import Consensus
internal import Foundation
internal import Ledger
internal import Logging
internal import Networking
internal import Primitives
internal import Replica
internal import Storage
internal import Worker

/// What the parts of a running node share.
final class NodeServices: ChainAccess, @unchecked Sendable {
    let configuration: NodeConfiguration
    let genesis: Genesis
    let identity: PublicKey
    /// What this node votes with, where it is a validator.
    let consensusKey: PublicKey?
    let epochs: EpochArchive
    let snapshots: SnapshotService
    let driver: ReplicaDriver
    let blocks: BlockStore
    let network: NetworkService
    let blobs: BlobService
    let logger: Logger
    let finality = FinalityTracker()
    let receipts: ReceiptService
    let startedAt = Date()
    /// The newest block of the runs before this one.
    let restoredTip: Height
    // Written once, before anything runs.
    private(set) var worker: WorkerService?
    private var working: Task<Void, Never>?

    init(
        configuration: NodeConfiguration, genesis: Genesis, identity: PublicKey, consensusKey: PublicKey?,
        epochs: EpochArchive, snapshots: SnapshotService, driver: ReplicaDriver, blocks: BlockStore,
        network: NetworkService, blobs: BlobService,
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
        self.network = network
        self.blobs = blobs
        self.logger = logger
        restoredTip = blocks.finalizedTip ?? 0
        receipts = ReceiptService(driver: driver)
    }

    func startWorker(_ configuration: WorkerConfiguration) {
        let worker = WorkerService(configuration: configuration, chain: self, blobs: blobs, logger: logger)
        self.worker = worker
        working = Task { await worker.run() }
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

    func stopWorker() { working?.cancel() }

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
        let network = genesis.digest
        let (nonce, ceiling) = try await driver.access { replica in
            let account = try Query.account(key.publicKey.address, in: replica.stateStore)
            let probe = Transaction(
                network: network, sender: key.publicKey, nonce: 0, maximumFee: .zero, payload: payload)
            let weight = Fees.weight(probe, replica.chainParameters)
            let fee = try Fees.fee(weight: weight, baseFee: replica.tree.finalizedHeader.baseFee * 4, tip: .zero)
            return (replica.mempool.nextNonce(of: key.publicKey, after: account.nonce), fee)
        }
        let signed = Transaction(
            network: network, sender: key.publicKey, nonce: nonce, maximumFee: ceiling, payload: payload
        ).signed(by: key)
        try await submit(signed)
        guard let outcome = await finality.wait(for: signed.id, timeout: 20) else {
            throw NodeFault.cannotStart("the move was not final within 20 s")
        }
        if let failure = outcome.failure { throw NodeFault.cannotStart(failure) }
    }

    // MARK: The provider's view

    func work(of provider: Address) async throws -> ProviderView {
        try await driver.access { replica in
            let state = replica.stateStore
            let registered = try Query.provider(provider, in: state) != nil
            let offer = try Query.offers(in: state).first { $0.provider == provider && $0.terms.device == 0 }
            var items: [WorkItem] = []
            var specs: [Digest: JobSpec] = [:]
            let clock = try Query.chain(in: state).clock
            for job in try Query.jobs(limit: 256, in: state) where !job.state.isTerminal {
                if let item = NodeServices.executorItem(job, provider, clock, replica.chainParameters) {
                    items.append(item)
                }
                if let item = NodeServices.auditorItem(job, provider) { items.append(item) }
                specs[job.id] = job.spec
            }
            return ProviderView(registered: registered, offer: offer?.terms, items: items, jobs: specs)
        }
    }

    private static func executorItem(
        _ job: Job, _ provider: Address, _ clock: UInt64, _ parameters: ChainParameters
    ) -> WorkItem? {
        guard let assignment = job.assignment, assignment.provider == provider else { return nil }
        let task = WorkTask(job: job.id, attempt: job.attempt, role: .executor)
        switch job.state {
        case .assigned: return WorkItem(task: task, stage: .assigned)
        case .running:
            // Two thirds of the silence that is allowed have passed.
            let due = job.timer.map { $0 < clock + parameters.heartbeatWindow / 3 } ?? false
            return WorkItem(task: task, stage: .running(heartbeatDue: due))
        case .committed: return WorkItem(task: task, stage: .committed(mayOpen: job.stage == .opening))
        default: return WorkItem(task: task, stage: .finished)
        }
    }

    private static func auditorItem(_ job: Job, _ auditor: Address) -> WorkItem? {
        guard let audit = job.audits.first(where: { $0.auditor == auditor }), !audit.isSilent else { return nil }
        let task = WorkTask(job: job.id, attempt: job.attempt, role: .auditor)
        if audit.commitment != nil { return WorkItem(task: task, stage: .finished) }
        if audit.masked == nil {
            return job.state == .committed && job.stage == .auditors ? WorkItem(task: task, stage: .drawn) : nil
        }
        return WorkItem(task: task, stage: .masked(mayReveal: job.state == .auditing))
    }
}
