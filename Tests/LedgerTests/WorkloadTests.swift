import Ledger
import Primitives
import Programs
import Testing

/// Random people doing random things. `TestNet.step` counts all money after every block.
@Suite struct WorkloadTests {
    private let script: TestDispute

    init() throws { script = try TestDispute() }

    private func payload(_ net: TestNet, _ who: SecretKey, _ job: Job?, _ random: inout SplitMix64) throws -> Payload {
        let id = job?.id ?? .zero
        let attempt = job?.attempt ?? 0
        let says = Int.random(in: 0..<4, using: &random) > 0 ? TestDispute.truth : TestDispute.lie
        let result = TestDispute.result(says)
        let masked = result.masked(salt: net.salt(who), provider: net.address(who), job: id, attempt: attempt)
        let decoy = TestDispute.result(TestDispute.decoy)
        switch Int.random(in: 0..<40, using: &random) {
        case 0:
            let to = net.people.randomElement(using: &random) ?? who
            let units = UInt128.random(in: 0...2_000_000_000_000_000, using: &random)
            return .transfer(to: net.address(to), amount: Amount(baseUnits: units), memo: [])
        case 1: return .addBond(amount: .xpl(.random(in: 0...3, using: &random)))
        case 2: return Int.random(in: 0..<8, using: &random) == 0 ? .withdrawProvider : .pauseOffer(device: 0)
        case 3: return .setOffer(net.offerTerms(.xpl(.random(in: 1...30, using: &random)), capacity: 2))
        case 4:
            let bond: UInt64 = [0, 40, 100].randomElement(using: &random) ?? 0
            return .registerProvider(name: "x", node: who.publicKey, payout: net.address(who), bond: .xpl(bond))
        case 5, 6:
            let policies: [AuditPolicy] = [.audited, .sampled(perMille: 500), .replicated(count: 2)]
            return .submitJob(script.spec(net, policies.randomElement(using: &random) ?? .audited))
        case 8:
            guard let gang = job?.boundGang, Bool.random(using: &random) else { return .cancelJob(job: id) }
            return .cancelGang(gang: gang.gang, count: gang.count)
        case 10:
            let count = Int.random(in: 2...4, using: &random)
            return .submitGang(
                (0..<count).map { _ in
                    var spec = script.spec(
                        net, [.audited, .sampled(perMille: 500)].randomElement(using: &random) ?? .audited)
                    // Some wait for another, and some of these for ever.
                    if let job, Int.random(in: 0..<20, using: &random) == 0 { spec.stateOf = job.id }
                    return spec
                })
        case 9:
            let reason = DeclineReason.allCases.randomElement(using: &random) ?? .busy
            return .declineJob(job: id, attempt: attempt, reason: reason)
        default:
            switch job?.state {
            case .assigned where job?.claim?.awaits(net.address(who)) == true:
                return .attestDelivery(job: id, attempt: attempt, holds: Bool.random(using: &random))
            case .assigned:
                switch Int.random(in: 0..<8, using: &random) {
                case 0: return .stageJob(job: id, attempt: attempt)
                case 1: return .declineJob(job: id, attempt: attempt, reason: .inputsUnavailable)
                default: return .startJob(job: id, attempt: attempt)
                }
            case .running:
                if Int.random(in: 0..<8, using: &random) == 0 { return .reportSlow(job: id, attempt: attempt) }
                if Bool.random(using: &random) { return .heartbeatJob(job: id, attempt: attempt) }
                let opening = try net.opening(id, who, result, decoy: decoy)
                return .commitResult(
                    job: id, attempt: attempt,
                    masked: opening.masked(provider: net.address(who), job: id, attempt: attempt))
            case .committed where job?.stage == .auditors:
                let takesTheDecoy = Int.random(in: 0..<4, using: &random) == 0
                let word = takesTheDecoy ? try net.masked(who, id, decoy) : masked
                return .commitAudit(job: id, attempt: attempt, masked: word)
            case .committed:
                return .openResult(
                    job: id, attempt: attempt, opening: try net.opening(id, who, result, decoy: decoy))
            case .auditing where job?.awaitsReveals == true && Bool.random(using: &random):
                let word = Int.random(in: 0..<3, using: &random) == 0 ? decoy : result
                return .revealAudit(job: id, attempt: attempt, commitment: word, salt: net.salt(who))
            default:
                let isTheirs = job?.isClaimed == true || job?.requester == net.address(who)
                return isTheirs && Bool.random(using: &random)
                    ? claim(net, who, job, &random) : try move(net, who, job, &random)
            }
        }
    }

