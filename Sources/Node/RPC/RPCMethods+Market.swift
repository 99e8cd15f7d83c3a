internal import API
internal import Ledger
internal import Primitives
internal import Programs
internal import Replica

/// Providers, models and jobs.
extension RPCMethods {
    func providers() async throws -> JSONValue {
        let (providers, offers, clock) = try await node.driver.access {
            (
                try Query.providers(in: $0.stateStore), try Query.offers(in: $0.stateStore),
                try Query.chain(in: $0.stateStore).clock
            )
        }
        let minimumBond = node.genesis.parameters.minimumBond
        return [
            "minimumBond": text(minimumBond),
            "providers": .array(
                providers.map { provider in
                    [
                        "operator": .string(provider.address.description), "name": .string(provider.name),
                        "node": .string(provider.node.hex), "bond": text(provider.bond), "free": text(provider.free),
                        "atStake": text(provider.atStake),
                        "settled": JSONValue(provider.settled), "withdrawn": .bool(provider.isWithdrawn),
                        "newcomer": provider.newcomer.map { newcomer in
                            [
                                "missing": text((try? minimumBond.subtracting(provider.bond)) ?? .zero),
                                "withheld": text(newcomer.withheld), "standing": text(newcomer.standing),
                            ]
                        } ?? .null,
                        "offers": .array(
                            offers.filter { $0.provider == provider.address }.map { describe($0, at: clock) }),
                    ]
                }),
        ]
    }

    private func describe(_ offer: Offer, at clock: UInt64) -> JSONValue {
        let device = offer.device
        return [
            "device": JSONValue(UInt64(offer.terms.device)), "price": text(offer.terms.pricePer1000CUf32),
            "memory": JSONValue(offer.memory), "rate": JSONValue(offer.rate),
            "claimedRate": JSONValue(offer.terms.measuredRate), "paused": .bool(offer.isPaused),
            "activeFrom": JSONValue(offer.activeFrom.value),
            "measure": device.measure.map { measure in
                [
                    "rate": JSONValue(measure.rate), "memory": JSONValue(measure.memory),
                    "millisecondsAgo": JSONValue(clock - min(measure.clock, clock)),
                    "passed": .bool(offer.isAsFastAsItSays),
                ]
            } ?? .null,
            "failure": device.failure.map { .string("\($0)") } ?? .null,
            "challenge": device.challenge.map { challenge in
                ["round": JSONValue(challenge.round), "answered": .bool(challenge.answer != nil)]
            } ?? .null,
        ]
    }

    private func describe(_ model: Model) -> JSONValue {
        [
            "name": .string(model.name), "manifest": .string(model.manifest.hex), "program": .string(model.program.hex),
            "publisher": .string(model.publisher.description), "royalty": JSONValue(UInt64(model.royaltyBasisPoints)),
        ]
    }

    func model(_ parameters: Parameters) async throws -> JSONValue {
        let name = try parameters.requiredString("name")
        guard let model = try await node.driver.access({ try Query.model(named: name, in: $0.stateStore) }) else {
            throw RPCError.notFound("no model named \"\(name)\" is published: see plasma model list")
        }
        return describe(model)
    }

    func models() async throws -> JSONValue {
        let models = try await node.driver.access { try Query.models(in: $0.stateStore) }
        return ["models": .array(models.map { describe($0) })]
    }

    func plan(_ parameters: Parameters) async throws -> JSONValue {
        if let gang = parameters["gang"] { return try await plan(gang: gang) }
        let spec = try decode(JobSpec.self, parameters, "spec")
        return describe(try await node.driver.access { try Matching.plan(spec, in: $0.stateStore) }, of: spec)
    }

