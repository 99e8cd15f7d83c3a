import Consensus
import Ledger
import Primitives
import Programs
import Testing

/// A little network in memory: makes blocks, keeps nonces, checks conservation after every block.
final class TestNet {
    let genesis: Genesis
    let store = MemoryStateStore()
    var parent: Header
    var nonces: [PublicKey: UInt64] = [:]
    var lastResult: ExecutionResult?
    var blocks: [Block] = []
    /// What each has paid from its balance for its transactions; moves that a job's allowance pays are not in it.
    var fees: [Address: Amount] = [:]
    /// Validators that a test has convicted.
    var convicted: [PublicKey] = []
    /// New XPL that a test expects to be there.
    var minted = Amount.zero
    let validator: SecretKey
    let people: [SecretKey]
    let requester: SecretKey
    let providers: [SecretKey]
    /// Who has come later, with nothing.
    var strangers: [SecretKey] = []

    static func key(_ index: Int) -> SecretKey {
        guard let key = try? SecretKey(seed: [UInt8](repeating: UInt8(index + 1), count: 32)) else {
            preconditionFailure("a seed has 32 bytes")
        }
        return key
    }

    static var parameters: ChainParameters {
        var parameters = ChainParameters.devnet
        parameters.auditLag = 2
        parameters.heartbeatMilliseconds = 2000
        parameters.offerActivationHeights = 1
        // Those who are about traps, or about device challenges, set them.
        parameters.deviceChallengeInterval = 0
        parameters.trapPerMille = 0
        return parameters
    }

    init(parameters: ChainParameters = TestNet.parameters) throws {
        people = (0..<8).map(TestNet.key)
        requester = people[0]
        providers = Array(people[1...4])
        let each = Amount.xpl(1_000_000)
        let stake = Amount.xpl(1000)
        let rest = try Genesis.totalSupply.subtracting(each.multiplied(by: 8)).subtracting(stake)
        validator = TestNet.key(100)
        genesis = Genesis(
            chainName: "test", timestamp: Timestamp(milliseconds: 1_000_000), parameters: parameters,
            validators: [
                Ledger.Validator(
                    consensusKey: validator.publicKey, vrfKey: validator.publicKey, stake: stake,
                    operatorAddress: validator.publicKey.address)
            ],
            accounts: people.map { GenesisAccount(address: $0.publicKey.address, balance: each) }, treasury: rest)
        parent = genesis.header
        try genesis.initialize(store)
    }

    func transaction(_ key: SecretKey, _ payload: Payload, tip: Amount = .zero) -> SignedTransaction {
        let nonce = nonces[key.publicKey, default: 0]
        nonces[key.publicKey] = nonce + 1
        return Transaction(
            network: genesis.digest, sender: key.publicKey, nonce: Nonce(nonce), tip: tip, maximumFee: .xpl(1),
            payload: payload
        ).signed(by: key)
    }

    var epoch: EpochStart {
        get throws {
            let epoch = try Query.chain(in: store).epoch
            return try #require(try Query.epochStart(epoch, in: store))
        }
    }

    /// What the next block's beacon is made of, where a test chooses it.
    var luck: Digest?

    func block(
        _ transactions: [SignedTransaction], after milliseconds: UInt64 = 100, votes: BlockVotes = BlockVotes()
    ) throws -> Block {
        let schedule = EpochSchedule(try epoch, genesis.parameters)
        // Everything before the block is executed; the snapshot is not jumped over.
        var claimed = parent.height
        if parent.executedHeight < schedule.snapshotHeight { claimed = min(claimed, schedule.snapshotHeight) }
        let next =
            claimed >= schedule.snapshotHeight
            ? try Query.epochRecord(schedule.epoch.next(), in: store)?.digest : nil
        let time = parent.time.adding(milliseconds: milliseconds)
        let weight = transactions.reduce(UInt64(0)) { $0 + Fees.weight($1.transaction, genesis.parameters) }
        let header = Header(
            network: genesis.digest, epoch: schedule.epoch, view: View(parent.view.value + 1),
            height: parent.height.next(),
            parent: parent.digest, time: time, proposer: 0, txRoot: Block.txRoot(transactions),
            votesDigest: votes.digest, weight: weight,
            baseFee: Fees.baseFee(after: parent, at: time, genesis.parameters), executedHeight: claimed,
            stateRoot: .zero, nextEpochRecord: next, vrfProof: parent.vrfProof,
            beacon: Header.beacon(after: parent.beacon, output: luck ?? parent.digest))
        return Block(header: header, transactions: transactions, votes: votes)
    }

    /// Makes, checks, executes and commits a block, and counts all money.
    @discardableResult
    func step(
        _ transactions: [SignedTransaction] = [], after milliseconds: UInt64 = 100, votes: BlockVotes = BlockVotes()
    ) throws -> ExecutionResult {
        let block = try block(transactions, after: milliseconds, votes: votes)
        try Validity.check(block, parent: parent, ancestors: [], parameters: genesis.parameters, in: store)
        let result = try Execution.apply(block, parameters: genesis.parameters, to: store)
        parent = block.header
        blocks.append(block)
        lastResult = result
        for (signed, receipt) in zip(transactions, result.receipts)
        where !(receipt.succeeded && signed.transaction.payload.isMarketMove) {
            let sender = signed.transaction.sender.address
            fees[sender] = try fees[sender, default: .zero].adding(receipt.fee)
        }
        try assertConserved()
        return result
    }