    /// About whether the result's bytes can be had.
    private func claim(_ net: TestNet, _ who: SecretKey, _ job: Job?, _ random: inout SplitMix64) -> Payload {
        let (id, attempt) = (job?.id ?? .zero, job?.attempt ?? 0)
        if job?.claim?.awaits(net.address(who)) == true {
            return .attestDelivery(job: id, attempt: attempt, holds: Bool.random(using: &random))
        }
        if job?.requester == net.address(who) {
            return .claimUndelivered(job: id, attempt: attempt, deposit: .xpl(.random(in: 0...9, using: &random)))
        }
        let says = Int.random(in: 0..<4, using: &random) > 0 ? TestDispute.truth : TestDispute.lie
        return .postOutput(job: id, attempt: attempt, output: ClaimNet.output(says))
    }

    /// In one of the job's disputes, or a new one: mostly what is due, by whom it is due.
    private func move(_ net: TestNet, _ who: SecretKey, _ job: Job?, _ random: inout SplitMix64) throws -> Payload {
        let (id, attempt) = (job?.id ?? .zero, job?.attempt ?? 0)
        let open = try Query.disputes(of: id, in: net.store).filter { $0.state == .open }
        guard let dispute = open.randomElement(using: &random), Int.random(in: 0..<3, using: &random) > 0 else {
            let isAuditor = job?.audits.contains { $0.auditor == net.address(who) && !$0.isSilent } ?? false
            return .challenge(
                job: id, attempt: attempt, opening: script.opening, deposit: isAuditor ? .zero : .xpl(100))
        }
        let says =
            job?.assignment?.commitment == TestDispute.result(TestDispute.lie) ? TestDispute.lie : TestDispute.truth
        if let point = dispute.walk.point {
            return .revealDispute(
                job: id, attempt: attempt, challenger: dispute.challenger, point: point,
                reveal: script.reveal(point, Int.random(in: 0..<20, using: &random) > 0 ? says : TestDispute.w))
        }
        let pick = script.picks[min(2, Int(dispute.round))]
        return .pickDispute(job: id, attempt: attempt, round: dispute.round, pick: pick)
    }

