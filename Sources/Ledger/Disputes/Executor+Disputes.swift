import Primitives
import Programs

/// The moves of a dispute. Each touches one dispute and at most one reveal, however many there are.
extension Executor {
    /// An attempt whose result can be disputed.
    private struct Disputed {
        var job: Job
        let assignment: Assignment
        let subject: DisputeSubject
        let terms: DisputeTerms
    }

    private mutating func disputed(_ id: Digest, _ attempt: UInt32) throws -> Disputed {
        guard let job = try overlay.object(Job.self, StateKey.job(id)) else {
            throw TransactionFailure(reason: "there is no job \(id)")
        }
        if job.attempt != attempt {
            throw TransactionFailure(reason: "the job is at attempt \(job.attempt), not \(attempt)")
        }
        guard job.isDisputable, let assignment = job.assignment, let subject = job.disputeSubject else {
            throw TransactionFailure(reason: "the job is \(job.state): there is no result to dispute")
        }
        return Disputed(
            job: job, assignment: assignment, subject: subject, terms: try DisputeTerms(assignment, parameters))
    }

    // MARK: Opening

    mutating func challenge(
        _ id: Digest, _ attempt: UInt32, _ opening: DisputeOpening, _ deposit: Amount, _ sender: Address
    ) throws {
        var at = try disputed(id, attempt)
        let isAuditor = try mayChallenge(at, sender)
        if isAuditor, deposit > .zero {
            throw TransactionFailure(reason: "an auditor's bond stands for its challenge: the deposit must be 0")
        }
        if !isAuditor, deposit < at.terms.bond {
            throw TransactionFailure(reason: "the deposit is \(deposit) XPL, the least is \(at.terms.bond)")
        }
        let walk: Walk
        do throws(WalkFault) { walk = try Walk(at.subject, opening) } catch {
            throw TransactionFailure(reason: error.description)
        }
        try debit(sender, deposit)
        try raise(\.escrowed, deposit)
        var dispute = Dispute(
            job: id, attempt: attempt, challenger: sender, defender: at.assignment.provider, deposit: deposit,
            isAuditor: isAuditor, height: height, walk: walk, since: disputeClock, deadline: 0)
        dispute.turn(at: disputeClock, at.subject, at.terms)
        at.job.openDisputes += 1
        if at.job.state == .opened || at.job.state == .auditing && !at.job.awaitsReveals {
            enter(&at.job, .disputed)
            try setTimer(&at.job, nil)
        }
        try save(at.job)
        events.append(.dispute(job: id, attempt: attempt, challenger: sender, state: .open))
        try goOn(&dispute, at)
    }

    /// Whether the sender challenges as an auditor, on its bond. Throws where it may not.
    private mutating func mayChallenge(_ at: Disputed, _ sender: Address) throws -> Bool {
        let key = StateKey.dispute(at.job.id, at.job.attempt, sender)
        let known = try overlay.object(Dispute.self, key)
        do throws(ChallengeRefusal) {
            return try ChallengeRight(
                of: at.job, by: sender, hasChallenged: known != nil, clock: disputeClock, parameters
            ).isAuditor
        } catch { throw TransactionFailure(reason: error.description) }
    }

    // MARK: Moves

    private mutating func dispute(_ at: Disputed, _ challenger: Address) throws -> Dispute {
        guard
            var dispute = try overlay.object(
                Dispute.self, StateKey.dispute(at.job.id, at.job.attempt, challenger))
        else { throw TransactionFailure(reason: "the job has no such dispute") }
        if dispute.state != .open { throw TransactionFailure(reason: "the dispute is \(dispute.state)") }
        try advance(&dispute, at)
        if disputeClock > dispute.deadline {
            throw TransactionFailure(
                reason: "the deadline was \(dispute.deadline) ms of dispute clock, it is \(disputeClock)")
        }
        return dispute
    }

    private mutating func advance(_ dispute: inout Dispute, _ at: Disputed) throws {
        let (job, attempt) = (dispute.job, dispute.attempt)
        try dispute.advance(at.subject, at.terms) { point in
            try overlay.object(KnownReveal.self, StateKey.reveal(job, attempt, point))
        }
    }

    mutating func reveal(
        _ id: Digest, _ attempt: UInt32, to challenger: Address, _ point: RevealPoint, _ reveal: Reveal,
        _ sender: Address
    ) throws {
        let at = try disputed(id, attempt)
        if at.assignment.provider != sender {
            throw TransactionFailure(reason: "the job is not assigned to the sender")
        }
        var dispute = try dispute(at, challenger)
        if dispute.walk.point != point {
            throw TransactionFailure(reason: "the dispute does not ask for this point")
        }
        do throws(WalkFault) { try dispute.walk.reveal(reveal, at.subject) } catch {
            throw TransactionFailure(reason: error.description)
        }
        dispute.record(.revealed(point, isShared: false))
        try overlay.set(
            KnownReveal(reveal: reveal, clock: disputeClock), StateKey.reveal(id, attempt, point))
        dispute.turn(at: disputeClock, at.subject, at.terms)
        try goOn(&dispute, at)
    }