    /// One transaction in a block of its own, which must succeed.
    func act(_ key: SecretKey, _ payload: Payload) throws {
        let result = try step([transaction(key, payload)])
        #expect(result.receipts[0].succeeded, "\(result.receipts[0].reason)")
    }

    /// One transaction that must fail, for a reason that says this.
    func fail(_ key: SecretKey, _ payload: Payload, _ words: String) throws {
        let result = try step([transaction(key, payload)])
        #expect(!result.receipts[0].succeeded)
        #expect(result.receipts[0].reason.contains(words), "\(result.receipts[0].reason)")
    }

    func pass(_ milliseconds: UInt64) throws {
        var left = milliseconds
        while left > 0 {
            try step(after: min(left, 1000))
            left -= min(left, 1000)
        }
    }

    func balance(_ key: SecretKey) throws -> Amount { try Query.account(key.publicKey.address, in: store).balance }

    /// Every account, escrow, bond and pool, counted one by one, against the supply.
    func assertConserved() throws {
        let totals = try Query.totals(in: store)
        var liquid = Amount.zero
        for entry in store.all(.state) where entry.key.first == StateKey.account(people[0].publicKey.address)[0] {
            liquid = try liquid.adding(Account(canonicalBytes: entry.value).balance)
        }
        var escrowed = Amount.zero
        for job in try Query.jobs(limit: 10_000, in: store) {
            escrowed = try escrowed.adding(job.escrow)
            if let claim = job.claim, claim.state == .open, claim.subject == .output {
                escrowed = try escrowed.adding(claim.deposit)
            }
            #expect(job.allowance <= job.escrow)
            #expect(!job.state.isTerminal || job.escrow == .zero)
        }
        for dispute in try Query.allDisputes(in: store) where dispute.state == .open {
            escrowed = try escrowed.adding(dispute.deposit)
        }
        var held: [Address: Amount] = [:]
        var atStake: [Address: Amount] = [:]
        for job in try Query.jobs(limit: 10_000, in: store) where !job.state.isTerminal {
            if let assignment = job.assignment {
                held[assignment.provider] = try held[assignment.provider, default: .zero].adding(assignment.share)
                atStake[assignment.provider] = try atStake[assignment.provider, default: .zero].adding(
                    assignment.atStake)
                // What is credited is there.
                #expect(assignment.atStake <= job.escrow)
            }
            for audit in job.audits where !audit.isReleased {
                held[audit.auditor] = try held[audit.auditor, default: .zero].adding(audit.share)
            }
            if let report = job.slowReport {
                held[report.provider] = try held[report.provider, default: .zero].adding(report.stake)
            }
        }
        var bonded = Amount.zero
        for provider in try Query.providers(in: store) {
            bonded = try bonded.adding(provider.bond)
            #expect(provider.locked == held[provider.address] ?? .zero)
            #expect(provider.atStake == atStake[provider.address] ?? .zero)
        }
        #expect(liquid == totals.liquid)
        #expect(escrowed == totals.escrowed)
        #expect(bonded == totals.bonded)
        var staked = Amount.zero
        for validator in try Query.validators(in: store) { staked = try staked.adding(validator.stake) }
        for key in convicted {
            if let validator = try Query.tombstone(key, in: store) { staked = try staked.adding(validator.stake) }
        }
        for key in convicted + (try Query.validators(in: store).map(\.consensusKey)) {
            for unbonding in try Query.unbondings(of: key, in: store) { staked = try staked.adding(unbonding.amount) }
        }
        #expect(staked == totals.staked)
        #expect(totals.isConserved)
        #expect(totals.supply == (try Genesis.totalSupply.adding(minted)))
    }

    /// A balance as it would be without fees.
    func worth(_ key: SecretKey) throws -> Amount {
        try balance(key).adding(fees[key.publicKey.address, default: .zero])
    }

    func provider(_ key: SecretKey) throws -> Provider {
        try #require(try Query.provider(key.publicKey.address, in: store))
    }

    // MARK: The market

    func address(_ key: SecretKey) -> Address { key.publicKey.address }

    func offerTerms(_ price: Amount = .xpl(10), capacity: UInt16 = 4) -> OfferTerms {
        OfferTerms(
            device: 0, pricePer1000CUf32: price, pricePer1000CUi8: price, memory: 1 << 30, capacity: capacity,
            expiry: 1_000_000, measuredRate: 10_000_000_000)
    }

