public import Consensus
public import Ledger
public import Primitives

/// The machine. See `Replica.swift` for its words and rules.
public struct Replica {
    let configuration: ReplicaConfiguration
    /// The genesis digest: what every signature and header names.
    public let network: Digest
    /// Who votes, until when.
    public internal(set) var epoch: EpochContext
    let parameters: ChainParameters
    let state: any StateStore
    let archive: any BlockArchive

    var engine: Simplex
    public internal(set) var mempool: Mempool
    public internal(set) var tree: BlockTree
    public internal(set) var executed: Executed
    /// Of the finalized tip: a finalization of it or of a descendant.
    public internal(set) var tipCertificate: Certificate?

    /// Proposals whose verdict we owe the engine, by view.
    var awaitingVerdict: [View: (proposal: Proposal, from: PublicKey?)] = [:]
    /// Notarized proposals whose bytes must become durable here, by view.
    var awaitingCertification: [View: (proposal: Proposal, from: PublicKey?)] = [:]
    /// Finalizations whose blocks are not all here yet; only the highest matters.
    var awaitingFinalization: (proposal: Proposal, certificate: Certificate)?
    /// A proposal that the engine asked of us and that we have not made yet.
    var proposing: (view: View, parent: ParentReference)?
    /// What validators that are an epoch ahead have said, until we are there too.
    var earlyMessages: [(message: ConsensusMessage, from: PublicKey)] = []
    /// By the key that it convicts.
    var evidencePool: [PublicKey: Evidence] = [:]
    /// The last views that were given up here, oldest first.
    public private(set) var givenUp: [GivenUpView] = []
    static let keptGivenUpViews = 32
    /// Our votes on record in final blocks since the start, those that were missed by reason, and the last of these, oldest first.
    public internal(set) var votesOnRecord: UInt64 = 0
    public internal(set) var missedVoteCounts: [MissedVoteReason: UInt64] = [:]
    public internal(set) var missedVotes: [MissedVote] = []
    static let keptMissedVotes = 32
    var synchronization = Synchronization()
    var lastWork = false
    /// What others have told, with when it is passed on if it still waits then; in order of time.
    var relayed: [(transactions: [SignedTransaction], due: Instant)] = []
    /// When waiting transactions were last told again.
    var repeatedAt = Instant(nanoseconds: 0)
    var time = ReplicaTime(monotonic: Instant(nanoseconds: 0), wall: Timestamp(milliseconds: 0))
    var outputs: [ReplicaOutput] = []

    /// What has been executed: the newest height, its result, and the roots of the heights before it.
    public struct Executed: Sendable {
        public internal(set) var height: Height
        public internal(set) var header: Header
        public internal(set) var root: Digest
        /// Newest executed height whose block did something besides passing time.
        public internal(set) var lastEffect: Height
        var roots: [Height: Digest]

        /// How many past roots are kept: four times what a header may lag.
        static let kept: UInt64 = 128

        /// Takes up the result of the next block.
        mutating func note(_ block: Block, _ result: ExecutionResult) {
            height = block.header.height
            header = block.header
            root = result.stateRoot
            roots[height] = result.stateRoot
            if height.value > Executed.kept { roots[Height(height.value - Executed.kept)] = nil }
            if !block.transactions.isEmpty || !result.events.isEmpty { lastEffect = height }
        }
    }

    /// Blocks executed again when the node started, told to the shell by `start`.
    private var executedAtStart: [(block: Block, result: ExecutionResult)] = []
    static let keptAtStart = 1_024

    /// How many waiting transactions are told again to a new peer.
    static let repeatedTransactions = 1_024
    static let repeatedBytes = 1 << 20

