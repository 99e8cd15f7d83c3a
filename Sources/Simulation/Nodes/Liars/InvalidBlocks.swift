internal import Consensus
internal import Ledger
internal import Primitives
internal import Replica

/// Proposes well-formed blocks that no honest node may vote for, and bytes that are no block at all.
struct InvalidBlocks: NodeLiar {
    private var others = FalseBlocks()

    mutating func say(_ word: Word, to targets: [Int], _ context: inout NodeLiarContext) -> [NodeTransmission] {
        switch word {
        case .block(let bytes):
            guard let block = try? Block(canonicalBytes: bytes), block.header.proposer == context.place else { break }
            if context.chance(1, in: 4) { break }
            if context.chance(1, in: 8) {
                // The vote will name a block whose body is another's.
                var empty = block
                empty.transactions.append(InvalidBlocks.unpayable(context))
                return honestly(.block(empty.canonicalBytes), targets)
            }
            let spoilt = InvalidBlocks.spoil(block, &context)
            return honestly(.block(others.add(spoilt, insteadOf: block.digest)), targets)
        case .consensus(.vote(let vote)):
            guard let turned = others.turn(vote, context) else { break }
            return honestly(.consensus(.vote(turned)), targets)
        default: break
        }
        return honestly(word, targets)
    }

    mutating func answer(_ request: BlockRequest, honest: BlockAnswer?, _ context: inout NodeLiarContext) -> LiarsAnswer
    {
        .says(others.answer(request) ?? honest)
    }

    /// A transfer of more than there is.
    private static func unpayable(_ context: NodeLiarContext) -> SignedTransaction {
        Transaction(
            network: context.network, sender: context.key.publicKey, nonce: 0, maximumFee: .xpl(1),
            payload: .transfer(to: context.key.publicKey.address, amount: .xpl(1_000_000_000), memo: [])
        ).signed(by: context.key)
    }

    private static func carrying(_ transactions: [SignedTransaction], _ block: Block, _ context: NodeLiarContext)
        -> Block
    {
        var changed = block
        changed.transactions = transactions
        changed.header.txRoot = Block.txRoot(transactions)
        changed.header.weight = transactions.reduce(0) { $0 + Fees.weight($1.transaction, context.parameters) }
        return changed
    }

    /// One thing is wrong.
    private static func spoil(_ block: Block, _ context: inout NodeLiarContext) -> Block {
        var spoilt = block
        switch context.random.next() % 12 {
        case 0: spoilt.header.stateRoot = Digest.of(Domain("sim.spoilt"), block.header.stateRoot.bytes)
        case 1: spoilt.header.vrfProof = VRF.prove(context.key, alpha: block.header.parent.bytes)
        case 2: spoilt.header.beacon = Digest.of(Domain("sim.spoilt"), block.header.beacon.bytes)
        case 3: return carrying(block.transactions + [unpayable(context)], block, context)
        case 4:
            // What is in it already, once more.
            let again = block.transactions.last ?? unpayable(context)
            return carrying(block.transactions + [again], block, context)
        case 5:
            let first = unpayable(context)
            var small = first.transaction
            small.payload = .transfer(to: context.key.publicKey.address, amount: .zero, memo: [])
            let unsigned = SignedTransaction(transaction: small, signature: first.signature)
            return carrying(block.transactions + [unsigned], block, context)
        case 6...8:
            // Everyone has it waiting, with a signature that holds.
            guard let last = block.transactions.last else { fallthrough }
            let signature = context.key.sign(last.transaction.signedMessage)
            let forged = SignedTransaction(transaction: last.transaction, signature: signature)
            return carrying(block.transactions.dropLast() + [forged], block, context)
        case 9: spoilt.header.baseFee += 1
        case 10: spoilt.header.weight += 1
        default: spoilt.header.time = block.header.time.adding(milliseconds: 60_000)
        }
        return spoilt
    }
}
