import Ledger
import Primitives
import Simulation
import Testing

/// What the oracle of the market says of gangs, of jobs that read what others leave, of claims, slow numbers and bonds. A sound story comes first, so that what
/// is blamed is the one thing that is wrong.
struct JobOracleLawTests {
    typealias Story = JobOracleTests.Story

    static let fee = Amount(baseUnits: 50_000_000)

    // MARK: Gangs

    /// A gang of two, both open.
    private func gang() throws -> Story {
        let story = try Story()
        let spec = try Story.spec()
        let id = story.block([.submitGang([spec, spec])])[0]
        let members = GangPlace.jobs(of: id, count: 2).map { member in
            var job = Job(
                id: member, number: 1, requester: story.requester.publicKey.address, spec: spec, height: 1,
                escrow: story.posted, allowance: story.parameters.feeAllowance)
            job.state = .open
            job.history = [JobStep(state: .open, height: story.books.height, time: story.parent.time)]
            return job
        }
        for _ in members { try story.charge(story.posted, story.parameters.postingFee) }
        try story.charge(JobOracleTests.fee)
        story.others = members
        story.tell()
        #expect(story.oracle.violations == [])
        return story
    }

    private func enter(_ place: Int, _ state: JobState, _ story: Story) {
        story.others[place].state = state
        story.others[place].history.append(
            JobStep(state: state, height: story.books.height, time: story.parent.time))
    }

    private func assign(_ place: Int, _ story: Story) throws {
        enter(place, .assigned, story)
        story.others[place].attempt = 1
        story.others[place].assignment = Assignment(
            provider: story.provider, device: 0, price: JobOracleTests.price, share: JobOracleTests.share,
            milliseconds: 1, slowestMilliseconds: 1, height: story.books.height, beacon: .zero)
        story.books.providers[0].locked = try story.books.providers[0].locked.adding(JobOracleTests.share)
        story.books.running[story.provider, default: 0] += 1
    }

    @Test func aGangThatIsPlacedInOneBlockIsAsItShouldBe() throws {
        let story = try gang()
        _ = story.block([])
        for place in 0..<2 { try assign(place, story) }
        story.tell()
        #expect(story.oracle.violations == [])
        #expect(story.oracle.counts.ganged == 2)
    }

    @Test func aGangOfWhichOneAloneIsPlaced() throws {
        let story = try gang()
        _ = story.block([])
        try assign(1, story)
        story.tell()
        story.blamed("was not placed in one block")
    }

    @Test func aGangWhoseMembersArePlacedOneBlockAfterTheOther() throws {
        let story = try gang()
        for place in 0..<2 {
            _ = story.block([])
            try assign(place, story)
        }
        story.tell()
        story.blamed("was not placed in one block")
    }

    @Test func aGangThatEndsInTwoWays() throws {
        let story = try gang()
        _ = story.block([])
        for (place, state) in [JobState.expired, .cancelled].enumerated() {
            enter(place, state, story)
            story.others[place].escrow = .zero
            story.others[place].allowance = .zero
        }
        story.tell()
        story.blamed("its members end in different ways")
    }

    @Test func aGangOfWhichOneIsNeverPosted() throws {
        let story = try gang()
        _ = story.block([])
        story.others.removeLast()
        story.tell()
        story.blamed("1 of 2 are there")
    }

    // MARK: Parents

    /// A settled job, and one that reads what it leaves.
    private func child(opened: Bool) throws -> Story {
        let story = try JobOracleTests().settled()
        let parent = try #require(story.job)
        var spec = try Story.spec()
        spec.inputs = [
            JobInput(name: "x", source: .result(ResultTensor(job: parent.id, step: 0, index: 0, count: 1)))
        ]
        let id = story.block([.submitJob(spec)])[0]
        story.oracle.ordered(id, truth: story.truth, parents: [parent.id], mustSettle: false)
        var job = Job(
            id: id, number: 2, requester: story.requester.publicKey.address, spec: spec, height: 2,
            escrow: story.posted, allowance: story.parameters.feeAllowance)
        job.state = opened ? .open : .waiting
        // As if it had been so since before its parent was settled.
        job.history = [JobStep(state: job.state, height: 1, time: story.parent.time)]
        try story.charge(story.posted, story.parameters.postingFee, JobOracleTests.fee)
        story.others = [job]
        story.tell()
        return story
    }

    @Test func aJobThatWaitsForItsParentMayBeOpenOnceThatIsSettled() throws {
        let story = try child(opened: false)
        _ = story.block([])
        enter(0, .open, story)
        story.tell()
        #expect(story.oracle.violations == [])
    }

