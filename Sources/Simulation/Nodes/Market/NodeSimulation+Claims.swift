import Ledger
import Primitives
import Programs

/// Requesters look for the output of each result that lies open, as `plasma job claim --wait` does, and claim what they cannot have.
extension NodeSimulation {
    /// Results that are new in a state: each requester looks for its own after a while.
    mutating func watchResults(_ jobs: [Job]) {
        for job in jobs where job.isDisputable {
            guard let place = requesters.firstIndex(where: { $0.key.publicKey.address == job.requester }),
                requesters[place].looked.insert(SimulatedRequester.Attempt(job: job.id, number: job.attempt)).inserted
            else { continue }
            schedule(-1, after: drawOnMarket(20...300), .claim(job.id, attempt: job.attempt, by: place))
        }
    }

    mutating func claim(_ id: Digest, attempt: UInt32, by place: Int) {
        guard let node = nodes.first(where: { isFree($0) }), let job = try? Query.job(id, in: node.disk.state),
            job.attempt == attempt, job.isDisputable, let assignment = job.assignment,
            let result = assignment.commitment,
            let terms = try? ClaimTerms(assignment, genesis.parameters)
        else { return }
        if requesters[place].actor != .claimingRequester, hasOutput(result, at: node) { return }
        // It has said something else just now, or its node is busy: again, while the window lasts.
        if requesters[place].pending.map({ $0.until > now }) ?? false {
            return schedule(-1, after: .milliseconds(50), .claim(id, attempt: attempt, by: place))
        }
        let payload = Payload.claimUndelivered(job: id, attempt: attempt, deposit: terms.deposit)
        guard let claiming = hand(payload, of: requesters[place].key, to: node) else { return }
        requesters[place].pending = (claiming, now.adding(.seconds(10)))
    }

    /// Whether all that a result names can be had from a node, or those that it is connected to.
    private func hasOutput(_ result: ResultCommitment, at node: SimulatedNode) -> Bool {
        let stores = ([node.index] + peers(of: node)).map { nodes[$0] }.filter(\.isUp).map(\.disk.blobs)
        func lists(_ root: Digest) -> [[Digest]]? {
            stores.lazy.compactMap { (try? $0.outputs(of: root)).flatMap { $0 } }.first
        }
        guard let outputs = lists(result.outputRoot) else { return false }
        var wanted = outputs.flatMap { $0 }
        if result.stateRoot != ResultRoots.stateRoot([]) {
            guard let kept = lists(result.stateRoot) else { return false }
            wanted += kept.flatMap { $0 }
        }
        return wanted.allSatisfy { id in stores.contains { $0.contains(id) } }
    }
}
