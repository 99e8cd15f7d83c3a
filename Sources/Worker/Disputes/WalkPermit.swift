public import Ledger
public import Primitives
public import Programs

/// What the chain says to a challenger's wish to walk with a provider alone: an answer costs the provider a run of steps, so not everybody may ask.
public struct WalkPermit: Hashable, Sendable {
    /// What the provider is bound to.
    public let subject: DisputeSubject
    public let order: WorkOrder
    /// Drawn for this very attempt, and found another result: its bond is locked. Anybody else shows that it has what a challenge takes.
    public let isAuditor: Bool

    public init(subject: DisputeSubject, order: WorkOrder, isAuditor: Bool) {
        self.subject = subject
        self.order = order
        self.isAuditor = isAuditor
    }

    /// From an executed state. Throws a `WalkAskRefusal` where the provider is not bound to answer.
    public init(
        job id: Digest, attempt: UInt32, challenger: Address, provider: Address, in state: any StateStore
    ) throws(WalkAskRefusal) {
        do {
            guard let job = try Query.job(id, in: state), job.attempt == attempt, job.isDisputable,
                job.assignment?.provider == provider, let subject = job.disputeSubject
            else { throw WalkAskRefusal.noResult }
            guard case .success(let right) = try Query.challengeRight(of: job, by: challenger, in: state),
                try Query.account(challenger, in: state).balance >= right.deposit
            else { throw WalkAskRefusal.noRight }
            self.init(subject: subject, order: try WorkOrder(of: job, in: state), isAuditor: right.isAuditor)
        } catch let refusal as WalkAskRefusal {
            throw refusal
        } catch {
            // A state that cannot be read says nothing.
            throw .noResult
        }
    }
}
