/// What a provider does next, from the chain's state and from what this machine has done: a pure function, so that a restart, a lost event or a
/// doubled one changes nothing but the delay.
///
/// Rules:
/// 1. Assigned and not started: fetch; once the inputs are here, post `start`; what cannot be had, or not in time, or is wrong is declined with its reason.
///    Where the runs before it will take longer than `longestWait`, it is said instead that the inputs are here, and the start comes with its turn or when its
///    time runs out. Who has said that the inputs cannot be had goes on looking for them, while witnesses do, and starts with what these have found.
/// 2. Running: run; once there is a result, post its mask. While it runs, a heartbeat a third of the allowed silence. What turns out to be impossible now can
///    no longer be declined: silence gives it to another. A run that is far slower than the device (`RunPace`) is reported as that.
/// 3. Committed, and the auditors have committed or none was drawn: open.
/// 4. Drawn as an auditor: fetch and run at once; post the mask; once the provider has opened, reveal.
/// 5. Drawn as the witness of a claim: fetch all that the result names, and say that it is held; once little time is left, say that it is not. Our own result
///    is claimed: show its bytes to the chain where they are few; else it is enough to go on serving them.
/// 6. Nothing is posted twice while the first is on its way (`underWay`), and it is posted again if it was lost.
public import Ledger
public import Primitives
internal import Programs

/// A job as this provider sees it.
public struct WorkItem: Sendable, Equatable {
    public enum Stage: Sendable, Equatable {
        /// Executor: ours, `start` not yet posted. `isLate` where the time for that runs out.
        case assigned(isLate: Bool)
        /// Executor: the same, and we have said that the inputs are here.
        case staged(isLate: Bool)
        /// Executor: the same, and we have said that the inputs cannot be had; `isLate` where witnesses have them, and the time for a start runs out.
        case reported(isLate: Bool)
        /// Executor: started, no commitment yet. `heartbeatDue` where the chain would soon miss us.
        case running(heartbeatDue: Bool)
        /// Executor: committed; `mayOpen` once the draw is over and the auditors have committed.
        case committed(mayOpen: Bool)
        /// Auditor: drawn, mask not posted.
        case drawn
        /// Auditor: mask posted; `mayReveal` once the executor has opened.
        case masked(mayReveal: Bool)
        /// Witness: nothing said yet; `isLate` where the time for that runs out.
        case asked(isLate: Bool)
        /// Deliverer: a claim about our result is open.
        case claimed
    }

    public let task: WorkTask
    public let stage: Stage
    /// Executor: the job's time on the device, by the rate that it was matched at.
    public let milliseconds: UInt64

    public init(task: WorkTask, stage: Stage, milliseconds: UInt64 = 0) {
        self.task = task
        self.stage = stage
        self.milliseconds = milliseconds
    }
}

/// A move on chain.
public enum WorkMove: Hashable, Sendable {
    case start(WorkTask)
    case stage(WorkTask)
    case decline(WorkTask, reason: UInt8)
    case heartbeat(WorkTask)
    case reportSlow(WorkTask)
    case commit(WorkTask)
    case open(WorkTask)
    case auditCommit(WorkTask)
    case auditReveal(WorkTask)
    case attest(WorkTask, holds: Bool)
    case post(WorkTask)

    /// What ends a task comes before what begins one: 0 is the most urgent.
    var urgency: Int {
        switch self {
        case .open, .auditReveal, .attest, .post: 0
        case .commit, .auditCommit: 1
        case .heartbeat, .reportSlow: 2
        case .start, .stage: 3
        case .decline: WorkMove.leastUrgent
        }
    }

    static let leastUrgent = 4
}

/// What the shell is to do.
public enum WorkAction: Sendable, Equatable {
    case fetch(WorkTask)
    case run(WorkTask)
    case post(WorkMove)
    /// The task is over: its scratch may go.
    case forget(WorkTask)
}

public enum ProviderAgent {
    /// The code of a refusal on chain (`DeclineReason`).
    public static func code(of refusal: WorkRefusal) -> UInt8 {
        switch refusal {
        case .costMismatch: 0
        case .unavailable: 1
        case .malformed: 2
        case .tooLarge, .failed: 3
        }
    }

    /// Whether a run that has begun may still come to its end: who cannot end it falls silent, and the chain gives the job to another.
    private static func canGoOn(_ progress: WorkProgress?) -> Bool {
        switch progress {
        case nil: false
        case .refused(.unavailable): true
        case .refused: false
        case .fetching, .fetched, .running, .done: true
        }
    }

    /// How long a job may wait for its turn on the device that is started all the same.
    public static let longestWait: UInt64 = 2_000

