import Primitives

/// What is asked of every transaction of a block, made for all together: ids, senders' addresses and sizes.
struct TransactionDigests {
    let ids: [Digest]
    let senders: [Address]
    private let encoded: DigestBatch
    private let transactions: [SignedTransaction]

    init(_ transactions: [SignedTransaction]) {
        var encoded = DigestBatch(messages: transactions.count, bytesEach: 192)
        for signed in transactions { encoded.append { signed.transaction.encodeSummary(into: &$0) } }
        self.encoded = encoded
        self.transactions = transactions
        ids = encoded.digests(.transaction)
        senders = Address.ofEach(transactions.map(\.transaction.sender))
    }

    /// The canonical bytes of a transaction, without its signature.
    func bytes(_ index: Int) -> Int {
        encoded.length(index) + transactions[index].transaction.payload.summaryExcess
    }
}
