import Consensus
import Ledger
import Primitives

/// Real Ed25519 checks, each done once for the whole network. A check depends on nothing but its arguments, so what it says for one node
/// holds for all; without this a network of many nodes would do little else.
final class SignatureMemory {
    private var votes: [VerificationItem: Bool] = [:]
    private var transactions: [SignedTransaction: Bool] = [:]
    private(set) var checks = 0

    private static let capacity = 1 << 16

    func verify(_ item: VerificationItem) -> Bool {
        if let known = votes[item] { return known }
        if votes.count >= SignatureMemory.capacity { votes.removeAll() }
        checks += 1
        let good = item.key.verify(item.signature, of: item.message)
        votes[item] = good
        return good
    }

    func isSigned(_ transaction: SignedTransaction) -> Bool {
        if let known = transactions[transaction] { return known }
        if transactions.count >= SignatureMemory.capacity { transactions.removeAll() }
        checks += 1
        let good = transaction.isSigned
        transactions[transaction] = good
        return good
    }
}
