import Ledger
import Primitives

/// What peers answer, and what it proves (rules 2, 4 and 5).
extension SnapshotFetch {
    mutating func take(_ request: SnapshotRequest, _ answer: [UInt8], from peer: PublicKey, _ now: Instant) {
        switch request {
        case .epochs(let epoch):
            guard let row = try? EpochAnswer(canonicalBytes: answer) else {
                return blame(peer, "sent epochs that cannot be read")
            }
            take(row.steps, from: epoch, of: peer, now)
        case .offers:
            guard let offers = try? SnapshotOffers(canonicalBytes: answer) else {
                return blame(peer, "sent an offer of snapshots that cannot be read")
            }
            peers[peer]?.offers = offers.manifests
            // Chosen already: only whether this peer has it too.
            if phase == .chunks || phase == .blocks { return }
        case .chunk(let height, let index):
            guard let chosen, phase == .chunks, chosen.height == height else { return }
            guard let chunk = try? SnapshotChunk(canonicalBytes: answer), chunk.index == index,
                chunk.depth == chosen.depth, chunk.verify(root: chosen.root)
            else { return blame(peer, "sent a chunk that is not the snapshot's") }
            if !have.insert(Int(index)).inserted { return }
            bytes += UInt64(answer.count)
            tellers.insert(peer)
            peers[peer]?.failures = 0
            lastProgress = now
            outputs.append(.keepChunk(Int(index), answer))
            outputs.append(
                .progress(.chunks(have: have.count, of: chosen.chunkCount, bytes: bytes, peers: tellers.count)))
        case .block(let digest):
            guard phase == .blocks, digest == wantedBlock else { return }
            guard let row = try? BlockAnswer(canonicalBytes: answer), let bytes = row.blocks.first?.block,
                let block = Replica.block(bytes, network: genesis.digest), block.digest == digest
            else { return blame(peer, "sent another block than the one asked for") }
            lastProgress = now
            blocks.append(bytes)
            wantedBlock = block.header.parent
            if let chosen, block.header.height <= chosen.height { finish(chosen) }
        }
    }

    /// Rule 2.
    private mutating func take(_ steps: [EpochStep], from epoch: Epoch, of peer: PublicKey, _ now: Instant) {
        if steps.isEmpty {
            peers[peer]?.walkedTo = epoch
            return
        }
        for step in steps {
            // Another peer may have led further meanwhile.
            if step.header.epoch < client.epoch { continue }
            var next = client
            do throws(LightClient.Fault) { try next.advance(step) } catch {
                return blame(peer, "sent a step between epochs that does not hold: \(error)")
            }
            self.steps.append(step)
            clients.append(next)
            if clients.count > SnapshotFetch.keptEpochs { clients.removeFirst() }
            if next.record.digest == checkpoint { isConfirmed = true }
            lastProgress = now
        }
        outputs.append(.progress(.walked(client.epoch)))
    }
}
