import Consensus
import Gossip
import Ledger
import Primitives
import Replica

/// What the shell of a node does: starts it on what is on its disk, hands inputs to its machine, carries out what that says, and fails.
extension NodeSimulation {
    // MARK: Starting

    mutating func boot(_ index: Int) {
        let node = nodes[index]
        node.clock.startedAt = now
        node.busyUntil = now
        node.pausedUntil = now
        // Somebody has made room.
        node.disk.room = nil
        let parameters = genesis.parameters
        let heartbeat = Interval.milliseconds(Int64(clamping: parameters.heartbeatMilliseconds))
        let configuration = ReplicaConfiguration(
            genesis: genesis, consensusKey: node.place.map { _ in node.key.publicKey },
            signer: node.place.map { _ in Ed25519Scheme(node.key) },
            vrfKey: node.place.map { _ in node.key },
            consensus: ConsensusParameters(
                delta: profile.delta, heartbeat: heartbeat, retry: profile.delta.scaled(2)),
            pace: BlockPace(
                withWork: .milliseconds(Int64(clamping: parameters.blockPaceMilliseconds)), heartbeat: heartbeat),
            challenge: node.isAmnesiac ? challenge(of: node) : nil)
        do throws(ReplicaFault) {
            node.process = Process(
                try Replica(
                    configuration: configuration, state: node.disk.state, archive: node.disk, tip: node.disk.tip,
                    journal: node.disk.journalRecords))
        } catch {
            // A disk that cannot be read for now keeps a node from starting, and says so; nothing else may.
            if !node.disk.isUnreadable { chain.blame("node \(index) cannot start on its own disk: \(error)") }
            schedule(index, after: draw(200...1_000), .restart)
            return
        }
        node.inbox = [.start]
        meetPeers(node)
        startProviders(in: node)
        step(node)
    }

    /// A nonce for a node's present life.
    private func challenge(of node: SimulatedNode) -> Digest {
        Digest.of(
            Domain("sim.challenge"),
            seed.canonicalBytes + UInt64(node.index).canonicalBytes + UInt64(node.life).canonicalBytes)
    }

    // MARK: Steps

    /// Hands what has come in to the machine, unless the node waits for its disk or stands still.
    mutating func step(_ node: SimulatedNode) {
        guard let process = node.process, now >= node.busyUntil, node.pending == nil else { return }
        let time = node.clock.read(at: now)
        var batch = node.inbox
        node.inbox.removeAll(keepingCapacity: true)
        if let timer = node.timer, timer <= time.monotonic {
            node.timer = nil
            batch.append(.timer)
        }
        if batch.isEmpty { return setAlarm(node) }
        var outputs: [ReplicaOutput] = []
        for input in batch { outputs += process.replica.handle(input, at: time) }
        observe(outputs, node)
        guard write(outputs, node) else { return }
        let writes = outputs.contains {
            switch $0 {
            case .persist, .storeBlock, .markFinalized: true
            default: false
            }
        }
        if writes, node.disk.syncTime > .zero {
            node.pending = outputs
            makeBusy(node, until: now.adding(node.disk.syncTime))
        } else {
            complete(outputs, node)
        }
    }

    mutating func makeBusy(_ node: SimulatedNode, until instant: Instant) {
        node.busyUntil = max(node.busyUntil, instant)
        schedule(node.index, after: node.busyUntil.interval(since: now), .wake)
    }

    mutating func wake(_ node: SimulatedNode) {
        guard now >= node.busyUntil, let outputs = node.pending else { return }
        node.pending = nil
        complete(outputs, node)
    }

