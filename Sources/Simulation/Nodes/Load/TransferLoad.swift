import Ledger
import Primitives

/// Transfers among a dozen accounts: most of them sound, some with tips, some that replace one that waits, and some that no node may take.
struct TransferLoad: NodeLoad {
    private let keys: [SecretKey]
    /// Given before, to be given again.
    private var earlier: [SignedTransaction] = []

    private static let ceiling = Amount(baseUnits: 1_000_000)
    private static let rich = Amount.xpl(10_000)
    private static let poor = Amount.xpl(30)

    init(accounts: Int) {
        keys = (0..<accounts).map { place in
            guard let key = try? SecretKey(seed: Digest.of(Domain("sim.account"), [UInt8(place)]).bytes) else {
                preconditionFailure("a digest has the size of a seed")
            }
            return key
        }
    }

    /// A third of them poor, so that balances come into question.
    var accounts: [GenesisAccount] {
        keys.enumerated().map { place, key in
            GenesisAccount(
                address: key.publicKey.address, balance: place % 3 == 2 ? TransferLoad.poor : TransferLoad.rich)
        }
    }

    mutating func next(at node: some ClientView, network: Digest, random: inout SplitMix64) -> Submission? {
        let key = keys[Int(random.next() % UInt64(keys.count))]
        let waiting = node.waiting(of: key.publicKey)
        let account = node.account(key.publicKey.address)
        let nonce = Nonce(account.nonce.value + UInt64(waiting.count))
        let target = keys[Int(random.next() % UInt64(keys.count))].publicKey.address
        let amount = Amount(baseUnits: UInt128(random.next() % 5_000_000_000) + 1)

        func sign(_ nonce: Nonce, _ amount: Amount, tip: UInt64 = 0, network other: Digest? = nil) -> SignedTransaction
        {
            let payload = Payload.transfer(to: target, amount: amount, memo: [])
            return Transaction(
                network: other ?? network, sender: key.publicKey, nonce: nonce, tip: Amount(baseUnits: UInt128(tip)),
                maximumFee: TransferLoad.ceiling, payload: payload
            ).signed(by: key)
        }

        switch random.next() % 100 {
        case 0..<70: return sound(sign(nonce, amount))
        case 70..<80: return sound(sign(nonce, amount, tip: random.next() % 100_000))
        case 80..<87:
            guard !waiting.isEmpty else { return sound(sign(nonce, amount)) }
            let old = waiting[Int(random.next() % UInt64(waiting.count))].transaction
            // Above the eighth that a replacement must add.
            let tip = UInt64(clamping: old.tip.baseUnits) * 2 + 10
            return sound(sign(old.nonce, amount, tip: tip))
        case 87..<90:
            // Up to sixteen nonces may be missing: it waits for them, and follows once they are there.
            let missing = 1 + random.next() % 20
            let signed = sign(Nonce(nonce.value + missing), amount)
            return missing <= 16
                ? sound(signed) : Submission(transaction: signed, flaw: "too many nonces are missing before its own")
        case 90..<93:
            let most = node.account(key.publicKey.address).balance
            guard let above = try? most.adding(amount) else { return nil }
            return Submission(transaction: sign(nonce, above), flaw: "it is above the sender's balance")
        case 93..<95:
            return Submission(
                transaction: sign(nonce, amount, network: Digest.of(Domain("sim.elsewhere"), [])),
                flaw: "it is of another network")
        case 95..<97:
            let signed = sign(nonce, amount)
            let other = sign(Nonce(nonce.value + 1), amount)
            return Submission(
                transaction: SignedTransaction(transaction: signed.transaction, signature: other.signature),
                flaw: "its signature is another's")
        default:
            guard !earlier.isEmpty else { return nil }
            let old = earlier[Int(random.next() % UInt64(earlier.count))]
            let isUsed = old.transaction.nonce < node.account(old.transaction.sender.address).nonce
            return Submission(transaction: old, flaw: isUsed ? "its nonce is used" : nil)
        }
    }

    private mutating func sound(_ transaction: SignedTransaction) -> Submission {
        if earlier.count < 256 { earlier.append(transaction) }
        return Submission(transaction: transaction, flaw: nil)
    }
}