    /// Rebuilds the machine from what is on disk. `journal` is every consensus record, oldest first.
    ///
    /// The state may be behind the finalized blocks (it is flushed every few blocks): the rest is executed again by `start`.
    public init(
        configuration: ReplicaConfiguration, state: any StateStore, archive: any BlockArchive, tip: Height,
        journal: [JournalRecord]
    ) throws(ReplicaFault) {
        self.configuration = configuration
        self.state = state
        self.archive = archive
        parameters = configuration.genesis.parameters
        mempool = Mempool(parameters: parameters)
        network = configuration.genesis.digest

        let genesis = configuration.genesis.block
        var header = genesis.header
        var certificate: Certificate?
        if tip.value > 0 {
            guard let found = archive.finalized(at: tip), let block = try? Block(canonicalBytes: found.block) else {
                throw .damaged("the finalized block at height \(tip) cannot be read")
            }
            header = block.header
            certificate = found.certificate
        }
        tree = BlockTree(finalized: header)
        tipCertificate = certificate

        let found: Height?
        do throws(StateFault) { found = try state.height } catch { throw .state(error) }
        guard let stateHeight = found else { throw .damaged("the state is empty") }
        if stateHeight > tip { throw .damaged("the state is at height \(stateHeight), the blocks end at \(tip)") }
        executed = try Replica.restoreExecuted(
            stateHeight, state: state, archive: archive, genesis: configuration.genesis)
        for height in stateHeight.value..<tip.value {
            let result = try Replica.executeAgain(Height(height + 1), state, archive, configuration.genesis.parameters)
            executed.note(result.block, result.result)
            executedAtStart.append((result.block, result.result))
            // Who asks for the outcome of an older transaction finds it in its block.
            if executedAtStart.count > Replica.keptAtStart { executedAtStart.removeFirst() }
        }

        let epoch = try EpochContext(in: state, parameters: parameters)
        self.epoch = epoch
        var floor = Floor.genesis(epoch.start.base)
        if header.epoch == epoch.epoch, let certificate, case .finalize(let proposal) = certificate.subject {
            floor = .finalized(proposal, certificate)
        }
        engine = Replica.engine(for: epoch, configuration: configuration, network: network, floor: floor, after: nil)
        engine.restore(journal)
    }

    /// Executes one block that was final before a restart and whose effects the state had not kept.
    private static func executeAgain(
        _ height: Height, _ state: any StateStore, _ archive: any BlockArchive, _ parameters: ChainParameters
    ) throws(ReplicaFault) -> (block: Block, result: ExecutionResult) {
        guard let found = archive.finalized(at: height), let block = try? Block(canonicalBytes: found.block) else {
            throw .damaged("the finalized block at height \(height) cannot be read")
        }
        do throws(LedgerFault) { return (block, try Execution.apply(block, parameters: parameters, to: state)) } catch {
            throw .damaged("block \(height) could not be executed again: \(error)")
        }
    }

    static func restoreExecuted(
        _ height: Height, state: any StateStore, archive: any BlockArchive, genesis: Genesis
    ) throws(ReplicaFault) -> Executed {
        var header = genesis.block.header
        if height.value > 0 {
            guard let found = archive.finalized(at: height), let block = try? Block(canonicalBytes: found.block) else {
                throw .damaged("the finalized block at height \(height) cannot be read")
            }
            header = block.header
        }
        var roots: [Height: Digest] = [:]
        let first = height.value > Executed.kept ? height.value - Executed.kept : 0
        for past in first...height.value {
            do throws(LedgerFault) {
                if let root = try Query.stateRoot(at: Height(past), in: state) { roots[Height(past)] = root }
            } catch { throw .damaged("\(error)") }
        }
        guard let root = roots[height] else { throw .damaged("the state has no root for height \(height)") }
        return Executed(height: height, header: header, root: root, lastEffect: height, roots: roots)
    }

    /// Takes one input and returns what must be done, in order.
    public mutating func handle(_ input: ReplicaInput, at now: ReplicaTime) -> [ReplicaOutput] {
        time = now
        outputs.removeAll(keepingCapacity: true)
        switch input {
        case .start:
            for (block, result) in executedAtStart { outputs.append(.executed(block, result)) }
            executedAtStart.removeAll()
            run(engine.start(at: now.monotonic))
        case .timer:
            break
        case .peerConnected(let peer, let head):
            synchronization.peerConnected(peer, head: head)
            run(engine.handle(.peerConnected(peer), at: now.monotonic))
            // What came in while nobody listened would wait here for ever; who has it already passes it over.
            let waiting = mempool.first(Replica.repeatedTransactions, bytes: Replica.repeatedBytes)
            if !waiting.isEmpty { outputs.append(.broadcastTransactions(waiting)) }
        case .peerDisconnected(let peer):
            synchronization.peerDisconnected(peer)
        case .consensus(let message, let peer):
            receive(message, from: peer)
        case .signaturesVerified(let id, let results):
            run(engine.handle(.signaturesVerified(id, results), at: now.monotonic))
        case .block(let bytes, let peer):
            receive(block: bytes, from: peer)
        case .finalizedBlocks(let blocks, let peer):
            receive(finalized: blocks, from: peer)
        case .blockUnavailable(let digest, let peer):
            synchronization.unavailable(digest, from: peer)
        case .transactions(let transactions, let local):
            receive(transactions, local: local)
        }
        settle()
        return outputs
    }

