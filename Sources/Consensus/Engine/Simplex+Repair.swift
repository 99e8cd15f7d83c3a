import Primitives

/// Losses and crashes: asking, answering, re-sending, abstaining (rules 11 and 12, the amnesia guard), and the timer.
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

    mutating func answer(_ first: View, _ last: View, to peer: PublicKey) {
        if currentInstant.interval(since: answersSince) >= parameters.retry {
            answersSince = currentInstant
            answersToPeer.removeAll(keepingCapacity: true)
        }
        let answered = answersToPeer[peer] ?? 0
        if answered >= Simplex.maximumAnswersPerPeer { return }
        answersToPeer[peer] = answered + 1
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
        for above in rounds.keys.sorted().reversed() where above > lastFinalized && budget > 0 {
            guard let round = rounds[above] else { continue }
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

    /// The amnesia guard. What peers bring may be old, above all while blocks are caught up with; only a finalization made here, of votes that
    /// others cast one by one, shows where the network is. Our forgotten votes lie at most one view above the highest that is known
    /// then, and another such finalization above that, ours not in it, sets us free.
    mutating func liftAbstention(_ certificate: Certificate, isOurs: Bool) {
        guard amnesiac || abstainThrough != nil, isOurs, certificate.subject.kind == .finalize else { return }
        if amnesiac {
            amnesiac = false
            abstainThrough = (rounds.keys.max() ?? view).next()
        } else if let bound = abstainThrough, certificate.subject.view > bound {
            abstainThrough = nil
        }
    }

    /// Ends a step: stand-still, then the next deadline.
    mutating func finish(at now: Instant) {
        currentInstant = now
        if let due = standstillAt, due <= now {
            standStill()
            standstillAt = nil
        }
        if standstillAt == nil { standstillAt = now.adding(standstillInterval) }
        guard let round = rounds[view] else { return }
        var next = standstillAt
        func consider(_ instant: Instant?) {
            if let instant, next.map({ instant < $0 }) ?? true { next = instant }
        }
        if round.timeoutReason == nil {
            consider(round.leaderDeadline)
            consider(round.advanceDeadline)
        } else {
            consider(round.retryAt)
        }
        if let next { outputs.append(.setTimer(next)) }
    }
}