    @Test func aJobThatIsOpenBeforeItsParentIsSettled() throws {
        try child(opened: true).blamed("was open before job")
    }

    @Test func aJobThatRunsOnAParentThatHasFailed() throws {
        let story = try child(opened: false)
        let parent = try #require(story.job).id
        story.books.receipts[parent] = nil
        _ = story.block([])
        enter(0, .open, story)
        story.tell()
        story.blamed("was open before job")
    }

    /// What an honest provider makes of a wrong result that was paid for is wrong, too, and not its fault.
    @Test func whatWasMadeOfAWrongResultIsNobodysFaultButTheFirsts() throws {
        let story = try child(opened: false)
        let parent = try #require(story.job).id
        story.oracle.ordered(parent, truth: JobOracleTests.commitment(9), mustSettle: false)
        let known = story.oracle.violations.count
        _ = story.block([])
        enter(0, .open, story)
        story.tell()
        _ = story.block([])
        try assign(0, story)
        story.others[0].assignment?.commitment = JobOracleTests.commitment(7)
        story.tell()
        // The parent's provider is blamed for its own; nobody for the child.
        let id = story.others[0].id
        #expect(!story.oracle.violations.dropFirst(known).contains { $0.contains("result of job \(id)") })
    }

    // MARK: Claims

    private static func claim(
        _ subject: ClaimSubject = .output, of story: Story, deposit: Amount = .xpl(1), holds: Bool? = nil,
        _ state: ClaimState, witness: Address? = nil
    ) throws -> DeliveryClaim {
        var word = DeliveryWitness(provider: witness ?? story.auditor)
        word.holds = holds
        var writer = ByteWriter()
        writer.write(subject.rawValue)
        writer.write(story.requester.publicKey.address)
        writer.write(UInt32(1))
        writer.write(deposit)
        writer.write(fee)
        writer.write(Height(1))
        writer.write(UInt64(1))
        writer.write(list: [word])
        writer.write(state.rawValue)
        return try DeliveryClaim(canonicalBytes: writer.bytes)
    }

    /// A result that its requester has claimed with a deposit.
    private func claimed(honest: Bool = true) throws -> Story {
        let story = try JobOracleTests().audited(honest: honest)
        let id = try #require(story.job).id
        _ = story.block([.claimUndelivered(job: id, attempt: 1, deposit: .xpl(1))])
        try story.charge(.xpl(1), JobOracleTests.fee)
        story.job?.claim = try Self.claim(of: story, .open)
        story.tell()
        #expect(story.oracle.violations == [])
        return story
    }

    /// Its witness holds it, and is paid of the deposit.
    private func delivered() throws -> Story {
        let story = try claimed()
        _ = story.block([])
        story.job?.claim = try Self.claim(of: story, holds: true, .delivered)
        story.books.balances[story.payouts[1]] = Self.fee
        story.tell()
        #expect(story.oracle.violations == [])
        return story
    }

    /// Its witness could not have it, and the deposit is back.
    private func undelivered(honest: Bool = false) throws -> Story {
        let story = try claimed(honest: honest)
        _ = story.block([])
        story.job?.claim = try Self.claim(of: story, holds: false, .undelivered)
        let address = story.requester.publicKey.address
        story.books.balances[address] = try story.books.balances[address]?.adding(.xpl(1))
        story.tell()
        return story
    }

    @Test func aClaimThatFailsPaysItsWitnessAndTheJobSettles() throws {
        let story = try delivered()
        try story.settle(story.truth, fees: Self.fee)
        #expect(story.oracle.violations == [])
        #expect(story.oracle.counts.claims == 1 && story.oracle.counts.undelivered == 0)
    }

    @Test func aDepositThatPaysItsWitnessAndComesBackToo() throws {
        let story = try delivered()
        _ = story.block([])
        let address = story.requester.publicKey.address
        story.books.balances[address] = try story.books.balances[address]?.adding(.xpl(1))
        story.tell()
        story.blamed("requester \(address) has")
    }

    @Test func aDepositThatPaysItsWitnessTwice() throws {
        let story = try delivered()
        _ = story.block([])
        story.books.balances[story.payouts[1]] = try Self.fee.adding(Self.fee)
        story.tell()
        story.blamed("has been paid 0.1 at height")
    }

    @Test func aDepositThatStaysInTheTotals() throws {
        let story = try delivered()
        story.books.escrowed = try story.books.escrowed.adding(.xpl(1))
        story.oracle.holds(story.books)
        story.blamed("the jobs at height")
    }

