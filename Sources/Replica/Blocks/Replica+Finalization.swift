import Consensus
public import Ledger
public import Primitives

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

    /// Takes transactions whose signatures hold; passes on what was new and is not bulky.
    mutating func receive(_ transactions: [SignedTransaction], local: Bool) {
        var fresh: [SignedTransaction] = []
        for transaction in transactions {
            if (try? admit(transaction)) != nil, !transaction.transaction.payload.isBulky { fresh.append(transaction) }
        }
        if !fresh.isEmpty { outputs.append(.broadcastTransactions(fresh)) }
    }

    /// Checks one transaction as `admit` does, without keeping it.
    public func check(_ transaction: SignedTransaction) throws(SubmissionFault) {
        let next = try admissible(transaction)
        do throws(Mempool.Refusal) { try mempool.check(transaction, id: transaction.id, next: next) } catch {
            throw .refused(error)
        }
    }

    /// A transaction that can follow what its sender has waiting here, at up to four times the present base fee. The shell signs it.
    public func draft(_ payload: Payload, from sender: PublicKey) throws(LedgerFault) -> Transaction {
        let account = try Query.account(sender.address, in: state)
        let probe = Transaction(
            network: network, sender: sender, nonce: mempool.nextNonce(of: sender, after: account.nonce),
            maximumFee: .zero, payload: payload)
        do throws(AmountFault) {
            let ceiling = try Fees.fee(
                weight: Fees.weight(probe, parameters), baseFee: tree.finalizedHeader.baseFee * 4, tip: .zero)
            return Transaction(
                network: network, sender: sender, nonce: probe.nonce, maximumFee: ceiling, payload: payload)
        } catch { throw .money("\(error)") }
    }

    /// Checks one transaction against the state and what its sender has waiting, and lets it wait too.
    public mutating func admit(_ transaction: SignedTransaction) throws(SubmissionFault) {
        let next = try admissible(transaction)
        do throws(Mempool.Refusal) { try mempool.insert(transaction, next: next, at: time.wall) } catch {
            throw .refused(error)
        }
    }

    /// Its sender's next nonce in the state, where the transaction may wait behind the others.
    private func admissible(_ transaction: SignedTransaction) throws(SubmissionFault) -> Nonce {
        let sender = transaction.transaction.sender
        do throws(AdmissionFault) {
            try Admission.check(
                transaction, network: network, baseFee: tree.finalizedHeader.baseFee,
                pending: mempool.sums(of: sender, before: transaction.transaction.nonce), parameters: parameters,
                in: state, isVerified: true)
        } catch { throw .invalid(error) }
        do throws(LedgerFault) { return try Query.account(sender.address, in: state).nonce } catch {
            throw .state(error)
        }
    }
}

/// Why a transaction may not wait here.
public enum SubmissionFault: Error, Equatable, Sendable, CustomStringConvertible {
    case invalid(AdmissionFault)
    case refused(Mempool.Refusal)
    case state(LedgerFault)

    public var description: String {
        switch self {
        case .invalid(let fault): fault.description
        case .refused(let refusal): refusal.description
        case .state(let fault): fault.description
        }
    }
}