    /// Who is to move next in a job, as far as that can be said.
    private func mover(_ net: TestNet, _ job: Job, _ random: inout SplitMix64) throws -> Address? {
        if job.stage == .auditors || job.awaitsReveals { return job.audits.randomElement(using: &random)?.auditor }
        let open = try Query.disputes(of: job.id, in: net.store).filter { $0.state == .open }
        if let dispute = open.randomElement(using: &random), dispute.walk.turn == .challenger {
            return dispute.challenger
        }
        if job.state == .assigned, job.isClaimed, Int.random(in: 0..<3, using: &random) > 0 {
            return job.claim?.witnesses.filter { $0.holds == nil }.randomElement(using: &random)?.provider
        }
        // Whose word a claim waits for, or who could make one.
        if job.isDisputable, Int.random(in: 0..<3, using: &random) == 0 {
            let awaited = job.claim?.witnesses.filter { job.isClaimed && $0.holds == nil }.map(\.provider) ?? []
            if let witness = awaited.randomElement(using: &random) { return witness }
            return job.isClaimed ? job.assignment?.provider : job.requester
        }
        if job.state == .opened { return net.address(net.people[5]) }
        return job.assignment?.provider
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8]) func moneyIsConservedUnderARandomWorkloadAndItsReplayAgrees(
        _ seed: UInt64
    ) throws {
        var random = SplitMix64(seed: seed)
        var parameters = TestNet.parameters
        // In every second one most of the results lie in traps.
        parameters.trapPerMille = seed % 2 == 0 ? 800 : 0
        parameters.jackpotPerMille = 20
        parameters.newcomerSharePerMille = 500
        // A long run passes an epoch, and the books here have no new XPL.
        parameters.inflationPerMille = 0
        parameters.inflationFloorPerMille = 0
        let net = try TestNet(parameters: parameters)
        try net.openMarket()
        for key in net.people[5...] { try NewcomerTests.register(net, key, bond: .zero) }
        var newcomers: Set<Digest> = []
        var traps: Set<Digest> = []
        var states: Set<JobState> = []
        var ends: Set<DisputeState> = []
        var claims: Set<ClaimState> = []
        var questions: Set<ClaimState> = []
        var staged = false
        var bound: Set<Digest> = []
        var placed: Set<Digest> = []
        /// What a workload is worth something with.
        var lacks: String? {
            if claims.count < 2 { return "reached \(claims)" }
            if questions.count < 2 { return "asked for inputs and reached \(questions)" }
            if !staged { return "staged nothing" }
            if traps.isEmpty != (parameters.trapPerMille == 0) { return "opened \(traps.count) traps" }
            if placed.isEmpty || placed.count >= bound.count { return "placed \(placed.count) of \(bound.count) gangs" }
            if newcomers.isEmpty { return "gave newcomers no job" }
            if states.count < 7 { return "reached \(states)" }
            return ends.contains(.convicted) || ends.contains(.acquitted) ? nil : "reached \(ends)"
        }
        var steps = 0
        while steps < 350 || lacks != nil && steps < 2_000 {
            steps += 1
            var transactions: [SignedTransaction] = []
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                var who = net.people.randomElement(using: &random) ?? net.requester
                let job = try Query.jobs(limit: 6, in: net.store).randomElement(using: &random)
                // Mostly those whose turn it is.
                if let job, Int.random(in: 0..<5, using: &random) > 0, let mover = try mover(net, job, &random) {
                    who = try net.key(mover)
                }
                let saved = net.nonces
                let signed = net.transaction(who, try payload(net, who, job, &random))
                let pending = transactions.map(\.transaction).filter { $0.sender == who.publicKey }
                do {
                    try Admission.check(
                        signed, network: net.genesis.digest, baseFee: try net.block([]).header.baseFee,
                        pending: try Admission.Pending(pending, net.genesis.parameters),
                        parameters: net.genesis.parameters, in: net.store)
                    transactions.append(signed)
                } catch { net.nonces = saved }
            }
            try net.step(transactions, after: UInt64.random(in: 1...4000, using: &random))
            for job in try Query.jobs(limit: 100, in: net.store) {
                states.insert(job.state)
                switch job.claim?.subject {
                case .output: claims.formUnion(job.claim.map { [$0.state] } ?? [])
                case .inputs: questions.formUnion(job.claim.map { [$0.state] } ?? [])
                case .checkpoint, nil: break
                }
                if job.assignment?.isStaged == true { staged = true }
                if job.assignment?.decoy != nil { traps.insert(job.id) }
                if job.assignment?.isNewcomer == true { newcomers.insert(job.id) }
                guard let gang = job.gang else { continue }
                if job.boundGang == nil {
                    if job.attempt > 0 { placed.insert(gang.gang) }
                    continue
                }
                bound.insert(gang.gang)
                // While it binds, what holds of one member holds of all.
                #expect(try gang.jobs.allSatisfy { try net.job($0).state == job.state })
            }
            for dispute in try Query.allDisputes(in: net.store) { ends.insert(dispute.state) }
        }
        #expect(lacks == nil, "after \(steps) steps seed \(seed) \(lacks ?? "")")
        let replay = MemoryStateStore()
        try net.genesis.initialize(replay)
        for block in net.blocks {
            // Through bytes, as another machine would see it.
            let decoded = try Block(canonicalBytes: block.canonicalBytes)
            let result = try Execution.apply(decoded, parameters: net.genesis.parameters, to: replay)
            #expect(try Query.stateRoot(at: result.height, in: net.store) == result.stateRoot)
        }
        #expect(replay.all(.state).map(\.value) == net.store.all(.state).map(\.value))
        #expect(replay.all(.tree).map(\.value) == net.store.all(.tree).map(\.value))
        // The incremental tree is the tree of everything.
        var writes = StateWrites()
        let fresh = try StateTree.update(
            net.store.all(.state).map { ($0.key, Optional($0.value)) }, in: MemoryStateStore(), writes: &writes)
        #expect(try StateTree.root(of: net.store) == fresh)
    }

    @Test func theStateHasNoWorkWhenNothingIsDue() throws {
        let net = try TestNet()
        #expect(try !Query.hasWork(in: net.store))
        try net.openMarket()
        let id = try net.submit(net.spec())
        #expect(try Query.hasWork(in: net.store))
        try net.step()
        let provider = try net.executor(id)
        try net.act(provider, .startJob(job: id, attempt: 1))
        #expect(try !Query.hasWork(in: net.store))
        #expect(try Query.hasWork(in: net.store, at: net.parent.time.adding(milliseconds: 3000)) == false)
        try net.act(provider, .commitResult(job: id, attempt: 1, masked: try net.masked(provider, id)))
        #expect(try Query.hasWork(in: net.store))
        let stuck = try net.submit(net.spec(ceiling: .xpl(1)))
        try net.pass(3000)
        #expect(try net.job(stuck).state == .open)
    }
}
