import Consensus
import Ledger
import Primitives

extension Replica {
    /// Milliseconds by which a header's time may be ahead of our clock.
    static let clockTolerance: UInt64 = 500

    /// Whether there is anything for blocks to do (consensus rule 2).
    var hasWork: Bool {
        if !mempool.isEmpty { return true }
        if unattestedEffects || !evidencePool.isEmpty { return true }
        // A state that cannot be read is found out by the next execution, which stops the node; until then it wants nothing.
        return (try? Query.hasWork(in: state, at: time.wall)) ?? false
    }

    /// Whether some finalized effect is not yet named by a finalized header's state root.
    private var unattestedEffects: Bool { tree.finalizedHeader.executedHeight < executed.lastEffect }

    mutating func updateWork() {
        let work = hasWork
        if work != lastWork {
            lastWork = work
            run(engine.handle(.work(work), at: time.monotonic))
        }
    }

    /// When a block on `parent` is due by our pace.
    private func dueTime(after parent: Header) -> Timestamp {
        let pace = configuration.pace
        let wait =
            !mempool.isEmpty ? pace.withTransactions : lastWork ? pace.withWork : pace.heartbeat
        return parent.time.adding(milliseconds: UInt64(max(1, wait.milliseconds)))
    }

    /// Makes the block that the engine asked for once its time has come. Returns whether it did.
    mutating func proposeWhenDue() -> Bool {
        guard let waiting = proposing, let parent = tree.header(waiting.parent.digest) else { return false }
        if isLast(parent) {
            // Nothing stands on an epoch's last block: it is put forward again until it is final.
            proposing = nil
            run(engine.handle(.payloadProposed(waiting.view, waiting.parent.digest), at: time.monotonic))
            return true
        }
        // Genesis may lie in the past by any amount and in the future by a little.
        if time.wall < dueTime(after: parent) { return false }
        guard case .complete(let ancestors) = tree.path(to: waiting.parent.digest) else { return false }
        guard let block = build(waiting.view, on: waiting.parent, parent, ancestors: ancestors.map(\.block)) else {
            return false
        }
        proposing = nil
        let bytes = block.canonicalBytes
        let digest = block.header.digest
        guard tree.insert(block, bytes: bytes) else { return false }
        tree.markVerified(digest)
        // The body leaves before the vote that names it, so that a receiver of the vote can judge at once.
        outputs.append(.storeBlock(digest, bytes))
        tree.markStored(digest)
        outputs.append(.broadcastBlock(bytes))
        run(engine.handle(.payloadProposed(waiting.view, digest), at: time.monotonic))
        return true
    }

    /// A block on `parent`: transactions that are valid there, and the newest result we may claim.
    private func build(_ view: View, on reference: ParentReference, _ parent: Header, ancestors: [Block]) -> Block? {
        guard let key = configuration.vrfKey, let index = ownIndex else { return nil }
        let height = parent.height.next()
        // One finalized block behind our newest, so that others have very likely executed as far.
        let newest = Swift.min(executed.height.value, Swift.max(1, tree.finalizedHeader.height.value) - 1)
        var claimed = Swift.max(parent.executedHeight.value, newest)
        let snapshot = epoch.schedule.snapshotHeight
        // The state that fixes the next set is itself attested.
        if parent.executedHeight < snapshot { claimed = Swift.min(claimed, snapshot.value) }
        var nextRecord: Digest?
        if claimed >= snapshot.value {
            guard let next = try? Query.epochRecord(epoch.epoch.next(), in: state) else { return nil }
            nextRecord = next.digest
        }
        guard let root = executed.roots[Height(claimed)] else { return nil }
        let mayCarry = height.value - claimed <= parameters.executionLagLimit

        let time = Swift.max(parent.time.adding(milliseconds: 1), self.time.wall)
        var transactions: [SignedTransaction] = []
        var weight: UInt64 = 0
        if mayCarry, !mempool.isEmpty,
            var selection = try? BlockSelection(
                parent: parent, time: time, ancestors: unexecuted(ancestors), parameters: parameters, in: state)
        {
            mempool.select(next: { selection.nextNonce(of: $0) }, take: { selection.take($0) })
            transactions = selection.transactions
            weight = selection.weight
        }
        var votes = BlockVotes(evidence: evidenceForBlock())
        // The first block of an epoch stands on another's.
        if parent.epoch == epoch.epoch, parent.height.value > 0, parent.view == reference.view {
            votes.certificate = engine.attendance(of: reference.view)
        }
        let proof = VRF.prove(key, alpha: parent.beacon.bytes)
        let header = Header(
            network: network, epoch: epoch.epoch, view: view, height: height, parent: parent.digest, time: time,
            proposer: UInt16(index), txRoot: Block.txRoot(transactions),
            votesDigest: votes.digest, weight: weight,
            baseFee: Fees.baseFee(after: parent, at: time, parameters), executedHeight: Height(claimed),
            stateRoot: root, nextEpochRecord: nextRecord,
            vrfProof: proof, beacon: Header.beacon(after: parent.beacon, output: VRF.output(of: proof)))
        return Block(header: header, transactions: transactions, votes: votes)
    }

