public import Primitives

/// Something that a block did, for those who watch. Never needed to act: everything is in the state too.
public enum LedgerEvent: Hashable, Sendable {
    case job(id: Digest, state: JobState, attempt: UInt32)
    case dispute(job: Digest, attempt: UInt32, challenger: Address, state: DisputeState)
    case assigned(job: Digest, provider: Address, price: Amount)
    case auditorDrawn(job: Digest, auditor: Address)
    case transferred(from: Address, to: Address, amount: Amount)
    case provider(Address)
    case model(name: String)
    case validator(PublicKey)
    /// A validator signed two things and never votes again.
    case tombstoned(PublicKey)
    /// The next epoch's set is known.
    case epochFixed(Epoch)
    /// The block was the last of its epoch: the next is of this one.
    case epochBegan(Epoch)
}

/// What a block made.
public struct ExecutionResult: Sendable {
    public let height: Height
    public let stateRoot: Digest
    public let receiptsRoot: Digest
    public let receipts: [TransactionReceipt]
    public let events: [LedgerEvent]
    /// The state's changes and the tree's, to be committed at `height`.
    public let writes: StateWrites

    /// The jobs that were written. As long as all that was.
    public var changedJobs: [Digest] {
        var jobs: [Digest] = []
        writes.forEach { space, key, _ in
            if space == .state, key.first == StateKey.jobs[0], let id = try? Digest(bytes: key.dropFirst()) {
                jobs.append(id)
            }
        }
        return jobs
    }
}

/// Execution of finalized blocks: a pure function of the state and the block.
public enum Execution {
    /// Runs the block on the committed state without committing. In order: the clock, the votes it tells of, the matches and draws by this
    /// block's beacon, the timers that are due, the jobs that waited for others, the transactions, the epoch, the block's record.
    public static func execute(
        _ block: Block, parameters: ChainParameters, on store: any StateStore
    ) throws(LedgerFault) -> ExecutionResult {
        let overlay = try Overlay(store, parameters: parameters)
        if block.header.height != overlay.chain.height.next() {
            throw .notNext(expected: overlay.chain.height.next(), found: block.header.height)
        }
        var executor = Executor(overlay: overlay, header: block.header)
        do {
            return try executor.run(block)
        } catch let fault as LedgerFault {
            throw fault
        } catch {
            throw .money("\(error)")
        }
    }

    /// Executes and commits.
    @discardableResult
    public static func apply(
        _ block: Block, parameters: ChainParameters, to store: any StateStore
    ) throws(LedgerFault) -> ExecutionResult {
        let result = try execute(block, parameters: parameters, on: store)
        do { try store.commit(result.writes, height: result.height) } catch { throw .state(error) }
        return result
    }
}

/// Why a transaction failed. It has still paid its fee.
struct TransactionFailure: Error {
    let reason: String
}

/// One block's execution.
struct Executor {
    var overlay: Overlay
    let header: Header
    var events: [LedgerEvent] = []

    init(overlay: Overlay, header: Header) {
        self.overlay = overlay
        self.header = header
    }

    var parameters: ChainParameters { overlay.parameters }
    var clock: UInt64 { overlay.chain.clock }
    var height: Height { header.height }

