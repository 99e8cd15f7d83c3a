import Consensus
import Ledger
import Primitives

extension Replica {
    /// Finalizes the highest finalization's block and its ancestors once all are here. Returns whether it did.
    mutating func finalizeWhatIsKnown() -> Bool {
        guard let (proposal, certificate) = awaitingFinalization else { return false }
        if proposal.payloadDigest == tree.finalizedDigest {
            awaitingFinalization = nil
            tipCertificate = certificate
            outputs.append(.markFinalized(tree.finalizedHeader.height, tree.finalizedDigest, certificate))
            outputs.append(.certified(tree.finalizedHeader, certificate))
            return true
        }
        switch tree.path(to: proposal.payloadDigest) {
        case .missing:
            return false
        case .conflicting:
            // Either the block is an ancestor of what is final (an old certificate heard late), or a third of the stake has lied.
            awaitingFinalization = nil
            return false
        case .complete(let path):
            awaitingFinalization = nil
            finalize(path, certificates: [proposal.payloadDigest: certificate])
            return true
        }
    }

    /// Makes a row of blocks final: durable first, then marked, then executed.
    mutating func finalize(_ path: [BlockTree.Entry], certificates: [Digest: Certificate]) {
        for entry in path {
            let digest = entry.header.digest
            store(entry, digest)
            let certificate = certificates[digest]
            outputs.append(.markFinalized(entry.header.height, digest, certificate))
            noteOwnVote(on: entry)
            tree.finalize(entry.header)
            mempool.remove(finalized: entry.block.transactions)
            mempool.expire(at: time.wall)
            execute(entry.block)
            follow(entry.block)
            if let certificate {
                tipCertificate = certificate
                outputs.append(.certified(entry.header, certificate))
            }
            beginEpochIfDue()
        }
    }

    /// Whether our vote for a block's parent is in the block, and if not, why not.
    private mutating func noteOwnVote(on entry: BlockTree.Entry) {
        guard let certificate = entry.block.votes.certificate, certificate.subject.epoch == epoch.epoch,
            let ownIndex, let reason = engine.missedVoteReason(in: certificate.subject.view)
        else { return }
        if certificate.signers.contains(UInt16(ownIndex)) {
            votesOnRecord += 1
            return
        }
        missedVoteCounts[reason, default: 0] += 1
        missedVotes.append(
            MissedVote(height: tree.finalizedHeader.height, view: certificate.subject.view, reason: reason))
        if missedVotes.count > Replica.keptMissedVotes { missedVotes.removeFirst() }
    }

    private mutating func execute(_ block: Block) {
        let result: ExecutionResult
        do throws(LedgerFault) {
            // The store is written here, so that the next block of this step reads it; the shell makes it durable in its own time.
            result = try Execution.apply(block, parameters: parameters, to: state)
        } catch {
            // A finalized block executes on every node or on none; what can fail is this machine's storage, and going on would be a lie.
            preconditionFailure("block \(block.header.height) could not be executed: \(error)")
        }
        executed.note(block, result)
        forgetEvidence()
        outputs.append(.executed(block, result))
    }
}
