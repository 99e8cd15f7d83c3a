import Ledger
import Primitives

/// Those who post jobs through nodes that they are free to choose, and take some back: single ones, gangs, jobs that read what others leave, and runs in parts.
extension NodeSimulation {
    /// When the last jobs are posted, that are to be paid for: everybody has come up by then.
    private static var lastOrders: Interval { .seconds(8) }
    /// So many times each requester posts then.
    private static var lastOrdersEach: Int { 3 }
    private static var postingPatience: Interval { .seconds(10) }

    mutating func order() {
        if healed { return }
        let pause = Int64(1 + marketRandom.next() % (2 * max(1, profile.jobInterval)))
        schedule(-1, after: .milliseconds(pause), .order)
        let place = Int(marketRandom.next() % UInt64(requesters.count))
        let able = nodes.filter { isFree($0) }
        guard !able.isEmpty else { return }
        post(by: place, at: able[Int(marketRandom.next() % UInt64(able.count))], isLast: false)
    }

    /// After the healing each requester whose jobs are sound posts a few more.
    mutating func arrangeLastOrders() {
        for place in requesters.indices where requesters[place].actor?.postsSoundJobs ?? true {
            // What was posted in the trouble may have come to nothing, and what goes on from it with it.
            requesters[place].yields = []
            requesters[place].continuation = nil
            lastOrdersLeft += NodeSimulation.lastOrdersEach
            schedule(-1, after: NodeSimulation.lastOrders, .lastOrder(place, left: NodeSimulation.lastOrdersEach))
        }
    }

    mutating func lastOrder(_ place: Int, left: Int) {
        // Validators alone: what a follower holds may wait until it is told again.
        guard let node = nodes.first(where: { isFree($0) && $0.place != nil }),
            post(by: place, at: node, isLast: true)
        else { return schedule(-1, after: .milliseconds(100), .lastOrder(place, left: left)) }
        lastOrdersLeft -= 1
        if left > 1 { schedule(-1, after: .milliseconds(100), .lastOrder(place, left: left - 1)) }
    }

    func isFree(_ node: SimulatedNode) -> Bool {
        node.isUp && !dishonest.contains(node.index) && now >= node.busyUntil && node.pending == nil
    }

    /// Whether a requester waits for what it has said last.
    private func isWaiting(_ place: Int) -> Bool { requesters[place].pending.map { $0.until > now } ?? false }

    @discardableResult
    private mutating func post(by place: Int, at node: SimulatedNode, isLast: Bool) -> Bool {
        if isWaiting(place) { return false }
        let actor = requesters[place].actor
        var continuation: ((Digest) -> JobOrder)?
        guard let orders = try? draw(for: requesters[place], hint: node.key.publicKey, &continuation) else {
            preconditionFailure("the programs were specialised when the network was made")
        }
        // Of the vanishing some leave the model at least.
        if actor != .vanishingRequester || marketRandom.next() % 2 == 0 {
            for blob in orders.flatMap(\.model) { node.disk.blobs.put(blob.kind, blob.bytes) }
        }
        if actor != .vanishingRequester {
            for blob in orders.flatMap(\.inputs) { node.disk.blobs.put(blob.kind, blob.bytes) }
        }
        let specs = orders.map(\.spec)
        let payload: Payload = specs.count == 1 ? .submitJob(specs[0]) : .submitGang(specs)
        guard let id = hand(payload, of: requesters[place].key, to: node) else { return false }
        requesters[place].pending = (id, now.adding(NodeSimulation.postingPatience))
        let ids = specs.count == 1 ? [id] : GangPlace.jobs(of: id, count: specs.count)
        for (job, order) in zip(ids, orders) {
            market?.ordered(job, truth: order.truth, parents: order.spec.parents, mustSettle: isLast)
            if actor == .subnormalRequester { subnormalJobs.insert(job) }
        }
        requesters[place].continuation = continuation?(ids[0])
        if continuation == nil {
            requesters[place].note(zip(ids, orders).map { JobYield($1, as: $0) })
        }
        if actor == nil, !isLast, marketRandom.next() % 10 == 0 {
            let cancelling: Payload =
                specs.count == 1 ? .cancelJob(job: id) : .cancelGang(gang: id, count: UInt8(specs.count))
            schedule(-1, after: drawOnMarket(100...1_500), .cancel(cancelling, by: place))
        }
        return true
    }

    /// What a requester posts next: one job, or several that are a gang. `continuation`: what goes on from it.
    private mutating func draw(
        for requester: SimulatedRequester, hint: PublicKey, _ continuation: inout ((Digest) -> JobOrder)?
    ) throws -> [JobOrder] {
        if let next = requester.continuation { return [next] }
        let kind = marketRandom.next() % 8
        let parent = requester.yields.last
        switch kind {
        case 3:
            if let parent { return [try jobs.line(after: parent, hint: hint, random: &marketRandom)] }
        case 4:
            if let parent, let other = requester.yields.dropLast().last(where: { $0.rows == parent.rows }) {
                return [try jobs.sum(of: parent, other, hint: hint, random: &marketRandom)]
            }
        case 5, 6:
            // Now and then the largest that there is.
            let most = marketRandom.next() % 12 == 0
            let count = most ? GangPlace.maximumJobs : 2 + Int(marketRandom.next() % 4)
            var orders = try (0..<count).map { _ in try jobs.line(hint: hint, random: &marketRandom) }
            if kind == 6, let parent { orders[0] = try jobs.line(after: parent, hint: hint, random: &marketRandom) }
            return orders
        case 7:
            let (first, second) = try jobs.walk(hint: hint, random: &marketRandom)
            continuation = second
            return [first]
        default: break
        }
        return [try jobs.line(hint: hint, random: &marketRandom)]
    }

    /// A requester thinks better of it; the chain says whether it is too late.
    mutating func cancel(_ payload: Payload, by place: Int) {
        if isWaiting(place) { return }
        guard let node = nodes.first(where: { isFree($0) }),
            let cancelling = hand(payload, of: requesters[place].key, to: node)
        else { return }
        requesters[place].pending = (cancelling, now.adding(NodeSimulation.postingPatience))
    }

    mutating func tellRequesters(_ receipts: [TransactionReceipt]) {
        for place in requesters.indices {
            guard let pending = requesters[place].pending else { continue }
            if receipts.contains(where: { $0.id == pending.id }) { requesters[place].pending = nil }
        }
    }
}
