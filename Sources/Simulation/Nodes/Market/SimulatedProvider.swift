import Ledger
import Primitives
import Worker

/// A provider that lives in a node: its machine goes with the node's process, its keys do not.
final class SimulatedProvider {
    /// What is being fetched for a task.
    struct Fetch {
        enum Goal {
            /// What a job reads.
            case order(WorkOrder)
            /// What another's job has left, for the witness of a claim.
            case result(ResultCommitment)
        }

        let goal: Goal
        /// Whom to ask next, of those who were connected when the round began.
        var peers: [Int] = []
        var rounds = 0

        init(_ goal: Goal) { self.goal = goal }
    }

    let index: Int
    let key: SecretKey
    let payout: Address
    /// The node that it lives in.
    let home: Int
    let actor: MarketActor?

    var machine: ProviderMachine?
    /// Grows each time that its machine begins anew.
    var life = 0
    /// It will never act again.
    var isGone = false
    /// A look is arranged besides the regular ones.
    var looksSoon = false
    var fetches: [WorkTask: Fetch] = [:]
    var orders: [WorkTask: WorkOrder] = [:]
    /// Duties in disputes that are being answered.
    var plays: [DisputeDuty: (DisputeItem, WorkOrder)] = [:]
    /// Asks that nothing has come of yet.
    var asks: Set<UInt64> = []
    /// Submitted and neither final nor given up.
    /// Of each transaction the moves in it.
    var waiting: [Digest: [ProviderMachine.Submission]] = [:]
    private var runner: (blobs: SimulatedBlobs, runner: JobRunner)?
    private var liar: (blobs: SimulatedBlobs, runner: JobRunner)?
    /// Where it keeps what it hands to nobody.
    private var hidden: (blobs: SimulatedBlobs, runner: JobRunner)?

    static let bond = Amount.xpl(1_000)

    init(index: Int, key: SecretKey, payout: Address, home: Int, actor: MarketActor?) {
        self.index = index
        self.key = key
        self.payout = payout
        self.home = home
        self.actor = actor
    }

    func start(offer: OfferTerms, node: PublicKey) {
        end()
        machine = ProviderMachine(
            key: key,
            registration: .registerProvider(
                name: "provider \(index)", node: node, payout: payout, bond: SimulatedProvider.bond),
            offer: offer)
    }

    func end() {
        life += 1
        machine = nil
        looksSoon = false
        fetches.removeAll()
        orders.removeAll()
        plays.removeAll()
        asks.removeAll()
        waiting.removeAll()
        runner = nil
        liar = nil
        hidden = nil
    }

    /// What it tells an auditor that asks before the result is open: the result, and the decoy where it has set a trap. Nil before it has run.
    func word(on job: Digest, in state: any StateStore) -> ResultCommitment? {
        guard let found = try? Query.job(job, in: state), let parameters = try? Query.parameters(in: state),
            let assignment = found.assignment
        else { return nil }
        let task = WorkTask(job: job, attempt: found.attempt, role: .executor)
        guard case .done(let result) = machine?.progress[task] else { return nil }
        let trap = TrapProof(job: job, beacon: assignment.beacon, key: key)
        return trap.isSet(perMille: parameters.trapPerMille)
            ? ProviderAgent.decoy(key: key, task: task, beside: result) : result
    }

    /// The real runner, over the blobs of its node.
    func runner(on blobs: SimulatedBlobs, flipsBit: Bool = false) -> JobRunner {
        if let known = flipsBit ? liar : runner, known.blobs === blobs { return known.runner }
        let made = JobRunner(blobs: blobs, threads: 1, memory: 1 << 30, flipsBit: flipsBit)
        if flipsBit { liar = (blobs, made) } else { runner = (blobs, made) }
        return made
    }

    /// The same, which keeps what comes out for itself.
    func withholdingRunner(on blobs: SimulatedBlobs) -> JobRunner {
        if let known = hidden, known.blobs === blobs { return known.runner }
        let own = SimulatedBlobs(over: blobs)
        let made = JobRunner(blobs: own, threads: 1, memory: 1 << 30, flipsBit: false)
        hidden = (blobs, made)
        return made
    }
}

/// Somebody who posts jobs.
struct SimulatedRequester {
    struct Attempt: Hashable {
        let job: Digest
        let number: UInt32
    }

    let key: SecretKey
    let actor: MarketActor?
    /// On its way, and until when it is waited for.
    var pending: (id: Digest, until: Instant)?
    /// The second part of a run, once the first is posted.
    var continuation: JobOrder?
    /// What its newest jobs leave, which others may read.
    var yields: [JobYield] = []
    /// Results that it has looked for.
    var looked: Set<Attempt> = []

    private static let maximumYields = 6

    init(key: SecretKey, actor: MarketActor?) {
        self.key = key
        self.actor = actor
    }

    mutating func note(_ new: [JobYield]) {
        yields = (yields + new).suffix(SimulatedRequester.maximumYields)
    }
}
