import Ledger
import Primitives

/// A network in which witnesses were drawn over a job.
protocol WitnessedNet {
    var net: TestNet { get }
    var claim: DeliveryClaim { get throws }
    func attest(_ holds: Bool, attempt: UInt32) -> Payload
}

extension WitnessedNet {
    var witnesses: [SecretKey] { get throws { try claim.witnesses.map { try net.key($0.provider) } } }

    /// Each witness in turn says this, or nothing.
    func hear(_ words: [Bool?]) throws {
        for (witness, word) in zip(try witnesses, words) {
            if let word { try net.act(witness, attest(word, attempt: 1)) }
        }
    }

    /// Steps to where the chain's clock is at a time, which lies ahead.
    func pass(to clock: UInt64) throws {
        while true {
            let now = try Query.chain(in: net.store).clock
            if now >= clock { return }
            try net.step(after: min(clock - now, 1000))
        }
    }

    /// To the first block after the claim's deadline.
    func passDeadline() throws { try pass(to: try claim.deadline + 1) }
}
