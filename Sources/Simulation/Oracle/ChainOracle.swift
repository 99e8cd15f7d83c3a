/// Watches the chains of a network of whole nodes and says what no correct one does. It keeps its own books: who owns what is computed here from the
/// transactions in the blocks, by addition and subtraction, and held against what the nodes have in their states. Of the machines it uses plain values
/// alone.
package import Ledger
package import Primitives

/// What a node's state says of money at a height, as read from its store.
package struct StateBooks {
    package var height: Height
    /// In order of addresses.
    package var accounts: [(address: Address, account: Account)]
    package var totals: Totals
    /// The sum of the validators' stakes.
    package var staked: Amount

    package init(height: Height, accounts: [(address: Address, account: Account)], totals: Totals, staked: Amount) {
        self.height = height
        self.accounts = accounts
        self.totals = totals
        self.staked = staked
    }
}

package struct ChainOracle {
    package private(set) var violations: [String] = []
    /// Transactions in final blocks.
    package private(set) var transactions = 0
    package var height: Height { Height(UInt64(chain.count - 1)) }

    private struct Link {
        let digest: Digest
        var root: Digest?
        var receipts: Digest?
        var money: Digest?
    }

    private struct Owner {
        var nonce: UInt64 = 0
        var balance: UInt128 = 0
    }

    private let network: Digest
    private let supply: UInt128
    /// Who gets the tips of each validator's blocks.
    private var operators: [Epoch: [Address]]
    /// By height, from genesis on. Grows as the first node executes each.
    private var chain: [Link]
    /// What is final at a height by anybody's word, executed or not.
    private var final: [Height: Digest]
    private var owners: [Address: Owner]
    private var burned: UInt128 = 0
    /// Whether only transfers were seen, but for those of the market: then the books are exact to the base unit.
    private var isExact = true
    /// Those whose money is in another oracle's books.
    private let market: Set<Address>
    private var heightOf: [Digest: Height] = [:]
    /// By node: what it took in since it last started and is bound to see through.
    private var promised: [Int: [SignedTransaction]] = [:]

    /// `market`: those who trade, whose money another oracle follows.
    package init(genesis: Genesis, market: Set<Address> = []) {
        self.market = market
        network = genesis.digest
        operators = [0: genesis.validators.map(\.operatorAddress)]
        var sum = genesis.treasury.baseUnits
        var owners: [Address: Owner] = [:]
        for account in genesis.accounts {
            owners[account.address] = Owner(balance: account.balance.baseUnits)
            sum += account.balance.baseUnits
        }
        for validator in genesis.validators { sum += validator.stake.baseUnits }
        self.owners = owners
        supply = sum
        chain = [Link(digest: genesis.header.digest)]
        final = [0: genesis.header.digest]
    }

    /// These vote in an epoch; each gets the tips of its blocks.
    package mutating func began(_ epoch: Epoch, operators: [Address]) { self.operators[epoch] = operators }

    package mutating func blame(_ text: String) {
        if violations.count < 20 { violations.append(text) }
    }

    // MARK: Blocks

    /// A node holds a block for final.
    package mutating func finalized(_ digest: Digest, at height: Height, by node: Int) {
        if let other = final[height] {
            if other != digest { blame("node \(node) holds another block for final at height \(height)") }
        } else {
            final[height] = digest
        }
    }

    /// A node has executed a final block.
    package mutating func executed(
        _ block: Block, root: Digest, receipts: [TransactionReceipt], receiptsRoot: Digest, by node: Int
    ) {
        let header = block.header
        let place = Int(clamping: header.height.value)
        let digest = header.digest
        finalized(digest, at: header.height, by: node)
        if place < chain.count {
            judge(block, digest, root, receiptsRoot, at: place, by: node)
            return
        }
        guard place == chain.count else {
            blame("node \(node) executed height \(place) with nothing below it")
            return
        }
        if header.parent != chain[place - 1].digest {
            blame("the block at height \(place) does not stand on the one below")
        }
        if header.executedHeight >= header.height {
            blame("the block at height \(place) claims a result of its own")
        } else if header.executedHeight.value > 0, let known = chain[Int(header.executedHeight.value)].root,
            known != header.stateRoot
        {
            blame("the block at height \(place) claims another state root than was computed")
        }
        chain.append(Link(digest: digest, root: root, receipts: receiptsRoot))
        account(for: block, receipts)
    }

    private mutating func judge(
        _ block: Block, _ digest: Digest, _ root: Digest, _ receiptsRoot: Digest, at place: Int, by node: Int
    ) {
        if chain[place].digest != digest { blame("node \(node) executed another block at height \(place)") }
        if chain[place].root != root { blame("node \(node) has another state root at height \(place)") }
        if chain[place].receipts != receiptsRoot { blame("node \(node) has other receipts at height \(place)") }
    }

    // MARK: Money

    /// The block's transactions, entered in the books.
    private mutating func account(for block: Block, _ receipts: [TransactionReceipt]) {
        let height = block.header.height
        if receipts.count != block.transactions.count {
            blame("block \(height) has \(block.transactions.count) transactions and \(receipts.count) receipts")
            isExact = false
            return
        }
        for (signed, receipt) in zip(block.transactions, receipts) {
            transactions += 1
            let transaction = signed.transaction
            let id = receipt.id
            if transaction.network != network { blame("block \(height) has a transaction of another network") }
            if !transaction.sender.verify(signed.signature, of: transaction.signedMessage) {
                blame("block \(height) has a transaction with a wrong signature")
            }
            if signed.id != id { blame("block \(height) has a receipt for something else") }
            if let before = heightOf[id] {
                blame("a transaction is final in block \(before) and again in block \(height)")
            }
            heightOf[id] = height
            let sender = transaction.sender.address
            var owner = owners[sender] ?? Owner()
            if transaction.nonce.value != owner.nonce {
                blame("block \(height) has nonce \(transaction.nonce) of a sender whose next is \(owner.nonce)")
            }
            owner.nonce = transaction.nonce.value &+ 1
            owners[sender] = owner
            enter(transaction, receipt, proposer: Int(block.header.proposer), in: block.header.epoch, at: height)
        }
    }

    private mutating func enter(
        _ transaction: Transaction, _ receipt: TransactionReceipt, proposer: Int, in epoch: Epoch,
        at height: Height
    ) {
        if market.contains(transaction.sender.address) { return }
        guard case .transfer(let target, let amount, _) = transaction.payload else {
            isExact = false
            return
        }
        let sender = transaction.sender.address
        let fee = receipt.fee.baseUnits
        if receipt.fee > transaction.maximumFee { blame("block \(height) takes a fee above its ceiling") }
        let sum = receipt.succeeded ? fee + amount.baseUnits : fee
        if owners[sender, default: Owner()].balance < sum {
            blame("block \(height) takes more from a sender than there is")
            isExact = false
            return
        }
        owners[sender, default: Owner()].balance -= sum
        if receipt.succeeded { owners[target, default: Owner()].balance += amount.baseUnits }
        let tip = min(transaction.tip.baseUnits, fee)
        if let operators = operators[epoch], operators.indices.contains(proposer), tip > 0 {
            owners[operators[proposer], default: Owner()].balance += tip
        }
        burned += fee - tip
    }

    /// What a node's state says after a block.
    package mutating func holds(_ books: StateBooks, by node: Int) {
        let totals = books.totals
        var liquid: UInt128 = 0
        var writer = ByteWriter()
        for (address, account) in books.accounts {
            liquid += account.balance.baseUnits
            writer.write(address)
            writer.write(account.nonce)
            writer.write(account.balance)
        }
        if liquid != totals.liquid.baseUnits {
            blame(
                "node \(node): the accounts at height \(books.height) hold \(liquid), the totals say \(totals.liquid)")
        }
        if books.staked != totals.staked {
            blame("node \(node): the stakes at height \(books.height) are not the total")
        }
        var sum = liquid + books.staked.baseUnits
        for part in [
            totals.burned, totals.escrowed, totals.bonded, totals.stakersPool, totals.treasury, totals.auditPool,
        ] { sum += part.baseUnits }
        if sum != supply {
            blame("node \(node): all money at height \(books.height) is \(sum) base units, the supply is \(supply)")
        }
        let place = Int(clamping: books.height.value)
        let digest = Digest.of(Domain("sim.books"), writer.bytes)
        guard place < chain.count else { return blame("node \(node) is at height \(place), which nobody executed") }
        if let known = chain[place].money {
            if known != digest { blame("node \(node) has other accounts at height \(place)") }
            return
        }
        chain[place].money = digest
        if place == chain.count - 1, isExact { compare(books, by: node) }
    }

    /// The state against our own books, account by account.
    private mutating func compare(_ books: StateBooks, by node: Int) {
        if market.isEmpty, books.totals.burned.baseUnits != burned {
            blame("node \(node): \(books.totals.burned) XPL are burned at height \(books.height), by our books not")
        }
        for (address, account) in books.accounts where !market.contains(address) {
            let owner = owners[address] ?? Owner()
            if owner.balance != account.balance.baseUnits || owner.nonce != account.nonce.value {
                blame("node \(node): account \(address) at height \(books.height) is not what its transactions made it")
            }
        }
        let known = Set(books.accounts.map(\.address))
        let lost = owners.contains { $0.value.balance > 0 && !known.contains($0.key) && !market.contains($0.key) }
        if lost { blame("node \(node): an account with money is missing at height \(books.height)") }
    }

    // MARK: Promises

    /// A node has let a transaction wait.
    package mutating func accepted(_ transaction: SignedTransaction, by node: Int) {
        // One that takes another's place frees the node of that one.
        promised[node]?.removeAll {
            $0.transaction.sender == transaction.transaction.sender
                && $0.transaction.nonce == transaction.transaction.nonce
        }
        promised[node, default: []].append(transaction)
    }

    /// A node took in what no node may.
    package mutating func accepted(flawed flaw: String, by node: Int) {
        blame("node \(node) accepted a transaction: \(flaw)")
    }

    /// What a node had waiting is gone with its process; nobody had promised more.
    package mutating func ended(_ node: Int) { promised[node] = nil }

    /// At the end, when the network has long been well: what live nodes took in is final, replaced, or can no longer be paid.
    package mutating func judgePromises() {
        for node in promised.keys.sorted() {
            for signed in promised[node] ?? [] {
                let transaction = signed.transaction
                let owner = owners[transaction.sender.address] ?? Owner()
                // Below the next nonce it, or one that took its place, is final; above it, it waits for one that is judged itself.
                guard transaction.nonce.value == owner.nonce, heightOf[signed.id] == nil else { continue }
                var needed = transaction.maximumFee.baseUnits
                if case .transfer(_, let amount, _) = transaction.payload { needed += amount.baseUnits }
                if needed <= owner.balance {
                    blame(
                        "node \(node) accepted nonce \(transaction.nonce) of \(transaction.sender.address), and it is not final"
                    )
                }
            }
        }
    }

    // MARK: Life

    /// What a node was at, at the end.
    package struct Ending: Sendable {
        package let node: Int
        package let height: Height
        /// When it first saw a new final block after the trouble ended; nil where it saw none.
        package let resumed: Interval?

        package init(node: Int, height: Height, resumed: Interval?) {
            self.node = node
            self.height = height
            self.resumed = resumed
        }
    }

    /// After the trouble every honest node goes on soon, and at the end none is behind.
    package mutating func judgeLife(_ endings: [Ending], within bound: Interval, behind: UInt64 = 4) {
        for ending in endings {
            guard let resumed = ending.resumed else {
                blame("node \(ending.node) saw no new final block after the network healed")
                continue
            }
            if resumed > bound { blame("node \(ending.node) went on only \(resumed) after the network healed") }
            if ending.height.value + behind < height.value {
                blame("node \(ending.node) stayed behind at height \(ending.height) of \(height)")
            }
        }
    }
}
