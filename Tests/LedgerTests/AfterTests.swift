import Ledger
import Primitives
import Programs
import Testing

/// Jobs that read what other jobs leave. `TestNet.step` counts all money after every block.
@Suite struct AfterTests {
    private static func digest(_ number: UInt8) -> Digest { Digest.of(Domain("after"), [number]) }

    /// Three steps that give out two tensors each, and three that are kept.
    private static let outputs = (0..<3).map { step in (0..<2).map { digest(UInt8(10 * step + $0)) } }
    private static let kept = (0..<3).map { digest(UInt8(100 + $0)) }
    private static let result = ResultCommitment(
        steps: [3], outputRoot: ResultRoots.outputRoot(outputs), stateRoot: ResultRoots.stateRoot(kept))

    private let net: TestNet

    init() throws {
        net = try TestNet()
        try net.openMarket()
    }

    private var parentSpec: JobSpec {
        var spec = net.spec(.sampled(perMille: 5), queue: 600_000)
        spec.scans = [JobScan(steps: 3, weightedOperations: 30_000_000_000)]
        return spec
    }

    private func child(_ inputs: [JobInput], stateOf parent: Digest? = nil) -> JobSpec {
        var spec = net.spec(.sampled(perMille: 5))
        spec.inputs = inputs
        spec.stateOf = parent
        return spec
    }

    private func tensor(_ job: Digest, step: UInt64? = 1, index: UInt32 = 1, count: UInt32 = 2) -> JobInput {
        JobInput(name: "x", source: .result(ResultTensor(job: job, step: step, index: index, count: count)))
    }

    /// The path of what `tensor` names by default.
    private static func shown(_ outputs: [[Digest]] = AfterTests.outputs, step: Int = 1, index: Int = 1) -> ShownTensor
    {
        ShownTensor(
            root: outputs[step][index],
            siblings: MerkleLevels(outputs[step]).proof(index).siblings
                + MerkleLevels(outputs.map { MerkleTree.root($0) }).proof(step).siblings)
    }

    private func settle(_ id: Digest, _ result: ResultCommitment = AfterTests.result) throws {
        let provider = try net.run(id, to: result)
        // One in two hundred is drawn.
        let auditors = try net.commitAudits(id, result)
        try net.open(id, provider, result)
        for auditor in auditors { try net.revealAudit(id, auditor, result) }
        // No block longer than it takes: whoever waited for it is matched by the next.
        for _ in 0..<60 where try net.job(id).state != .settled { try net.pass(1000) }
        #expect(try net.job(id).state == .settled)
    }

    private func settledParent() throws -> Digest {
        let id = try net.submit(parentSpec)
        try settle(id)
        return id
    }

    private func assigned(_ id: Digest) throws -> SecretKey {
        try net.step()
        #expect(try net.job(id).state == .assigned)
        return try net.executor(id)
    }

    private func show(_ id: Digest, _ resolution: Resolution) throws -> Payload {
        .startAfter(job: id, attempt: try net.job(id).attempt, resolution: resolution)
    }

    // MARK: Waiting

    @Test func aJobWaitsUntilAllItsParentsAreSettledAndIsPaidAsAny() throws {
        let before = try net.worth(net.requester)
        let parents = [try net.submit(parentSpec), try net.submit(parentSpec)]
        let id = try net.submit(child([tensor(parents[0]), tensor(parents[1], step: nil, index: 2, count: 3)]))
        #expect(try net.job(id).state == .waiting)
        // Its queue deadline, 5 s, has not begun.
        try settle(parents[0])
        #expect(try net.job(id).state == .waiting)
        #expect(try net.job(id).awaited == [parents[1]])
        try settle(parents[1])
        let provider = try assigned(id)
        // It became open in the block in which the last settled, and was matched by the next one's beacon.
        let history = try net.job(id).history
        let settled = try #require(try net.job(parents[1]).history.last)
        #expect(history.prefix(3).map(\.state) == [.waiting, .open, .assigned])
        #expect(history[1].height == settled.height && history[2].height == settled.height.next())

        let resolution = Resolution(
            inputs: [
                Self.shown(), ShownTensor(root: Self.kept[2], siblings: MerkleLevels(Self.kept).proof(2).siblings),
            ], state: nil)
        try net.fail(provider, .startJob(job: id, attempt: 1), "must show where that stands")
        try net.act(provider, try show(id, resolution))
        #expect(try net.job(id).state == .running)
        #expect(try net.job(id).roots == JobRoots(inputs: [Self.outputs[1][1], Self.kept[2]], initialState: .zero))
        let opening = try net.opening(id, provider)
        try net.act(
            provider,
            .commitResult(
                job: id, attempt: 1, masked: opening.masked(provider: net.address(provider), job: id, attempt: 1)))
        try net.step()
        try net.step()
        try net.open(id, provider)
        #expect(try net.job(id).disputeSubject?.inputs == AgreedList([Self.outputs[1][1], Self.kept[2]]))
        try net.pass(30_000)
        #expect(try net.job(id).state == .settled)
        // Three runs of 1 XPL, the posting fees, and what the allowances paid for the moves.
        let spent = try before.subtracting(try net.worth(net.requester))
        let least = try Amount.xpl(3).adding(try net.genesis.parameters.postingFee.multiplied(by: 3))
        let most = try Amount(parsing: "3.31")
        #expect(spent > least && spent < most)
        #expect(net.store.all(.state).allSatisfy { ![0x57, 0x4c].contains($0.key[0]) })
    }

