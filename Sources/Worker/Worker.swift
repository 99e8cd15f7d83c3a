/// The GPU provider inside a node: it watches the chain's *state*, fetches what a job needs, runs it, commits, opens and audits.
///
/// `ProviderMachine` is the machine: from what the state says (`ProviderView`) and what has been done here it derives what to do next, by the rules of
/// `ProviderAgent`. It acts on state, never on events, so a provider that was down reads its assignments and goes on. `WorkerService` is the shell: it
/// fetches, computes on threads of its own and submits signed transactions; the simulator is another. `JobRunner` runs one program.
public import Ledger
public import Primitives

/// Why this provider works on a job.
public enum WorkRole: String, Sendable, Hashable {
    case executor
    case auditor
    /// Drawn to say whether another's output, or what a job reads, can be had.
    case witness
    /// Whose own result is said to be handed to nobody.
    case deliverer
}

/// One piece of work: a job's attempt in one role. A new attempt, or a draw in a later round, is another task.
public struct WorkTask: Hashable, Sendable, Comparable {
    public let job: Digest
    public let attempt: UInt32
    public let role: WorkRole

    public init(job: Digest, attempt: UInt32, role: WorkRole) {
        self.job = job
        self.attempt = attempt
        self.role = role
    }

    public static func < (x: WorkTask, y: WorkTask) -> Bool {
        if x.job != y.job { return x.job < y.job }
        if x.attempt != y.attempt { return x.attempt < y.attempt }
        return x.role.rawValue < y.role.rawValue
    }
}

/// How far a task is on this machine.
public enum WorkProgress: Sendable, Equatable {
    case fetching
    case fetched
    case running
    case done(ResultCommitment)
    /// The inputs could not be had, are malformed, or cost more than the job says.
    case refused(WorkRefusal)
}

/// Why a provider will not do a job. Each is a typed reason on chain.
public enum WorkRefusal: Sendable, Equatable, CustomStringConvertible {
    case unavailable(String)
    case malformed(String)
    case costMismatch(declared: UInt64, actual: UInt64)
    case tooLarge(needed: UInt64, available: UInt64)
    case failed(String)

    public var description: String {
        switch self {
        case .unavailable(let what): "\(what) could not be fetched from any peer"
        case .malformed(let what): what
        case .costMismatch(let declared, let actual):
            "the job declares \(declared) operations, the program needs \(actual)"
        case .tooLarge(let needed, let available): "the job needs \(needed) bytes of memory, \(available) are offered"
        case .failed(let what): "the program could not be run: \(what)"
        }
    }
}
