import Ledger
import Primitives
import Worker

/// What an auditor says that has computed nothing: the provider's own mask in every second job, the provider's word in every fourth, garbage else.
struct LazyAuditor {
    /// Whether it asks the provider what has come out. It believes that, and has nothing to challenge with.
    func asks(about job: Digest) -> Bool { job.bytes[0] % 4 == 1 }

    /// Garbage, of its own for each task, of as many steps as the job has.
    func result(of task: WorkTask, steps: [UInt64]) -> ResultCommitment {
        let noise = Digest.of(Domain("sim.lazy"), task.job.bytes)
        return ResultCommitment(steps: steps, outputRoot: noise, stateRoot: noise)
    }

    /// It asks nobody to walk with it: it stands by its guess before the chain.
    func onChain(_ items: [DisputeItem]) -> [DisputeItem] {
        items.map { DisputeItem(duty: $0.duty, subject: $0.subject, walk: $0.walk) }
    }

    /// Where it copies: the provider's mask for its own, then the result that the provider opened. What it posts instead of what its machine
    /// wants to; nil where it leaves that.
    func instead(of payload: Payload, in state: any StateStore, as auditor: Address, salt: (Digest) -> Digest)
        -> Payload?
    {
        guard let id = payload.job, id.bytes[0] % 2 == 0, let job = try? Query.job(id, in: state),
            let assignment = job.assignment
        else { return nil }
        switch payload {
        case .commitAudit(_, let attempt, _):
            return assignment.masked.map { .commitAudit(job: id, attempt: attempt, masked: $0) }
        case .revealAudit(_, let attempt, _, _):
            return assignment.commitment.map {
                .revealAudit(job: id, attempt: attempt, commitment: $0, salt: salt(id))
            }
        default: return nil
        }
    }
}