    mutating func pick(
        _ id: Digest, _ attempt: UInt32, _ round: UInt32, _ pick: Pick, _ sender: Address
    ) throws {
        let at = try disputed(id, attempt)
        var dispute = try dispute(at, sender)
        if dispute.round != round {
            throw TransactionFailure(reason: "the challenger's next move is \(dispute.round), not \(round)")
        }
        do throws(WalkFault) { try dispute.walk.pick(pick, at.subject) } catch {
            throw TransactionFailure(reason: error.description)
        }
        dispute.record(DisputeMark(pick))
        dispute.round += 1
        dispute.turn(at: disputeClock, at.subject, at.terms)
        try goOn(&dispute, at)
    }

    /// After a move: what is known is taken, and an outcome has its consequences.
    private mutating func goOn(_ dispute: inout Dispute, _ at: Disputed) throws {
        try advance(&dispute, at)
        try keep(dispute)
        switch dispute.walk.outcome {
        case .convicted(let reason): try convict(dispute, reason)
        case .acquitted(let reason): try acquit(dispute, reason)
        case nil: break
        }
    }

    /// Writes a dispute and its timer.
    mutating func keep(_ dispute: Dispute) throws {
        let key = StateKey.dispute(dispute.job, dispute.attempt, dispute.challenger)
        if let stored = try overlay.object(Dispute.self, key), stored.state == .open {
            try overlay.set(bytes: nil, StateKey.disputeTimer(stored.deadline, stored))
        }
        if dispute.state == .open { try overlay.set(bytes: [], StateKey.disputeTimer(dispute.deadline, dispute)) }
        try overlay.set(dispute, key)
    }

    // MARK: All at once

    mutating func settle(
        _ id: Digest, _ attempt: UInt32, by transcript: DisputeTranscript, _ key: PublicKey, _ signature: Signature,
        _ sender: Address
    ) throws {
        var at = try disputed(id, attempt)
        _ = try mayChallenge(at, sender)
        let message = Dispute.transcriptMessage(
            job: id, attempt: attempt, challenger: sender, at.subject, transcript)
        guard key.address == at.assignment.provider, key.verify(signature, of: message) else {
            throw TransactionFailure(reason: "the provider has not signed this transcript")
        }
        var dispute: Dispute
        do throws(WalkFault) {
            dispute = Dispute(
                job: id, attempt: attempt, challenger: sender, defender: at.assignment.provider, deposit: .zero,
                isAuditor: at.job.audits.contains { $0.auditor == sender && !$0.isSilent }, height: height,
                walk: try Walk(at.subject, transcript.opening), since: disputeClock, deadline: disputeClock)
            for move in transcript.moves {
                switch move {
                case .reveal(let reveal):
                    let point = dispute.walk.point
                    try dispute.walk.reveal(reveal, at.subject)
                    if let point { dispute.record(.revealed(point, isShared: false)) }
                case .pick(let pick):
                    try dispute.walk.pick(pick, at.subject)
                    dispute.record(DisputeMark(pick))
                    dispute.round += 1
                }
            }
        } catch { throw TransactionFailure(reason: error.description) }
        guard case .convicted(let reason) = dispute.walk.outcome else {
            throw TransactionFailure(reason: "this transcript convicts nobody")
        }
        at.job.openDisputes += 1
        if at.job.state != .disputed { enter(&at.job, .disputed) }
        try save(at.job)
        try convict(dispute, reason)
    }

    // MARK: Two words for one thing

    /// A provider's reveals are those of one run: two that differ for one point are a lie in one of them, whichever, and no walk is needed. Whoever was told
    /// one gets the bounty, not who shows them: what is shown can be copied.
    mutating func showContradiction(
        _ id: Digest, _ attempt: UInt32, _ key: PublicKey, _ first: SignedTranscript, _ second: SignedTranscript?
    ) throws {
        var at = try disputed(id, attempt)
        let said = try reveals(first, key, at)
        var others: [RevealPoint: Reveal] = [:]
        if let second {
            for other in try reveals(second, key, at) { others[other.point] = other.reveal }
        } else {
            for one in said {
                let known = try overlay.object(KnownReveal.self, StateKey.reveal(id, attempt, one.point))
                others[one.point] = known?.reveal
            }
        }
        guard let lie = said.first(where: { others[$0.point].map { [reveal = $0.reveal] in $0 != reveal } ?? false })
        else { throw TransactionFailure(reason: "the provider does not contradict itself in these") }
        if at.job.state != .disputed { enter(&at.job, .disputed) }
        try convict(
            &at.job, at.assignment, bountyTo: [first.challenger, second?.challenger ?? first.challenger],
            "the provider signed two different things of \(DisputeMark.text(lie.point))")
    }

    /// What the provider has signed in a walk over this very result.
    private func reveals(_ walk: SignedTranscript, _ key: PublicKey, _ at: Disputed) throws -> [SignedReveal] {
        let message = Dispute.transcriptMessage(
            job: at.job.id, attempt: at.job.attempt, challenger: walk.challenger, at.subject, walk.transcript)
        guard key.address == at.assignment.provider, key.verify(walk.signature, of: message) else {
            throw TransactionFailure(reason: "the provider has not signed this transcript")
        }
        do throws(WalkFault) { return try walk.transcript.reveals(at.subject) } catch {
            throw TransactionFailure(reason: error.description)
        }
    }
}
