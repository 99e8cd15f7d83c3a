import Ledger
import Primitives
import Programs
import Testing

/// A run as a row of jobs, each of which begins with what the one before has kept. `TestNet.step` counts all money after every block.
@Suite struct SegmentJobTests {
    private let net: TestNet

    init() throws {
        net = try TestNet()
        try net.openMarket()
    }

    private static func digest(_ number: UInt8) -> Digest { Digest.of(Domain("segment"), [number]) }

    /// Two carried tensors, of which the second is the flag, after so many steps.
    private static func state(_ steps: UInt64, ended: Bool = false) -> [Digest] {
        [digest(UInt8(steps)), ShownFlag.root(ended)]
    }

    private static func result(_ steps: UInt64, ended: Bool = false, taken: UInt64 = 2) -> ResultCommitment {
        ResultCommitment(
            steps: [taken], outputRoot: digest(200), stateRoot: ResultRoots.stateRoot(state(steps, ended: ended)))
    }

    /// Steps `first` to `first + 2` of six, each of 10 CU.
    private func spec(_ first: UInt64, after parent: Digest? = nil) -> JobSpec {
        var spec = net.spec(.sampled(perMille: 5))
        spec.isSegment = true
        spec.scans = [JobScan(first: first, steps: 2, weightedOperations: 10_000_000_000)]
        spec.computeUnits = ComputeUnits(weightedOperations: 20_000_000_000)
        spec.stateOf = parent
        spec.flag = parent == nil ? nil : 1
        return spec
    }

    private func resolution(_ kept: [Digest], isSet: Bool = false) -> Resolution {
        Resolution(
            inputs: [], state: MerkleTree.root(kept),
            flag: ShownFlag(isSet: isSet, siblings: MerkleLevels(kept).proof(1).siblings))
    }

    /// Brings an assigned job to its end.
    private func settle(_ id: Digest, _ result: ResultCommitment, showing resolution: Resolution? = nil) throws {
        try net.step()
        let provider = try net.executor(id)
        let attempt = try net.job(id).attempt
        if let resolution, try net.job(id).roots == nil {
            try net.act(provider, .startAfter(job: id, attempt: attempt, resolution: resolution))
        } else {
            try net.act(provider, .startJob(job: id, attempt: attempt))
        }
        let masked = try net.opening(id, provider, result).masked(
            provider: net.address(provider), job: id, attempt: attempt)
        try net.act(provider, .commitResult(job: id, attempt: attempt, masked: masked))
        try net.step()
        try net.step()
        // One in two hundred is drawn.
        let auditors = try net.commitAudits(id, result)
        try net.open(id, provider, result)
        for auditor in auditors { try net.revealAudit(id, auditor, result) }
        for _ in 0..<60 where try net.job(id).state != .settled { try net.pass(1000) }
        #expect(try net.job(id).state == .settled)
    }

    private func spent(since before: Amount) throws -> Amount { try before.subtracting(try net.worth(net.requester)) }

