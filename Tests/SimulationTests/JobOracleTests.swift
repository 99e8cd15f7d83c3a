import Ledger
import Primitives
import Programs
import Simulation
import Testing

/// The oracle of the market: told of something that no correct network does, it says so. A job that is sound comes first, so that what is blamed is the one
/// thing that is wrong.
struct JobOracleTests {
    static let price = Amount.xpl(1)
    static let share = Amount(baseUnits: 2_400_000_000)
    static let bond = Amount.xpl(1_000)
    static let fee = Amount(baseUnits: 9_000)

    static func digest(_ number: UInt8) -> Digest { Digest.of(Domain("test"), [number]) }

    static func commitment(_ number: UInt8) -> ResultCommitment {
        ResultCommitment(steps: [1], outputRoot: digest(number), stateRoot: digest(0))
    }

    /// What a state would say, block after block, of one job that goes its way: the requester's, the provider's and the auditor's.
    final class Story {
        var oracle: JobOracle
        var books: MarketBooks
        let requester: SecretKey
        let provider: Address
        let auditorKey: SecretKey
        let auditor: Address
        let payouts: [Address]
        let parameters = ChainParameters.devnet
        let genesis: Genesis
        var parent: Header
        var job: Job?
        /// Jobs besides that one.
        var others: [Job] = []
        let truth = JobOracleTests.commitment(1)
        let posted: Amount

        init(honest: Bool = true) throws {
            func key(_ number: UInt8) throws -> SecretKey { try SecretKey(seed: [UInt8](repeating: number, count: 32)) }
            requester = try key(1)
            provider = try key(2).publicKey.address
            auditorKey = try key(3)
            auditor = auditorKey.publicKey.address
            payouts = [try key(4).publicKey.address, try key(5).publicKey.address]
            let validator = try key(6)
            let rest = try Genesis.totalSupply.subtracting(.xpl(1_000))
            genesis = Genesis(
                chainName: "test", timestamp: Timestamp(milliseconds: 1_000), parameters: .devnet,
                validators: [
                    Validator(
                        consensusKey: validator.publicKey, vrfKey: validator.publicKey, stake: .xpl(1_000),
                        operatorAddress: validator.publicKey.address)
                ], accounts: [], treasury: rest)
            parent = genesis.header
            // The ceiling is 1 XPL, of which a tenth is the staging deposit.
            posted = try Amount.xpl(2).adding(ChainParameters.devnet.feeAllowance).adding(Amount(parsing: "0.1"))
            let first = Amount.xpl(100)
            oracle = JobOracle(
                parameters: .devnet,
                providers: [
                    .init(address: provider, payout: payouts[0], isHonest: honest),
                    .init(address: auditor, payout: payouts[1], isHonest: true),
                ], requesters: [requester.publicKey.address: first])
            let owners = [(provider, payouts[0]), (auditor, payouts[1])]
            let providers = owners.map { address, payout in
                Provider(
                    address: address, name: "", node: validator.publicKey, payout: payout, bond: JobOracleTests.bond)
            }
            books = MarketBooks(
                height: 0, jobs: [], receipts: [:], providers: providers, running: [:], escrowed: .zero,
                bonded: .xpl(2_000),
                balances: [
                    requester.publicKey.address: first, payouts[0]: .zero, payouts[1]: .zero,
                ])
        }

        /// One block with these, after some of the auditor's, all of them well received; the books are told when all is entered in them.
        func block(_ payloads: [Payload], after words: [Payload] = []) -> [Digest] {
            let signed = (words + payloads).enumerated().map { place, payload in
                let key = place < words.count ? auditorKey : requester
                return Transaction(
                    network: genesis.digest, sender: key.publicKey,
                    nonce: Nonce(parent.height.value * 10 + UInt64(place)),
                    maximumFee: .xpl(1), payload: payload
                ).signed(by: key)
            }
            let header = Header(
                network: genesis.digest, epoch: 0, view: View(parent.view.value + 1), height: parent.height.next(),
                parent: parent.digest, time: parent.time.adding(milliseconds: 100), proposer: 0,
                txRoot: Block.txRoot(signed), weight: 0, baseFee: 10, executedHeight: 0, stateRoot: .zero,
                vrfProof: parent.vrfProof, beacon: parent.beacon)
            parent = header
            books.height = header.height
            oracle.executed(
                Block(header: header, transactions: signed),
                signed.map {
                    TransactionReceipt(
                        id: $0.id, succeeded: true, reason: "", weight: 1, fee: JobOracleTests.fee)
                })
            return signed.map(\.id)
        }

        func enter(_ state: JobState) {
            job?.state = state
            job?.history.append(JobStep(state: state, height: books.height, time: parent.time))
        }