    private func unexecuted(_ ancestors: [Block]) -> [Block] {
        // Finalized blocks are executed at once, so what lies above the finalized one is what is unexecuted.
        ancestors.filter { $0.header.height > executed.height }
    }

    /// Gives the engine every verdict that can be given now. Returns whether any was.
    mutating func judgeWhatIsKnown() -> Bool {
        var any = false
        for view in awaitingVerdict.keys.sorted() {
            guard let (proposal, _) = awaitingVerdict[view] else { continue }
            if proposal.view <= engine.lastFinalized || proposal.view < engine.view {
                awaitingVerdict[view] = nil
                continue
            }
            guard let verdict = judge(proposal) else { continue }
            awaitingVerdict[view] = nil
            any = true
            run(engine.handle(.proposalVerdict(proposal, verdict), at: time.monotonic))
        }
        return any
    }

    /// True or false where every correct node would say the same; nil while something is missing here.
    private mutating func judge(_ proposal: Proposal) -> Bool? {
        guard let entry = tree[proposal.payloadDigest] else { return nil }
        let header = entry.header
        if proposal.parentDigest == proposal.payloadDigest {
            // Put forward again: it was notarized, and that is all there is to it. Only an epoch's last block may be.
            return isLast(header)
        }
        // Before anything that was found out earlier: a block that is valid in its own view and on its own parent is neither in another, and
        // a chain that takes it there has two blocks of one height.
        guard header.view == proposal.view, header.epoch == proposal.epoch, header.parent == proposal.parentDigest
        else {
            return false
        }
        if entry.verified { return true }
        let ancestors: [BlockTree.Entry]
        switch tree.path(to: header.parent) {
        case .complete(let path): ancestors = path
        case .missing: return nil
        case .conflicting: return false
        }
        guard let parent = tree.header(header.parent) else { return nil }
        // A time ahead of ours becomes acceptable by waiting.
        if header.time > time.wall.adding(milliseconds: Replica.clockTolerance) { return nil }
        if header.executedHeight > executed.height { return nil }
        guard let root = executed.roots[header.executedHeight] else { return nil }
        if root != header.stateRoot { return false }
        let proposers = epoch.record.members
        guard
            Int(header.proposer) < proposers.count, engine.leader(of: header.view) == Int(header.proposer),
            let output = VRF.verify(
                proposers[Int(header.proposer)].vrfKey, header.vrfProof, alpha: parent.beacon.bytes),
            header.beacon == Header.beacon(after: parent.beacon, output: output)
        else { return false }
        do throws(ValidityFault) {
            try Validity.check(
                entry.block, parent: parent, ancestors: unexecuted(ancestors.map(\.block)), parameters: parameters,
                in: state, isVerified: { [mempool] in mempool.contains($0, signature: $1) },
                votes: VoteCheck(scheme: verifier, isVerified: { [engine] in engine.isChecked($0) }))
        } catch {
            // Trouble with our own storage says nothing about the block.
            if case .state = error { return nil }
            if case .transaction(_, .state) = error { return nil }
            return false
        }
        tree.markVerified(proposal.payloadDigest)
        return true
    }

    /// Rule 6: a notarized block is certified once its bytes are durable here.
    mutating func certifyWhatIsKnown() -> Bool {
        var any = false
        for view in awaitingCertification.keys.sorted() {
            guard let (proposal, _) = awaitingCertification[view] else { continue }
            if proposal.view <= engine.lastFinalized {
                awaitingCertification[view] = nil
                continue
            }
            guard let entry = tree[proposal.payloadDigest] else { continue }
            guard case .complete = tree.path(to: entry.header.parent) else { continue }
            awaitingCertification[view] = nil
            any = true
            store(entry, proposal.payloadDigest)
            run(engine.handle(.certified(proposal, true), at: time.monotonic))
        }
        return any
    }

    mutating func store(_ entry: BlockTree.Entry, _ digest: Digest) {
        if entry.stored { return }
        outputs.append(.storeBlock(digest, entry.bytes))
        tree.markStored(digest)
    }

    /// Asks to be woken when a paced proposal or a ledger timer is due.
    mutating func requestWakeUp() {
        var wait: Interval?
        func consider(_ milliseconds: Int64) {
            let candidate = Interval.milliseconds(Swift.max(1, milliseconds))
            if wait.map({ candidate < $0 }) ?? true { wait = candidate }
        }
        if let waiting = proposing, let parent = tree.header(waiting.parent.digest) {
            let due = dueTime(after: parent).milliseconds
            consider(Int64(clamping: due) - Int64(clamping: time.wall.milliseconds))
        }
        if !awaitingVerdict.isEmpty { consider(50) }
        // A ledger timer may come due by the clock alone.
        if !lastWork { consider(250) }
        if synchronization.isWaiting { consider(200) }
        if let next = relayed.first { consider(next.due.interval(since: time.monotonic).milliseconds) }
        if let wait { outputs.append(.setTimer(time.monotonic.adding(wait))) }
    }
}
