import Primitives

/// Losses and crashes: asking, answering, re-sending, abstaining (rules 11 and 12, the amnesia guard), and the timer.
extension Simplex {
    /// Asks for certificates of views, once a retry, of the peer that needs them known or of all.
    mutating func fetch(_ views: [View], from peer: PublicKey?) {
        guard let first = views.min(), let last = views.max() else { return }
        let now = currentInstant
        if let before = requestedAt[first], now.interval(since: before) < parameters.retry { return }
        requestedAt[first] = now
        let through = min(last, View(first.value + ConsensusMessage.maximumRequestedViews - 1))
        let request = ConsensusMessage.request(from: first, through: through)
        if let peer { outputs.append(.send(request, to: peer)) } else { outputs.append(.broadcast(request)) }
    }

    mutating func answer(_ first: View, _ last: View, to peer: PublicKey) {
        if let lastFinalization, first <= lastFinalized {
            outputs.append(.send(.certificate(lastFinalization), to: peer))
        }
        var candidate = max(first, lastFinalized.next())
        var budget = ConsensusMessage.maximumRequestedViews
        while candidate <= last, budget > 0 {
            if let round = rounds[candidate] {
                for certificate in [round.nullification, round.notarization].compactMap({ $0 }) {
                    outputs.append(.send(.certificate(certificate), to: peer))
                }
            }
            candidate = candidate.next()
            budget -= 1
        }
    }

    /// Rule 11.
    private mutating func standStill(at now: Instant) {
        var budget = Simplex.standstillBudget
        func spend(_ message: ConsensusMessage) {
            if budget > 0 { outputs.append(.broadcast(message)) }
            budget -= 1
        }
        if let lastFinalization { spend(.certificate(lastFinalization)) }
        for above in rounds.keys.sorted().reversed() where above > lastFinalized {
            guard let round = rounds[above] else { continue }
            for certificate in [round.notarization, round.nullification].compactMap({ $0 }) {
                spend(.certificate(certificate))
            }
            for vote in [round.sentNotarize, round.sentNullify, round.sentFinalize].compactMap({ $0 }) {
                spend(.vote(vote))
            }
        }
    }

    /// How long without progress counts as standing still.
    private var standstillInterval: Interval {
        (work ? Interval.zero : parameters.heartbeat) + parameters.delta.scaled(4) + parameters.retry
    }

    /// The amnesia guard: after the highest view proven by others, one more must be finalized without us.
    mutating func liftAbstention(_ certificate: Certificate) {
        guard amnesiac || abstainThrough != nil else { return }
        let without = ownIndex.map { !certificate.signers.contains(UInt16($0)) } ?? true
        if amnesiac {
            // The first finalization heard shows where the network is; anything up to the view after it may carry our forgotten vote.
            if certificate.subject.kind == .finalize {
                amnesiac = false
                abstainThrough = certificate.subject.view.next()
            }
        } else if let bound = abstainThrough, without, certificate.subject.view > bound {
            abstainThrough = nil
        }
    }

    /// Ends a step: stand-still, then the next deadline.
    mutating func finish(at now: Instant) {
        currentInstant = now
        if let due = standstillAt, due <= now {
            standStill(at: now)
            standstillAt = nil
        }
        if standstillAt == nil { standstillAt = now.adding(standstillInterval) }
        guard let round = rounds[view] else { return }
        var next = standstillAt
        func consider(_ instant: Instant?) {
            if let instant, next.map({ instant < $0 }) ?? true { next = instant }
        }
        if round.timeoutReason == nil {
            if round.slot == .none { consider(round.leaderDeadline) }
            consider(round.advanceDeadline)
        } else {
            consider(round.retryAt)
        }
        if let next { outputs.append(.setTimer(next)) }
    }
}
