import Consensus
import Primitives
import Testing

/// Entering views, deadlines, giving up (rules 1, 2 and 5).
@Suite struct ViewTests {
    /// A driver in its first view that someone else leads, with work.
    static func following(_ make: () throws -> Driver = { try Driver() }) throws -> Driver {
        var driver = try make()
        driver.start()
        driver.give(.work(true))
        driver.nullify(upTo: driver.view(notLedBy: 0))
        return driver
    }

    @Test func theFirstViewIsEnteredAtStart() throws {
        var driver = try Driver()
        #expect(driver.start().entered == [1])
        #expect(driver.engine.view == 1)
        #expect(driver.engine.lastFinalized == 0)
    }

    @Test func nothingIsTakenBeforeTheStart() throws {
        var driver = try Driver()
        #expect(driver.give(driver.certificate(.nullify(0, 1))).isEmpty)
    }

    @Test func viewsAreEnteredOnlyForward() throws {
        var driver = try Driver()
        driver.start()
        driver.give(driver.certificate(.nullify(0, 5)))
        #expect(driver.engine.view == 6)
        #expect(driver.give(driver.certificate(.nullify(0, 2))).entered == [])
        #expect(driver.engine.view == 6)
    }

    @Test func aSilentLeaderIsGivenUpAfterTwoDelta() throws {
        var driver = try Self.following()
        let view = driver.engine.view
        #expect(driver.pass(199).votes() == [])
        let outputs = driver.pass(1)
        #expect(outputs.timeouts == [.noProposal])
        #expect(outputs.votes() == [.nullify(0, view)])
    }

    @Test func aProposalStopsTheLeadersClockAndNotTheViews() throws {
        var driver = try Self.following()
        driver.accept(driver.proposal(driver.engine.view))
        #expect(driver.pass(299).timeouts == [])
        #expect(driver.pass(1).timeouts == [.viewTooLong])
    }

    @Test func withoutWorkTheViewLastsAHeartbeatMore() throws {
        var driver = try Driver()
        driver.start()
        driver.nullify(upTo: driver.view(notLedBy: 0))
        #expect(driver.pass(2199).timeouts == [])
        #expect(driver.pass(1).timeouts == [.noProposal])
    }

    @Test func deadlinesRunFromTheFirstWork() throws {
        var driver = try Driver()
        driver.start()
        driver.nullify(upTo: driver.view(notLedBy: 0))
        driver.pass(1000)
        driver.give(.work(true))
        #expect(driver.pass(199).timeouts == [])
        #expect(driver.pass(1).timeouts == [.noProposal])
    }

    @Test func workThatComesAndGoesDoesNotHoldAViewForEver() throws {
        var driver = try Driver()
        driver.start()
        driver.nullify(upTo: driver.view(notLedBy: 0))
        var reasons: [TimeoutReason] = []
        for step in 0..<40 {
            driver.give(.work(step % 2 == 0))
            reasons += driver.pass(60).timeouts
        }
        #expect(reasons.first == .noProposal)
    }

    @Test func timeoutsGrowWithFailedViewsAreCappedAndFallBackAtAFinalization() throws {
        var driver = try Driver()
        driver.start()
        driver.give(.work(true))
        // Δ strained by 0, 1, 2, … failed views grows by a half each, up to four times.
        for expected: Int64 in [200, 300, 400, 500, 600, 700, 800, 800] {
            let view = driver.engine.view
            if driver.engine.leader(of: view) == 0 { driver.give(.payloadProposed(0, .zero)) }
            #expect(driver.pass(expected - 1).timeouts == [], "view \(view)")
            #expect(driver.pass(1).timeouts == [.noProposal], "view \(view)")
            driver.give(driver.certificate(.nullify(0, view)))
        }
        driver.give(driver.certificate(.finalize(driver.proposal(driver.engine.view))))
        #expect(driver.pass(199).timeouts == [])
        #expect(driver.pass(1).timeouts == [.noProposal])
    }

    @Test func idleNullifiedViewsDoNotGrowTimeouts() throws {
        var driver = try Driver()
        driver.start()
        for _ in 0..<3 {
            let view = driver.engine.view
            #expect(driver.pass(2200).timeouts == [.noProposal])
            driver.give(driver.certificate(.nullify(0, view)))
        }
        #expect(driver.pass(2199).timeouts == [])
        #expect(driver.pass(1).timeouts == [.noProposal])
    }

    @Test func nullifyIsRepeatedWithTheCertificateThatLetUsIn() throws {
        var driver = try Driver()
        driver.start()
        driver.give(.work(true))
        driver.nullify(upTo: driver.view(from: 2, notLedBy: 0))
        let view = driver.engine.view
        driver.pass(200)
        #expect(driver.pass(299).votes() == [])
        let again = driver.pass(1)
        #expect(again.votes() == [.nullify(0, view)])
        #expect(again.certificates.map(\.subject).contains(.nullify(0, View(view.value - 1))))
        let journaled = driver.journal.filter {
            if case .vote(let vote) = $0 { vote.subject == .nullify(0, view) } else { false }
        }
        #expect(journaled.count == 1, "only the first nullify of a view is journaled")
    }

