import Consensus
import Primitives
import Testing

@Suite struct JournalTests {
    /// A driver through a notarized, certified view, a nullified one and a finalized one, with votes in the view it is in.
    static func lived() throws -> Driver {
        var driver = try ViewTests.following()
        let first = driver.proposal(driver.engine.view)
        driver.accept(first)
        driver.certify(first)
        driver.give(driver.certificate(.finalize(first)))
        driver.nullify(upTo: driver.view(from: driver.engine.view.next(), notLedBy: 0))
        let second = driver.proposal(driver.engine.view, on: first)
        driver.accept(second)
        driver.certify(second)
        driver.nullify(upTo: driver.view(from: driver.engine.view, notLedBy: 0))
        driver.accept(driver.proposal(driver.engine.view, on: second))
        return driver
    }

    @Test func aRestartStandsWhereTheCrashCame() throws {
        let driver = try Self.lived()
        var restarted = try driver.restarted()
        let outputs = restarted.start()
        #expect(restarted.engine.view == driver.engine.view)
        #expect(restarted.engine.lastFinalized == driver.engine.lastFinalized)
        #expect(outputs.finalized.map(\.view) == [driver.engine.lastFinalized])
    }

    /// A crash at every boundary: whatever prefix of the journal is left, no second vote of a kind and view is ever cast, and none that
    /// contradicts one that left before.
    @Test func noBoundaryOfTheJournalLeadsToASecondVote() throws {
        let driver = try Self.lived()
        let sent = driver.journal.compactMap { if case .vote(let vote) = $0 { vote.subject } else { nil } }
        for count in 0...driver.journal.count {
            var restarted = try driver.restarted(keeping: count)
            let before = driver.journal.prefix(count).compactMap {
                if case .vote(let vote) = $0 { vote.subject } else { nil }
            }
            var outputs = restarted.start()
            outputs += restarted.give(.work(true))
            let view = restarted.engine.view
            let leader = restarted.engine.leader(of: view)
            if leader == 0 {
                outputs += restarted.give(.payloadProposed(view, .zero))
            } else {
                outputs += restarted.accept(restarted.proposal(view, "another"))
            }
            for _ in 0..<4 { outputs += restarted.pass(1_000) }
            for vote in outputs.votes() {
                for held in before where held.view == vote.view {
                    #expect(vote.kind != held.kind || vote == held, "after \(count) records")
                    #expect(!(vote.kind == .nullify && held.kind == .finalize), "after \(count) records")
                    #expect(!(vote.kind == .finalize && held.kind == .nullify), "after \(count) records")
                    #expect(!(vote.kind == .notarize && held.kind == .nullify), "after \(count) records")
                }
            }
        }
        #expect(sent.count >= 4)
    }

    /// Trap: a notarization fetched, then lost before its certification.
    @Test func aNotarizationWithoutAVerdictIsCertifiedAgainAfterARestart() throws {
        var driver = try ViewTests.following()
        let proposal = driver.proposal(driver.engine.view)
        driver.give(driver.certificate(.notarize(proposal)))
        var restarted = try driver.restarted()
        #expect(restarted.start().certifications == [proposal])
        #expect(restarted.give(.certified(proposal, true)).entered == [proposal.view.next()])
    }

    /// The mutant `rule-5` lived: in one life the finalize ends its view, so only a journal brings both into one.
    @Test func aViewThatTheJournalSaysWeFinalizedIsNeverGivenUp() throws {
        let driver = try Driver()
        let proposal = driver.proposal(3)
        let finalize = Subject.finalize(proposal)
        var restarted = try Driver(journal: [.vote(driver.vote(finalize, by: 0))])
        restarted.start()
        restarted.give(.work(true))
        #expect(restarted.engine.view == 3)
        // Far beyond every deadline and retry.
        let outputs = restarted.pass(5_000)
        #expect(outputs.votes().contains(finalize))
        #expect(!outputs.votes().contains(.nullify(0, 3)))
    }

    /// Trap: records of an old epoch replayed into the new one.
    @Test func recordsOfAnotherEpochAreNotReplayed() throws {
        let driver = try Self.lived()
        var next = try Driver(journal: driver.journal, epoch: 1)
        let outputs = next.start()
        #expect(outputs.entered == [1])
        #expect(next.engine.lastFinalized == 0)
        #expect(outputs.certifications == [])
    }

    @Test func anApplicationAheadOfItsJournalStartsFromItsOwnFloor() throws {
        let driver = try Self.lived()
        let floor = driver.proposal(500)
        var ahead = try Driver(
            journal: driver.journal, floor: .finalized(floor, driver.certificate(.finalize(floor))))
        #expect(ahead.start().entered == [501])
        #expect(ahead.engine.lastFinalized == 500)
    }

    @Test func aFinalizationAboveTheApplicationsFloorIsHandedOverAgain() throws {
        var driver = try ViewTests.following()
        let final = driver.proposal(9)
        driver.give(driver.certificate(.finalize(final)))
        var restarted = try driver.restarted()
        #expect(restarted.start().finalized == [final])
    }

    @Test func anothersVoteInTheJournalIsNotTakenForOurs() throws {
        let source = try Driver()
        let view = source.view(notLedBy: 0)
        let foreign = source.vote(.nullify(0, view), by: 2)
        var driver = try Driver(journal: [.vote(foreign)])
        driver.start()
        driver.give(.work(true))
        driver.nullify(upTo: view)
        let proposal = driver.proposal(view)
        #expect(driver.accept(proposal).votes() == [.notarize(proposal)])
    }

    @Test func aRestartedLeaderDoesNotProposeTwice() throws {
        var driver = try Driver()
        driver.start()
        driver.nullify(upTo: driver.view(ledBy: 0))
        let view = driver.engine.view
        driver.give(.payloadProposed(view, .zero))
        var restarted = try driver.restarted()
        #expect(restarted.start().proposes == [])
        let other = Digest.of(Domain("test.payload"), [9])
        #expect(restarted.give(.payloadProposed(view, other)).votes() == [])
    }
}
