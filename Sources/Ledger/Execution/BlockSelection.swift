public import Primitives

/// Chooses the transactions of a block by the very rules by which others will judge it (`Validity`), one at a time.
public struct BlockSelection {
    private var pending: PendingDebits
    private var nonces: [Address: Nonce] = [:]
    private let store: any StateStore
    private let parameters: ChainParameters
    private let baseFee: UInt64
    private let network: Digest
    private var bytes = 0
    public private(set) var transactions: [SignedTransaction] = []
    public private(set) var weight: UInt64 = 0
    /// Of the moves of disputes among them.
    private var disputes: UInt64 = 0

    /// Bytes of transactions in a block that we build: room is left for the header and the parent's certificate.
    public static let byteLimit = Block.maximumBytes - 128 * 1024

    /// Begins on `parent`, whose unexecuted ancestors (itself included) are given oldest first.
    public init(
        parent: Header, time: Timestamp, ancestors: [Block], parameters: ChainParameters, in store: any StateStore
    ) throws(AdmissionFault) {
        self.store = store
        self.parameters = parameters
        network = parent.network
        baseFee = Fees.baseFee(after: parent, at: time, parameters)
        pending = PendingDebits(store, parameters)
        for ancestor in ancestors {
            for signed in ancestor.transactions {
                try pending.take(signed.transaction)
                nonces[signed.transaction.sender.address] = signed.transaction.nonce.next()
            }
        }
    }

    /// The nonce that a sender's next transaction must have here.
    public func nextNonce(of sender: PublicKey) -> Nonce {
        if let known = nonces[sender.address] { return known }
        return (try? Query.account(sender.address, in: store).nonce) ?? 0
    }

    /// Adds a transaction, or says that it does not fit. Its signature has been checked before it came to wait.
    public mutating func take(_ signed: SignedTransaction) -> Bool {
        guard
            let (own, unsigned, _) = try? Validity.size(signed, network: network, baseFee: baseFee, parameters),
            weight + own <= parameters.blockWeightLimit, transactions.count < Block.maximumTransactions
        else { return false }
        let size = unsigned + 64
        let isDispute = signed.transaction.payload.isDisputeMove
        if isDispute, disputes + own > parameters.disputeWeightLimit { return false }
        if bytes + size > BlockSelection.byteLimit { return false }
        do throws(AdmissionFault) { try pending.take(signed.transaction) } catch { return false }
        nonces[signed.transaction.sender.address] = signed.transaction.nonce.next()
        transactions.append(signed)
        weight += own
        if isDispute { disputes += own }
        bytes += size
        return true
    }
}