    /// What the oracles are told of a step, whether or not the node lives to tell it.
    private mutating func observe(_ outputs: [ReplicaOutput], _ node: SimulatedNode) {
        guard let process = node.process else { return }
        node.noteProgress(process.replica)
        if node.isAmnesiac, !process.replica.isAmnesiac { node.isAmnesiac = false }
        let mempool = process.replica.mempool
        for transaction in node.submitted where mempool.isReady(transaction.id) {
            chain.accepted(transaction, by: node.index)
        }
        // Of what came too early nothing is promised before its turn has come.
        node.submitted.removeAll { mempool.isReady($0.id) || !mempool.contains($0.id) }
        for case .executed(_, let result) in outputs { tellProviders(in: node, result.receipts) }
        if dishonest.contains(node.index) { return }
        var hasExecuted = false
        for output in outputs {
            switch output {
            case .markFinalized(let height, let digest, _): chain.finalized(digest, at: height, by: node.index)
            case .executed(let block, let result):
                hasExecuted = true
                chain.executed(
                    block, root: result.stateRoot, receipts: result.receipts, receiptsRoot: result.receiptsRoot,
                    by: node.index)
                market?.executed(block, result.receipts)
                tellRequesters(result.receipts)
                if healed, block.header.height > heightAtHealing, resumed[node.index] == nil {
                    resumed[node.index] = now.interval(since: healsAt)
                }
            case .certified(_, let certificate):
                if case .finalize(let proposal) = certificate.subject {
                    finality.finalized(proposal, certificate, by: node.index, at: now)
                }
            case .evidence(let evidence): finality.accused(evidence, by: node.index)
            case .epochEnded(let epoch, _):
                if let record = try? Query.epochRecord(epoch.next(), in: node.disk.state) {
                    chain.began(record.epoch, operators: record.members.map(\.operatorAddress))
                    finality.began(
                        record.epoch, record.members.compactMap { indexOfKey[$0.consensusKey] }, by: node.index)
                }
            case .keyInUseElsewhere: finality.foundItsTwin(node.index)
            case .misbehaviour(let peer, let reason):
                if let index = indexOfKey[peer] { misbehaved(index, reason, at: node) }
            default: break
            }
        }
        if hasExecuted, let books = StateBooks(of: node.disk.state) { chain.holds(books, by: node.index) }
        if hasExecuted, let height = market?.height, height != marketHeight, node.disk.state.height == height,
            let books = MarketBooks(of: node.disk.state, balancesOf: followed)
        {
            marketHeight = height
            market?.holds(books)
            watchResults(books.jobs)
        }
    }

    /// Rule one of the shell: all durable writes of a step come first. Returns whether the node lives on.
    private mutating func write(_ outputs: [ReplicaOutput], _ node: SimulatedNode) -> Bool {
        for output in outputs {
            do throws(SimulatedDiskFault) {
                switch output {
                case .storeBlock(let digest, let bytes):
                    if crashesHere(node) { return false }
                    try node.disk.put(digest, bytes)
                case .markFinalized(let height, let digest, let certificate):
                    if crashesHere(node) { return false }
                    try node.disk.markFinalized(height, digest, certificate)
                default: break
                }
            } catch {
                stop(node, error)
                return false
            }
        }
        return true
    }

    /// Rule two: what is due goes to the disk in its order, and only then anything is said.
    private mutating func complete(_ outputs: [ReplicaOutput], _ node: SimulatedNode) {
        if crashesHere(node) { return }
        let due = node.held.hold(outputs)
        if due.sync {
            node.disk.syncBlocks()
            let records = node.held.takeRecords()
            if !records.isEmpty {
                do throws(SimulatedDiskFault) { try node.disk.write(journal: records) } catch {
                    return stop(node, error)
                }
                if crashesHere(node) { return }
                node.disk.syncJournal()
            }
        }
        if due.flush {
            if crashesHere(node) { return }
            node.disk.state.flush()
            node.held.noteFlush()
        }
        for output in outputs where node.isUp { carryOut(output, node) }
        setAlarm(node)
    }

    private mutating func carryOut(_ output: ReplicaOutput, _ node: SimulatedNode) {
        switch output {
        case .broadcastConsensus(let message): speak(.consensus(message), by: node, to: nil)
        case .sendConsensus(let message, let peer): speak(.consensus(message), by: node, to: peer)
        case .broadcastBlock(let bytes): speak(.block(bytes), by: node, to: nil)
        case .sendBlock(let bytes, let peer): speak(.block(bytes), by: node, to: peer)
        case .broadcastTransactions(let transactions):
            for transaction in transactions {
                _ = node.relay.hears(transaction: Digest.of(Domain("sim.heard"), encoding: transaction), at: now)
            }
            speak(.transactions(transactions), by: node, to: nil)
        case .requestBlock(let digest, let peer): ask(.byDigest(digest), of: peer, by: node)
        case .requestBlocks(let height, let count, let peer):
            ask(.range(from: height, count: UInt16(clamping: count)), of: peer, by: node)
        case .verifySignatures(let id, let items):
            let results = items.map { signatures.verify($0) }
            schedule(node.index, after: .milliseconds(1), .verified(.signaturesVerified(id: id, results: results)))
        case .setTimer(let instant): if node.timer.map({ instant < $0 }) ?? true { node.timer = instant }
        case .executed(let block, _):
            node.head = block.header.height
            node.final = ChainPlace(epoch: block.header.epoch, view: block.header.view)
        case .persist, .storeBlock, .markFinalized, .certified, .misbehaviour, .keyInUseElsewhere, .evidence,
            .epochEnded, .refused:
            break
        }
    }

