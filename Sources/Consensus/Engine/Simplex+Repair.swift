import Primitives

/// Losses and crashes: asking, answering, re-sending (rules 11 and 12), and the timer.
extension Simplex {
    /// Asks for the certificates of views, of the peer that needs them known or of all. The lowest come first; the next are asked for once
    /// these have arrived, or a retry later.
    mutating func fetch(_ views: [View], from peer: PublicKey?) {
        let now = currentInstant
        guard let first = views.min(), let last = views.max() else { return }
        if let before = requestedAt[first], now.interval(since: before) < parameters.retry { return }
        let through = min(last, first.advanced(by: ConsensusMessage.maximumRequestedViews - 1))
        for view in views where view <= through { requestedAt[view] = now }
        let request = ConsensusMessage.request(from: first, through: through)
        if let peer { outputs.append(.send(request, to: peer)) } else { outputs.append(.broadcast(request)) }
    }

    /// Counts an answer to a peer, where it may have one more.
    mutating func mayAnswer(_ peer: PublicKey) -> Bool {
        if currentInstant.interval(since: answersSince) >= parameters.retry {
            answersSince = currentInstant
            answersToPeer.removeAll(keepingCapacity: true)
        }
        let answered = answersToPeer[peer] ?? 0
        if answered >= Simplex.maximumAnswersPerPeer { return false }
        answersToPeer[peer] = answered + 1
        return true
    }

    mutating func answer(_ first: View, _ last: View, to peer: PublicKey) {
        guard mayAnswer(peer) else { return }
        if let lastFinalization, first <= lastFinalized {
            outputs.append(.send(.certificate(lastFinalization), to: peer))
        }
        var candidate = max(first, lastFinalized.next())
        // A request made here, not decoded, may be wider than what is answered.
        let end = min(last, first.advanced(by: ConsensusMessage.maximumRequestedViews - 1), view)
        while candidate <= end {
            if let round = rounds[candidate] {
                for certificate in [round.nullification, round.notarization].compactMap({ $0 }) {
                    outputs.append(.send(.certificate(certificate), to: peer))
                }
            }
            candidate = candidate.next()
        }
    }

    /// Rule 11: to all where we stand still.
    private mutating func standStill() {
        repeatOurselves(budget: Simplex.standstillBudget) { .broadcast($0) }
        if case .failure(let missing) = parent(for: view) { fetch(missing.views, from: nil) }
    }

    /// Rule 11: to whoever has just connected, who may have missed what was said before.
    mutating func welcome(_ peer: PublicKey) {
        repeatOurselves(budget: Simplex.welcomeBudget) { .send($0, to: peer) }
    }

    /// The last finalization and the newest views first: what is cut off by the budget is what others need least.
    private mutating func repeatOurselves(budget bytes: Int, _ output: (ConsensusMessage) -> Output) {
        var budget = bytes
        func spend(_ message: ConsensusMessage) {
            budget -= message.canonicalBytes.count
            if budget >= 0 { outputs.append(output(message)) }
        }
        if let lastFinalization { spend(.certificate(lastFinalization)) }
        for round in rounds.list.reversed() where round.view > lastFinalized && budget > 0 {
            for vote in [round.sentNotarize, round.sentNullify, round.sentFinalize].compactMap({ $0 }) {
                spend(.vote(vote))
            }
            for certificate in [round.notarization, round.nullification].compactMap({ $0 }) {
                spend(.certificate(certificate))
            }
        }
    }

    /// How long without a finalization counts as standing still.
    private var standstillInterval: Interval {
        (work ? Interval.zero : parameters.heartbeat) + strainedDelta.scaled(4) + parameters.retry
    }

    /// Ends a step: stand-still, then the next deadline.
    mutating func finish(at now: Instant) {
        currentInstant = now
        if let due = standstillAt, due <= now {
            standStill()
            standstillAt = nil
        }
        if standstillAt == nil { standstillAt = now.adding(standstillInterval) }
        if let due = positionsDue, due <= now { askForPositions() }
        // At the end of every step, so a piece at a time: no round is copied.
        guard let place = rounds.place(of: view) else { return }
        var next = standstillAt
        func consider(_ instant: Instant?) {
            if let instant, next.map({ instant < $0 }) ?? true { next = instant }
        }
        if rounds.list[place].timeoutReason == nil {
            consider(rounds.list[place].leaderDeadline)
            consider(rounds.list[place].advanceDeadline)
        } else {
            consider(rounds.list[place].retryAt)
        }
        consider(positionsDue)
        if let next { outputs.append(.setTimer(next)) }
    }
}
