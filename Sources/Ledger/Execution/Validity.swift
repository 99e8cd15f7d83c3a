internal import Consensus
public import Primitives

/// Why a block may not be voted for, or a transaction not be taken in.
public enum ValidityFault: Error, Equatable, Sendable, CustomStringConvertible {
    case header(String)
    case transaction(index: Int, AdmissionFault)
    case state(LedgerFault)

    public var description: String {
        switch self {
        case .header(let what): "the header is wrong: \(what)"
        case .transaction(let index, let fault): "transaction \(index): \(fault)"
        case .state(let fault): fault.description
        }
    }
}

/// Why a transaction is not taken in, in one sentence.
public enum AdmissionFault: Error, Equatable, Sendable, CustomStringConvertible {
    case wrongNetwork(expected: Digest, found: Digest)
    case badSignature
    case tooLarge(bytes: Int, limit: Int)
    case opaque(bytes: Int, limit: UInt64)
    case nonce(expected: Nonce, found: Nonce)
    case notEnough(missing: Amount)
    case feeTooLow(needed: Amount, ceiling: Amount)
    case amount(AmountFault)
    case notAProvider
    case tooManyMoves(limit: UInt64)
    case tipOnMove
    case state(LedgerFault)

    public var description: String {
        switch self {
        case .wrongNetwork(let expected, let found):
            "it is signed for network \(found), this is \(expected): sign it with this network's genesis"
        case .badSignature: "the signature, or the proof of an opening, is not the sender's"
        case .tooLarge(let bytes, let limit): "it has \(bytes) bytes, the limit is \(limit)"
        case .opaque(_, 0): "this network orders no opaque bytes: its genesis has opaque_byte_limit = 0"
        case .opaque(let bytes, let limit): "it carries \(bytes) opaque bytes, this network allows 1 to \(limit)"
        case .nonce(let expected, let found): "its nonce is \(found), the account's next is \(expected)"
        case .notEnough(let missing): "not enough XPL: \(missing) more needed in the sender's account"
        case .feeTooLow(let needed, let ceiling): "its fee is now \(needed) XPL, above its ceiling of \(ceiling)"
        case .amount(let fault): fault.description
        case .notAProvider: "only a registered provider with something to lose can move a job"
        case .tooManyMoves(let limit): "more than \(limit) moves of one provider wait to be executed"
        case .tipOnMove: "a market move carries no tip: the job's allowance pays for it"
        case .state(let fault): fault.description
        }
    }
}

/// What unexecuted transactions will take from each sender, beside what the state says they have.
struct PendingDebits {
    private struct Sender {
        var nonce: Nonce
        var liquid: Amount
        var moves: UInt64 = 0
        var isProvider = false
    }

    private let store: any StateStore
    private let parameters: ChainParameters
    private var senders: [Address: Sender] = [:]

    init(_ store: any StateStore, _ parameters: ChainParameters) {
        self.store = store
        self.parameters = parameters
    }

    /// Takes a transaction's nonce and maximum debit.
    mutating func take(_ transaction: Transaction) throws(AdmissionFault) {
        let address = transaction.sender.address
        var sender: Sender
        if let known = senders[address] {
            sender = known
        } else {
            do throws(LedgerFault) {
                let account = try Query.account(address, in: store)
                sender = Sender(nonce: account.nonce, liquid: account.balance)
                if transaction.payload.isMarketMove {
                    sender.isProvider = try Query.provider(address, in: store) != nil
                }
            } catch { throw .state(error) }
        }
        if transaction.nonce != sender.nonce { throw .nonce(expected: sender.nonce, found: transaction.nonce) }
        sender.nonce = sender.nonce.next()
        if transaction.payload.isMarketMove {
            if !sender.isProvider {
                do throws(LedgerFault) { sender.isProvider = try Query.provider(address, in: store) != nil } catch {
                    throw .state(error)
                }
            }
            if !sender.isProvider { throw .notAProvider }
            if transaction.tip > .zero { throw .tipOnMove }
            sender.moves += transaction.payload.moveCount
            if sender.moves > parameters.maximumPendingMoves {
                throw .tooManyMoves(limit: parameters.maximumPendingMoves)
            }
        } else {
            let debit: Amount
            do throws(AmountFault) { debit = try Fees.maximumDebit(transaction, parameters) } catch {
                throw .amount(error)
            }
            guard let left = try? sender.liquid.subtracting(debit) else {
                throw .notEnough(missing: Amount(baseUnits: debit.baseUnits - sender.liquid.baseUnits))
            }
            sender.liquid = left
        }
        senders[address] = sender
    }
}