    /// The provider loses two deposits of its share; its requester gets half of what the witness and the auditor leave.
    @Test func aClaimThatIsRightConvicts() throws {
        let story = try undelivered()
        #expect(story.oracle.violations == [])
        _ = story.block([])
        story.enter(.open)
        story.job?.assignment = nil
        story.job?.audits = []
        story.job?.excluded = [story.provider]
        story.release()
        let two = Amount.xpl(2)
        story.books.providers[0].bond = try JobOracleTests.bond.subtracting(two)
        story.books.bonded = try story.books.bonded.subtracting(two)
        // The auditor asks a price, the witness is the same machine.
        let first = try Amount.xpl(1).adding(Self.fee)
        story.books.balances[story.payouts[1]] = first
        let half = Amount(baseUnits: (two.baseUnits - first.baseUnits) / 2)
        let address = story.requester.publicKey.address
        story.books.balances[address] = try story.books.balances[address]?.adding(half)
        story.tell()
        #expect(story.oracle.violations == [])
        #expect(story.oracle.counts.claims == 1 && story.oracle.counts.undelivered == 1)
        // Its whole share is for lies, not for this.
        story.books.balances[address] = try story.books.balances[address]?.adding(Amount(baseUnits: 1))
        story.oracle.holds(story.books)
        story.blamed("requester \(address) has")
    }

    @Test func aClaimThatIsDecidedTwice() throws {
        let story = try delivered()
        _ = story.block([])
        story.job?.claim = try Self.claim(of: story, holds: true, .undelivered)
        story.tell()
        story.blamed("was delivered and changed after that")
    }

    @Test func aResultThatIsClaimedTwice() throws {
        let story = try claimed()
        let id = try #require(story.job).id
        _ = story.block([.claimUndelivered(job: id, attempt: 1, deposit: .xpl(1))])
        story.blamed("is claimed twice")
    }

    @Test func aDepositThatNobodyGave() throws {
        let story = try JobOracleTests().audited()
        story.job?.claim = try Self.claim(of: story, .open)
        story.tell()
        story.blamed("is not what its claimant gave")
    }

    @Test(
        arguments: [
            (.delivered, false), (.delivered, nil), (.undelivered, true), (.undelivered, nil), (.lapsed, false),
        ] as [(ClaimState, Bool?)])
    func aClaimThatEndsOtherwiseThanItsWitnessesSay(_ end: (state: ClaimState, holds: Bool?)) throws {
        let story = try claimed()
        _ = story.block([])
        story.job?.claim = try Self.claim(of: story, holds: end.holds, end.state)
        story.tell()
        story.blamed("its witnesses do not say so")
    }

    @Test func aWitnessThatIsAParty() throws {
        for isProvider in [true, false] {
            let story = try claimed()
            _ = story.block([])
            story.job?.claim = try Self.claim(
                of: story, .open, witness: isProvider ? story.provider : story.requester.publicKey.address)
            story.tell()
            story.blamed("is a party to it")
        }
    }

    /// Where the network is in trouble, an honest provider's node may be out of reach of all witnesses; else it never is.
    @Test func anHonestProviderThatHasServedItsOutputAndIsConvictedByAClaim() throws {
        let inTrouble = try undelivered(honest: true)
        #expect(inTrouble.oracle.violations == [])
        let story = try claimed()
        story.oracle.isCalm = true
        _ = story.block([])
        story.job?.claim = try Self.claim(of: story, holds: false, .undelivered)
        story.tell()
        story.blamed("has served its output of job")
        let liar = try claimed(honest: false)
        liar.oracle.isCalm = true
        _ = liar.block([])
        liar.job?.claim = try Self.claim(of: liar, holds: false, .undelivered)
        liar.tell()
        #expect(!liar.oracle.violations.contains { $0.contains("has served") })
    }

    /// Of a checkpoint each holder gets its fee once, from the staging deposit.
    @Test func aHolderOfACheckpointThatIsPaidTwice() throws {
        let story = try JobOracleTests().audited()
        _ = story.block([])
        story.job?.claim = try Self.claim(.checkpoint, of: story, deposit: .zero, holds: true, .delivered)
        let held = try #require(story.job).escrow
        story.job?.escrow = try held.subtracting(Self.fee)
        story.job?.stagingPaid = Self.fee
        story.books.balances[story.payouts[1]] = Self.fee
        story.tell()
        #expect(story.oracle.violations == [])
        #expect(story.oracle.counts.held == 1)
        _ = story.block([])
        story.books.balances[story.payouts[1]] = try Self.fee.adding(Self.fee)
        story.tell()
        story.blamed("has been paid 0.1 at height")
    }

