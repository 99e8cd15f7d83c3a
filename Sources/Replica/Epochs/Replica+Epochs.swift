import Consensus
import Ledger
import Primitives

/// The change from one validator set to the next (docs/consensus.md, Epochs).
extension Domain {
    fileprivate static let challenge = Domain("plasma.challenge")
}

extension Replica {
    /// Messages of the next epoch that are kept until it begins here: a validator may be a round trip ahead.
    static let maximumEarlyMessages = 1_024
    static let maximumEarlyMessagesPerPeer = 32

    /// An engine for the epoch that the state is in.
    static func engine(
        for epoch: EpochContext, configuration: ReplicaConfiguration, network: Digest, floor: Floor, after old: Simplex?
    ) -> Simplex {
        Simplex(
            network: network, epoch: epoch.epoch, validators: epoch.validators, seed: epoch.start.seed,
            parameters: configuration.consensus,
            ownIndex: configuration.consensusKey.flatMap { epoch.validators.index(of: $0) },
            signer: configuration.signer, floor: floor,
            // What lost its journal may have voted in this epoch too. Each epoch has a nonce of its own.
            challenge: old?.isAmnesiac ?? true
                ? configuration.challenge.map { Digest.of(.challenge, $0.bytes + epoch.epoch.canonicalBytes) } : nil,
            isKeyInUseElsewhere: old?.isKeyInUseElsewhere ?? false, firstCheck: old?.nextCheckNumber ?? 1)
    }

    /// Whether a block is the last of the current epoch.
    func isLast(_ header: Header) -> Bool { epoch.schedule.endsWith(header) }

    /// Begins the epoch that the execution of the last block has led to. Does nothing while the epoch goes on.
    mutating func beginEpochIfDue() {
        let chain: ChainState
        do throws(LedgerFault) { chain = try Query.chain(in: state) } catch {
            preconditionFailure("the state was just written: \(error)")
        }
        if chain.epoch == epoch.epoch { return }
        let ended = epoch
        do throws(ReplicaFault) { epoch = try EpochContext(in: state, parameters: parameters) } catch {
            preconditionFailure("the execution of its last block wrote the next epoch: \(error)")
        }
        outputs.append(.epochEnded(ended.epoch, last: tree.finalizedHeader))
        engine = Replica.engine(
            for: epoch, configuration: configuration, network: network, floor: .genesis(epoch.start.base), after: engine
        )
        // All of these named views of the epoch that is over.
        awaitingVerdict.removeAll()
        awaitingCertification.removeAll()
        awaitingFinalization = nil
        proposing = nil
        lastWork = false
        run(engine.start(at: time.monotonic))
        let early = earlyMessages
        earlyMessages.removeAll()
        for (message, peer) in early where message.epoch == epoch.epoch {
            run(engine.handle(.message(message, from: peer), at: time.monotonic))
        }
    }

    /// A message of the consensus: of this epoch for the engine, of the next kept for a while, evidence for the chain.
    mutating func receive(_ message: ConsensusMessage, from peer: PublicKey) {
        if case .evidence(let evidence) = message { return receive(evidence, from: peer) }
        if let other = message.epoch, other > epoch.epoch {
            // Whoever is there has our epoch's last block.
            synchronization.heardNewerEpoch(from: peer)
            let ofPeer = earlyMessages.count { $0.from == peer }
            if other == epoch.epoch.next(), ofPeer < Replica.maximumEarlyMessagesPerPeer,
                earlyMessages.count < Replica.maximumEarlyMessages
            {
                earlyMessages.append((message, peer))
            }
            return
        }
        run(engine.handle(.message(message, from: peer), at: time.monotonic))
    }

    // MARK: Evidence

    /// Takes evidence that holds and passes it on, once a validator.
    mutating func receive(_ evidence: Evidence, from peer: PublicKey?) {
        guard let key = accused(evidence), evidencePool[key] == nil, !isTombstoned(key) else { return }
        do throws(EvidenceFault) {
            try Validity.check(
                evidence, current: epoch.record, parameters: parameters, in: state, VoteCheck(scheme: verifier))
        } catch {
            if let peer, error == .badSignature || error == .noOffence {
                outputs.append(.misbehaviour(peer, "accused a validator falsely: \(error)"))
            }
            return
        }
        evidencePool[key] = evidence
        outputs.append(.evidence(evidence))
        outputs.append(.broadcastConsensus(.evidence(evidence)))
    }

    private func accused(_ evidence: Evidence) -> PublicKey? {
        let record =
            evidence.epoch == epoch.epoch ? epoch.record : try? Query.epochRecord(evidence.epoch, in: state)
        guard let record, Int(evidence.signer) < record.members.count else { return nil }
        return record.members[Int(evidence.signer)].consensusKey
    }

    /// Whether there is nothing left to punish.
    private func isTombstoned(_ key: PublicKey) -> Bool {
        do throws(LedgerFault) { return try Query.validator(key, in: state) == nil } catch { return false }
    }

    /// The evidence that a block should carry: what holds still and has convicted nobody yet.
    func evidenceForBlock() -> [Evidence] {
        var chosen: [Evidence] = []
        for key in evidencePool.keys.sorted() where chosen.count < BlockVotes.maximumEvidence {
            guard let evidence = evidencePool[key], isFresh(evidence) else { continue }
            chosen.append(evidence)
        }
        return chosen
    }

    private func isFresh(_ evidence: Evidence) -> Bool {
        evidence.epoch <= epoch.epoch
            && epoch.epoch.value - evidence.epoch.value <= parameters.evidenceEpochs
    }

    /// Forgets evidence that has done its work, or is too old to do any.
    mutating func forgetEvidence() {
        if evidencePool.isEmpty { return }
        evidencePool = evidencePool.filter { isFresh($0.value) && !isTombstoned($0.key) }
    }
}