    /// The executor of the second segment dies twice: each step is paid once all the same, and the third begins where the second came to.
    @Test func aRowIsPaidOnceHoweverOftenAnExecutorDies() throws {
        let before = try net.worth(net.requester)
        let first = try net.submit(spec(0))
        let second = try net.submit(spec(2, after: first))
        let third = try net.submit(spec(4, after: second))
        try settle(first, Self.result(2))
        try net.step()
        for attempt: UInt32 in 1...2 {
            let dying = try net.executor(second)
            if attempt == 1 {
                try net.act(dying, .startAfter(job: second, attempt: 1, resolution: resolution(Self.state(2))))
            } else {
                try net.act(dying, .startJob(job: second, attempt: attempt))
            }
            let outage = try net.balance(net.requester)
            for _ in 0..<30 where try net.job(second).attempt == attempt { try net.pass(1000) }
            // It is fined for the benefit of who waits.
            #expect(try net.balance(net.requester) > outage)
            #expect(try net.job(second).roots?.initialState == MerkleTree.root(Self.state(2)))
        }
        try settle(second, Self.result(4))
        try settle(third, Self.result(6), showing: resolution(Self.state(4)))
        #expect(try net.job(third).roots?.initialState == MerkleTree.root(Self.state(4)))
        let receipts = try [first, second, third].map { try #require(try Query.receipt(job: $0, in: net.store)) }
        #expect(receipts.map(\.amount) == [Amount](repeating: try Amount(parsing: "0.2"), count: 3))
        #expect(receipts.map(\.computeUnits.weightedOperations) == [UInt64](repeating: 20_000_000_000, count: 3))
        // Six steps of 0.1 XPL; the postings, and what the allowances paid for moves, less two fines of a tenth of a segment's price.
        #expect(try spent(since: before) < (try Amount(parsing: "0.9")))
        #expect(try net.job(third).disputeSubject?.segment == [StepRange(first: 4, count: 2)])
    }

    /// A flag that the parent's last step has set ends the run: what would come after it is not run, costs nothing but its moves, and leaves the state as it
    /// is.
    @Test func whatWouldComeAfterTheEndIsNotRun() throws {
        let first = try net.submit(spec(0))
        let second = try net.submit(spec(2, after: first))
        let third = try net.submit(spec(4, after: second))
        let kept = Self.state(2, ended: true)
        let before = try net.worth(net.requester)
        try settle(first, Self.result(2, ended: true))
        for id in [second, third] {
            try net.step()
            let provider = try net.executor(id)
            let (balance, bond) = (try net.balance(provider), try net.provider(provider))
            // It is shown while witnesses are to be drawn that would look for it.
            if id == second { try net.act(provider, .declineJob(job: id, attempt: 1, reason: .inputsUnavailable)) }
            try net.act(provider, .startAfter(job: id, attempt: 1, resolution: resolution(kept, isSet: true)))
            #expect(try net.job(id).state == .settled && !net.job(id).isClaimed)
            let receipt = try #require(try Query.receipt(job: id, in: net.store))
            #expect(receipt.amount == .zero && receipt.computeUnits.weightedOperations == 0)
            #expect(receipt.commitment.steps == [0])
            #expect(receipt.commitment.stateRoot == ResultRoots.stateRoot(kept))
            // Neither gain nor loss, and its bond is free again.
            #expect(try net.balance(provider) == balance)
            let after = try net.provider(provider)
            #expect(after.bond == bond.bond && after.locked == .zero && bond.locked > .zero)
            try net.step()
        }
        // Of what was locked for the two all came back but what the moves cost: only the first was paid, of its own escrow.
        #expect(try net.worth(net.requester) > before)
        #expect(try Query.totals(in: net.store).escrowed == .zero)
    }

    @Test func aFlagIsShownAsItIs() throws {
        let first = try net.submit(spec(0))
        let second = try net.submit(spec(2, after: first))
        try settle(first, Self.result(2))
        try net.step()
        let provider = try net.executor(second)
        let kept = Self.state(2)
        let state = MerkleTree.root(kept)
        let path = MerkleLevels(kept).proof(1).siblings
        let wrong: [(Resolution, String)] = [
            (resolution(kept, isSet: true), "the flag"),
            (Resolution(inputs: [], state: state), "the flag"),
            (Resolution(inputs: [], state: state, flag: ShownFlag(isSet: false, siblings: [])), "the flag"),
            (Resolution(inputs: [], state: state, flag: ShownFlag(isSet: false, siblings: path + path)), "the flag"),
            (resolution(Self.state(2, ended: true), isSet: true), "the state"),
        ]
        for (resolution, words) in wrong {
            try net.fail(provider, .startAfter(job: second, attempt: 1, resolution: resolution), words)
        }
        try net.act(provider, .startAfter(job: second, attempt: 1, resolution: resolution(kept)))
        #expect(try net.job(second).state == .running)
    }

    /// What a segment may commit to are its own steps, and none of the scans that it passes over.
    @Test func aSegmentTakesItsOwnSteps() throws {
        var spec = spec(0)
        spec.scans = [
            JobScan(steps: 0, weightedOperations: 5), JobScan(first: 3, steps: 2, weightedOperations: 7),
            JobScan(steps: 0, weightedOperations: 5),
        ]
        #expect(try JobSpec(canonicalBytes: spec.canonicalBytes) == spec)
        #expect(spec.allows(steps: [0, 2, 0]) && spec.allows(steps: [0, 1, 0]))
        #expect(!spec.allows(steps: [0, 0, 0]) && !spec.allows(steps: [1, 2, 0]) && !spec.allows(steps: [0, 3, 0]))
        #expect(spec.segment == [(0, 0), (3, 2), (0, 0)].map { StepRange(first: $0.0, count: $0.1) })
    }

    @Test func aSegmentIsOneStretch() throws {
        func scan(_ first: UInt64, _ steps: UInt64) -> JobScan {
            JobScan(first: first, steps: steps, weightedOperations: 1)
        }
        let parent = Self.digest(1)
        let sound: [[JobScan]] = [[scan(0, 1)], [scan(0, 0), scan(4, 2), scan(0, 3), scan(0, 0)], [scan(1 << 20, 1)]]
        for scans in sound {
            var spec = spec(0)
            spec.scans = scans
            #expect(try JobSpec(canonicalBytes: spec.canonicalBytes) == spec)
        }
        let wrong: [[JobScan]] = [
            [scan(0, 0)], [scan(0, 1), scan(0, 0), scan(0, 1)], [scan(0, 1), scan(1, 1)], [scan(2, 0), scan(0, 1)],
            [scan((1 << 20) + 1, 1)], [scan(0, (1 << 20) + 1)], [scan(0, 1 << 20), scan(0, 1)],
        ]
        for (number, scans) in wrong.enumerated() {
            var spec = spec(0)
            spec.scans = scans
            #expect(throws: DecodingFault.self, "\(number)") { try JobSpec(canonicalBytes: spec.canonicalBytes) }
        }
        let changes: [(inout JobSpec) -> Void] = [
            { $0.isSegment = false },
            { $0.scans[0].first = 0 },
            { $0.stateOf = nil },
            { $0.scans.append(scan(0, 1)) },
        ]
        for (number, change) in changes.enumerated() {
            var spec = spec(2, after: parent)
            #expect(try JobSpec(canonicalBytes: spec.canonicalBytes) == spec)
            change(&spec)
            #expect(throws: DecodingFault.self, "change \(number)") {
                try JobSpec(canonicalBytes: spec.canonicalBytes)
            }
        }
    }
}
