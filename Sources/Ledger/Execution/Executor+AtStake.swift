import Primitives

/// Pay at stake: what a provider has earned with a result that lies open and against which nothing speaks. It is a claim on the job's escrow that everybody can read and prove; the
/// money itself moves when the window is over.
extension Executor {
    /// Credits the executor with its pay. Where the result was credited before, nothing happens.
    mutating func creditAtStake(_ job: inout Job) throws {
        guard let assignment = job.assignment, let commitment = assignment.commitment, assignment.atStake == .zero,
            !job.audits.contains(where: { !$0.isSilent && $0.commitment != commitment }),
            var provider = try overlay.object(Provider.self, StateKey.provider(assignment.provider))
        else { return }
        let pay = try payment(of: commitment, job, assignment).payee
        provider.atStake = try provider.atStake.adding(pay)
        try store(provider)
        job.assignment?.atStake = pay
    }

    /// What the executor gets for the steps that were taken falls into.
    func payment(of commitment: ResultCommitment, _ job: Job, _ assignment: Assignment) throws -> Payment {
        let units = job.spec.computeUnits(taken: commitment.steps)
        return try Payment(
            try Executor.price(of: units, job, whole: assignment.price),
            royaltyBasisPoints: job.royaltyTo == nil ? 0 : job.royaltyBasisPoints, parameters)
    }
}
