import Ledger
import Primitives
import Programs
import Testing

/// Devices are challenged, and known by what they have shown. Every block counts all money.
@Suite struct DeviceTests {
    @Test func whoAnswersInTimeHasTheRateThatItSays() throws {
        let on = try DeviceNet()
        let key = on.net.providers[0]
        try on.begin(full: false)
        let worth = try on.net.worth(key)
        try on.pass(key)
        let measure = try #require(try on.measure(key))
        #expect(measure.rate == DeviceNet.rate && measure.memory == 1 << 30)
        #expect(try measure.clock == on.round.clock + 100)
        #expect(try on.found(key).isAsFastAsItSays && !on.found(key).isPaused)
        #expect(try on.duty(key) == nil)
        // It has paid for its two moves, and nothing else.
        #expect(try on.net.worth(key) <= worth && on.net.provider(key).bond == .xpl(1000))
        try on.endRound()
        #expect(try on.measure(key) != nil)
    }

    /// Its block's clock decides: what comes within the allowance and one and a half times the challenge's time has shown two thirds of the rate, and a
    /// millisecond later less.
    @Test(arguments: [
        (UInt64(1_500), DeviceNet.rate, true), (1_501, DeviceNet.rate - 8_381, true), (2_000, 5_592_405, true),
        (2_001, 5_588_679, false), (10_500, 838_860, false), (20_500, 419_430, false),
    ])
    func whoComesLaterHasShownSoMuchLess(_ milliseconds: UInt64, _ rate: UInt64, _ passes: Bool) throws {
        let on = try DeviceNet()
        let key = on.net.providers[0]
        try on.begin(full: false)
        try on.pass(key, after: milliseconds)
        #expect(try on.measure(key)?.rate == rate)
        #expect(try on.found(key).rate == rate && on.found(key).isAsFastAsItSays == passes)
        // It is late, and no liar.
        #expect(try on.net.provider(key).bond == .xpl(1000) && !on.found(key).isPaused)
        let plan = try Matching.plan(on.net.spec(), in: on.net.store)
        let offer = plan.eligible.first { $0.provider == on.net.address(key) }
        #expect(offer?.isMeasured == true)
        #expect(offer?.milliseconds == (UInt64(100_000_000_000) * 1000 + rate - 1) / rate)
    }

