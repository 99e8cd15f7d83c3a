import Primitives
import Programs

/// Device challenges (`docs/ledger.md`): rounds that begin by the beacon, answers, and what is shown of them.
extension Executor {
    private static let fullRound: UInt64 = 1 << 61
    private static let firstRound: UInt64 = 1 << 60

    // MARK: Offers

    /// An offer as the last round has found it. All that is done to offers, but for the count of their jobs, begins here.
    mutating func offer(_ provider: Address, _ device: UInt16) throws -> Offer? {
        guard let offer = try overlay.object(Offer.self, StateKey.offer(provider, device)) else { return nil }
        let round = try overlay.object(DeviceRound.self, StateKey.deviceRound)
        guard let round, !round.isOver, offer.device.round < round.number else { return offer }
        let owner = try overlay.object(Provider.self, StateKey.provider(provider))
        return offer.enrolled(in: round, isWithdrawn: owner?.isWithdrawn ?? true)
    }

    mutating func store(_ offer: Offer) throws {
        try overlay.set(offer, StateKey.offer(offer.provider, offer.terms.device))
        events.append(.provider(offer.provider))
    }

    /// An own device, whose challenge in a round waits for something of its owner.
    private mutating func challenged(_ device: UInt16, _ round: UInt64, _ sender: Address) throws -> (
        offer: Offer, challenge: DeviceChallenge
    ) {
        _ = try ownProvider(sender)
        guard let offer = try offer(sender, device) else {
            throw TransactionFailure(reason: "no offer on device \(device)")
        }
        guard let challenge = offer.device.challenge, challenge.round == round else {
            throw TransactionFailure(reason: "device \(device) is not challenged in round \(round)")
        }
        return (offer, challenge)
    }

    /// Takes the devices of one that leaves out of the market. None of them may be in a challenge: it would leave with what it loses by that.
    mutating func withdrawDevices(_ sender: Address) throws {
        for entry in try overlay.scan(prefix: StateKey.offers(of: sender), limit: OfferTerms.maximumDevices) {
            let (_, device) = try StateKey.device(entry.key)
            guard var offer = try offer(sender, device) else { continue }
            if let challenge = offer.device.challenge {
                throw TransactionFailure(
                    reason: "device \(device) is challenged in round \(challenge.round): wait until that is over")
            }
            offer.isPaused = true
            // It may come back with another machine.
            offer.device.measure = nil
            try overlay.set(bytes: nil, StateKey.unmeasured(sender, device))
            try store(offer)
        }
    }

    // MARK: Moves

    mutating func answerDevice(_ device: UInt16, _ round: UInt64, _ root: Digest, _ sender: Address) throws {
        var (offer, challenge) = try challenged(device, round, sender)
        if challenge.answer != nil { throw TransactionFailure(reason: "the challenge was answered before") }
        let deadline = challenge.deadline(parameters)
        if clock > deadline {
            throw TransactionFailure(reason: "the deadline was \(deadline) ms of chain clock, it is \(clock)")
        }
        let drawHeight = height.advanced(by: parameters.auditLag)
        challenge.answer = DeviceAnswer(
            root: root, milliseconds: clock - challenge.clock, isBusy: offer.running > 0, drawHeight: drawHeight)
        offer.device.challenge = challenge
        try overlay.set(bytes: [], StateKey.deviceDraw(drawHeight, sender, device))
        try store(offer)
    }

    mutating func showDevice(_ device: UInt16, _ round: UInt64, _ samples: [DeviceSample], _ sender: Address) throws {
        var (offer, challenge) = try challenged(device, round, sender)
        guard let answer = challenge.answer, answer.beacon != nil else {
            throw TransactionFailure(reason: "nothing is drawn yet that is to be shown")
        }
        if clock > answer.deadline {
            throw TransactionFailure(reason: "the deadline was \(answer.deadline) ms of chain clock, it is \(clock)")
        }
        let chain = challenge.chain(of: sender, device: device, parameters)
        let numbers = challenge.numbers(of: chain, parameters)
        if samples.count != numbers.count {
            throw TransactionFailure(reason: "\(samples.count) numbers are shown, \(numbers.count) were drawn")
        }
        for (number, sample) in zip(numbers, samples) {
            do throws(DeviceFault) { try chain.check(sample, at: number, under: answer.root) } catch {
                // Whoever shows that its answer is wrong need not be asked again.
                if case .wrong = error { return try fail(&offer, .unproven) }
                throw TransactionFailure(reason: "\(error)")
            }
        }
        try endChallenge(&offer)
        offer.device.failure = nil
        offer.device.measure = DeviceMeasure(
            rate: challenge.rate(of: chain, answer, parameters), memory: challenge.memory,
            clock: challenge.clock + answer.milliseconds)
        try overlay.set(bytes: nil, StateKey.unmeasured(sender, device))
        try store(offer)
        overlay.chain.marketChange = max(overlay.chain.marketChange, height.next())
    }

    // MARK: What happens without a transaction

