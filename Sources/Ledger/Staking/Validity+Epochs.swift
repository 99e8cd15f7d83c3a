public import Consensus
public import Primitives

/// How the votes that a block tells of are checked.
public struct VoteCheck {
    let scheme: any SignatureScheme
    /// Whether a vote's signature was checked before: consensus has seen most of them.
    let isVerified: (Vote) -> Bool

    public init(
        scheme: any SignatureScheme = Ed25519Scheme.verifier, isVerified: @escaping (Vote) -> Bool = { _ in false }
    ) {
        self.scheme = scheme
        self.isVerified = isVerified
    }

    func holds(_ vote: Vote, by key: PublicKey, network: Digest) -> Bool {
        isVerified(vote) || scheme.verify(key, vote.signature, vote.subject.signingBytes(network: network))
    }
}

extension Validity {
    /// The rules of epochs: the right epoch, the commitment to the next one when it is due, votes and evidence that hold.
    static func checkEpoch(
        _ block: Block, parent: Header, parameters: ChainParameters, in store: any StateStore, _ votes: VoteCheck
    ) throws(ValidityFault) {
        let header = block.header
        let start: EpochStart?
        let record: EpochRecord?
        let next: EpochRecord?
        do throws(LedgerFault) {
            let epoch = try Query.chain(in: store).epoch
            start = try Query.epochStart(epoch, in: store)
            record = try Query.epochRecord(epoch, in: store)
            next = try Query.epochRecord(epoch.next(), in: store)
        } catch { throw .state(error) }
        // Only finalized blocks are executed and nothing is built on an epoch's last block before it is final: so every block that may be
        // voted for is of the epoch that the state is in.
        guard let start, let record else { throw .state(.corrupt("the epoch has no record")) }
        if header.epoch != start.epoch { throw .header("it is of epoch \(header.epoch), this is \(start.epoch)") }
        let schedule = EpochSchedule(start, parameters)
        if schedule.endsWith(parent) { throw .header("nothing is built on an epoch's last block") }
        if header.executedHeight >= schedule.snapshotHeight {
            // A light client finds the state that fixed the set under a certificate.
            if parent.executedHeight < schedule.snapshotHeight, header.executedHeight > schedule.snapshotHeight {
                throw .header("its executed height jumps over the snapshot at \(schedule.snapshotHeight)")
            }
            guard let next else { throw .state(.corrupt("the next epoch has no record")) }
            if header.nextEpochRecord != next.digest { throw .header("it commits to another next epoch") }
        } else if header.nextEpochRecord != nil {
            throw .header("no epoch record is due")
        }
        if header.votesDigest != block.votes.digest { throw .header("its votes are not those of its digest") }
        if let certificate = block.votes.certificate {
            try check(certificate, of: parent, record, votes)
        }
        var accused: Set<Seat> = []
        for evidence in block.votes.evidence {
            do throws(EvidenceFault) {
                try check(evidence, current: record, parameters: parameters, in: store, votes)
            } catch {
                if case .state(let fault) = error { throw .state(fault) }
                throw .header("its evidence does not hold: \(error)")
            }
            if !accused.insert(Seat(epoch: evidence.epoch, signer: evidence.signer)).inserted {
                throw .header("it accuses a validator twice")
            }
        }
    }

    private struct Seat: Hashable {
        let epoch: Epoch
        let signer: UInt16
    }

    private static func check(
        _ certificate: Certificate, of parent: Header, _ record: EpochRecord, _ votes: VoteCheck
    ) throws(ValidityFault) {
        guard let proposal = certificate.subject.proposal, proposal.epoch == record.epoch,
            proposal.payloadDigest == parent.digest, proposal.view == parent.view, parent.epoch == record.epoch
        else { throw .header("its certificate is not its parent's") }
        guard let set = try? record.validatorSet(), let weight = certificate.weight(in: set),
            weight >= set.quorumWeight
        else { throw .header("its certificate lacks a quorum") }
        for (signer, signature) in zip(certificate.signers, certificate.signatures) {
            let vote = Vote(subject: certificate.subject, signer: signer, signature: signature)
            if !votes.holds(vote, by: record.members[Int(signer)].consensusKey, network: record.network) {
                throw .header("its certificate has a wrong signature")
            }
        }
    }

    /// Checks that two votes convict their signer. Two signature checks; the same answer on every node of the same epoch.
    public static func check(
        _ evidence: Evidence, current: EpochRecord, parameters: ChainParameters, in store: any StateStore,
        _ votes: VoteCheck
    ) throws(EvidenceFault) {
        if !evidence.isDoubleVote { throw .noOffence }
        if evidence.epoch > current.epoch || current.epoch.value - evidence.epoch.value > parameters.evidenceEpochs {
            throw .epoch(evidence.epoch)
        }
        let record: EpochRecord?
        do throws(LedgerFault) {
            record = evidence.epoch == current.epoch ? current : try Query.epochRecord(evidence.epoch, in: store)
        } catch { throw .state(error) }
        guard let record else { throw .epoch(evidence.epoch) }
        guard Int(evidence.signer) < record.members.count else { throw .signer(evidence.signer) }
        let key = record.members[Int(evidence.signer)].consensusKey
        for vote in [evidence.first, evidence.second] where !votes.holds(vote, by: key, network: record.network) {
            throw .badSignature
        }
    }
}

/// Why two votes convict nobody.
public enum EvidenceFault: Error, Equatable, Sendable, CustomStringConvertible {
    case noOffence
    case epoch(Epoch)
    case signer(UInt16)
    case badSignature
    case state(LedgerFault)

    public var description: String {
        switch self {
        case .noOffence: "an honest validator may cast these two votes"
        case .epoch(let epoch): "epoch \(epoch) is too long ago or still to come"
        case .signer(let signer): "that epoch has no validator \(signer)"
        case .badSignature: "a signature is wrong"
        case .state(let fault): fault.description
        }
    }
}
