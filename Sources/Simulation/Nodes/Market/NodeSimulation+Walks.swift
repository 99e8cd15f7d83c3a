import Ledger
import Primitives
import Programs
import Worker

/// What a lying provider says to a challenger that asks it without the chain.
public enum LiarsWord: Sendable, CaseIterable {
    case silence
    case nonsense
    /// Signed as it should be, and not what it reveals on chain; further down nothing.
    case another
    /// What its run says.
    case own

    init(on job: Digest) { self = LiarsWord.allCases[Int(job.bytes[1]) % LiarsWord.allCases.count] }

    /// What it says in place of its own answer; nil where it says nothing.
    func instead(of answer: WalkAnswer, to ask: WalkAsk, _ subject: DisputeSubject, by key: SecretKey) -> WalkAnswer? {
        guard case .reveal(let reveal, let signer, _) = answer else { return answer }
        switch self {
        case .silence: return nil
        case .own: return answer
        case .nonsense: return .reveal(reveal, key: signer, key.sign(Array("nonsense".utf8)))
        case .another:
            guard let other = LiarsWord.other(than: reveal) else { return nil }
            let transcript = DisputeTranscript(
                opening: ask.transcript.opening, moves: ask.transcript.moves + [.reveal(other)])
            let message = Dispute.transcriptMessage(
                job: ask.job, attempt: ask.attempt, challenger: ask.challenger.address, subject, transcript)
            return .reveal(other, key: signer, key.sign(message))
        }
    }

    /// Another reveal that combines as well as the true one: an earlier state, or an op's tensor, that nothing binds it to.
    private static func other(than reveal: Reveal) -> Reveal? {
        switch reveal {
        case .steps(var children) where children.count > 1:
            children[0] = StepNode(outputs: children[0].outputs, state: .zero)
            return .steps(children)
        case .operations(var digests, let node?) where !digests.isEmpty:
            digests[0] = .zero
            return .operations(digests, node: node)
        default: return nil
        }
    }
}

/// Challengers ask providers over the network's links, as the real shells do.
extension NodeSimulation {
    private static var askPatience: Interval { .seconds(1) }

    mutating func ask(_ ask: WalkAsk, of key: PublicKey, by provider: SimulatedProvider) {
        requests += 1
        let id = requests
        provider.asks.insert(id)
        arrange(provider, .answered(ask, nil, id: id), after: NodeSimulation.askPatience)
        guard let target = indexOfKey[key] else { return }
        // Two of one node speak without a link.
        let delay = target == provider.home ? Interval.milliseconds(1) : wayTime(provider.home, target)
        if let delay {
            schedule(
                target, after: delay, .walkAsk(ask, id: id, from: provider.index, life: provider.life))
        }
    }

    /// A node is asked for what a provider in it has to say.
    mutating func asked(_ ask: WalkAsk, id: UInt64, from asker: Int, life: Int, at node: SimulatedNode) {
        for provider in providers where provider.home == node.index && provider.machine != nil {
            guard
                let permit = try? WalkPermit(
                    job: ask.job, attempt: ask.attempt, challenger: ask.challenger.address,
                    provider: provider.key.publicKey.address, in: node.disk.state),
                let (own, outputs) = provider.machine?.asked(ask, permit)
            else { continue }
            for case .play(let item, let order) in outputs {
                provider.plays[item.duty] = (item, order)
                arrange(provider, .played(item.duty), after: drawOnMarket(5...120))
            }
            var answer: WalkAnswer? = own
            if provider.actor == .lyingProvider {
                answer = (profile.liarsWord ?? LiarsWord(on: ask.job)).instead(
                    of: own, to: ask, permit.subject, by: provider.key)
            }
            let home = providers[asker].home
            let delay = home == node.index ? Interval.milliseconds(1) : wayTime(node.index, home)
            guard let answer, let delay, providers[asker].life == life else { return }
            return arrange(providers[asker], .answered(ask, answer, id: id), after: delay)
        }
    }

    mutating func answered(_ ask: WalkAsk, _ answer: WalkAnswer?, id: UInt64, to provider: SimulatedProvider) {
        if provider.asks.remove(id) != nil { provider.machine?.answered(ask, answer) }
    }
}
