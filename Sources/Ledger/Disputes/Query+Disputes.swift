public import Primitives
public import Programs

extension Query {
    /// A challenger's dispute of an attempt, as far as the reveals that are known take it.
    public static func dispute(
        job id: Digest, attempt: UInt32, challenger: Address, in store: any StateStore
    ) throws(LedgerFault) -> Dispute? {
        guard let dispute = try read(Dispute.self, StateKey.dispute(id, attempt, challenger), store) else {
            return nil
        }
        return try advanced(dispute, in: store)
    }

    /// The disputes of a job, by attempt and challenger, as far as the reveals that are known take them.
    public static func disputes(of job: Digest, limit: Int = 256, in store: any StateStore) throws(LedgerFault)
        -> [Dispute]
    {
        var disputes: [Dispute] = []
        for dispute in try list(Dispute.self, StateKey.disputes(of: job), limit: limit, store) {
            disputes.append(try advanced(dispute, in: store))
        }
        return disputes
    }

    /// The disputes of an attempt that are not decided, the most urgent first: none is passed over, however many there are.
    public static func openDisputes(
        of job: Digest, attempt: UInt32, limit: Int = 65_536, in store: any StateStore
    ) throws(LedgerFault) -> [Dispute] {
        try disputes(of: job, limit: limit, in: store).filter { $0.attempt == attempt && $0.state == .open }
            .sorted { $0.deadline < $1.deadline }
    }

    /// Every dispute, whatever became of it, as it was written.
    public static func allDisputes(limit: Int = 65_536, in store: any StateStore) throws(LedgerFault) -> [Dispute] {
        try list(Dispute.self, StateKey.disputes, limit: limit, store)
    }

    private static func advanced(_ dispute: Dispute, in store: any StateStore) throws(LedgerFault) -> Dispute {
        guard dispute.state == .open, let job = try job(dispute.job, in: store), job.attempt == dispute.attempt,
            let assignment = job.assignment, let subject = job.disputeSubject,
            let terms = try? DisputeTerms(assignment, try parameters(in: store))
        else { return dispute }
        var known: KnownReveal?
        if let point = dispute.walk.point {
            known = try read(KnownReveal.self, StateKey.reveal(dispute.job, dispute.attempt, point), store)
        }
        var advanced = dispute
        // Nothing here throws: what was known has been read.
        try? advanced.advance(subject, terms) { _ in known }
        return advanced
    }

    /// What a provider has revealed at a point.
    public static func reveal(
        job: Digest, attempt: UInt32, at point: RevealPoint, in store: any StateStore
    ) throws(LedgerFault) -> Reveal? {
        try read(KnownReveal.self, StateKey.reveal(job, attempt, point), store)?.reveal
    }
}
