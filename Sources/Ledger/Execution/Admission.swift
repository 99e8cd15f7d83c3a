public import Primitives

/// Whether a transaction may wait in the mempool.
public enum Admission {
    /// What a sender's waiting transactions take together, so that one more is judged without looking at each again.
    public struct Pending: Hashable, Sendable {
        public private(set) var count: UInt64 = 0
        public private(set) var debits = Amount.zero
        public private(set) var moves: UInt64 = 0

        public init() {}

        /// The sum of a sender's waiting transactions.
        public init(_ transactions: some Sequence<Transaction>, _ parameters: ChainParameters) throws(AmountFault) {
            for transaction in transactions { try add(transaction, parameters) }
        }

        /// Counts one more in.
        public mutating func add(_ transaction: Transaction, _ parameters: ChainParameters) throws(AmountFault) {
            debits = try debits.adding(Fees.maximumDebit(transaction, parameters))
            moves += transaction.payload.moveCount
            count += 1
        }

        /// Counts one out that was counted in.
        public mutating func remove(_ transaction: Transaction, _ parameters: ChainParameters) throws(AmountFault) {
            debits = try debits.subtracting(Fees.maximumDebit(transaction, parameters))
            moves -= transaction.payload.moveCount
            count -= 1
        }

        /// The same with what `others` take besides, whose nonces do not come before.
        public func beside(_ others: Pending) throws(AmountFault) -> Pending {
            var sums = self
            sums.debits = try debits.adding(others.debits)
            sums.moves += others.moves
            return sums
        }
    }

    /// Checks a transaction that would wait behind `pending`: its sender's waiting transactions, whose nonces follow the state's without a gap.
    /// With `mayBeEarly` nonces may be missing before its own. `isVerified` says that the signature was checked before.
    public static func check(
        _ signed: SignedTransaction, network: Digest, baseFee: UInt64, pending: Pending, parameters: ChainParameters,
        in store: any StateStore, mayBeEarly: Bool = false, isVerified: Bool = false
    ) throws(AdmissionFault) {
        _ = try Validity.size(signed, network: network, baseFee: baseFee, parameters)
        if !isVerified, !signed.isSigned { throw .badSignature }
        let transaction = signed.transaction
        let sender = transaction.sender.address
        let account: Account
        var isProvider = false
        do throws(LedgerFault) {
            account = try Query.account(sender, in: store)
            if transaction.payload.isMarketMove, let provider = try Query.provider(sender, in: store) {
                // A move that fails is paid from these. A block may have it all the same: what is left of a bond is not for validity to look at.
                isProvider = account.balance > .zero || provider.bond > .zero || provider.cover > .zero
            }
        } catch { throw .state(error) }
        let expected = Nonce(account.nonce.value &+ pending.count)
        if mayBeEarly ? transaction.nonce < expected : transaction.nonce != expected {
            throw .nonce(expected: expected, found: transaction.nonce)
        }
        if transaction.payload.isMarketMove {
            if !isProvider { throw .notAProvider }
            if transaction.tip > .zero { throw .tipOnMove }
            if pending.moves + transaction.payload.moveCount > parameters.maximumPendingMoves {
                throw .tooManyMoves(limit: parameters.maximumPendingMoves)
            }
            return
        }
        let needed: Amount
        do throws(AmountFault) {
            needed = try pending.debits.adding(Fees.maximumDebit(transaction, parameters))
        } catch { throw .amount(error) }
        if needed > account.balance {
            throw .notEnough(missing: Amount(baseUnits: needed.baseUnits - account.balance.baseUnits))
        }
    }
}