    /// Of jobs that are placed all or none.
    private func plan(gang: JSONValue) async throws -> JSONValue {
        let specs: [JobSpec]
        do {
            let texts = try (gang.array ?? []).map { try Self.required($0.string.flatMap(Hexadecimal.decode)) }
            specs = try texts.map { try JobSpec(canonicalBytes: $0) }
            _ = try Payload(canonicalBytes: Payload.submitGang(specs).canonicalBytes)
        } catch {
            throw RPCError.invalidParams("the parameter \"gang\" must be a list of 2 to 32 jobs' bytes: \(error)")
        }
        let plan = try await node.driver.access { try Matching.plan(gang: specs, in: $0.stateStore) }
        return [
            "price": optional(try plan.price()?.description),
            "unplaced": plan.unplaced.map { JSONValue($0 + 1) } ?? .null,
            "members": .array(zip(plan.members, specs).map { describe($0, of: $1) }),
        ]
    }

    private static func required(_ bytes: [UInt8]?) throws(DecodingFault) -> [UInt8] {
        guard let bytes else { throw .invalid("it is not hexadecimal") }
        return bytes
    }

    private func describe(_ plan: MatchPlan, of spec: JobSpec) -> JSONValue {
        [
            "computeUnits": .string(spec.computeUnits.description), "price": optional(plan.price?.description),
            "maximumPrice": text(plan.maximumPrice), "escrow": text(plan.escrowAndPosting),
            "escrowParts": plan.escrow.map { parts in
                [
                    "run": text(parts.run), "audits": text(parts.audits), "staging": text(parts.staging),
                    "allowance": text(parts.allowance), "posting": text(node.genesis.parameters.postingFee),
                ]
            } ?? .null,
            "eligible": .array(
                plan.eligible.map {
                    [
                        "provider": .string($0.provider.description), "price": text($0.price),
                        "effectivePrice": text($0.effectivePrice), "inDraw": .bool($0.isInDraw),
                        "newcomer": .bool($0.isNewcomer),
                    ]
                }),
            "excluded": .array(
                plan.excluded.map { ["provider": .string($0.provider.description), "reason": .string($0.reason)] }),
        ]
    }

    private func describe(_ dispute: Dispute) -> JSONValue {
        [
            "attempt": JSONValue(UInt64(dispute.attempt)), "challenger": .string(dispute.challenger.description),
            "defender": .string(dispute.defender.description), "state": .string(dispute.state.description),
            "reason": .string(dispute.reason), "deposit": text(dispute.deposit), "isAuditor": .bool(dispute.isAuditor),
            "atOnce": .bool(dispute.wasShownAtOnce),
            "rounds": JSONValue(UInt64(dispute.walk.rounds)), "height": JSONValue(dispute.height.value),
            "turn": optional(
                dispute.state == .open ? dispute.walk.turn.map { $0 == .defender ? "provider" : "challenger" } : nil),
            "trail": .array(
                dispute.trail.map { mark in
                    [
                        "by": mark.isReveal ? "provider" : "challenger", "level": optional(mark.level),
                        "text": .string(mark.description),
                    ]
                }),
            "number": dispute.number.map { number in
                [
                    "step": JSONValue(number.step), "operation": JSONValue(UInt64(number.operation)),
                    "type": .string(number.type.name), "element": JSONValue(number.element),
                    "bits": .string(String(number.bits, radix: 16)),
                ]
            } ?? .null,
        ]
    }

    private func describe(_ claim: DeliveryClaim) -> JSONValue {
        [
            "subject": .string(claim.subject.description),
            "state": .string(claim.state.description), "attempt": JSONValue(UInt64(claim.attempt)),
            "deposit": text(claim.deposit), "fee": text(claim.fee),
            "drawHeight": JSONValue(claim.drawHeight.value),
            "deadline": claim.deadline == 0 ? .null : JSONValue(claim.deadline),
            "witnesses": .array(
                claim.witnesses.map { witness in
                    [
                        "provider": .string(witness.provider.description),
                        "holds": witness.holds.map { .bool($0) } ?? .null,
                    ]
                }),
        ]
    }

