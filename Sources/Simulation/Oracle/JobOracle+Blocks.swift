package import Ledger
import Primitives

/// What the transactions of the blocks have cost, by sums of the oracle's own.
extension JobOracle {
    /// A final block and what became of its transactions. Each height counts once.
    package mutating func executed(_ block: Block, _ receipts: [TransactionReceipt]) {
        guard block.header.height == height.next() else { return }
        height = block.header.height
        for (signed, receipt) in zip(block.transactions, receipts) {
            let transaction = signed.transaction
            let sender = transaction.sender.address
            if initial[sender] != nil { spent[sender, default: 0] += receipt.fee.baseUnits }
            let failed = Set(receipt.failures.map { Int($0.place) })
            if case .moves(let bundle) = transaction.payload {
                for (place, fee) in fees(of: bundle, in: transaction, block).enumerated() where !failed.contains(place)
                {
                    moved(bundle.moves[place], fee, by: sender)
                }
                continue
            }
            if !receipt.succeeded { continue }
            switch transaction.payload {
            case .submitJob(let spec): posted(receipt.id, spec, by: sender)
            case .submitGang(let specs):
                let members = GangPlace.jobs(of: receipt.id, count: specs.count)
                for (member, spec) in zip(members, specs) { posted(member, spec, by: sender, gang: members) }
            case .claimUndelivered(let job, let attempt, let deposit):
                if entries[job]?.deposits[attempt] != nil { blame("attempt \(attempt) of job \(job) is claimed twice") }
                entries[job]?.deposits[attempt] = deposit.baseUnits
                let holders = entries[job]?.holders[attempt] ?? []
                entries[job]?.holdersBefore[attempt] = holders
                if initial[sender] != nil { spent[sender, default: 0] += deposit.baseUnits }
            case .settleByTranscript(let job, let attempt, _, _, _), .showContradiction(let job, let attempt, _, _, _):
                entries[job]?.settledByWords.insert(attempt)
            case let payload where payload.isMarketMove: moved(payload, receipt.fee.baseUnits, by: sender)
            default: break
            }
        }
    }

    /// A move that its job pays.
    private mutating func moved(_ payload: Payload, _ fee: UInt128, by sender: Address) {
        guard let job = payload.job else { return }
        entries[job]?.moves += fee
        switch payload {
        case .reportSlow(_, let attempt): entries[job]?.slow.append(attempt)
        case .attestDelivery(_, let attempt, true): entries[job]?.holders[attempt, default: []].append(sender)
        default: break
        }
    }

    /// What a job locks: its highest price, as much for each auditor, the allowance, and a part for staging.
    private mutating func posted(_ id: Digest, _ spec: JobSpec, by sender: Address, gang: [Digest] = []) {
        // Rounded up: nobody works for nothing.
        let product = UInt128(spec.computeUnits.weightedOperations) * spec.maximumPricePer1000CU.baseUnits
        let scale = UInt128(1_000_000_000_000)
        let ceiling = product / scale + (product % scale == 0 ? 0 : 1)
        let audits: UInt128 = if case .replicated(let count) = spec.policy { UInt128(count) } else { 1 }
        let posted = ceiling * (1 + audits) + parameters.feeAllowance.baseUnits + staging(ceiling)
        entries[id] = Entry(requester: sender, gang: gang, posted: posted)
        if initial[sender] != nil { spent[sender, default: 0] += posted + parameters.postingFee.baseUnits }
    }

    /// The staging deposit at a price.
    func staging(_ price: UInt128) -> UInt128 {
        max(parameters.minimumStaging.baseUnits, price * UInt128(parameters.stagingPerMille) / 1000)
    }

    /// What each move of a bundle pays, out of its job's allowance or its mover's account.
    private func fees(of bundle: MoveBundle, in transaction: Transaction, _ block: Block) -> [UInt128] {
        bundle.weights(of: transaction, parameters).map { UInt128($0) * UInt128(block.header.baseFee) }
    }
}
