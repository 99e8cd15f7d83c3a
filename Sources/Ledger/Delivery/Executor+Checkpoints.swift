import Primitives

/// States that other segments go on from: before such a segment settles, other providers are drawn to fetch and hold what it leaves.
///
/// Their words decide about no pay. They cost no deposit, and whoever has friends among them could else run for nothing, or let others do so: that nobody hands
/// out a result is for its requester to claim.
extension Executor {
    /// Whether the job's state is read by another.
    func isCheckpoint(_ job: Job) -> Bool { job.spec.isSegment && job.isAwaited }

    /// Asks for holders of a result that was opened. They keep it from settling until half of them hold it, or their time is over: so its provider hands it
    /// out.
    mutating func askHolders(_ job: inout Job, _ assignment: Assignment) throws {
        let drawHeight = height.advanced(by: parameters.auditLag)
        job.claim = DeliveryClaim(
            subject: .checkpoint, claimant: job.requester, attempt: job.attempt, deposit: .zero,
            fee: try staging(assignment).fee, drawHeight: drawHeight)
        try overlay.set(bytes: [], StateKey.draw(drawHeight, job.id))
    }

    mutating func payHolders(_ job: inout Job, _ claim: DeliveryClaim) throws {
        guard claim.state == .delivered || claim.state == .posted else { return }
        for witness in claim.witnesses where witness.holds == true {
            try payStaging(claim.fee, to: witness.provider, from: &job)
        }
    }
}