    private func describe(_ job: Job, _ disputes: [Dispute] = []) -> JSONValue {
        [
            "disputes": .array(disputes.map { describe($0) }),
            "job": .string(job.id.hex), "state": .string(job.state.description),
            "attempt": JSONValue(UInt64(job.attempt)),
            "gang": job.gang.map { gang in
                [
                    "gang": .string(gang.gang.hex), "member": JSONValue(UInt64(gang.index) + 1),
                    "jobs": .array(gang.jobs.map { .string($0.hex) }), "isBound": .bool(job.boundGang != nil),
                ]
            } ?? .null,
            "requester": .string(job.requester.description),
            "provider": optional(job.assignment?.provider.description),
            "price": optional(job.assignment?.price.description),
            "atStake": text(job.assignment?.atStake ?? .zero),
            "auditors": .array(job.audits.map { .string($0.auditor.description) }), "reason": .string(job.reason),
            "audits": .array(
                job.audits.map { audit in
                    [
                        "auditor": .string(audit.auditor.description),
                        "stand": .string(audit.stand(to: job.assignment)),
                        "jackpot": text(audit.jackpot),
                    ]
                }),
            "claim": job.claim.map { describe($0) } ?? .null,
            "claimDeposit": optional(claimDeposit(job)),
            "escrow": text(job.escrow), "allowance": text(job.allowance), "staging": staging(job),
            "outputRoot": optional(job.assignment?.commitment?.outputRoot.hex),
            "stateRoot": optional(job.assignment?.commitment?.stateRoot.hex),
            "decoyRoot": optional(job.assignment?.decoy?.outputRoot.hex),
            "history": .array(
                job.history.map {
                    [
                        "state": .string($0.state.description), "height": JSONValue($0.height.value),
                        "time": JSONValue($0.time.milliseconds),
                    ]
                }),
        ]
    }

    /// What the requester answers for in the present attempt, and what became of it.
    private func staging(_ job: Job) -> JSONValue {
        let terms = job.assignment.flatMap { try? StagingTerms(price: $0.price, node.genesis.parameters) }
        return [
            "deposit": optional(terms?.deposit.description), "paid": text(job.stagingPaid),
            "staged": .bool(job.assignment?.isStaged ?? false),
            "foundSlowBy": optional(job.slowReport?.provider.description),
        ]
    }

    /// The least deposit of a claim about the present result.
    private func claimDeposit(_ job: Job) -> String? {
        guard job.isDisputable, let assignment = job.assignment else { return nil }
        return (try? ClaimTerms(assignment, node.genesis.parameters))?.deposit.description
    }

    func job(_ parameters: Parameters) async throws -> JSONValue {
        let id = try digest(parameters, "job")
        let found = try await node.driver.access { replica in
            try (Query.job(id, in: replica.stateStore), Query.disputes(of: id, in: replica.stateStore))
        }
        guard let job = found.0 else { throw RPCError.notFound("there is no job \(id.hex)") }
        return describe(job, found.1)
    }

    func jobs(_ parameters: Parameters) async throws -> JSONValue {
        let limit = Int(clamping: min(try parameters.optionalUInt64("limit") ?? 50, 1_000))
        let jobs = try await node.driver.access { try Query.jobs(limit: limit, in: $0.stateStore) }
        return ["jobs": .array(jobs.map { describe($0) })]
    }

    func receipt(_ parameters: Parameters) async throws -> JSONValue {
        let id = try digest(parameters, "job")
        guard let evidence = try await node.receipts.evidence(for: StateKey.receipt(id)) else {
            throw RPCError.notFound("job \(id.hex) has no receipt: it has not settled")
        }
        return [
            "receipt": .string(Hexadecimal.encode(evidence.value)), "key": .string(Hexadecimal.encode(evidence.key)),
            "proof": .string(Hexadecimal.encode(evidence.proof.canonicalBytes)),
            "header": .string(Hexadecimal.encode(evidence.header.canonicalBytes)),
            "certificate": .string(Hexadecimal.encode(evidence.certificate.canonicalBytes)),
            "height": JSONValue(evidence.header.height.value),
            "evidence": .string(Hexadecimal.encode(evidence.canonicalBytes)),
        ]
    }
}
