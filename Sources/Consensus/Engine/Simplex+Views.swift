public import Primitives

/// Views: entering, deadlines, giving up (rules 1 and 5).
extension Simplex {
    /// Δ as strained by failed views (rule 1).
    var strainedDelta: Interval {
        let factor = min(Int64(1000) + Int64(strain) * Int64(parameters.growth), Int64(max(1, parameters.cap)) * 1000)
        return parameters.delta.scaled(factor, over: 1000)
    }

    /// Rule 1.
    mutating func enter(_ next: View, at now: Instant) {
        if next <= view { return }
        // Views that we did not live through say nothing about who was silent in them.
        let unseen = next.value - view.value - 1
        if unseen > 0 { lastHeard = lastHeard.map { min($0.advanced(by: unseen), next) } }
        view = next
        giveUpReason = nil
        let leader = leader(of: next)
        let idle = work ? Interval.zero : parameters.heartbeat
        let delta = strainedDelta
        withRound(next) { round in
            round.enteredAt = now
            if round.slot == .none, round.notarization == nil {
                round.leaderDeadline = now.adding(idle + delta.scaled(2))
            }
            round.advanceDeadline = now.adding(idle + delta.scaled(3))
        }
        outputs.append(.entered(next, leader: leader))
        forget()

        let leadersNullify = rounds[next]?[.nullify][UInt16(leader)]
        if leadersNullify?.check == .good {
            giveUp(.leaderNullified, at: now)
        } else if isInactive(leader) {
            giveUp(.leaderInactive, at: now)
        } else if rounds[next]?.refused == true {
            giveUp(.invalidProposal, at: now)
        } else if let vote = leadersNullify?.vote, leadersNullify?.check == .unchecked {
            check(vote)
        }
        proposeIfLeader()
        verifySlot(next)
        notarizeIfVerified(next, at: now)
    }

    /// Drops rounds that nothing can need any more.
    private mutating func forget() {
        rounds.drop(below: floorOfMemory)
        if requestedAt.keys.contains(where: { $0 <= lastFinalized }) {
            requestedAt = requestedAt.filter { $0.key > lastFinalized }
        }
    }

    /// The lowest view that is remembered.
    public var floorOfMemory: View {
        let retention = UInt64(parameters.retention)
        return View(lastFinalized.value > retention ? lastFinalized.value - retention : 0)
    }

    /// A leader is not waited for that was not heard for many views while a quorum was, or that let its turn pass and was not heard in that view or
    /// since: who has died costs one time-out, not one for each of its turns.
    private func isInactive(_ leader: Int) -> Bool {
        if leader == ownIndex { return false }
        let bound = UInt64(parameters.inactivity)
        guard view > lastHeard[leader], view.value - lastHeard[leader].value > bound || missedItsTurn(leader) else {
            return false
        }
        var active: UInt64 = 0
        for (index, heard) in lastHeard.enumerated() where heard.advanced(by: 4) >= view {
            active += validators[index].weight
        }
        return active >= validators.quorumWeight
    }

    private func missedItsTurn(_ leader: Int) -> Bool {
        parameters.inactivity < .max && missedTurn[leader] > lastHeard[leader]
    }

    /// Rule 2: the deadlines count from the later of entry and first work; without work they run for a heartbeat more. Work that comes
    /// and goes never moves them beyond that.
    mutating func changeWork(_ value: Bool, at now: Instant) {
        if work == value { return }
        work = value
        guard let round = rounds[view], round.timeoutReason == nil, let enteredAt = round.enteredAt else { return }
        let delta = strainedDelta
        let heartbeat = parameters.heartbeat
        func moved(_ deadline: Instant?, _ deltas: Int64) -> Instant? {
            guard let deadline else { return nil }
            return value
                ? min(deadline, now.adding(delta.scaled(deltas))) : enteredAt.adding(heartbeat + delta.scaled(deltas))
        }
        let leaderDeadline = moved(round.leaderDeadline, 2)
        let advanceDeadline = moved(round.advanceDeadline, 3)
        withRound(view) { round in
            round.leaderDeadline = leaderDeadline
            round.advanceDeadline = advanceDeadline
        }
    }

    /// Rule 5: latches the reason and nullifies, now and at every retry.
    mutating func giveUp(_ reason: TimeoutReason, at now: Instant) {
        guard let round = rounds[view] else { return }
        if round.timeoutReason != nil { return }
        rounds[view]?.timeoutReason = reason
        rounds[view]?.gaveUpAt = now
        if work { strain = min(strain + 1, 1_000) }
        if reason == .noProposal { missedTurn[round.leader] = view }
        outputs.append(.timeout(view, reason))
        nullify(at: now)
    }

    private mutating func nullify(at now: Instant) {
        guard let round = rounds[view] else { return }
        let retryAt = now.adding(parameters.retry)
        rounds[view]?.retryAt = retryAt
        // Never after our own finalize.
        if round.sentFinalize != nil || !maySign(in: view) { return }
        if let vote = round.sentNullify {
            outputs.append(.broadcast(.vote(vote)))
            if let entry = entryCertificate { outputs.append(.broadcast(.certificate(entry))) }
            // To our own collector too: after a crash the vote is in the journal and nowhere else.
            count(vote, at: now)
        } else {
            cast(.nullify(epoch, view), at: now)
        }
    }

    /// The best certificate that let us enter this view.
    private var entryCertificate: Certificate? {
        guard view.value > 0, let before = rounds[View(view.value - 1)] else { return lastFinalization }
        return before.finalization ?? before.nullification ?? before.notarization
    }

    /// What has run out by now.
    mutating func expire(at now: Instant) {
        if let reason = giveUpReason {
            giveUpReason = nil
            giveUp(reason, at: now)
        }
        // At every step, so a piece at a time: no round is copied.
        guard let place = rounds.place(of: view) else { return }
        if rounds.list[place].timeoutReason == nil {
            if let deadline = rounds.list[place].leaderDeadline, deadline <= now {
                giveUp(.noProposal, at: now)
            } else if let deadline = rounds.list[place].advanceDeadline, deadline <= now {
                giveUp(.viewTooLong, at: now)
            }
        } else if let retry = rounds.list[place].retryAt, retry <= now {
            let round = rounds.list[place]
            nullify(at: now)
            // What may have been lost while the view hangs: our own other votes, and what we miss (rules 11 and 12).
            for vote in [round.sentNotarize, round.sentFinalize].compactMap({ $0 }) {
                outputs.append(.broadcast(.vote(vote)))
            }
            verifySlot(view)
            if case .failure(let missing) = parent(for: view) { fetch(missing.views, from: nil) }
        }
    }
}