/// The rules by which a block may be voted for before it is executed (`docs/architecture.md`).
public enum Validity {
    /// Checks a block on `parent`. `ancestors` are the blocks above the store's height up to and with the parent, oldest first.
    /// The store may be ahead of the header's `executedHeight`: a block that holds against the older state holds against the
    /// newer one too, since only the owner's own transactions lower a balance and these are then executed.
    ///
    /// Left to the caller, who has what is needed: that the time is not ahead of its clock, that `stateRoot` is what it computed
    /// at `executedHeight`, the proposer, and the VRF proof behind the beacon. `isVerified` says which transactions, by id, had
    /// this very signature checked before: the id says nothing of it;
    /// `votes` how consensus's votes are checked.
    public static func check(
        _ block: Block, parent: Header, ancestors: [Block], parameters: ChainParameters, in store: any StateStore,
        isVerified: (Digest, Signature) -> Bool = { _, _ in false }, votes: VoteCheck = VoteCheck()
    ) throws(ValidityFault) {
        let header = block.header
        if header.network != parent.network { throw .header("it is of another network") }
        if header.height != parent.height.next() { throw .header("its height is \(header.height) on \(parent.height)") }
        if header.parent != parent.digest { throw .header("it names another parent") }
        if header.time <= parent.time { throw .header("its time is not after its parent's") }
        if header.executedHeight < parent.executedHeight || header.executedHeight >= header.height {
            throw .header("its executed height is \(header.executedHeight)")
        }
        if header.height.value - header.executedHeight.value > parameters.executionLagLimit, !block.transactions.isEmpty
        {
            throw .header("execution is too far behind for transactions")
        }
        try checkEpoch(block, parent: parent, parameters: parameters, in: store, votes)
        let baseFee = Fees.baseFee(after: parent, at: header.time, parameters)
        if header.baseFee != baseFee { throw .header("its base fee is \(header.baseFee), it should be \(baseFee)") }
        if block.transactions.count > Block.maximumTransactions { throw .header("too many transactions") }
        try checkAncestry(ancestors, parent, store)
        var pending = PendingDebits(store, parameters)
        for ancestor in ancestors {
            for (index, signed) in ancestor.transactions.enumerated() {
                do throws(AdmissionFault) { try pending.take(signed.transaction) } catch {
                    throw .transaction(index: index, error)
                }
            }
        }
        var weight: UInt64 = 0
        var disputes: UInt64 = 0
        for (index, signed) in block.transactions.enumerated() {
            do throws(AdmissionFault) {
                let own = try check(signed, network: header.network, baseFee: baseFee, parameters, isVerified)
                weight += own
                if signed.transaction.payload.isDisputeMove { disputes += own }
                try pending.take(signed.transaction)
            } catch { throw .transaction(index: index, error) }
        }
        if weight != header.weight { throw .header("its weight is \(header.weight), the transactions weigh \(weight)") }
        if weight > parameters.blockWeightLimit {
            throw .header("it weighs \(weight), the limit is \(parameters.blockWeightLimit)")
        }
        if disputes > parameters.disputeWeightLimit {
            throw .header("its disputes weigh \(disputes), the limit is \(parameters.disputeWeightLimit)")
        }
        if header.txRoot != Block.txRoot(block.transactions) {
            throw .header("its transactions are not those of its root")
        }
    }

    private static func checkAncestry(_ ancestors: [Block], _ parent: Header, _ store: any StateStore)
        throws(ValidityFault)
    {
        let executed: Height
        do throws(LedgerFault) { executed = try Query.chain(in: store).height } catch { throw .state(error) }
        var height = executed
        for ancestor in ancestors {
            if ancestor.header.height != height.next() { throw .header("an ancestor is missing after \(height)") }
            height = height.next()
        }
        if height != parent.height {
            throw .header("its parent is at \(parent.height), its ancestors end at \(height)")
        }
    }

    /// What of a transaction needs no state and no signature.
    static func size(
        _ signed: SignedTransaction, network: Digest, baseFee: UInt64, _ parameters: ChainParameters
    ) throws(AdmissionFault) -> (weight: UInt64, bytes: Int, summary: [UInt8]) {
        let transaction = signed.transaction
        if transaction.network != network { throw .wrongNetwork(expected: network, found: transaction.network) }
        var limit = transaction.payload.maximumBytes
        if case .opaque(let carried) = transaction.payload {
            let count = carried.bytes.count
            if count == 0 || count > Int(parameters.opaqueByteLimit) {
                throw .opaque(bytes: count, limit: parameters.opaqueByteLimit)
            }
            limit += count
        }
        let summary = transaction.summary
        let bytes = summary.count + transaction.payload.summaryExcess
        if bytes > limit { throw .tooLarge(bytes: bytes, limit: limit) }
        let weight = Fees.weight(transaction.payload, bytes: bytes, parameters)
        let fee: Amount
        do throws(AmountFault) {
            fee = try Fees.fee(weight: weight, baseFee: baseFee, tip: transaction.tip)
        } catch { throw .amount(error) }
        if fee > transaction.maximumFee { throw .feeTooLow(needed: fee, ceiling: transaction.maximumFee) }
        return (weight, bytes, summary)
    }

    /// The same, and that its sender signed it. Returns its weight.
    static func check(
        _ signed: SignedTransaction, network: Digest, baseFee: UInt64, _ parameters: ChainParameters,
        _ isVerified: (Digest, Signature) -> Bool
    ) throws(AdmissionFault) -> UInt64 {
        let (weight, _, summary) = try size(signed, network: network, baseFee: baseFee, parameters)
        if !isVerified(Digest.of(.transaction, summary), signed.signature), !signed.isSigned { throw .badSignature }
        return weight
    }
}