    private mutating func speak(_ word: Word, by node: SimulatedNode, to peer: PublicKey?) {
        if crashesHere(node) { return }
        let targets = peers(of: node)
        say(word, by: node, to: peer.map { key in targets.filter { nodes[$0].key.publicKey == key } } ?? targets)
    }

    private mutating func setAlarm(_ node: SimulatedNode) {
        guard node.isUp, let timer = node.timer else { return }
        let due = now.adding(max(node.clock.instant(of: timer).interval(since: now), .milliseconds(1)))
        // An earlier alarm looks at the timer again.
        if let alarm = node.alarm, alarm <= due { return }
        node.alarm = due
        schedule(node.index, after: due.interval(since: now), .timer)
    }

    // MARK: Ending

    /// One more place where a crash can come, and whether it comes.
    private mutating func crashesHere(_ node: SimulatedNode) -> Bool {
        if !node.isUp { return true }
        boundaries += 1
        if boundaries == profile.crashAtBoundary {
            crash(node, losesAll: true)
            return true
        }
        guard isFaulty, profile.crash > 0, random.next() % 1_000_000 < profile.crash else { return false }
        crash(node, losesAll: false)
        return true
    }

    private mutating func end(_ node: SimulatedNode) {
        let life = node.life
        node.end()
        endProviders(in: node)
        chain.ended(node.index)
        disconnect(node, life: life)
    }

    /// The machine goes off in the middle of what it did.
    private mutating func crash(_ node: SimulatedNode, losesAll: Bool) {
        crashes += 1
        end(node)
        let torn = node.disk.tornRecords
        // A process that is killed loses nothing that it wrote, a machine without power may lose all of it.
        let shares: (UInt64, UInt64) =
            losesAll
            ? (0, 0)
            : random.next() % 4 == 0 ? (1_000_000, 1_000_000) : (random.next() % 1_000_001, random.next() % 1_000_001)
        node.disk.crash(blocksKept: shares.0, journalKept: shares.1)
        tornRecords += node.disk.tornRecords - torn
        schedule(node.index, after: losesAll ? .milliseconds(200) : draw(1...3_000), .restart)
    }

    /// Its disk refuses a write: the process ends of its own accord, and nothing of the step is sent.
    private mutating func stop(_ node: SimulatedNode, _ fault: SimulatedDiskFault) {
        if case .conflictingFinalization(let height) = fault {
            chain.blame("node \(node.index) has two final blocks at height \(height) on its disk")
        }
        fullDisks += 1
        end(node)
        // The state in memory is ahead of the blocks that the disk took: it goes with the process.
        node.disk.state.crash()
        schedule(node.index, after: draw(500...4_000), .restart)
    }

    /// The whole disk is gone, and a new one stands in its place.
    mutating func wipe(_ node: SimulatedNode) {
        guard let disk = try? SimulatedDisk(genesis: genesis) else {
            preconditionFailure("the genesis was written when the network was made")
        }
        wipes += 1
        if node.isUp { end(node) } else { node.life += 1 }
        node.disk = disk
        node.isAmnesiac = node.place != nil
        schedule(node.index, after: draw(1...3_000), .restart)
    }
}

extension StateBooks {
    /// As a node's store says.
    init?(of state: SimulatedState) {
        guard let height = state.height, let totals = try? Query.totals(in: state),
            let seated = try? Query.validators(in: state), let convicted = try? Query.tombstones(in: state)
        else { return nil }
        let validators = seated + convicted
        // An account's key is the letter a and its address.
        let accounts = state.all(prefix: [0x61]).compactMap { entry -> (address: Address, account: Account)? in
            guard let address = try? Address(bytes: entry.key.dropFirst()),
                let account = try? Account(canonicalBytes: entry.value)
            else { return nil }
            return (address, account)
        }
        self.init(
            height: height, accounts: accounts, totals: totals,
            staked: Amount(baseUnits: validators.reduce(0) { $0 + $1.stake.baseUnits }))
    }
}
