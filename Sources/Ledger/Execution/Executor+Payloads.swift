import Primitives

extension Executor {
    /// Carries out a payload whose fee is paid. Throws `TransactionFailure` or `AmountFault`: the caller undoes all of it.
    mutating func apply(_ payload: Payload, id: Digest, sender: Address) throws {
        switch payload {
        case .transfer(let to, let amount, _):
            try debit(sender, amount)
            try credit(to, amount)
            events.append(.transferred(from: sender, to: to, amount: amount))
        case .registerProvider(let name, let node, let payout, let bond):
            try register(name, node, payout, bond: bond, at: sender, paidBy: sender)
        case .addBond(let amount): try addBond(amount, sender)
        case .withdrawProvider: try withdrawProvider(sender)
        case .sponsorProvider(let registration, let gift): try sponsor(registration, gift, sender)
        case .setOffer(let terms): try setOffer(terms, sender)
        case .pauseOffer(let device):
            guard var offer = try offer(sender, device) else {
                throw TransactionFailure(reason: "no offer on device \(device)")
            }
            offer.isPaused = true
            try store(offer)
        case .publishModel(let name, let manifest, let program, let royalty):
            try publish(name, manifest, program, royalty, sender)
        case .submitJob(let spec): try submit(spec, id: id, sender)
        case .submitGang(let specs): try submitGang(specs, id: id, sender)
        case .cancelJob(let job): try cancel(job, sender)
        case .cancelGang(let gang, let count): try cancelGang(gang, count: count, sender)
        case .declineJob(let job, let attempt, let reason): try decline(job, attempt, reason, sender)
        case .startJob(let job, let attempt): try start(job, attempt, sender)
        case .startAfter(let job, let attempt, let resolution): try start(job, attempt, showing: resolution, sender)
        case .stageJob(let job, let attempt): try stage(job, attempt, sender)
        case .reportSlow(let job, let attempt): try reportSlow(job, attempt, sender)
        case .heartbeatJob(let job, let attempt): try heartbeat(job, attempt, sender)
        case .commitResult(let job, let attempt, let masked): try commit(job, attempt, masked, sender)
        case .commitAudit(let job, let attempt, let masked): try commitAudit(job, attempt, masked, sender)
        case .openResult(let job, let attempt, let opening): try open(job, attempt, opening, sender)
        case .revealAudit(let job, let attempt, let commitment, let salt):
            try reveal(job, attempt, commitment, salt, sender)
        case .registerValidator(let key, let vrfKey, let stake, let possession):
            try registerValidator(key, vrfKey, stake, possession, sender)
        case .addStake(let key, let amount): try addStake(key, amount, sender)
        case .unbondStake(let key, let amount): try unbondStake(key, amount, sender)
        case .claimStake(let key): try claimStake(key, sender)
        case .unjail(let key): try unjail(key, sender)
        case .challenge(let job, let attempt, let opening, let deposit):
            try challenge(job, attempt, opening, deposit, sender)
        case .revealDispute(let job, let attempt, let challenger, let point, let reveal):
            try self.reveal(job, attempt, to: challenger, point, reveal, sender)
        case .pickDispute(let job, let attempt, let round, let pick):
            try self.pick(job, attempt, round, pick, sender)
        case .settleByTranscript(let job, let attempt, let transcript, let key, let signature):
            try settle(job, attempt, by: transcript, key, signature, sender)
        case .showContradiction(let job, let attempt, let key, let first, let second):
            try showContradiction(job, attempt, key, first, second)
        case .claimUndelivered(let job, let attempt, let deposit): try claimUndelivered(job, attempt, deposit, sender)
        case .attestDelivery(let job, let attempt, let holds):
            try attestDelivery(job, attempt, holds: holds, sender)
        case .postOutput(let job, let attempt, let output): try postOutput(job, attempt, output, sender)
        case .answerDevice(let device, let round, let root): try answerDevice(device, round, root, sender)
        case .showDevice(let device, let round, let samples): try showDevice(device, round, samples, sender)
        // Its place among all is all that was asked for; the moves of a bundle are carried out one by one.
        case .opaque, .moves: break
        }
    }

    mutating func store(_ provider: Provider) throws {
        try overlay.set(provider, StateKey.provider(provider.address))
        events.append(.provider(provider.address))
    }

    mutating func ownProvider(_ sender: Address) throws -> Provider {
        guard let provider = try overlay.object(Provider.self, StateKey.provider(sender)), !provider.isWithdrawn else {
            throw TransactionFailure(reason: "the sender is no registered provider")
        }
        return provider
    }

    private mutating func setOffer(_ terms: OfferTerms, _ sender: Address) throws {
        _ = try ownProvider(sender)
        let active = height.advanced(by: parameters.offerActivationHeights)
        if terms.expiry < active { throw TransactionFailure(reason: "the offer would expire before it becomes active") }
        if terms.device >= OfferTerms.maximumDevices {
            throw TransactionFailure(reason: "a provider has devices 0 to \(OfferTerms.maximumDevices - 1)")
        }
        var offer = Offer(provider: sender, terms: terms, activeFrom: active)
        if let old = try self.offer(sender, terms.device) {
            offer.running = old.running
            offer.device = old.device
        }
        if offer.device.measure == nil, parameters.deviceChallengeInterval > 0 {
            try overlay.set(bytes: [], StateKey.unmeasured(sender, terms.device))
        }
        try store(offer)
        overlay.chain.marketChange = max(overlay.chain.marketChange, active)
    }

    private mutating func publish(
        _ name: String, _ manifest: Digest, _ program: Digest, _ royalty: UInt16, _ sender: Address
    ) throws {
        if name.isEmpty { throw TransactionFailure(reason: "a model needs a name") }
        if royalty > parameters.maximumRoyaltyBasisPoints {
            throw TransactionFailure(
                reason: "the royalty is \(royalty) basis points, the most is \(parameters.maximumRoyaltyBasisPoints)")
        }
        if let old = try overlay.object(Model.self, StateKey.model(name)), old.publisher != sender {
            throw TransactionFailure(reason: "the name \(name) belongs to \(old.publisher)")
        }
        if let old = try overlay.object(Model.self, StateKey.manifest(manifest)), old.publisher != sender {
            throw TransactionFailure(reason: "this model was published as \(old.name)")
        }
        let model = Model(
            name: name, publisher: sender, manifest: manifest, program: program, royaltyBasisPoints: royalty,
            height: height)
        try overlay.set(model, StateKey.model(name))
        try overlay.set(model, StateKey.manifest(manifest))
        events.append(.model(name: name))
    }
}
