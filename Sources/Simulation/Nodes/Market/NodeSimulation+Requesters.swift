import Ledger
import Primitives

/// Those who post jobs through nodes that they are free to choose, and take some back.
extension NodeSimulation {
    /// When the last jobs are posted, that are to be paid for: everybody has come up by then.
    private static var lastOrders: Interval { .seconds(8) }

    mutating func order() {
        if healed { return }
        let pause = Int64(1 + marketRandom.next() % (2 * max(1, profile.jobInterval)))
        schedule(-1, after: .milliseconds(pause), .order)
        let place = Int(marketRandom.next() % UInt64(requesters.count))
        let able = nodes.filter { isFree($0) }
        guard !able.isEmpty else { return }
        post(by: place, at: able[Int(marketRandom.next() % UInt64(able.count))], isLast: false)
    }

    /// After the healing each requester that is there posts one more.
    mutating func arrangeLastOrders() {
        for place in requesters.indices where !requesters[place].vanishes {
            schedule(-1, after: NodeSimulation.lastOrders, .lastOrder(place))
        }
    }

    mutating func lastOrder(_ place: Int) {
        // Validators alone: what a follower holds may wait until it is told again.
        guard let node = nodes.first(where: { isFree($0) && $0.place != nil }),
            post(by: place, at: node, isLast: true)
        else { return schedule(-1, after: .milliseconds(100), .lastOrder(place)) }
        lastOrdersLeft -= 1
    }

    private func isFree(_ node: SimulatedNode) -> Bool {
        node.isUp && !dishonest.contains(node.index) && now >= node.busyUntil && node.pending == nil
    }

    @discardableResult
    private mutating func post(by place: Int, at node: SimulatedNode, isLast: Bool) -> Bool {
        if let pending = requesters[place].pending, pending.until > now { return false }
        guard let order = try? jobs.next(hint: node.key.publicKey, random: &marketRandom) else {
            preconditionFailure("the program was specialised when the network was made")
        }
        let vanishes = requesters[place].vanishes
        // Of the vanishing some leave the model at least.
        if !vanishes || marketRandom.next() % 2 == 0 {
            for blob in order.model { node.disk.blobs.put(blob.kind, blob.bytes) }
        }
        if !vanishes { node.disk.blobs.put(order.input.kind, order.input.bytes) }
        guard let id = hand(.submitJob(order.spec), of: requesters[place].key, to: node) else { return false }
        requesters[place].pending = (id, now.adding(.seconds(10)))
        market?.ordered(id, truth: order.truth, mustSettle: isLast)
        if !vanishes, !isLast, marketRandom.next() % 10 == 0 {
            schedule(-1, after: drawOnMarket(100...1_500), .cancel(id, by: place))
        }
        return true
    }

    /// A requester thinks better of it; the chain says whether it is too late.
    mutating func cancel(_ id: Digest, by place: Int) {
        if let pending = requesters[place].pending, pending.until > now { return }
        guard let node = nodes.first(where: { isFree($0) }),
            let cancelling = hand(.cancelJob(job: id), of: requesters[place].key, to: node)
        else { return }
        requesters[place].pending = (cancelling, now.adding(.seconds(10)))
    }

    mutating func tellRequesters(_ receipts: [TransactionReceipt]) {
        for place in requesters.indices {
            guard let pending = requesters[place].pending else { continue }
            if receipts.contains(where: { $0.id == pending.id }) { requesters[place].pending = nil }
        }
    }
}
