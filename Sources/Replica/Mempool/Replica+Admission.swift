public import Ledger
public import Primitives

/// Transactions that come to wait, and what lets those follow that came too early.
extension Replica {
    /// Takes transactions whose signatures hold. What is new, ready and not bulky is told: at once what began here, after a while what others have told.
    mutating func receive(_ transactions: [SignedTransaction], local: Bool) {
        var ready: [SignedTransaction] = []
        for transaction in transactions {
            do throws(SubmissionFault) { ready += try admit(transaction) } catch {
                if local { outputs.append(.refused(transaction.id, error)) }
            }
        }
        if ready.isEmpty { return }
        if local { tell(ready) } else { relayed.append((ready, time.monotonic.adding(Replica.relayPause))) }
    }

    mutating func tell(_ transactions: [SignedTransaction]) {
        let light = transactions.filter { !$0.transaction.payload.isBulky }
        if !light.isEmpty { outputs.append(.broadcastTransactions(light)) }
    }

    /// Checks one transaction as `admit` does, without keeping it.
    public func check(_ transaction: SignedTransaction) throws(SubmissionFault) {
        let (next, _) = try admissible(transaction)
        do throws(Mempool.Refusal) { try mempool.check(transaction, id: transaction.id, next: next) } catch {
            throw .refused(error)
        }
    }

    /// Transactions that can follow what their sender has waiting here, one after another, at up to four times the present base fee. The shell signs them.
    public func drafts(_ payloads: [Payload], from sender: PublicKey) throws(LedgerFault) -> [Transaction] {
        var nonce = mempool.nextNonce(of: sender, after: try Query.account(sender.address, in: state).nonce)
        var drafts: [Transaction] = []
        for payload in payloads {
            var draft = Transaction(
                network: network, sender: sender, nonce: nonce, maximumFee: .zero, payload: payload)
            do throws(AmountFault) {
                draft.maximumFee = try Fees.fee(
                    weight: Fees.weight(draft, parameters), baseFee: tree.finalizedHeader.baseFee * 4, tip: .zero)
            } catch { throw .money("\(error)") }
            drafts.append(draft)
            nonce = nonce.next()
        }
        return drafts
    }

    /// The same for one.
    public func draft(_ payload: Payload, from sender: PublicKey) throws(LedgerFault) -> Transaction {
        // One payload, one draft.
        try drafts([payload], from: sender)[0]
    }

    /// Checks one transaction against the state and what its sender has waiting, and lets it wait too.
    ///
    /// - Returns: what blocks can take now: itself, and what waited for it; nothing where a nonce before its own is missing.
    @discardableResult
    public mutating func admit(_ transaction: SignedTransaction) throws(SubmissionFault) -> [SignedTransaction] {
        if try admit(transaction, since: time.wall) { return [] }
        return [transaction] + promote(transaction.transaction.sender)
    }

    /// - Returns: whether it is early.
    private mutating func admit(_ transaction: SignedTransaction, since: Timestamp) throws(SubmissionFault) -> Bool {
        let (next, isEarly) = try admissible(transaction)
        do throws(Mempool.Refusal) { try mempool.insert(transaction, next: next, at: since) } catch {
            throw .refused(error)
        }
        return isEarly
    }

    /// Lets a sender's early transactions follow whose turn has come, each judged anew: what was there to pay it when it came may be spoken for now.
    private mutating func promote(_ sender: PublicKey) -> [SignedTransaction] {
        var followed: [SignedTransaction] = []
        while mempool.hasEarly(of: sender), let account = try? Query.account(sender.address, in: state),
            let early = mempool.takeEarly(of: sender, nonce: mempool.nextNonce(of: sender, after: account.nonce)),
            (try? admit(early.signed, since: early.since)) != nil
        { followed.append(early.signed) }
        return followed
    }

    /// A block took nonces that early transactions may have waited for.
    mutating func follow(_ block: Block) {
        if mempool.earlyCount == 0 { return }
        var seen: Set<PublicKey> = []
        for sender in block.transactions.map(\.transaction.sender) where seen.insert(sender).inserted {
            tell(promote(sender))
        }
    }

    /// The nonce that a waiting transaction's sender must use first; nil where nothing is missing, or it does not wait.
    public func missingNonce(before id: Digest) throws(LedgerFault) -> Nonce? {
        guard let sender = mempool.early(id)?.transaction.sender else { return nil }
        return mempool.nextNonce(of: sender, after: try Query.account(sender.address, in: state).nonce)
    }

    /// Its sender's next nonce in the state, and whether nonces before its own are missing, where the transaction may wait with the others.
    private func admissible(_ transaction: SignedTransaction) throws(SubmissionFault) -> (next: Nonce, isEarly: Bool) {
        let sender = transaction.transaction.sender
        let nonce = transaction.transaction.nonce
        let next: Nonce
        do throws(LedgerFault) { next = try Query.account(sender.address, in: state).nonce } catch {
            throw .state(error)
        }
        var pending = mempool.sums(of: sender, before: nonce)
        let isEarly = nonce > mempool.nextNonce(of: sender, after: next)
        if isEarly {
            // Whatever its sender has waiting must be payable together with it, though some of it may come after.
            do throws(AmountFault) {
                pending = try pending.beside(try mempool.earlySums(of: sender, without: nonce))
            } catch { throw .invalid(.amount(error)) }
        }
        do throws(AdmissionFault) {
            try Admission.check(
                transaction, network: network, baseFee: tree.finalizedHeader.baseFee, pending: pending,
                parameters: parameters, in: state, mayBeEarly: true, isVerified: true)
        } catch { throw .invalid(error) }
        return (next, isEarly)
    }
}

/// Why a transaction may not wait here.
public enum SubmissionFault: Error, Equatable, Sendable, CustomStringConvertible {
    case invalid(AdmissionFault)
    case refused(Mempool.Refusal)
    case state(LedgerFault)

    public var description: String {
        switch self {
        case .invalid(let fault): fault.description
        case .refused(let refusal): refusal.description
        case .state(let fault): fault.description
        }
    }
}