    /// A holder speaks, and in the same block the requester claims the output: the state shows the claim alone, and the holder is paid all the same.
    @Test(arguments: [true, false]) func aCheckpointThatIsHeldInTheBlockOfAClaimIsPaidFor(_ isPaid: Bool) throws {
        let story = try JobOracleTests().audited()
        _ = story.block([])
        story.job?.claim = try Self.claim(.checkpoint, of: story, deposit: .zero, .open)
        story.tell()
        let id = try #require(story.job).id
        _ = story.block(
            [.claimUndelivered(job: id, attempt: 1, deposit: .xpl(1))],
            after: [.attestDelivery(job: id, attempt: 1, holds: true)])
        let held = try #require(story.job).escrow.subtracting(JobOracleTests.fee)
        try story.charge(.xpl(1), JobOracleTests.fee)
        story.job?.claim = try Self.claim(of: story, .open)
        story.job?.escrow = held
        if isPaid {
            story.job?.escrow = try held.subtracting(Self.fee)
            story.job?.stagingPaid = Self.fee
            story.books.balances[story.payouts[1]] = Self.fee
        }
        story.tell()
        if isPaid { #expect(story.oracle.violations == []) } else { story.blamed("has been paid 0 at height") }
    }

    // MARK: Slow numbers

    /// Two that find a job slow get half of the staging deposit each, and it is over.
    private func slow() throws -> Story {
        let story = try Story()
        try story.post()
        let half = Amount(baseUnits: 50_000_000)
        for (place, name) in [story.provider, story.auditor].enumerated() {
            _ = story.block([])
            story.job?.attempt += 1
            story.job?.assignment = Assignment(
                provider: name, device: 0, price: JobOracleTests.price, share: JobOracleTests.share, milliseconds: 1,
                slowestMilliseconds: 1, height: story.books.height, beacon: .zero)
            story.enter(.assigned)
            story.books.providers[place].locked = JobOracleTests.share
            story.books.running[name] = 1
            story.tell()
            let attempt = UInt32(place + 1)
            try story.move({ .startJob(job: $0, attempt: attempt) }, to: .running)
            story.tell()
            try story.move({ .reportSlow(job: $0, attempt: attempt) }, to: place == 0 ? .open : .failed)
            story.job?.assignment = nil
            story.books.providers[place].locked = place == 0 ? half : .zero
            story.books.running[name] = 0
            if place == 0 {
                story.job?.slowReport = try SlowReport(
                    canonicalBytes: name.canonicalBytes + half.canonicalBytes)
                story.tell()
            }
        }
        #expect(story.oracle.violations == [])
        story.job?.slowReport = nil
        story.books.providers[0].locked = .zero
        for payout in story.payouts { story.books.balances[payout] = half }
        let left = try #require(story.job).escrow.subtracting(half).subtracting(half)
        let address = story.requester.publicKey.address
        story.books.balances[address] = try story.books.balances[address]?.adding(left)
        story.job?.stagingPaid = try half.adding(half)
        story.job?.escrow = .zero
        story.job?.allowance = .zero
        return story
    }

    @Test func twoThatFindAJobSlowShareItsDeposit() throws {
        let story = try slow()
        story.tell()
        #expect(story.oracle.violations == [])
        #expect(story.oracle.counts.slow == 1 && story.oracle.counts.failed == 1)
    }

    @Test func aStakeThatStaysHeldAndADepositThatOneGetsAlone() throws {
        let story = try slow()
        story.books.providers[0].locked = Amount(baseUnits: 50_000_000)
        story.books.balances[story.payouts[1]] = .zero
        story.tell()
        story.blamed("locked at height")
        story.blamed("has been paid 0 at height")
    }

    // MARK: Bonds

    @Test func anHonestProviderThatLosesOfItsBondWhereNothingGoesWrong() throws {
        for isCalm in [false, true] {
            let story = try JobOracleTests().audited()
            story.oracle.isCalm = isCalm
            _ = story.block([])
            story.books.providers[1].bond = .xpl(999)
            story.books.bonded = .xpl(1_999)
            story.tell()
            if isCalm {
                story.blamed("lost 1000000000 base units of its bond")
            } else {
                #expect(story.oracle.violations == [])
            }
        }
    }

    /// Where the books were not seen at each height, what cannot be told is not blamed.
    @Test func balancesAreNotJudgedByWhatWasNotSeen() throws {
        let story = try JobOracleTests().audited()
        _ = story.block([])
        _ = story.block([])
        story.books.balances[story.payouts[1]] = .xpl(1)
        story.tell()
        #expect(story.oracle.violations == [])
    }
}
