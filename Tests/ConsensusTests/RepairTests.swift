import Consensus
import Primitives
import Testing

/// Asking, answering, re-sending (rules 11 and 12).
@Suite struct RepairTests {
    @Test func standingStillResendsTheFinalizationAllAboveItAndOurVotes() throws {
        var driver = try ViewTests.following()
        let final = driver.proposal(driver.engine.view)
        driver.give(driver.certificate(.finalize(final)))
        driver.nullify(upTo: driver.view(from: driver.engine.view, notLedBy: 0))
        let proposal = driver.proposal(driver.engine.view, on: final)
        driver.accept(proposal)
        driver.certify(proposal)
        var outputs: [Output] = []
        for _ in 0..<10 { outputs += driver.pass(100) }
        let subjects = Set(outputs.certificates.map(\.subject))
        #expect(subjects.isSuperset(of: [.finalize(final), .notarize(proposal)]))
        #expect(Set(outputs.votes()).isSuperset(of: [.notarize(proposal), .finalize(proposal)]))
    }

    @Test func whoConnectsIsToldAtOnceWhatItMissed() throws {
        var driver = try ViewTests.following()
        let final = driver.proposal(driver.engine.view)
        driver.give(driver.certificate(.finalize(final)))
        driver.nullify(upTo: driver.view(from: driver.engine.view, notLedBy: 0))
        let proposal = driver.proposal(driver.engine.view, on: final)
        driver.accept(proposal)
        let newcomer = driver.keys[2]
        var told: [ConsensusMessage] = []
        for output in driver.give(.peerConnected(newcomer)) {
            if case .broadcast = output { Issue.record("the others were told again") }
            if case .send(let message, let peer) = output, peer == newcomer { told.append(message) }
        }
        #expect(told.contains(.certificate(driver.certificate(.finalize(final)))))
        let votes = told.compactMap { message -> Subject? in
            if case .vote(let vote) = message { vote.subject } else { nil }
        }
        #expect(votes == [.notarize(proposal)])
        // Also of a long silence it hears only so much.
        driver.nullify(upTo: 3_000)
        let bytes = driver.give(.peerConnected(newcomer)).reduce(0) { sum, output in
            if case .send(let message, _) = output { sum + message.canonicalBytes.count } else { sum }
        }
        #expect(bytes > 10_000 && bytes <= 64 << 10)
    }

    @Test func aStandstillKeepsWithinItsBudget() throws {
        var driver = try ViewTests.following()
        driver.nullify(upTo: 3_000)
        var bytes = 0
        for output in driver.pass(60_000) {
            if case .broadcast(let message) = output { bytes += message.canonicalBytes.count }
        }
        #expect(bytes > 100_000)
        #expect(bytes < 300_000)
    }

