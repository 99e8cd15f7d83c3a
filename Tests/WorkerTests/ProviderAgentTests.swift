import Ledger
import Primitives
import Testing
import Worker

@Suite struct ProviderAgentTests {
    let task = WorkTask(job: Digest.of(Domain("test"), [1]), attempt: 0, role: .executor)
    let audit = WorkTask(job: Digest.of(Domain("test"), [1]), attempt: 0, role: .auditor)
    let result = WorkProgress.done(ResultCommitment(steps: [1], outputRoot: .zero, stateRoot: .zero))

    func decide(_ stage: WorkItem.Stage, _ progress: WorkProgress?, _ task: WorkTask) -> [WorkAction] {
        ProviderAgent.decide(
            items: [WorkItem(task: task, stage: stage)], progress: progress.map { [task: $0] } ?? [:], underWay: [])
    }

    @Test func anAssignedJobIsFetchedThenStarted() {
        #expect(decide(.assigned(isLate: false), nil, task) == [.fetch(task)])
        #expect(decide(.assigned(isLate: false), .fetching, task) == [])
        #expect(decide(.assigned(isLate: false), .fetched, task) == [.post(.start(task))])
    }

    @Test func aRunningJobIsRunThenCommitted() {
        #expect(decide(.running(heartbeatDue: false), .fetched, task) == [.run(task)])
        #expect(decide(.running(heartbeatDue: false), .running, task) == [])
        #expect(decide(.running(heartbeatDue: true), .running, task) == [.post(.heartbeat(task))])
        #expect(decide(.running(heartbeatDue: false), result, task) == [.post(.commit(task))])
    }

    @Test func aRestartedProviderMakesItsResultAgain() {
        #expect(decide(.running(heartbeatDue: true), nil, task) == [.fetch(task)])
        #expect(decide(.committed(mayOpen: true), nil, task) == [.fetch(task)])
        #expect(decide(.committed(mayOpen: true), .fetched, task) == [.run(task)])
    }

    @Test func nothingIsOpenedBeforeItsTime() {
        #expect(decide(.committed(mayOpen: false), result, task) == [])
        #expect(decide(.committed(mayOpen: true), result, task) == [.post(.open(task))])
        #expect(decide(.masked(mayReveal: false), result, audit) == [])
        #expect(decide(.masked(mayReveal: true), result, audit) == [.post(.auditReveal(audit))])
    }

    @Test func anAuditorRunsWithoutStarting() {
        #expect(decide(.drawn, .fetched, audit) == [.run(audit)])
        #expect(decide(.drawn, result, audit) == [.post(.auditCommit(audit))])
        #expect(decide(.drawn, .refused(.unavailable("x")), audit) == [])
    }

    @Test func aRefusalIsDeclinedWithItsReason() {
        let refusal = WorkProgress.refused(.costMismatch(declared: 1, actual: 2))
        #expect(decide(.assigned(isLate: false), refusal, task) == [.post(.decline(task, reason: 0))])
    }

    @Test func whatDoesNotComeInTimeIsDeclined() {
        #expect(decide(.assigned(isLate: true), .fetching, task) == [.post(.decline(task, reason: 1))])
        #expect(decide(.assigned(isLate: true), .fetched, task) == [.post(.start(task))])
    }

    /// A started job can no longer be declined: each try only cost its fee.
    @Test func aStartedJobIsNotDeclined() {
        let gone = WorkProgress.refused(.unavailable("x"))
        #expect(decide(.running(heartbeatDue: false), gone, task) == [])
        #expect(decide(.running(heartbeatDue: true), gone, task) == [.post(.heartbeat(task))])
        #expect(decide(.running(heartbeatDue: true), .refused(.failed("x")), task) == [])
    }

    @Test func aMoveUnderWayIsNotPostedTwice() {
        let actions = ProviderAgent.decide(
            items: [WorkItem(task: task, stage: .assigned(isLate: false))], progress: [task: .fetched],
            underWay: [.start(task)])
        #expect(actions == [])
    }

    @Test func whatTheStateNoLongerGivesIsForgotten() {
        #expect(ProviderAgent.decide(items: [], progress: [task: .running], underWay: []) == [.forget(task)])
        #expect(ProviderAgent.decide(items: [], progress: [task: result], underWay: []) == [.forget(task)])
    }

    @Test func saltsDifferByTaskAndKeyAndSurviveARestart() throws {
        let key = try SecretKey(seed: [UInt8](repeating: 1, count: 32))
        let other = try SecretKey(seed: [UInt8](repeating: 2, count: 32))
        #expect(ProviderAgent.salt(key: key, task: task) == ProviderAgent.salt(key: key, task: task))
        #expect(ProviderAgent.salt(key: key, task: task) != ProviderAgent.salt(key: key, task: audit))
        #expect(ProviderAgent.salt(key: key, task: task) != ProviderAgent.salt(key: other, task: task))
    }
}
