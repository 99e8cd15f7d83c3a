import Ledger
import Primitives

/// Going on: from phase to phase, whenever something has become possible (rules 1 to 6).
extension SnapshotFetch {
    private mutating func fail(_ failure: Failure) {
        phase = .over
        outputs.append(.failed(failure))
    }

    /// Does everything that has become possible.
    mutating func advance(_ now: Instant) {
        if phase == .gathering { gather(now) }
        if phase == .walking { walk(now) }
        if phase == .choosing { choose(now) }
        if phase == .chunks { fetchChunks(now) }
        if phase == .blocks { fetchBlock(now) }
        if phase != .over, phase != .gathering, now >= lastProgress.adding(SnapshotFetch.stallTime) {
            let count = chosen?.chunkCount ?? 0
            fail(count == 0 ? .noOffers : .stalled(have: have.count, of: count))
        }
    }

    /// Rule 1.
    private mutating func gather(_ now: Instant) {
        if now < gatherUntil { return }
        if peers.isEmpty { return fail(.noPeers) }
        // A peer that has no block above the first snapshot's height can have no snapshot.
        let first = EpochSchedule(epoch: 0, firstHeight: 1, parameters: genesis.parameters).snapshotHeight
        if !peers.values.contains(where: { $0.head > first }) { return fail(.noOffers) }
        lastProgress = now
        phase = .walking
    }

    private mutating func walk(_ now: Instant) {
        if pending.values.contains(where: { if case .epochs = $0.request { true } else { false } }) { return }
        let epoch = client.epoch
        for peer in inTurn() {
            guard let known = peers[peer], known.walkedTo != epoch, known.silences < SnapshotFetch.maximumSilences
            else { continue }
            return ask(.epochs(from: epoch), of: peer, now)
        }
        if peers.isEmpty { return }
        if let checkpoint, !isConfirmed { return fail(.checkpoint(checkpoint, epoch)) }
        beginChoice(now)
    }

    /// Rules 3 and 6.
    private mutating func beginChoice(_ now: Instant) {
        choices += 1
        if choices > SnapshotFetch.maximumChoices { return fail(.noOffers) }
        phase = .choosing
        chosen = nil
        for id in pending.keys.sorted() {
            guard let (request, peer, _) = pending[id] else { continue }
            pending[id] = nil
            settle(request, peer)
        }
        for peer in peers.keys.sorted() {
            peers[peer]?.offers = nil
            peers[peer]?.failures = 0
            ask(.offers, of: peer, now)
        }
    }

    /// Whether an offer's headers are the chain's; nil where it is of an epoch whose validators are not known.
    private func holds(_ manifest: SnapshotManifest) -> Bool? {
        guard let known = clients.first(where: { $0.epoch == manifest.epoch }) else { return nil }
        do throws(LightClient.Fault) {
            try manifest.check(by: known)
            return true
        } catch { return false }
    }

    private mutating func choose(_ now: Instant) {
        if peers.values.contains(where: { $0.offers == nil }) { return }
        if peers.isEmpty { return }
        var verdicts: [SnapshotManifest: Bool] = [:]
        for peer in peers.keys.sorted() {
            for manifest in peers[peer]?.offers ?? [] {
                if verdicts[manifest] == nil { verdicts[manifest] = holds(manifest) }
                if verdicts[manifest] == false {
                    blame(peer, "offered a snapshot whose headers do not hold")
                    break
                }
            }
        }
        if peers.isEmpty { return }
        var best: (manifest: SnapshotManifest, count: Int)?
        var isAhead = false
        for peer in peers.keys.sorted() {
            for manifest in peers[peer]?.offers ?? [] {
                if manifest.epoch > client.epoch { isAhead = true }
                if let best, SnapshotFetch.isSame(best.manifest, manifest) { continue }
                let count = peers.values.count { $0.offers?.contains { SnapshotFetch.isSame($0, manifest) } ?? false }
                let isBetter: Bool
                if let best {
                    let (mine, other) = (isResumed(manifest), isResumed(best.manifest))
                    isBetter =
                        mine != other
                        ? mine : (manifest.height, count) > (best.manifest.height, best.count)
                } else {
                    isBetter = true
                }
                if isBetter, verdicts[manifest] == true { best = (manifest, count) }
            }
        }
        guard let (manifest, count) = best else {
            // The network has gone on since the walk: walk on and look again.
            if isAhead, choices < SnapshotFetch.maximumChoices {
                for peer in peers.keys.sorted() { peers[peer]?.walkedTo = nil }
                phase = .walking
                return walk(now)
            }
            return fail(.noOffers)
        }
        if isResumed(manifest) {
            have.formUnion(resumption?.have ?? [])
        } else {
            have = []
            bytes = 0
            resumption = Resumption(manifest: manifest, have: [])
        }
        outputs.append(.begin(manifest))
        chosen = manifest
        lowestMissing = 0
        phase = .chunks
        outputs.append(
            .progress(
                .chose(height: manifest.height, chunks: manifest.chunkCount, have: have.count, peers: count)))
    }

    /// Two offers of the same chunks. Their certificates may differ.
    private static func isSame(_ one: SnapshotManifest, _ other: SnapshotManifest) -> Bool {
        one.height == other.height && one.root == other.root && one.depth == other.depth
    }

    private func isResumed(_ manifest: SnapshotManifest) -> Bool {
        resumption.map { SnapshotFetch.isSame($0.manifest, manifest) } ?? false
    }

    private func offers(_ peer: PublicKey, _ manifest: SnapshotManifest) -> Bool {
        peers[peer]?.offers?.contains { SnapshotFetch.isSame($0, manifest) } ?? false
    }

    /// Rule 4.
    private mutating func fetchChunks(_ now: Instant) {
        guard let chosen else { return }
        if have.count == chosen.chunkCount {
            guard let last = chosen.headers.last else { return }
            phase = .blocks
            blocks = []
            wantedBlock = last.digest
            return
        }
        let able = inTurn().filter { offers($0, chosen) }
        let mayCome = peers.values.contains { $0.offers == nil }
        if able.isEmpty && !mayCome {
            // Nobody has it any more. Alone, wait for somebody.
            if !peers.isEmpty { beginChoice(now) }
            return
        }
        while have.contains(lowestMissing) { lowestMissing += 1 }
        var next = lowestMissing
        for round in 0..<SnapshotFetch.chunksPerPeer {
            for peer in able {
                guard let state = peers[peer], state.inFlight <= round,
                    state.pausedUntil.map({ $0 <= now }) ?? true
                else { continue }
                while next < chosen.chunkCount, have.contains(next) || asked.contains(next) { next += 1 }
                if next >= chosen.chunkCount { return }
                asked.insert(next)
                ask(.chunk(height: chosen.height, index: UInt32(next)), of: peer, now)
            }
        }
    }

    /// Rule 5.
    private mutating func fetchBlock(_ now: Instant) {
        if blocks.count >= SnapshotFetch.maximumBlocks { return fail(.noOffers) }
        if pending.values.contains(where: { if case .block = $0.request { true } else { false } }) { return }
        for peer in inTurn() where peers[peer]?.pausedUntil.map({ $0 <= now }) ?? true {
            return ask(.block(wantedBlock), of: peer, now)
        }
    }

    mutating func finish(_ manifest: SnapshotManifest) {
        phase = .over
        outputs.append(.progress(.blocks(blocks.count)))
        outputs.append(
            .finished(
                Result(
                    manifest: manifest, steps: Array(steps.prefix(Int(clamping: manifest.epoch.value))),
                    record: client.record, blocks: blocks.reversed())))
    }
}