    /// Trap: all of 2f+1 crash after journaling nullify; the retry after the restart must reach their own collectors.
    @Test func aNullifyFromTheJournalCountsInOurOwnCollector() throws {
        var driver = try Self.following()
        let view = driver.engine.view
        driver.pass(200)
        var restarted = try driver.restarted()
        restarted.start()
        restarted.give(.work(true))
        #expect(restarted.engine.view == view)
        // Only two others: with our own it is a quorum.
        restarted.give(restarted.vote(.nullify(0, view), by: 1))
        restarted.give(restarted.vote(.nullify(0, view), by: 2))
        var outputs = restarted.pass(300)
        outputs += restarted.pass(300)
        #expect(restarted.engine.view == view.next())
        #expect(!outputs.votes().contains { $0.kind == .notarize })
    }

    @Test func aRestartedNullifierRepeatsItsVoteToOthers() throws {
        var driver = try Self.following()
        let view = driver.engine.view
        driver.pass(200)
        var restarted = try driver.restarted()
        restarted.start()
        restarted.give(.work(true))
        #expect(restarted.pass(300).votes().contains(.nullify(0, view)))
    }

    @Test func theLeadersOwnNullifyEndsItsTurnAtOnce() throws {
        var driver = try Self.following()
        let view = driver.engine.view
        let outputs = driver.give(driver.vote(.nullify(0, view), by: driver.engine.leader(of: view)))
        #expect(outputs.timeouts == [.leaderNullified])
    }

    @Test func aForgedNullifyOfTheLeaderEndsNothing() throws {
        var driver = try Self.following()
        let view = driver.engine.view
        let leader = driver.engine.leader(of: view)
        let others = [1, 2, 3].filter { $0 != leader }
        #expect(driver.give(try driver.forged(.nullify(0, view), by: leader), from: others[0]).timeouts == [])
        // Nor one that came a view ahead.
        let next = driver.view(from: view.next(), notLedBy: 0)
        driver.nullify(upTo: View(next.value - 1))
        driver.give(try driver.forged(.nullify(0, next), by: driver.engine.leader(of: next)), from: 1)
        #expect(driver.give(driver.certificate(.nullify(0, driver.engine.view))).timeouts == [])
        #expect(driver.engine.view == next)
    }

    @Test func theNextLeadersNullifyIsRememberedUntilItsView() throws {
        var driver = try Self.following()
        let next = driver.view(from: driver.engine.view.next(), notLedBy: 0)
        driver.nullify(upTo: View(next.value - 1))
        driver.give(driver.vote(.nullify(0, next), by: driver.engine.leader(of: next)))
        #expect(driver.give(driver.certificate(.nullify(0, driver.engine.view))).timeouts == [.leaderNullified])
    }

    @Test func aLeaderSilentForLongWhileAQuorumWasActiveIsPassedAtOnce() throws {
        var driver = try Driver()
        driver.start()
        var reasons: [View: TimeoutReason] = [:]
        while driver.engine.view < 80 {
            let view = driver.engine.view
            // Validator 3 never signs.
            let outputs = driver.give(driver.certificate(.nullify(0, view), by: [0, 1, 2]))
            if let reason = outputs.timeouts.first { reasons[driver.engine.view] = reason }
        }
        #expect(!reasons.isEmpty)
        for (view, reason) in reasons {
            #expect(reason == .leaderInactive)
            #expect(driver.engine.leader(of: view) == 3)
            #expect(view > View(UInt64(Driver.parameters.inactivity)))
        }
    }

    /// A dead validator costs one time-out, not one for each of its turns; one word of it and it is waited for again.
    @Test(arguments: [false, true]) func aLeaderThatMissedItsTurnIsWaitedForOnceItIsHeard(_ isHeard: Bool) throws {
        var driver = try Self.following()
        let first = driver.view(from: driver.engine.view, ledBy: 3)
        func nullify(upTo view: View) {
            while driver.engine.view < view {
                driver.give(driver.certificate(.nullify(0, driver.engine.view), by: [0, 1, 2]))
            }
        }
        nullify(upTo: first)
        #expect(driver.pass(60_000).timeouts.contains(.noProposal))
        let second = driver.view(from: first.next(), ledBy: 3)
        nullify(upTo: first.next())
        if isHeard {
            // Checked with the votes that it makes a certificate with.
            let view = driver.engine.view
            for signer in [1, 2, 3] { driver.give(driver.vote(.nullify(0, view), by: signer)) }
        }
        nullify(upTo: View(second.value - 1))
        let outputs = driver.give(driver.certificate(.nullify(0, View(second.value - 1)), by: [0, 1, 2]))
        #expect(driver.engine.view == second)
        #expect(outputs.timeouts == (isHeard ? [] : [.leaderInactive]))
    }

    @Test func aJumpOverManyViewsAccusesNobodyOfSilence() throws {
        var driver = try Driver()
        driver.start()
        let target = driver.view(from: 500, ledBy: 3)
        let outputs = driver.give(
            driver.certificate(.finalize(driver.proposal(View(target.value - 1))), by: [0, 1, 2]))
        #expect(driver.engine.view == target)
        #expect(outputs.timeouts == [])
    }

    @Test func aHigherFinalizationCarriesALateNodeToTheTip() throws {
        var driver = try Self.following()
        let proposal = driver.proposal(700)
        let outputs = driver.give(driver.certificate(.finalize(proposal)))
        #expect(outputs.finalized == [proposal])
        #expect(driver.engine.view == 701)
        #expect(driver.engine.lastFinalized == 700)
        // It votes there at once.
        driver.nullify(upTo: driver.view(from: 701, notLedBy: 0))
        let child = driver.proposal(driver.engine.view, on: proposal)
        #expect(driver.accept(child).votes() == [.notarize(child)])
    }
}
