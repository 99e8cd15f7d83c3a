import Gossip
import Ledger
import Primitives
import Worker

/// Providers' blobs: each missing one is asked of all connected nodes in turn, as the real shell does.
extension NodeSimulation {
    /// As the real shell: how often all peers are asked, how long each may take, and the pause between.
    private static var fetchRounds: Int { 40 }
    private static var fetchPatience: Interval { .seconds(1) }
    private static var fetchPause: Interval { .milliseconds(250) }

    mutating func fetch(_ task: WorkTask, by provider: SimulatedProvider, at node: SimulatedNode) {
        guard var fetch = provider.fetches[task] else { return }
        if provider.actor == .lazyAuditor, task.role == .auditor { return finish(task, .fetched, of: provider) }
        let runner = provider.runner(on: node.disk.blobs)
        let first: [Digest] =
            switch fetch.goal {
            case .order(let order): [order.spec.manifest] + order.lists
            case .result(let result): runner.lists(of: result)
            }
        let hasManifest = first.allSatisfy { node.disk.blobs.contains($0) }
        let wanted: [Digest]
        do {
            if hasManifest {
                switch fetch.goal {
                case .order(let order): wanted = try runner.blobs(of: order)
                case .result(let result): wanted = try runner.tensors(of: result)
                }
            } else {
                wanted = first
            }
            let missing = wanted.filter { !node.disk.blobs.contains($0) }
            if missing.isEmpty {
                if case .order(let order) = fetch.goal {
                    let (spec, resolution) = try runner.resolved(order)
                    try runner.check(spec)
                    if let resolution { provider.machine?.found(resolution, for: task) }
                }
                return finish(task, .fetched, of: provider)
            }
            if fetch.peers.isEmpty {
                if fetch.rounds >= NodeSimulation.fetchRounds {
                    return finish(
                        task, .refused(.unavailable(hasManifest ? "an input of the job" : "the model's manifest")),
                        of: provider)
                }
                fetch.rounds += 1
                fetch.peers = peers(of: node).reversed()
            }
            guard let peer = fetch.peers.popLast() else {
                provider.fetches[task] = fetch
                return arrange(provider, .fetch(task), after: NodeSimulation.fetchPause)
            }
            let isLast = fetch.peers.isEmpty
            provider.fetches[task] = fetch
            requests += 1
            let id = requests
            node.blobRequests[id] = BlobQuestion(
                provider: provider.index, life: provider.life, task: task, wanted: missing, peer: peer,
                isLast: isLast)
            schedule(node.index, after: NodeSimulation.fetchPatience, .blobs(id: id, []))
            if let delay = wayTime(node.index, peer) {
                schedule(peer, after: delay, .blobRequest(missing, id: id, from: node.index, life: node.life))
            }
        } catch {
            finish(task, .refused(error as? WorkRefusal ?? .failed("\(error)")), of: provider)
        }
    }

    mutating func answer(blobs ids: [Digest], id: UInt64, for asker: Int, life: Int, by node: SimulatedNode) {
        if node.pausedUntil > now || nodes[asker].life != life { return }
        if let delay = wayTime(node.index, asker) {
            schedule(asker, after: delay, .blobs(id: id, node.disk.blobs.answer(ids)))
        }
    }

    mutating func took(_ parts: [BlobPart], id: UInt64, at node: SimulatedNode) {
        guard let question = node.blobRequests.removeValue(forKey: id) else { return }
        for part in parts where !node.disk.blobs.take(part, wanted: question.wanted) {
            misbehaved(question.peer, "sent a blob that does not match its id", at: node)
        }
        let provider = providers[question.provider]
        guard provider.life == question.life, provider.fetches[question.task] != nil else { return }
        let isMore = !parts.isEmpty
        arrange(
            provider, .fetch(question.task),
            after: question.isLast && !isMore ? NodeSimulation.fetchPause : .milliseconds(1))
    }
}

/// A request for blobs under way.
struct BlobQuestion {
    let provider: Int
    let life: Int
    let task: WorkTask
    let wanted: [Digest]
    let peer: Int
    /// Of this round.
    let isLast: Bool
}