    @Test func aRequestIsAnsweredWithCertificatesAboveTheFloorAndTheFinalizationBelow() throws {
        var driver = try ViewTests.following()
        let final = driver.proposal(5)
        driver.give(driver.certificate(.finalize(final)))
        driver.nullify(upTo: 8)
        let notarized = driver.proposal(8, on: final)
        driver.give(driver.certificate(.notarize(notarized)))
        let answers = driver.give(.message(.request(from: 2, through: 20), from: driver.keys[2])).answers
        #expect(
            answers.map(\.subject) == [
                .finalize(final), .nullify(0, 6), .nullify(0, 7), .notarize(notarized),
            ])
    }

    @Test func answersToOnePeerAreBoundedInTime() throws {
        var driver = try ViewTests.following()
        driver.give(driver.certificate(.finalize(driver.proposal(5))))
        func ask(_ driver: inout Driver, _ peer: Int) -> Int {
            driver.give(.message(.request(from: 1, through: 10), from: driver.keys[peer])).answers.count
        }
        for _ in 0..<Simplex.maximumAnswersPerPeer { #expect(ask(&driver, 2) == 1) }
        #expect(ask(&driver, 2) == 0)
        #expect(ask(&driver, 3) == 1)
        driver.pass(300)
        #expect(ask(&driver, 2) == 1)
    }

    @Test func hugeRequestsCostLittle() throws {
        var driver = try ViewTests.following()
        #expect(
            driver.give(.message(.request(from: 0, through: View(.max)), from: driver.keys[1])).answers.count <= 128)
        #expect(
            driver.give(.message(.request(from: View(.max), through: View(.max)), from: driver.keys[1])).answers == [])
    }

    /// A wide gap is asked for in steps, each view once a retry, and not anew with every certificate that arrives.
    @Test func aWideGapIsFetchedWithoutAStorm() throws {
        var driver = try Driver()
        driver.start()
        let view = driver.view(from: 300, ledBy: 0)
        var outputs = driver.give(driver.certificate(.nullify(0, View(view.value - 1))))
        #expect(outputs.requests.map(\.through) == [64])
        outputs = []
        for missing in 1...(view.value - 2) { outputs += driver.give(driver.certificate(.nullify(0, View(missing)))) }
        #expect(outputs.requests.count <= 2 + Int(view.value / 64))
        #expect(outputs.proposes.last == ParentReference(view: 0, digest: Driver.genesis))
    }

    @Test func aHangingViewAsksEveryoneForWhatIsMissing() throws {
        var driver = try Driver()
        driver.start()
        driver.give(.work(true))
        driver.give(driver.certificate(.nullify(0, 4)))
        var outputs: [Output] = []
        for _ in 0..<12 { outputs += driver.pass(100) }
        #expect(outputs.requests.contains { $0.from == 1 && $0.peer == nil })
    }

    @Test func aFollowerCertifiesAndFinalizesAndNeverVotes() throws {
        var driver = try Driver(own: nil)
        var outputs = driver.start()
        let proposal = driver.proposal(driver.engine.view)
        for signer in 1...3 { outputs += driver.give(driver.vote(.notarize(proposal), by: signer)) }
        #expect(outputs.certifications == [proposal])
        outputs += driver.give(.certified(proposal, true))
        for signer in 1...3 { outputs += driver.give(driver.vote(.finalize(proposal), by: signer)) }
        outputs += driver.pass(60_000)
        #expect(outputs.finalized == [proposal])
        #expect((0..<4).allSatisfy { outputs.votes(of: $0) == [] })
    }

    /// Two machines with one key: each falls silent as soon as it hears the other.
    @Test func whoHearsItsOwnKeyElsewhereSignsNothingMore() throws {
        var driver = try ViewTests.following()
        let view = driver.engine.view
        let proposal = driver.proposal(view)
        driver.accept(proposal)
        // What we said ourselves may come back any time; a forgery, and what is final, prove nothing.
        driver.give(driver.vote(.notarize(proposal), by: 0), from: 2)
        driver.give(try driver.forged(.nullify(0, view), by: 0), from: 2)
        driver.give(driver.vote(.nullify(0, 0), by: 0), from: 2)
        #expect(!driver.engine.isKeyInUseElsewhere)
        let outputs = driver.give(driver.vote(.nullify(0, view), by: 0), from: 2)
        #expect(outputs.contains(.keyInUseElsewhere(driver.vote(.nullify(0, view), by: 0))))
        #expect(driver.engine.isKeyInUseElsewhere && driver.engine.status.abstains)
        var later = driver.pass(10_000)
        later += driver.certify(proposal)
        #expect(!later.votes().contains(.nullify(0, view)) && !later.votes().contains(.finalize(proposal)))
        // It follows on.
        #expect(driver.engine.view == view.next())
        // The same from a certificate: nobody need pass the vote itself on.
        var other = try ViewTests.following()
        let stranger = other.proposal(other.engine.view, "not ours")
        other.give(other.certificate(.notarize(stranger), by: [0, 1, 2]))
        #expect(other.engine.isKeyInUseElsewhere)
    }
}