    mutating func run(_ block: Block) throws -> ExecutionResult {
        let clockBefore = overlay.chain.clock
        overlay.chain.clock = Fees.clock(overlay.chain.clock, from: overlay.chain.time, to: header.time, parameters)
        overlay.chain.time = header.time
        overlay.chain.height = header.height
        passDisputeTime(block, from: clockBefore)
        overlay.begin()
        let epoch = try epochRecord()
        try takeVotes(block.votes, epoch)
        try drawAuditors()
        try matchOpenJobs()
        try runTimers()
        try runDisputeTimers()
        try runClaimTimers()
        try runDeviceChallenges(elapsed: clock - clockBefore)
        try wakeJobs()
        let place = Int(header.proposer)
        let proposer = place < epoch.members.count ? epoch.members[place].operatorAddress : nil
        let digests = TransactionDigests(block.transactions)
        try overlay.load(digests.senders + block.transactions.compactMap(\.transaction.payload.receiver))
        var receipts: [TransactionReceipt] = []
        receipts.reserveCapacity(block.transactions.count)
        for (index, signed) in block.transactions.enumerated() {
            let sender = digests.senders[index]
            receipts.append(
                try run(
                    signed.transaction, id: digests.ids[index], bytes: digests.bytes(index), sender: sender,
                    proposer: proposer))
        }
        // The last transaction stays, whatever comes after it.
        overlay.begin()
        try passEpoch(epoch)
        var leaves = DigestBatch(messages: receipts.count, bytesEach: 64)
        for receipt in receipts { leaves.append { $0.write(receipt) } }
        let receiptsRoot = MerkleTree.root(MerkleTree.leaves(leaves))
        let record = BlockRecord(payloadDigest: header.digest, receiptsRoot: receiptsRoot)
        try overlay.set(record, StateKey.block(header.height))
        if !overlay.totals.isConserved { throw LedgerFault.money("after block \(header.height)") }
        var writes = try overlay.finish()
        let root = try StateTree.update(&writes, in: overlay.store)
        writes.set(.tree, StateKey.root(header.height), root.bytes)
        return ExecutionResult(
            height: header.height, stateRoot: root, receiptsRoot: receiptsRoot, receipts: receipts, events: events,
            writes: writes)
    }

    private mutating func run(
        _ transaction: Transaction, id: Digest, bytes: Int, sender: Address, proposer: Address?
    ) throws -> TransactionReceipt {
        let weight = Fees.weight(transaction.payload, bytes: bytes, parameters)
        var account = try overlay.account(sender)
        // Block validity has seen to nonce and fee; a block that lies about them changes nothing here.
        if account.nonce != transaction.nonce {
            let reason = "the nonce is \(transaction.nonce), the account's next is \(account.nonce)"
            return TransactionReceipt(id: id, succeeded: false, reason: reason, weight: weight, fee: .zero)
        }
        account.nonce = account.nonce.next()
        try overlay.set(account, at: sender)
        let fee: Amount
        do {
            fee = try Fees.fee(weight: weight, baseFee: header.baseFee, tip: transaction.tip)
            if fee > transaction.maximumFee {
                throw TransactionFailure(reason: "the fee is \(fee) XPL, above its ceiling")
            }
        } catch {
            return TransactionReceipt(id: id, succeeded: false, reason: words(error), weight: weight, fee: .zero)
        }
        if case .moves(let bundle) = transaction.payload {
            return try run(bundle, id: id, bytes: bytes, sender: sender)
        }
        let (failure, taken) = try carryOut(
            transaction.payload, id: id, fee: fee, tip: transaction.tip, sender: sender, proposer: proposer)
        return TransactionReceipt(
            id: id, succeeded: failure == nil, reason: failure ?? "", weight: weight, fee: taken)
    }

    /// Each move as if it were alone, at its part of the weight.
    private mutating func run(
        _ bundle: MoveBundle, id: Digest, bytes: Int, sender: Address
    ) throws -> TransactionReceipt {
        var (taken, weight) = (Amount.zero, UInt64(0))
        var failures: [MoveFailure] = []
        for (place, own) in bundle.weights(bytes: bytes, parameters).enumerated() {
            let fee = try Fees.fee(weight: own, baseFee: header.baseFee, tip: .zero)
            let (failure, paid) = try carryOut(
                bundle.moves[place], id: id, fee: fee, tip: .zero, sender: sender, proposer: nil)
            if let failure { failures.append(MoveFailure(place: UInt8(place), reason: failure)) }
            taken = try taken.adding(paid)
            weight += own
        }
        let reason =
            failures.first.map { "\(failures.count) of \(bundle.moves.count) moves failed, the first: \($0.reason)" }
            ?? ""
        return TransactionReceipt(
            id: id, succeeded: failures.isEmpty, reason: cut(reason), failures: failures, weight: weight, fee: taken)
    }