    func openMarket(_ count: Int = 4) throws {
        var payloads: [SignedTransaction] = []
        for (index, key) in providers.prefix(count).enumerated() {
            payloads.append(
                transaction(
                    key,
                    .registerProvider(
                        name: "p\(index)", node: key.publicKey, payout: address(key), bond: .xpl(1000))))
            payloads.append(transaction(key, .setOffer(offerTerms())))
        }
        let result = try step(payloads)
        for receipt in result.receipts { #expect(receipt.succeeded, "\(receipt.reason)") }
        try step()
    }

    func spec(_ policy: AuditPolicy = .audited, ceiling: Amount = .xpl(20), queue: UInt64 = 5000) -> JobSpec {
        JobSpec(
            program: Digest.of(Domain("test"), [1]), manifest: Digest.of(Domain("test"), [2]), axes: [],
            parameters: AgreedList([]), inputs: [JobInput(name: "ids", root: Digest.of(Domain("test"), [3]))],
            scans: [JobScan(steps: 1, weightedOperations: 100_000_000_000)],
            computeUnits: ComputeUnits(weightedOperations: 100_000_000_000), memory: 1 << 20,
            maximumPricePer1000CU: ceiling, policy: policy, queueMilliseconds: queue, deadlineMilliseconds: 600_000,
            storageHint: requester.publicKey)
    }

    func submit(_ spec: JobSpec) throws -> Digest {
        let signed = transaction(requester, .submitJob(spec))
        let result = try step([signed])
        #expect(result.receipts[0].succeeded, "\(result.receipts[0].reason)")
        return signed.id
    }

    func job(_ id: Digest) throws -> Job { try #require(try Query.job(id, in: store)) }

    func executor(_ id: Digest) throws -> SecretKey {
        let provider = try #require(try job(id).assignment?.provider)
        return try key(provider)
    }

    func key(_ address: Address) throws -> SecretKey {
        try #require((people + strangers).first { self.address($0) == address })
    }

    static let result = ResultCommitment(
        steps: [1], outputRoot: Digest.of(Domain("test"), [9]), stateRoot: .zero)
    static let otherResult = ResultCommitment(
        steps: [1], outputRoot: Digest.of(Domain("test"), [8]), stateRoot: .zero)

    func salt(_ key: SecretKey) -> Digest { Digest.of(Domain("salt"), key.publicKey.bytes) }

    func masked(_ key: SecretKey, _ id: Digest, _ commitment: ResultCommitment = TestNet.result) throws -> Digest {
        commitment.masked(salt: salt(key), provider: address(key), job: id, attempt: try job(id).attempt)
    }

    static let decoy = ResultCommitment(
        steps: [1], outputRoot: Digest.of(Domain("test"), [7]), stateRoot: .zero)

    /// How an honest provider opens: beside `decoy` where its draw sets a trap.
    func opening(
        _ id: Digest, _ provider: SecretKey, _ result: ResultCommitment = TestNet.result,
        decoy: ResultCommitment = TestNet.decoy
    ) throws -> ResultOpening {
        let job = try job(id)
        let trap = TrapProof(job: id, beacon: try #require(job.assignment?.beacon), key: provider)
        let isSet = trap.isSet(perMille: genesis.parameters.trapPerMille)
        return ResultOpening(
            commitment: result, decoy: isSet ? decoy : nil, salt: salt(provider),
            trap: job.audits.isEmpty ? nil : trap)
    }

    /// Brings a job to where its provider's commitment is posted and its auditors are drawn.
    func runToDraw(_ id: Digest) throws -> SecretKey { try run(id, to: TestNet.result) }

    /// Posts the mask of a result, and brings the job to its draw.
    func run(_ id: Digest, to result: ResultCommitment, decoy: ResultCommitment = TestNet.decoy) throws -> SecretKey {
        try step()
        let provider = try executor(id)
        let attempt = try job(id).attempt
        try act(provider, .startJob(job: id, attempt: attempt))
        let opening = try opening(id, provider, result, decoy: decoy)
        let masked = opening.masked(provider: address(provider), job: id, attempt: attempt)
        try act(provider, .commitResult(job: id, attempt: attempt, masked: masked))
        try step()
        try step()
        return provider
    }

    func commitAudits(_ id: Digest, _ commitment: ResultCommitment = TestNet.result) throws -> [SecretKey] {
        var auditors: [SecretKey] = []
        for audit in try job(id).audits where !audit.isSilent && audit.masked == nil {
            let auditor = try key(audit.auditor)
            let attempt = try job(id).attempt
            try act(auditor, .commitAudit(job: id, attempt: attempt, masked: try masked(auditor, id, commitment)))
            auditors.append(auditor)
        }
        return auditors
    }

    func open(
        _ id: Digest, _ provider: SecretKey, _ result: ResultCommitment = TestNet.result,
        decoy: ResultCommitment = TestNet.decoy
    ) throws {
        let opening = try opening(id, provider, result, decoy: decoy)
        try act(provider, .openResult(job: id, attempt: try job(id).attempt, opening: opening))
    }

    func revealAudit(_ id: Digest, _ auditor: SecretKey, _ result: ResultCommitment = TestNet.result) throws {
        try act(
            auditor,
            .revealAudit(job: id, attempt: try job(id).attempt, commitment: result, salt: salt(auditor)))
    }
}