        func tell() {
            books.jobs = [job].compactMap { $0 } + others
            let deposits = books.jobs.compactMap(\.claim).filter { $0.subject == .output && $0.state == .open }
            books.escrowed = Amount(
                baseUnits: books.jobs.reduce(0) { $0 + $1.escrow.baseUnits }
                    + deposits.reduce(0) { $0 + $1.deposit.baseUnits })
            oracle.holds(books)
        }

        /// What the requester has paid so far beside what its job holds, taken from its balance.
        func charge(_ amounts: Amount...) throws {
            let address = requester.publicKey.address
            for amount in amounts { books.balances[address] = try books.balances[address]?.subtracting(amount) }
        }

        static func spec() throws -> JobSpec {
            JobSpec(
                program: JobOracleTests.digest(1), manifest: JobOracleTests.digest(2), axes: [],
                parameters: AgreedList([]), inputs: [], scans: [JobScan(steps: 1, weightedOperations: 1)],
                computeUnits: ComputeUnits(weightedOperations: 1_000_000_000_000), memory: 1,
                maximumPricePer1000CU: JobOracleTests.price, policy: .audited, queueMilliseconds: 1,
                deadlineMilliseconds: 1,
                storageHint: try SecretKey(seed: [UInt8](repeating: 9, count: 32)).publicKey)
        }

        func post(mustSettle: Bool = true) throws {
            let spec = try Story.spec()
            let id = block([.submitJob(spec)])[0]
            oracle.ordered(id, truth: truth, mustSettle: mustSettle)
            job = Job(
                id: id, number: 1, requester: requester.publicKey.address, spec: spec, height: 1,
                escrow: posted, allowance: parameters.feeAllowance)
            try charge(posted, parameters.postingFee, JobOracleTests.fee)
            enter(.open)
            tell()
        }

        func assign() {
            _ = block([])
            job?.attempt += 1
            job?.assignment = Assignment(
                provider: provider, device: 0, price: JobOracleTests.price, share: JobOracleTests.share,
                milliseconds: 1, slowestMilliseconds: 1, height: books.height, beacon: .zero)
            books.providers[0].locked = JobOracleTests.share
            books.running[provider] = 1
            enter(.assigned)
            tell()
        }

        /// A move, whose fee the job pays. It is signed by the requester: of the mover the oracle asks nothing.
        func move(_ payload: (Digest) -> Payload, to state: JobState) throws {
            let id = try #require(job?.id)
            _ = block([payload(id)])
            let held = try #require(job).escrow
            job?.escrow = try held.subtracting(JobOracleTests.fee)
            // The sender's balance is told of as if it had paid.
            try charge(JobOracleTests.fee)
            enter(state)
        }

        func toAuditing(_ result: ResultCommitment, _ audit: ResultCommitment?) throws {
            try move({ .startJob(job: $0, attempt: 1) }, to: .running)
            tell()
            try move({ .commitResult(job: $0, attempt: 1, masked: .zero) }, to: .committed)
            tell()
            let opening = ResultOpening(commitment: result, salt: .zero)
            try move({ .openResult(job: $0, attempt: 1, opening: opening) }, to: .auditing)
            job?.assignment?.commitment = result
            job?.audits = [Audit(auditor: auditor, height: books.height, price: JobOracleTests.price, share: .zero)]
            job?.audits[0].commitment = audit
            tell()
        }

        func release() {
            books.providers[0].locked = .zero
            books.running[provider] = 0
        }

        /// Paid, as it should be: the price to the provider and to the auditor, less four in a hundred. `fees`: what the auditor has got besides.
        func settle(_ result: ResultCommitment, fees: Amount = .zero) throws {
            _ = block([])
            let left = try #require(job).escrow
            enter(.settled)
            job?.escrow = .zero
            job?.allowance = .zero
            release()
            let paid = Amount(baseUnits: 960_000_000)
            books.balances[payouts[0]] = paid
            books.balances[payouts[1]] = try paid.adding(fees)
            let address = requester.publicKey.address
            let rest = try left.subtracting(.xpl(2))
            books.balances[address] = try books.balances[address]?.adding(rest)
            let settled = try #require(job)
            books.receipts[settled.id] = JobReceipt(
                job: settled.id, requester: address, provider: provider, attempt: 1, commitment: result,
                computeUnits: settled.spec.computeUnits, amount: JobOracleTests.price, auditFees: JobOracleTests.price,
                auditors: [auditor], submittedHeight: 1, committedHeight: 1, settledHeight: books.height)
            tell()
        }

