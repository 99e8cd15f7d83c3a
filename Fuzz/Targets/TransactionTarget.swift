import Ledger
import Primitives
import Programs

/// What accounts send.
enum TransactionTarget: FuzzTarget {
    static let name = "transactions"

    static func forms() throws -> [Form] {
        let network = try Fixture.genesis().digest
        return [
            Form(try Fixture.transactions(network)) { signed in
                _ = signed.id
                _ = signed.isSigned
            },
            Form(try Fixture.payloads()) { _ = $0.job },
            Form([try Fixture.spec(.audited), try Fixture.spec(.replicated(count: 3))]),
            try resolutions(),
        ]
    }

    /// Whatever is shown of a parent's result, what is believed is the tensor that the parent has.
    private static func resolutions() throws -> Form {
        let steps = (0..<5).map { step in (0..<3).map { Fixture.digest(100 + 3 * step + $0) } }
        let kept = (0..<3).map { Fixture.digest(200 + $0) }
        let parent = Fixture.digest(7)
        let result = ResultCommitment(
            steps: [5], outputRoot: ResultRoots.outputRoot(steps), stateRoot: ResultRoots.stateRoot(kept))
        var spec = try Fixture.spec(.audited)
        spec.inputs = [
            JobInput(name: "a", source: .result(ResultTensor(job: parent, step: 3, index: 1, count: 3))),
            JobInput(name: "b", source: .result(ResultTensor(job: parent, step: nil, index: 2, count: 3))),
        ]
        let above = MerkleLevels(steps.map { MerkleTree.root($0) }).proof(3).siblings
        let shown = [
            ShownTensor(root: steps[3][1], siblings: MerkleLevels(steps[3]).proof(1).siblings + above),
            ShownTensor(root: kept[2], siblings: MerkleLevels(kept).proof(2).siblings),
        ]
        let truth = Resolution(inputs: shown, state: nil)
        let isTaken = (try? truth.roots(of: spec, reading: [parent: result]))?.inputs == [steps[3][1], kept[2]]
        require(isTaken, "the truth is not believed")
        return Form([truth]) { resolution in
            guard let roots = try? resolution.roots(of: spec, reading: [parent: result]) else { return }
            require(roots.inputs == [steps[3][1], kept[2]], "another tensor passes for the parent's")
        }
    }
}