    /// Draws what is to be shown of answers, ends those of which it was not shown in time, and takes the round a step on.
    mutating func runDeviceChallenges(elapsed: UInt64) throws {
        let limit = Int(parameters.timersPerBlock)
        for entry in try overlay.scan(prefix: StateKey.deviceDraws, limit: limit) {
            if StateKey.number(entry.key.dropFirst()) > height.value { break }
            try overlay.set(bytes: nil, entry.key)
            let (provider, device) = try StateKey.device(entry.key)
            guard var offer = try offer(provider, device), var answer = offer.device.challenge?.answer else {
                throw LedgerFault.corrupt("a device whose numbers are drawn has answered nothing")
            }
            answer.beacon = header.beacon
            answer.deadline = later(clock, DeviceTerms.patience(parameters))
            offer.device.challenge?.answer = answer
            try overlay.set(bytes: [], StateKey.deviceTimer(answer.deadline, provider, device))
            try store(offer)
        }
        for entry in try overlay.scan(prefix: StateKey.deviceTimers, limit: limit) {
            // At its deadline a move is still in time.
            if StateKey.number(entry.key.dropFirst()) >= clock { break }
            let (provider, device) = try StateKey.device(entry.key)
            guard var offer = try offer(provider, device), offer.device.challenge?.answer != nil else {
                throw LedgerFault.corrupt("a timed device has answered nothing")
            }
            try fail(&offer, .unproven)
        }
        if var round = try overlay.object(DeviceRound.self, StateKey.deviceRound), !round.isOver {
            if clock > round.deadline(parameters) { try endRound(&round, limit) }
        } else {
            try beginRound(elapsed)
        }
    }

    /// A round begins at any block, by its beacon, as often as its time comes to.
    private mutating func beginRound(_ elapsed: UInt64) throws {
        func isDrawn(_ salt: UInt64, every interval: UInt64) -> Bool {
            Matching.draw(header.beacon, header.network, salt, below: UInt128(interval)) < UInt128(elapsed)
        }
        if parameters.deviceChallengeInterval == 0 { return }
        let isFull = isDrawn(Executor.fullRound, every: parameters.deviceChallengeInterval)
        if !isFull {
            guard isDrawn(Executor.firstRound, every: parameters.deviceFirstInterval),
                !(try overlay.scan(prefix: StateKey.unmeasuredDevices, limit: 1)).isEmpty
            else { return }
        }
        let last = try overlay.object(DeviceRound.self, StateKey.deviceRound)?.number ?? 0
        try overlay.set(
            DeviceRound(number: last + 1, isFull: isFull, height: height, beacon: header.beacon, clock: clock),
            StateKey.deviceRound)
    }

    /// The time for answers is over: looks at so many devices a block for those that have not answered. The next round begins after the last of them.
    private mutating func endRound(_ round: inout DeviceRound, _ limit: Int) throws {
        let prefix = round.isFull ? StateKey.offers : StateKey.unmeasuredDevices
        let entries = try overlay.scan(
            prefix: prefix, after: round.cursor.isEmpty ? nil : round.cursor, limit: limit)
        for entry in entries {
            let (provider, device) = try StateKey.device(entry.key)
            guard var found = try offer(provider, device) else {
                throw LedgerFault.corrupt("a device without an offer")
            }
            if let challenge = found.device.challenge {
                if challenge.round == round.number, challenge.answer == nil { try fail(&found, .silent) }
            } else if !round.isFull, found.isPaused || found.terms.expiry < height {
                // Its owner says so when it is there again.
                try overlay.set(bytes: nil, entry.key)
            }
        }
        round.cursor = entries.last?.key ?? round.cursor
        round.isOver = entries.count < limit
        try overlay.set(round, StateKey.deviceRound)
    }

    private mutating func endChallenge(_ offer: inout Offer) throws {
        if let answer = offer.device.challenge?.answer {
            let (provider, device) = (offer.provider, offer.terms.device)
            try overlay.set(bytes: nil, StateKey.deviceDraw(answer.drawHeight, provider, device))
            try overlay.set(bytes: nil, StateKey.deviceTimer(answer.deadline, provider, device))
        }
        offer.device.challenge = nil
    }

    /// A challenge has ended and nothing is known of the device: it gets no jobs until it has shown what it can. Silence is free for one that was never
    /// measured, and has had none; a word that is not true never is.
    private mutating func fail(_ offer: inout Offer, _ failure: DeviceRecord.Failure) throws {
        let owner = offer.provider
        let bond = try overlay.object(Provider.self, StateKey.provider(owner))?.bond ?? .zero
        let perMille = failure == .silent ? parameters.silencePenaltyPerMille : parameters.deviceFalsePerMille
        if failure == .unproven || offer.device.measure != nil {
            try penalise(owner, try bond.scaled(perMille, over: 1000), to: nil)
            try strike(owner)
        }
        try endChallenge(&offer)
        offer.device.measure = nil
        offer.device.failure = failure
        offer.isPaused = true
        try overlay.set(bytes: nil, StateKey.unmeasured(owner, offer.terms.device))
        try store(offer)
    }
}