        func blamed(_ words: String, sourceLocation: SourceLocation = #_sourceLocation) {
            #expect(
                oracle.violations.contains { $0.contains(words) }, "\(oracle.violations)",
                sourceLocation: sourceLocation)
        }
    }

    /// A job that runs, before it is settled, and the oracle content with it.
    func audited(
        honest: Bool = true, result: ResultCommitment = commitment(1), audit: ResultCommitment? = commitment(1)
    )
        throws -> Story
    {
        let story = try Story(honest: honest)
        try story.post()
        story.assign()
        try story.toAuditing(result, audit)
        return story
    }

    func settled() throws -> Story {
        let story = try audited()
        try story.settle(story.truth)
        #expect(story.oracle.violations == [])
        return story
    }

    @Test func aJobThatGoesItsWayIsPaidAndNothingIsSaid() throws {
        let story = try settled()
        #expect(!story.oracle.isBusy)
        story.oracle.judgeEnd()
        #expect(story.oracle.violations == [])
        #expect(story.oracle.counts.jobs == 1 && story.oracle.counts.settled == 1)
    }

    @Test func aJobThatNobodyPosted() throws {
        let story = try settled()
        let job = try #require(story.job)
        story.books.jobs.append(
            Job(
                id: Self.digest(7), number: 2, requester: job.requester, spec: job.spec, height: 1,
                escrow: .zero, allowance: .zero))
        story.oracle.holds(story.books)
        story.blamed("2 jobs, 1 were posted")
        story.blamed("nobody posted job")
    }

    @Test func aStepThatThereIsNot() throws {
        let story = try Story()
        try story.post()
        story.enter(.committed)
        story.tell()
        story.blamed("went from open to committed")
    }

    @Test func aHistoryThatIsRewrittenOrDoesNotSayWhereTheJobIs() throws {
        let story = try audited()
        story.job?.history[1] = JobStep(state: .assigned, height: 77, time: story.parent.time)
        story.tell()
        story.blamed("was rewritten")
        let other = try audited()
        other.job?.state = .opened
        other.tell()
        other.blamed("its history does not say so")
    }

    @Test func aJobThatSettlesTwoWays() throws {
        let story = try settled()
        story.enter(.failed)
        story.tell()
        story.blamed("went from settled to failed")
        story.blamed("was settled and changed after that")
        story.blamed("has a receipt and is not settled")
    }

    @Test func moneyThatAJobKeeps() throws {
        let story = try settled()
        story.job?.escrow = .xpl(1)
        story.tell()
        story.blamed("is settled and still holds")
    }

    @Test func moneyThatAJobLosesOnItsWay() throws {
        let story = try audited()
        story.job?.escrow = .xpl(1)
        story.tell()
        story.blamed("holds 1 XPL, by our books not")
    }

    @Test func totalsThatAreNotTheSum() throws {
        let story = try settled()
        story.books.escrowed = .xpl(1)
        story.books.bonded = .xpl(1)
        story.oracle.holds(story.books)
        story.blamed("the jobs at height")
        story.blamed("the bonds at height")
    }

    @Test func aBondThatStaysLockedOrGrowsAndAPlaceThatStaysTaken() throws {
        let story = try settled()
        story.books.providers[0].locked = Self.share
        story.books.providers[0].bond = .xpl(1_001)
        story.books.running[story.provider] = 1
        story.oracle.holds(story.books)
        story.blamed("locked at height")
        story.blamed("grew by itself")
        story.blamed("count other jobs")
    }

    @Test func aProviderOrARequesterWithAnotherSum() throws {
        let story = try settled()
        story.books.balances[story.payouts[1]] = .xpl(1)
        story.books.balances[story.requester.publicKey.address] = .xpl(98)
        story.oracle.holds(story.books)
        story.blamed("has been paid 1 at height")
        story.blamed("has 98 XPL")
    }

    @Test func aSettledJobWithoutAReceiptOrWithAnothers() throws {
        let story = try settled()
        let id = try #require(story.job?.id)
        let receipt = try #require(story.books.receipts[id])
        story.books.receipts[id] = nil
        story.oracle.holds(story.books)
        story.blamed("settled without a receipt")
        let other = try settled()
        other.books.receipts[id] = Self.receipt(receipt, commitment: Self.commitment(2))
        other.oracle.holds(other.books)
        other.blamed("is not of what was done")
        let third = try settled()
        third.books.receipts[id] = Self.receipt(receipt, auditors: [])
        third.oracle.holds(third.books)
        third.blamed("pays others than those who audited it")
    }

    static func receipt(
        _ receipt: JobReceipt, commitment: ResultCommitment? = nil, auditors: [Address]? = nil
    ) -> JobReceipt {
        JobReceipt(
            job: receipt.job, requester: receipt.requester, provider: receipt.provider, attempt: receipt.attempt,
            commitment: commitment ?? receipt.commitment, computeUnits: receipt.computeUnits, amount: receipt.amount,
            auditFees: receipt.auditFees, auditors: auditors ?? receipt.auditors,
            submittedHeight: receipt.submittedHeight, committedHeight: receipt.committedHeight,
            settledHeight: receipt.settledHeight)
    }

    @Test func anHonestProviderThatFindsSomethingElse() throws {
        let story = try audited(result: Self.commitment(2), audit: nil)
        story.blamed("honest provider")
    }

    @Test func aWrongResultThatIsPaidAlthoughItWasSeen() throws {
        let wrong = Self.commitment(2)
        let story = try audited(honest: false, result: wrong, audit: nil)
        #expect(story.oracle.violations == [])
        try story.settle(wrong)
        story.blamed("is paid for a wrong result that an honest auditor has seen")
    }

    @Test func aDisputeOfWhatAllAgreeOn() throws {
        let story = try audited()
        story.enter(.disputed)
        story.tell()
        story.blamed("is disputed, and all say what is so")
    }

    /// Of an honest provider, by an honest auditor: whatever the arithmetic says against one of them is wrong, but that it was late.
    @Test(arguments: [DisputeState.convicted, .acquitted]) func aDisputeThatTheHonestLose(_ state: DisputeState) throws
    {
        let program = try Program(
            axes: [], parameters: [], inputs: [], scans: [Scan(steps: 1, operations: [], outputs: [])])
        func story(_ reason: String) throws -> Story {
            let story = try audited()
            let opening = DisputeOpening(program)
            let subject = DisputeSubject(
                program: program.root, axes: [], seed: 0, parameters: AgreedList([]), inputs: AgreedList([]),
                initialState: .zero, steps: [1], outputRoot: .zero, stateRoot: .zero)
            var dispute = Dispute(
                job: try #require(story.job).id, attempt: 1, challenger: story.auditor, defender: story.provider,
                deposit: .zero, isAuditor: true, height: 1, walk: try Walk(subject, opening), since: 0, deadline: 0)
            dispute.state = state
            dispute.reason = reason
            story.books.disputes = [dispute]
            story.oracle.holds(story.books)
            return story
        }
        try story("element 1 is wrong").blamed(state == .convicted ? "was convicted over" : "lost its dispute over")
        let late = try story("it did not go on in time")
        #expect(late.oracle.violations == [])
        #expect(late.oracle.counts.convicted + late.oracle.counts.acquitted == 1)
    }

    @Test func aDepositThatIsNotInTheTotals() throws {
        let story = try audited()
        let program = try Program(
            axes: [], parameters: [], inputs: [], scans: [Scan(steps: 1, operations: [], outputs: [])])
        let subject = DisputeSubject(
            program: program.root, axes: [], seed: 0, parameters: AgreedList([]), inputs: AgreedList([]),
            initialState: .zero, steps: [1], outputRoot: .zero, stateRoot: .zero)
        let dispute = Dispute(
            job: try #require(story.job).id, attempt: 1, challenger: story.auditor, defender: story.provider,
            deposit: .xpl(2), isAuditor: false, height: 1, walk: try Walk(subject, DisputeOpening(program)), since: 0,
            deadline: 0)
        story.books.disputes = [dispute]
        story.oracle.holds(story.books)
        story.blamed("the jobs at height")
    }

    @Test func aJobThatIsNeverPostedOrNeverOver() throws {
        let story = try Story()
        story.oracle.ordered(Self.digest(5), truth: story.truth, mustSettle: true)
        #expect(story.oracle.isBusy)
        story.oracle.judgeEnd()
        story.blamed("never posted")
        let other = try audited()
        #expect(other.oracle.isBusy)
        other.oracle.judgeEnd()
        other.blamed("is still auditing")
    }

    @Test func anHonestJobThatIsNotPaid() throws {
        let story = try Story()
        try story.post()
        _ = story.block([])
        let left = try #require(story.job).escrow
        let address = story.requester.publicKey.address
        story.books.balances[address] = try story.books.balances[address]?.adding(left)
        story.job?.escrow = .zero
        story.job?.allowance = .zero
        story.job?.excluded = [story.provider]
        story.enter(.expired)
        story.tell()
        #expect(story.oracle.violations == [])
        story.oracle.judgeEnd()
        story.blamed("honest among the honest, is expired")
        story.blamed("in a network that is well")
    }

    @Test func anHonestAuditorThatIsCountedAsSilent() throws {
        let story = try audited(audit: nil)
        story.job?.audits[0].isSilent = true
        try story.settle(story.truth)
        story.oracle.judgeEnd()
        story.blamed("honest auditor")
    }
}