    @Test func aJobWhoseParentsAreSettledIsOpenAtOnce() throws {
        let parent = try settledParent()
        let id = try net.submit(child([tensor(parent)], stateOf: parent))
        #expect(try net.job(id).state == .open)
        let provider = try assigned(id)
        try net.act(provider, try show(id, Resolution(inputs: [Self.shown()], state: MerkleTree.root(Self.kept))))
        #expect(try net.job(id).roots?.initialState == MerkleTree.root(Self.kept))
    }

    @Test(arguments: [JobState.cancelled, .expired, .failed])
    func aParentThatEndsInAnotherWayEndsItsChildrenAndTheirs(_ end: JobState) throws {
        var spec = parentSpec
        if end == .expired {
            spec.maximumPricePer1000CU = .xpl(1)
            spec.queueMilliseconds = 2000
        }
        let parent = try net.submit(spec)
        let before = try net.worth(net.requester)
        let id = try net.submit(child([tensor(parent)]))
        let grandchild = try net.submit(child([], stateOf: id))
        switch end {
        case .cancelled: try net.act(net.requester, .cancelJob(job: parent))
        case .failed:
            let provider = try assigned(parent)
            try net.act(provider, .declineJob(job: parent, attempt: 1, reason: .inputsUnavailable))
            try net.step()
            try net.step()
            for witness in try #require(try net.job(parent).claim).witnesses {
                let key = try net.key(witness.provider)
                try net.act(key, .attestDelivery(job: parent, attempt: 1, holds: false))
            }
            try net.pass(21_000)
        default: try net.pass(3000)
        }
        #expect(try net.job(parent).state == end)
        try net.step()
        try net.step()
        for job in [try net.job(id), try net.job(grandchild)] {
            #expect(job.state == .failed && job.escrow == .zero && job.awaited.isEmpty)
            #expect(job.reason.contains("whose result it reads"))
        }
        // All of their escrows came back; of the parent's what its own end gives.
        let spent = try before.subtracting(min(before, try net.worth(net.requester)))
        #expect(spent <= (try net.genesis.parameters.postingFee.multiplied(by: 2)))
        #expect(try !Query.hasWork(in: net.store))
    }

    @Test func aWaitingJobIsCancelledForThePostingFee() throws {
        let parents = [try net.submit(parentSpec), try net.submit(parentSpec)]
        let before = try net.worth(net.requester)
        let id = try net.submit(child(parents.map { tensor($0) }))
        try net.fail(net.people[7], .cancelJob(job: id), "has no job")
        try net.act(net.requester, .cancelJob(job: id))
        #expect(try net.job(id).state == .cancelled)
        #expect(try before.subtracting(try net.worth(net.requester)) == net.genesis.parameters.postingFee)
        // Nobody waits any more, and the parents' ends do nothing.
        #expect(net.store.all(.state).allSatisfy { $0.key[0] != 0x57 })
        try settle(parents[0])
        #expect(try net.job(id).state == .cancelled)
        #expect(net.store.all(.state).allSatisfy { $0.key[0] != 0x4c })
    }

    /// A step that the parent was allowed and has not taken leaves nothing.
    @Test func aStepThatWasNotTakenCannotBeRead() throws {
        let parent = try net.submit(parentSpec)
        let before = try net.worth(net.requester)
        let id = try net.submit(child([tensor(parent, step: 2)]))
        let short = ResultCommitment(
            steps: [2], outputRoot: ResultRoots.outputRoot(Array(Self.outputs.prefix(2))),
            stateRoot: Self.result.stateRoot)
        try settle(parent, short)
        #expect(try net.job(id).state == .failed)
        #expect(try net.job(id).reason.contains("which took 2"))
        #expect(try net.worth(net.requester) > (try before.subtracting(.xpl(1))))
        try net.fail(net.requester, .submitJob(child([tensor(parent, step: 2)])), "which took 2")
    }

    @Test func whatIsReadMustBeAJobThatCanStillSettle() throws {
        try net.fail(net.requester, .submitJob(child([tensor(Self.digest(1))])), "which there is not")
        let parent = try net.submit(parentSpec)
        try net.act(net.requester, .cancelJob(job: parent))
        try net.fail(net.requester, .submitJob(child([], stateOf: parent)), "which is cancelled")
    }

    /// Results lie open: whose job it was does not matter.
    @Test func anybodyMayReadAResult() throws {
        let parent = try settledParent()
        let signed = net.transaction(net.people[7], .submitJob(child([tensor(parent)])))
        #expect(try net.step([signed]).receipts[0].succeeded)
        #expect(try net.job(signed.id).state == .open)
    }

    // MARK: Attacks

    @Test func onlyTheTrueRootsArePossible() throws {
        let parent = try settledParent()
        let other = try net.submit(parentSpec)
        let theirs = (0..<3).map { step in (0..<2).map { Self.digest(UInt8(50 + 10 * step + $0)) } }
        try settle(
            other,
            ResultCommitment(steps: [3], outputRoot: ResultRoots.outputRoot(theirs), stateRoot: Self.result.stateRoot))
        let id = try net.submit(child([tensor(parent)], stateOf: parent))
        let provider = try assigned(id)
        let state = MerkleTree.root(Self.kept)
        let right = Self.shown()
        var forged = right.siblings
        forged[0] = Self.digest(99)
        // One tree higher, a node is no tensor.
        let node = ShownTensor(root: MerkleTree.root(Self.outputs[1]), siblings: Array(right.siblings.dropFirst()))
        let wrong: [(Resolution, String)] = [
            (
                Resolution(inputs: [ShownTensor(root: Self.digest(99), siblings: right.siblings)], state: state),
                "tensor 0"
            ),
            (Resolution(inputs: [ShownTensor(root: right.root, siblings: forged)], state: state), "tensor 0"),
            (Resolution(inputs: [ShownTensor(root: right.root, siblings: [])], state: state), "tensor 0"),
            (Resolution(inputs: [node], state: state), "tensor 0"),
            (Resolution(inputs: [Self.shown(theirs)], state: state), "tensor 0"),
            (Resolution(inputs: [Self.shown(step: 2)], state: state), "tensor 0"),
            (Resolution(inputs: [Self.shown(index: 0)], state: state), "tensor 0"),
            (Resolution(inputs: [right, right], state: state), "names 1 tensors"),
            (Resolution(inputs: [], state: state), "names 1 tensors"),
            (Resolution(inputs: [right], state: nil), "the state"),
            (Resolution(inputs: [right], state: MerkleTree.root(Self.outputs[1])), "the state"),
        ]
        for (resolution, words) in wrong { try net.fail(provider, try show(id, resolution), words) }
        let stranger = try #require(net.providers.first { $0.publicKey != provider.publicKey })
        try net.fail(stranger, try show(id, Resolution(inputs: [right], state: state)), "no part")
        #expect(try net.job(id).roots == nil)
        try net.act(provider, try show(id, Resolution(inputs: [right], state: state)))
    }

    /// A state is shown where one is asked for, and roots where there are none to show.
    @Test func nothingIsShownThatNobodyAskedFor() throws {
        let parent = try settledParent()
        let id = try net.submit(child([tensor(parent)]))
        let provider = try assigned(id)
        let much = Resolution(inputs: [Self.shown()], state: MerkleTree.root(Self.kept))
        try net.fail(provider, try show(id, much), "the state")
        let plain = try net.submit(net.spec(.sampled(perMille: 5)))
        let other = try assigned(plain)
        try net.fail(other, try show(plain, Resolution(inputs: [], state: nil)), "it is known what the job reads")
    }

    /// What one provider has shown stays shown: the next one starts as any job is started.
    @Test func anotherAttemptKnowsTheRoots() throws {
        let parent = try settledParent()
        let id = try net.submit(child([], stateOf: parent))
        let first = try assigned(id)
        let resolution = Resolution(inputs: [], state: MerkleTree.root(Self.kept))
        try net.act(first, try show(id, resolution))
        // It falls silent.
        for _ in 0..<60 where try net.job(id).attempt == 1 { try net.pass(1000) }
        #expect(try net.job(id).attempt == 2)
        let second = try net.executor(id)
        #expect(second.publicKey != first.publicKey)
        try net.fail(second, .startAfter(job: id, attempt: 2, resolution: resolution), "it is known")
        try net.act(second, .startJob(job: id, attempt: 2))
        #expect(try net.job(id).roots?.initialState == MerkleTree.root(Self.kept))
    }

    @Test func theDeadlineRunsFromWhenItCanBeRun() throws {
        var slow = parentSpec
        slow.maximumPricePer1000CU = .xpl(5)
        let parent = try net.submit(slow)
        var spec = child([], stateOf: parent)
        spec.deadlineMilliseconds = 100_000
        let id = try net.submit(spec)
        try net.pass(120_000)
        #expect(try net.job(id).state == .waiting)
        // Somebody asks less at last.
        for provider in net.providers { try net.act(provider, .setOffer(net.offerTerms(.xpl(5)))) }
        try net.step()
        try settle(parent)
        let first = try assigned(id)
        try net.act(first, try show(id, Resolution(inputs: [], state: MerkleTree.root(Self.kept))))
        for _ in 0..<60 where try net.job(id).attempt == 1 { try net.pass(1000) }
        // An attempt is lost, and another begins: the deadline is not over.
        #expect(try net.job(id).attempt == 2)
    }

    /// Jobs that wait for one are told so many a block, and a chain of jobs falls one a block.
    @Test func manyChildrenAndLongChainsAreTakenInTurns() throws {
        var parameters = TestNet.parameters
        parameters.matchesPerBlock = 8
        let net = try TestNet(parameters: parameters)
        try net.openMarket()
        let parent = try net.submit(net.spec())
        var spec = net.spec(.sampled(perMille: 5), ceiling: .xpl(1))
        spec.inputs = [tensor(parent, step: 0, index: 0, count: 1)]
        let signed = (0..<30).map { _ in net.transaction(net.requester, .submitJob(spec)) }
        for receipt in try net.step(signed).receipts { #expect(receipt.succeeded, "\(receipt.reason)") }
        var chain = [signed[29].id]
        for _ in 0..<5 {
            var next = spec
            next.inputs = []
            next.stateOf = chain.last
            chain.append(try net.submit(next))
        }
        try net.act(net.requester, .cancelJob(job: parent))
        func failed() throws -> Int { try signed.count { try net.job($0.id).state == .failed } }
        // Eight a block, of which the chain that hangs on one of them may take some.
        var told = 0
        for _ in 0..<10 where told < 30 {
            #expect(try Query.hasWork(in: net.store))
            try net.step()
            let now = try failed()
            #expect(now > told && now - told <= 8)
            told = now
        }
        #expect(told == 30)
        for _ in 0..<6 { try net.step() }
        #expect(try chain.allSatisfy { try net.job($0).state == .failed })
        #expect(net.store.all(.state).allSatisfy { ![0x57, 0x4c].contains($0.key[0]) })
        #expect(try !Query.hasWork(in: net.store))
    }

    // MARK: Form

    @Test func aSpecSaysOneThingOnly() throws {
        let root = Self.digest(1)
        var bounded = child((0..<JobSpec.maximumReferences).map { _ in tensor(root) }, stateOf: Self.digest(2))
        #expect(try JobSpec(canonicalBytes: bounded.canonicalBytes) == bounded)
        #expect(bounded.parents == [root, Self.digest(2)])
        bounded.inputs.append(tensor(root))
        #expect(throws: DecodingFault.self) { try JobSpec(canonicalBytes: bounded.canonicalBytes) }
        let changes: [(inout JobSpec) -> Void] = [
            { $0.initialState = root },
            { $0.carried = [JobInput(name: "s", root: root)] },
            {
                $0.stateOf = nil
                $0.carried = [tensor(root)]
            },
            { $0.inputs = [tensor(root, index: 2)] },
            { $0.inputs = [tensor(root, index: 0, count: 5000)] },
        ]
        for (number, change) in changes.enumerated() {
            var spec = child([], stateOf: root)
            change(&spec)
            #expect(throws: DecodingFault.self, "change \(number)") { try JobSpec(canonicalBytes: spec.canonicalBytes) }
        }
    }

    /// The longest paths to as many tensors as a job may name fit a transaction.
    @Test func whatAStartShowsFitsATransaction() throws {
        let longest = ShownTensor(root: Self.digest(1), siblings: (0..<32).map { Self.digest(UInt8($0)) })
        let resolution = Resolution(
            inputs: (0..<JobSpec.maximumReferences).map { _ in longest }, state: Self.digest(1))
        let signed = net.transaction(
            net.requester, .startAfter(job: Self.digest(1), attempt: 1, resolution: resolution))
        #expect(signed.transaction.canonicalBytes.count <= Transaction.maximumBytes)
    }
}