    /// Everything to do now, in a fixed order. `slow`: the runs that are far slower than the device.
    public static func decide(
        items: [WorkItem], progress: [WorkTask: WorkProgress], underWay: Set<WorkMove>, slow: Set<WorkTask> = []
    ) -> [WorkAction] {
        var actions: [WorkAction] = []
        // What the device has before it: each at most 30 days, so that the sum fits.
        var ahead: UInt64 = 0
        for item in items {
            guard case .running = item.stage else { continue }
            if case .done? = progress[item.task] { continue }
            ahead += item.milliseconds
        }
        func post(_ move: WorkMove) {
            if !underWay.contains(move) { actions.append(.post(move)) }
        }
        for item in items.sorted(by: { $0.task < $1.task }) {
            let task = item.task
            let done = progress[task]
            switch item.stage {
            case .assigned(let isLate):
                switch done {
                case nil: actions.append(.fetch(task))
                // A start that is missed costs more than a refusal, and holds the job up for longer.
                case .fetching:
                    if isLate { post(.decline(task, reason: code(of: .unavailable("")))) }
                case .fetched, .running, .done:
                    if ahead > longestWait, !isLate {
                        post(.stage(task))
                    } else {
                        post(.start(task))
                        ahead += item.milliseconds
                    }
                case .refused(let refusal): post(.decline(task, reason: code(of: refusal)))
                }
            case .staged(let isLate):
                switch done {
                case nil: actions.append(.fetch(task))
                case .fetching: break
                case .fetched, .running, .done:
                    if ahead > longestWait, !isLate { break }
                    post(.start(task))
                    ahead += item.milliseconds
                case .refused(let refusal): post(.decline(task, reason: code(of: refusal)))
                }
            case .reported(let isLate):
                switch done {
                case nil: actions.append(.fetch(task))
                case .fetched, .running, .done: post(.start(task))
                // What it costs now it costs at the start's deadline too, and the job waits for less.
                case .fetching, .refused: if isLate { post(.decline(task, reason: code(of: .unavailable("")))) }
                }
            case .running(let heartbeatDue):
                switch done {
                case nil: actions.append(.fetch(task))
                case .fetched: actions.append(.run(task))
                case .done: post(.commit(task))
                case .running where slow.contains(task): post(.reportSlow(task))
                // Once started, a job can no longer be declined.
                case .fetching, .running, .refused: break
                }
                if heartbeatDue, canGoOn(done) { post(.heartbeat(task)) }
            case .committed(let mayOpen):
                switch done {
                // After a restart the result is made again: execution is exact, so it is the same.
                case nil: actions.append(.fetch(task))
                case .fetched: actions.append(.run(task))
                case .done where mayOpen: post(.open(task))
                default: break
                }
            case .drawn:
                switch done {
                case nil: actions.append(.fetch(task))
                case .fetched: actions.append(.run(task))
                case .done: post(.auditCommit(task))
                // An auditor that cannot have the inputs stays silent: the draw is made again.
                case .fetching, .running, .refused: break
                }
            case .masked(let mayReveal):
                switch done {
                case nil: actions.append(.fetch(task))
                case .fetched: actions.append(.run(task))
                case .done where mayReveal: post(.auditReveal(task))
                default: break
                }
            case .asked(let isLate):
                switch done {
                case nil: actions.append(.fetch(task))
                case .fetched: post(.attest(task, holds: true))
                // The word is the only one: it is given while it still counts.
                case .fetching, .refused: if isLate { post(.attest(task, holds: false)) }
                case .running, .done: break
                }
            case .claimed:
                switch done {
                case nil: actions.append(.fetch(task))
                case .fetched: post(.post(task))
                default: break
                }
            }
        }
        // Tasks that the state gives us no more: done, reassigned, cancelled, expired.
        let current = Set(items.map(\.task))
        for task in progress.keys.sorted() where !current.contains(task) { actions.append(.forget(task)) }
        return actions
    }

    /// The salt of a masked commitment: known to the key's owner alone, the same after a restart, new for every task.
    public static func salt(key: SecretKey, task: WorkTask) -> Digest {
        var writer = ByteWriter(capacity: 128)
        writer.write(raw: key.seed)
        writer.write(task.job)
        writer.write(task.attempt)
        writer.write(string: task.role.rawValue)
        return Digest.of(Domain("plasma.salt"), writer.bytes)
    }

    /// What a trap's mask holds beside the result: roots that nobody can tell from those of a run without running, as many steps, and no state where there is
    /// none. Known to the key's owner alone, and the same after a restart.
    public static func decoy(key: SecretKey, task: WorkTask, beside commitment: ResultCommitment) -> ResultCommitment {
        func root(_ part: UInt8) -> Digest {
            Digest.of(Domain("plasma.decoy"), salt(key: key, task: task).bytes + [part])
        }
        let hasState = commitment.stateRoot != ResultRoots.stateRoot([])
        return ResultCommitment(
            steps: commitment.steps, outputRoot: root(0), stateRoot: hasState ? root(1) : commitment.stateRoot)
    }
}