    /// After every input: verdicts, proposals and fetches that have become possible, then timers.
    private mutating func settle() {
        run(engine.handle(.timer, at: time.monotonic))
        // Each round can make another possible (a verdict lets the engine finalize, which lets us execute, which …); it ends since every
        // round consumes something.
        var progressed = true
        while progressed {
            progressed = false
            if finalizeWhatIsKnown() { progressed = true }
            if certifyWhatIsKnown() { progressed = true }
            if judgeWhatIsKnown() { progressed = true }
            updateWork()
            if proposeWhenDue() { progressed = true }
        }
        synchronize()
        passOnRelayed()
        repeatWaiting()
        requestWakeUp()
    }

    /// Carries the engine's outputs over, answering at once what can be answered at once.
    mutating func run(_ engineOutputs: [Output]) {
        for output in engineOutputs {
            switch output {
            case .persist(let record): outputs.append(.persist(record))
            case .broadcast(let message): outputs.append(.broadcastConsensus(message))
            case .send(let message, let peer): outputs.append(.sendConsensus(message, to: peer))
            case .setTimer(let instant): outputs.append(.setTimer(instant))
            case .verifySignatures(let id, let items): outputs.append(.verifySignatures(id: id, items: items))
            case .propose(let view, let parent): proposing = (view, parent)
            case .verifyProposal(let proposal, let from): awaitingVerdict[proposal.view] = (proposal, from)
            case .certify(let proposal, let from): awaitingCertification[proposal.view] = (proposal, from)
            case .entered(let view, _):
                if let waiting = proposing, waiting.view < view { proposing = nil }
            case .notarized: break
            case .finalized(let proposal, let certificate):
                if awaitingFinalization.map({ $0.proposal.view < proposal.view }) ?? true {
                    awaitingFinalization = (proposal, certificate)
                }
            case .evidence(let evidence): receive(evidence, from: nil)
            case .keyInUseElsewhere(let vote): outputs.append(.keyInUseElsewhere(vote.subject.view))
            case .timeout(let view, let reason):
                givenUp.append(GivenUpView(view: view, leader: engine.leader(of: view), reason: reason))
                if givenUp.count > Replica.keptGivenUpViews { givenUp.removeFirst() }
            }
        }
    }

    /// For operators: everything that is known of why the current view goes on.
    public var engineStatus: EngineStatus { engine.status }

    /// For operators: what the node waits for.
    public var waitingFor: String { engine.status.description }

    public var view: View { engine.view }

    var verifier: any SignatureScheme { configuration.verifier }

    /// The state, for queries between two steps.
    public var stateStore: any StateStore { state }

    public var chainParameters: ChainParameters { parameters }

    /// This node's place in the current set; nil where it only follows.
    public var ownIndex: Int? { configuration.consensusKey.flatMap { epoch.validators.index(of: $0) } }

    public var peerCount: Int { synchronization.peers.count }

    /// Whether this node votes, or may vote, in the current view.
    public var isAbstaining: Bool { engine.status.abstains }

    /// Whether the key may have signed what the journal does not know.
    public var isAmnesiac: Bool { engine.isAmnesiac }

    /// The highest block that a peer has told of.
    public var highestPeerHead: Height { synchronization.peers.map(\.head).max() ?? 0 }

    public var lastFinalizedView: View { engine.lastFinalized }

    /// Whether a restart may still need a record of the journal. What lies as far below a finalization as the engine forgets can bear no vote
    /// any more: a restarted engine begins above the finalization, which is itself kept.
    public func needs(_ record: JournalRecord) -> Bool {
        if record.epoch == engine.epoch { return record.view >= engine.floorOfMemory }
        return record.epoch.value + 1 >= engine.epoch.value
    }
}

/// Why a replica cannot run on what is on disk.
public enum ReplicaFault: Error, Sendable, CustomStringConvertible {
    case genesis(String)
    case damaged(String)
    case state(StateFault)

    public var description: String {
        switch self {
        case .genesis(let reason): "the genesis file cannot be used: \(reason)"
        case .damaged(let what):
            "the node's data is damaged (\(what)): move its data folder away and start again to fetch it from peers"
        case .state(let fault): "the state cannot be read: \(fault)"
        }
    }
}
