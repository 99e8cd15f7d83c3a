import Primitives

/// The amnesia guard: what a validator may sign that does not know all that it has signed.
///
/// It asks every other where it stands, with a nonce that nobody could know before. Our forgotten votes lie in views that we had entered; the certificate
/// that let us into the highest of them, `v`, was signed by a quorum in `v − 1`. That quorum and the one that answers share an honest validator besides
/// us, which stands at `v − 1` at least and says so. Hence nothing of ours lies above `V + 1`, with `V` the highest view that was proven to us. Who
/// abstains itself does not answer: it could not know.
enum AmnesiaGuard: Hashable, Sendable {
    /// The journal knows of every vote.
    case none
    case asking(nonce: Digest, answers: [UInt16: View])
    /// Nothing is signed in views up to and including `through`. `passed` is the first payload that was finalized above it.
    case abstaining(through: View, passed: Digest?)
}

extension Simplex {
    /// Whether a vote of ours may be cast in a view at all.
    func maySign(in candidate: View) -> Bool {
        guard ownIndex != nil, !isKeyInUseElsewhere else { return false }
        return switch amnesia {
        case .none: true
        case .asking: false
        case .abstaining(let through, _): candidate > through
        }
    }

    /// Whether the key may still have signed something, in this epoch or the next, that the journal does not know.
    public var isAmnesiac: Bool { amnesia != .none }

    /// Asks all, or one that has just come, where they stand.
    mutating func askForPositions(_ peer: PublicKey? = nil) {
        guard case .asking(let nonce, _) = amnesia, ownIndex != nil else { return }
        let request = ConsensusMessage.positionRequest(nonce: nonce)
        if let peer {
            outputs.append(.send(request, to: peer))
        } else {
            positionsAskedAt = currentInstant
            outputs.append(.broadcast(request))
        }
    }

    /// When the question is to be repeated; nil where nothing is asked.
    var positionsDue: Instant? {
        guard case .asking = amnesia, ownIndex != nil else { return nil }
        return (positionsAskedAt ?? currentInstant).adding(parameters.retry)
    }

    /// Tells a validator without a memory where we stand.
    mutating func answerPosition(_ nonce: Digest, to peer: PublicKey) {
        guard let ownIndex, let signer, maySign(in: view), mayAnswer(peer) else { return }
        let certificate = provenEntry
        let stood = certificate?.subject.view.next() ?? 1
        let bytes = Position.signingBytes(nonce: nonce, epoch: epoch, view: stood, network: network)
        outputs.append(
            .send(
                .position(
                    Position(
                        nonce: nonce, epoch: epoch, view: stood, signer: UInt16(ownIndex),
                        signature: signer.sign(bytes),
                        certificate: certificate)), to: peer))
    }

    /// The certificate of the highest view below ours. It is journaled before any vote that it allows.
    private var provenEntry: Certificate? {
        for round in rounds.list.reversed() where round.view < view && round.view > lastFinalized {
            if let certificate = round.nullification ?? round.notarization { return certificate }
        }
        return lastFinalization
    }

    /// An answer: believed once its signature, and the certificate where it says more than we know, are checked.
    mutating func receive(_ position: Position, from peer: PublicKey) {
        guard case .asking(let nonce, let answers) = amnesia, position.nonce == nonce, position.epoch == epoch,
            Int(position.signer) < validators.count, Int(position.signer) != ownIndex,
            answers[position.signer] == nil, position.isProven, mayCheck(for: peer)
        else { return }
        var items = [
            VerificationItem(
                key: validators[Int(position.signer)].publicKey, signature: position.signature,
                message: Position.signingBytes(
                    nonce: nonce, epoch: position.epoch, view: position.view, network: network))
        ]
        if position.view > view {
            guard let proof = position.certificate?.verificationItems(validators, network: network) else { return }
            items += proof
        }
        checksOfPeer[peer, default: 0] += 1
        request(.position(position, from: peer, count: items.count), items)
    }

    mutating func settle(_ position: Position, _ results: [Bool], count: Int, from peer: PublicKey, at now: Instant) {
        releaseCheck(of: peer)
        guard case .asking(let nonce, var answers) = amnesia, results.count == count, results.allSatisfy({ $0 }) else {
            return
        }
        answers[position.signer] = position.view
        let weight = answers.keys.reduce(0) { $0 + validators[Int($1)].weight }
        // What the others proved, and what we know ourselves: a higher bound is never wrong.
        let highest = max(answers.values.max() ?? view, view)
        amnesia =
            weight >= validators.quorumWeight
            ? .abstaining(through: highest.next(), passed: nil) : .asking(nonce: nonce, answers: answers)
        if count > 1, let certificate = position.certificate { apply(certificate, from: peer, at: now) }
    }

    /// The guard ends with the second payload finalized above its bound. One is not enough: it may be the epoch's last block, after which we may
    /// have voted in the next epoch already; but after that no other payload of this epoch becomes final.
    mutating func passGuard(_ final: Proposal) {
        guard case .abstaining(let through, let passed) = amnesia, final.view > through else { return }
        amnesia =
            if let passed, passed != final.payloadDigest { .none } else {
                .abstaining(through: through, passed: passed ?? final.payloadDigest)
            }
    }
}