    @Test func anAnswerCountsUntilItsLastMillisecond() throws {
        let on = try DeviceNet()
        let (key, other) = (on.net.providers[0], on.net.providers[1])
        try on.begin(full: false)
        let last = DeviceNet.allowance + DeviceNet.patience
        try on.step(to: last - 1)
        #expect(try on.duty(other) != nil)
        let answer = try on.answer(try on.run(other))
        try on.step(to: last, [on.net.transaction(key, try on.answer(try on.run(key)))])
        let result = try on.net.step([on.net.transaction(other, answer)], after: 1)
        #expect(
            result.receipts[0].reason.contains("is not challenged") || result.receipts[0].reason.contains("deadline"))
        #expect(!result.receipts[0].succeeded)
        #expect(try on.failure(other) == .silent && on.failure(key) == nil)
    }

    /// One that was never measured loses nothing by its silence, and has no job; one that was loses what a missed start costs.
    @Test func silenceEndsWhatIsKnownOfADevice() throws {
        let on = try DeviceNet()
        let (key, other) = (on.net.providers[0], on.net.providers[1])
        try on.begin(full: false)
        try on.pass(key)
        try on.endRound()
        #expect(try on.failure(other) == .silent && on.found(other).isPaused)
        #expect(try on.net.provider(other).bond == .xpl(1000))
        try on.begin(full: true)
        #expect(try on.duty(other) == nil)
        try on.endRound()
        #expect(try on.measure(key) == nil && on.failure(key) == .silent && on.found(key).isPaused)
        #expect(try on.net.provider(key).bond == .xpl(999))
        // It sets its offer again: no job before it has shown what it can.
        try on.offer(key)
        try on.net.step()
        let plan = try Matching.plan(on.net.spec(), in: on.net.store)
        #expect(plan.eligible.isEmpty)
        #expect(plan.excluded.contains { $0.provider == on.net.address(key) && $0.reason.contains("last challenge") })
        try on.begin(full: false)
        try on.pass(key)
        #expect(try on.failure(key) == nil && on.measure(key)?.rate == DeviceNet.rate)
        #expect(try Matching.plan(on.net.spec(), in: on.net.store).eligible.count == 1)
    }

    /// Shown or hidden, an answer that is not right costs a hundredth of the bond.
    @Test(arguments: [true, false]) func anAnswerThatIsNotRightCosts(_ shows: Bool) throws {
        let on = try DeviceNet()
        let key = on.net.providers[0]
        try on.begin(full: false)
        // No number of the last three steps is what its row gives.
        let run = try on.run(key) { step, state in if step > 1 { state = state.map { $0 ^ 1 } } }
        try on.net.act(key, try on.answer(run))
        try on.draw()
        let burned = try Query.totals(in: on.net.store).burned
        if shows {
            try on.net.act(key, try on.show(key, run))
        } else {
            try on.net.step(after: DeviceNet.allowance + DeviceNet.patience)
            #expect(try on.failure(key) == nil)
            try on.net.step(after: 1)
        }
        #expect(try on.failure(key) == .unproven && on.measure(key) == nil && on.found(key).isPaused)
        #expect(try on.net.provider(key).bond == .xpl(990))
        #expect(try Query.totals(in: on.net.store).burned >= burned.adding(.xpl(10)))
        #expect(try on.duty(key) == nil)
    }

    // MARK: What the market makes of it

    @Test func nobodyIsReckonedFasterThanItSaysNorThanItHasShown() throws {
        let on = try DeviceNet()
        let key = on.net.providers[0]
        try on.begin(full: false)
        try on.pass(key, after: 2_500)
        try on.endRound()
        #expect(try on.found(key).rate == DeviceNet.rate / 2)
        // Saying more changes nothing before the next round of all; saying less does at once, and is no failure any more.
        try on.offer(key, rate: 10 * DeviceNet.rate)
        #expect(try on.found(key).rate == DeviceNet.rate / 2 && !on.found(key).isAsFastAsItSays)
        try on.offer(key, rate: DeviceNet.rate / 2)
        #expect(try on.found(key).rate == DeviceNet.rate / 2 && on.found(key).isAsFastAsItSays)
        try on.offer(key, rate: DeviceNet.rate / 3)
        #expect(try on.found(key).rate == DeviceNet.rate / 3)
        // Nor has it more memory than it claimed then.
        var terms = DeviceNet.terms(on.net)
        terms.memory = 2 << 30
        try on.net.act(key, .setOffer(terms))
        #expect(try on.found(key).memory == 1 << 30)
        terms.memory = 1 << 20
        try on.net.act(key, .setOffer(terms))
        #expect(try on.found(key).memory == 1 << 20)
        // One that says less is given less to do, and gets no better known by it.
        try on.offer(key, rate: 1)
        try on.net.step()
        try on.begin(full: true)
        let small = try #require(try on.duty(key)?.chain)
        #expect(small.rows == DeviceChain.minimumRows && small.steps == DeviceChain.minimumSteps)
        try on.pass(key)
        #expect(try on.found(key).rate == 1)
    }

    /// A network in which few were measured yet matches by what all say; once those have half of the bonds, the others make nobody wait.
    @Test func whoWasNotMeasuredMakesNobodyWait() throws {
        let on = try DeviceNet(3)
        let (fast, slow, late) = (on.net.providers[0], on.net.providers[1], on.net.providers[2])
        try on.offer(slow, rate: DeviceNet.rate / 2)
        try on.offer(late, rate: DeviceNet.rate / 3)
        try on.net.step()
        func drawn() throws -> [Address] {
            try Matching.plan(on.net.spec(), in: on.net.store).eligible.filter(\.isInDraw).map(\.provider).sorted()
        }
        #expect(try drawn() == [fast, slow, late].map { on.net.address($0) }.sorted())
        try on.begin(full: false)
        try on.pass(fast)
        #expect(try drawn().count == 3)
        try on.pass(slow)
        #expect(try drawn() == [fast, slow].map { on.net.address($0) }.sorted())
        try on.pass(late)
        #expect(try drawn().count == 3)
    }

    /// A machine that works on a job has as much time again.
    @Test func whoHasAJobMayTakeTwiceAsLong() throws {
        let on = try DeviceNet()
        let (key, other) = (on.net.providers[0], on.net.providers[1])
        try on.net.act(other, .pauseOffer(device: 0))
        try on.begin(full: false)
        _ = try on.net.submit(on.net.spec())
        try on.net.step()
        #expect(try on.found(key).running == 1)
        try on.pass(key, after: 2_500)
        #expect(try on.measure(key)?.rate == DeviceNet.rate)
    }

    @Test func aNewcomerHasNoJobBeforeItWasMeasured() throws {
        var parameters = DeviceNet.parameters
        parameters.newcomerSharePerMille = 1000
        let on = try DeviceNet(2, parameters: parameters)
        let newcomer = try NewcomerTests.join(on.net, offer: DeviceNet.terms(on.net))
        func executor() throws -> SecretKey {
            let id = try on.net.submit(on.net.spec())
            try on.net.step()
            let key = try on.net.executor(id)
            try on.net.act(on.net.requester, .cancelJob(job: id))
            return key
        }
        func reason() throws -> String? {
            try Matching.plan(on.net.spec(), in: on.net.store).excluded.first {
                $0.provider == on.net.address(newcomer)
            }?.reason
        }
        #expect(try reason()?.contains("was not measured") == true)
        #expect(try executor().publicKey != newcomer.publicKey)
        // Late: known, and not as fast as it says.
        try on.begin(full: false)
        for key in on.net.providers.prefix(2) { try on.pass(key) }
        try on.pass(newcomer, after: 2_500)
        #expect(try reason()?.contains("has shown 4194304 operations a second") == true)
        #expect(try executor().publicKey != newcomer.publicKey)
        // It says what it has shown, and the others are no faster.
        for key in on.net.providers.prefix(2) { try on.offer(key, rate: DeviceNet.rate / 2) }
        try on.offer(newcomer, rate: DeviceNet.rate / 2)
        try on.net.step()
        #expect(try reason() == nil)
        #expect(try executor().publicKey == newcomer.publicKey)
    }

    /// A newcomer that is silent in a round of all, or shows nothing, has less of its fee stand for it.
    @Test func aNewcomersStandingBearsWhatItsBondMayNot() throws {
        let on = try DeviceNet(1)
        let newcomer = try NewcomerTests.join(on.net, offer: DeviceNet.terms(on.net))
        try on.begin(full: false)
        try on.net.act(newcomer, .answerDevice(device: 0, round: 1, root: .zero))
        try on.draw()
        try on.endRound()
        try on.net.step(after: 21_000)
        #expect(try on.failure(newcomer) == .unproven)
        #expect(try on.net.provider(newcomer).newcomer?.standing == Amount(parsing: "4.5"))
    }
}