    /// Takes the fee and does what is asked, or takes the fee alone. Gives why it failed, and what was taken.
    private mutating func carryOut(
        _ payload: Payload, id: Digest, fee: Amount, tip: Amount, sender: Address, proposer: Address?
    ) throws -> (failure: String?, taken: Amount) {
        let kept = events.count
        overlay.begin()
        do {
            let taken =
                if payload.isMarketMove, let job = payload.job {
                    try payFromAllowance(fee, job: job, mover: sender)
                } else {
                    try pay(fee, tip: tip, from: sender, proposer: proposer)
                }
            try apply(payload, id: id, sender: sender)
            return (nil, taken)
        } catch let fault as LedgerFault {
            throw fault
        } catch {
            overlay.rollback()
            events.removeLast(events.count - kept)
            overlay.begin()
            return (words(error), try pay(fee, tip: tip, from: sender, proposer: proposer))
        }
    }

    private func words(_ error: any Error) -> String {
        let text: String
        switch error {
        case let failure as TransactionFailure: text = failure.reason
        case let fault as AmountFault: text = fault.description
        default: text = "\(error)"
        }
        return cut(text)
    }

    private func cut(_ text: String) -> String {
        text.utf8.count <= TransactionReceipt.maximumReasonBytes ? text : String(text.prefix(120))
    }

    /// Takes a fee from the balance, what is missing from the sender's bond, and no more than there is. Burns the base fee,
    /// gives the proposer the tip.
    private mutating func pay(_ fee: Amount, tip: Amount, from sender: Address, proposer: Address?) throws -> Amount {
        let liquid = min(fee, try overlay.account(sender).balance)
        if liquid > .zero { try debit(sender, liquid) }
        var taken = liquid
        if liquid < fee, var provider = try overlay.object(Provider.self, StateKey.provider(sender)) {
            let fromBond = min(try fee.subtracting(liquid), provider.bond)
            provider.bond = try provider.bond.subtracting(fromBond)
            try overlay.set(provider, StateKey.provider(sender))
            try lower(\.bonded, fromBond)
            taken = try taken.adding(fromBond)
            // Its fee is paid already: the less of it stands for its word.
            try lowerStanding(of: sender, by: try fee.subtracting(taken))
        }
        let toProposer = min(tip, taken)
        if let proposer, toProposer > .zero {
            try credit(proposer, toProposer)
            try raise(\.burned, try taken.subtracting(toProposer))
        } else {
            try raise(\.burned, taken)
        }
        return taken
    }

    /// Burns a market move's fee from its job's allowance, and what is missing from the mover.
    private mutating func payFromAllowance(_ fee: Amount, job id: Digest, mover: Address) throws -> Amount {
        guard var job = try overlay.object(Job.self, StateKey.job(id)), !job.state.isTerminal,
            job.assignment?.provider == mover || job.audits.contains(where: { $0.auditor == mover && !$0.isSilent })
                || job.claim?.awaits(mover) == true
        else { throw TransactionFailure(reason: "the sender has no part in this job") }
        let part = min(fee, job.allowance)
        job.allowance = try job.allowance.subtracting(part)
        job.escrow = try job.escrow.subtracting(part)
        try overlay.set(job, StateKey.job(id))
        try lower(\.escrowed, part)
        try raise(\.burned, part)
        let rest = try fee.subtracting(part)
        return rest == .zero ? part : try part.adding(try pay(rest, tip: .zero, from: mover, proposer: nil))
    }

    // MARK: Money. Every base unit that leaves one place enters another in the same function or its caller.

    @inline(__always)
    mutating func raise(_ path: WritableKeyPath<Totals, Amount>, _ amount: Amount) throws {
        overlay.totals[keyPath: path] = try overlay.totals[keyPath: path].adding(amount)
    }

    @inline(__always)
    mutating func lower(_ path: WritableKeyPath<Totals, Amount>, _ amount: Amount) throws {
        overlay.totals[keyPath: path] = try overlay.totals[keyPath: path].subtracting(amount)
    }

    mutating func credit(_ address: Address, _ amount: Amount) throws {
        if amount == .zero { return }
        try overlay.change(address) { $0.balance = try $0.balance.adding(amount) }
        try raise(\.liquid, amount)
    }

    mutating func debit(_ address: Address, _ amount: Amount) throws {
        try overlay.change(address) { account in
            if account.balance < amount {
                let missing = try amount.subtracting(account.balance)
                throw TransactionFailure(reason: "not enough XPL: \(missing) more needed in the sender's account")
            }
            account.balance = try account.balance.subtracting(amount)
        }
        try lower(\.liquid, amount)
    }
}
