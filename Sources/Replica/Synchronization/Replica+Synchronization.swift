import Consensus
public import Ledger
public import Primitives

extension Replica {
    /// The block of these bytes, where they are one of this network with the body that its header names. Whoever passes on anything else is
    /// blamed for it, so who relays blocks asks this first.
    public static func block(_ bytes: [UInt8], network: Digest) -> Block? {
        guard bytes.count <= FinalizedBlock.maximumBlockBytes, let block = try? Block(canonicalBytes: bytes),
            block.header.network == network, block.bodyMatches
        else { return nil }
        return block
    }

    /// A block's bytes from a peer: kept where they decode, are of this network, and are above what is final.
    mutating func receive(block bytes: [UInt8], from peer: PublicKey) {
        guard let block = Replica.block(bytes, network: network) else {
            outputs.append(.misbehaviour(peer, "sent a block that cannot be read or whose body is not its header's"))
            return
        }
        let digest = block.header.digest
        // Unasked blocks of far views are not worth memory; what was asked for always is.
        _ = tree.insert(block, bytes: bytes)
        synchronization.arrived(digest)
        if block.header.height.value > 1 { synchronization.raise(peer, to: Height(block.header.height.value - 1)) }
    }

    /// Asks for what is missing: blocks of proposals and finalizations by digest, and rows of finalized blocks when behind.
    mutating func synchronize() {
        var wanted: [(digest: Digest, from: PublicKey?)] = []
        func want(_ digest: Digest, _ peer: PublicKey?) {
            if case .missing(let missing) = tree.path(to: digest) { wanted.append((missing, peer)) }
        }
        for view in awaitingVerdict.keys.sorted() {
            if let (proposal, peer) = awaitingVerdict[view] { want(proposal.payloadDigest, peer) }
        }
        for view in awaitingCertification.keys.sorted() {
            if let (proposal, peer) = awaitingCertification[view] { want(proposal.payloadDigest, peer) }
        }
        // After restarts a block that the journal calls certified may lie on disks alone: who is to build on it must fetch it.
        if let waiting = proposing { want(waiting.parent.digest, nil) }
        var behind = synchronization.anyAhead(of: tree.finalizedHeader.height.advanced(by: 2))
        if synchronization.peerInNewerEpoch != nil { behind = true }
        if let (proposal, _) = awaitingFinalization {
            want(proposal.payloadDigest, nil)
            if case .missing = tree.path(to: proposal.payloadDigest) { behind = true }
        }
        synchronization.keepOnly(Set(wanted.map(\.digest)))
        for (digest, peer) in wanted {
            let (may, first) = synchronization.mayAsk(digest, now: time.monotonic)
            if may, let target = synchronization.pick(preferring: first ? peer : nil) {
                outputs.append(.requestBlock(digest, from: target))
            }
        }
        if behind {
            for row in synchronization.rangesToAsk(above: tree.finalizedHeader.height, now: time.monotonic) {
                outputs.append(.requestBlocks(from: row.start, count: row.count, peer: row.peer))
            }
        }
    }

    /// A row of finalized blocks: taken as far as a certificate that we check ourselves covers them.
    mutating func receive(finalized blocks: [FinalizedBlock], from peer: PublicKey) {
        let tip = tree.finalizedHeader.height
        let rows = synchronization.rangeArrived(blocks, from: peer, tip: tip)
        if blocks.isEmpty {
            synchronization.exhausted(peer, at: tip)
        } else if !rows.isEmpty, !take(rows) {
            synchronization.ranges.dropHeld()
        }
    }

    /// Takes rows that follow what is final. False where they do not, or hold something that is no block of this chain.
    private mutating func take(_ rows: [RangeFetch.Sent]) -> Bool {
        var pending: [BlockTree.Entry] = []
        var parent = tree.finalizedDigest
        var height = tree.finalizedHeader.height
        for sent in rows.prefix(RangeFetch.maximumRows * Synchronization.blocksPerRequest) {
            let (item, peer) = (sent.block, sent.peer)
            guard let block = try? Block(canonicalBytes: item.block) else {
                outputs.append(.misbehaviour(peer, "sent a finalized block that cannot be read"))
                return false
            }
            if block.header.height <= height && pending.isEmpty { continue }
            guard
                block.header.height == height.next(), block.header.parent == parent, block.header.network == network,
                block.bodyMatches
            else { return false }
            let digest = block.header.digest
            parent = digest
            height = block.header.height
            pending.append(BlockTree.Entry(block: block, bytes: item.block))
            guard let certificate = item.certificate else { continue }
            guard
                case .finalize(let proposal) = certificate.subject, proposal.payloadDigest == digest,
                proposal.epoch == epoch.epoch,
                certificate.verify(epoch.validators, network: network, scheme: verifier)
            else {
                outputs.append(.misbehaviour(peer, "sent a finalization that does not hold"))
                return false
            }
            finalize(pending, certificates: [digest: certificate])
            pending.removeAll()
            run(engine.handle(.message(.certificate(certificate), from: peer), at: time.monotonic))
            synchronization.raise(peer, to: height)
        }
        return true
    }
}
