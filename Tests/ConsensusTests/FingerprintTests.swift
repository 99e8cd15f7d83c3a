import Consensus
import Primitives
import Testing

@Suite struct FingerprintTests {
    func fingerprint(_ driver: Driver) -> Digest { driver.engine.fingerprint(at: driver.now) }

    @Test func theOrderOfEqualVotesLeavesNoTrace() throws {
        var first = try Driver()
        var second = try Driver()
        first.start()
        second.start()
        #expect(fingerprint(first) == fingerprint(second))
        let view = first.view(notLedBy: 0)
        let others = (1...3).filter { $0 != first.engine.leader(of: view) }
        for signer in others { first.give(first.vote(.nullify(0, view), by: signer)) }
        #expect(fingerprint(first) != fingerprint(second))
        for signer in others.reversed() { second.give(second.vote(.nullify(0, view), by: signer)) }
        #expect(fingerprint(first) == fingerprint(second))
    }

    @Test func onlyDistancesOfTimeCount() throws {
        var early = try Driver()
        var late = try Driver()
        late.now = late.now.adding(.seconds(1_000))
        early.start()
        late.start()
        #expect(fingerprint(early) == fingerprint(late))
        early.pass(10)
        #expect(fingerprint(early) != fingerprint(late))
        late.pass(10)
        #expect(fingerprint(early) == fingerprint(late))
    }

    /// Every vote, certificate and verdict that changes what an engine may do later shows.
    @Test func whatIsHeardShows() throws {
        var seen: Set<Digest> = []
        var driver = try Driver(own: 0)
        driver.start()
        seen.insert(fingerprint(driver))
        let view = driver.view(notLedBy: 0)
        if view > driver.engine.view { driver.give(driver.certificate(.nullify(0, driver.engine.view))) }
        let before = seen.count
        let proposal = driver.proposal(view)
        var changes = 0
        for vote in (1...3).map({ driver.vote(.notarize(proposal), by: $0) }) + [
            driver.vote(.finalize(proposal), by: 1)
        ] {
            driver.give(vote)
            changes += 1
            seen.insert(fingerprint(driver))
        }
        #expect(seen.count >= before + changes)
    }

    /// Random inputs lead different ways to equal fingerprints. From there equal inputs have equal outputs, to the end.
    @Test(arguments: 0..<6) func equalFingerprintsBehaveAlike(_ part: Int) throws {
        var random = SplitMix64(seed: UInt64(part) &+ 99)
        var met: [Digest: Driver] = [:]
        var compared = 0
        var blank = try Driver()
        blank.start()
        let pool = words(blank)
        for _ in 0..<1_500 {
            var driver = blank
            for _ in 0..<Int(random.next() % 10) + 1 { give(pool, Int(random.next() % 64), &driver) }
            let digest = fingerprint(driver)
            guard var other = met[digest] else {
                met[digest] = driver
                continue
            }
            compared += 1
            for _ in 0..<12 {
                let choice = Int(random.next() % 64)
                let outputs = give(pool, choice, &driver)
                let others = give(pool, choice, &other)
                #expect(told(outputs, since: driver.now) == told(others, since: other.now))
                #expect(fingerprint(driver) == fingerprint(other))
            }
        }
        #expect(compared > 100)
    }

    /// The same of what decides: from equal digests equal inputs lead to equal votes, views and finalizations.
    @Test(arguments: 0..<6) func equalDecisionsDecideAlike(_ part: Int) throws {
        var random = SplitMix64(seed: UInt64(part) &+ 1_099)
        var met: [Digest: Driver] = [:]
        var compared = 0
        var different = 0
        var parameters = Driver.parameters
        parameters.inactivity = .max
        var blank = try Driver(parameters: parameters)
        blank.start()
        let pool = words(blank).filter { if case .work = $0 { false } else { true } }
        for _ in 0..<2_500 {
            var driver = blank
            for _ in 0..<Int(random.next() % 16) + 1 {
                // Time enough, or none: what is due at which moment is not told apart.
                let choice = Int(random.next() % 60)
                if choice < pool.count { driver.give(pool[choice]) } else { driver.pass(600_000) }
            }
            let digest = driver.engine.decisionFingerprint()
            guard var other = met[digest] else {
                met[digest] = driver
                continue
            }
            compared += 1
            if fingerprint(driver) != fingerprint(other) { different += 1 }
            for _ in 0..<12 {
                let choice = Int(random.next() % 60)
                let outputs = choice < pool.count ? driver.give(pool[choice]) : driver.pass(600_000)
                let others = choice < pool.count ? other.give(pool[choice]) : other.pass(600_000)
                #expect(decided(outputs) == decided(others))
                #expect(driver.engine.decisionFingerprint() == other.engine.decisionFingerprint())
            }
        }
        // It says more than equality of everything would.
        #expect(compared > 100 && different > 50)
    }

    /// New words and steps, in order; what is said again is not.
    func decided(_ outputs: [Output]) -> [Output] {
        outputs.compactMap { output in
            switch output {
            case .persist(.vote), .persist(.certification), .propose, .entered: output
            case .verifyProposal(let proposal, _): .verifyProposal(proposal, from: nil)
            case .certify(let proposal, _): .certify(proposal, from: nil)
            default: nil
            }
        }
    }

    /// Votes of the others, two proposals a view, and certificates.
    func words(_ driver: Driver) -> [Input] {
        var inputs: [Input] = []
        for view in [1, 2] as [View] {
            for name in ["a", "b"] {
                let proposal = driver.proposal(view, name)
                for signer in 1...3 {
                    inputs.append(
                        .message(.vote(driver.vote(.notarize(proposal), by: signer)), from: driver.keys[signer]))
                    inputs.append(
                        .message(.vote(driver.vote(.finalize(proposal), by: signer)), from: driver.keys[signer]))
                }
                inputs.append(.proposalVerdict(proposal, true))
                inputs.append(.certified(proposal, true))
            }
            for signer in 1...3 {
                inputs.append(.message(.vote(driver.vote(.nullify(0, view), by: signer)), from: driver.keys[signer]))
            }
            inputs.append(.message(.certificate(driver.certificate(.nullify(0, view))), from: driver.keys[2]))
        }
        inputs.append(.message(.request(from: 1, through: 2), from: driver.keys[3]))
        inputs.append(.work(true))
        return inputs
    }

    @discardableResult func give(_ pool: [Input], _ choice: Int, _ driver: inout Driver) -> [Output] {
        choice < pool.count ? driver.give(pool[choice]) : driver.pass(Int64(choice % 3) * 100)
    }

    /// Outputs without the numbers of checks, and times as distances.
    func told(_ outputs: [Output], since now: Instant) -> [Output] {
        outputs.map { output in
            switch output {
            case .verifySignatures(_, let items): .verifySignatures(0, items)
            case .setTimer(let instant): .setTimer(Instant(nanoseconds: instant.interval(since: now).nanoseconds))
            default: output
            }
        }
    }
}
