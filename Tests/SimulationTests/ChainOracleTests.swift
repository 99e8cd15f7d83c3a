import Ledger
import Primitives
import Simulation
import Testing

/// The oracle of whole nodes: told of something that no correct network does, it says so. A history that is sound comes first, so that what is
/// blamed is the one thing that is wrong.
struct ChainOracleTests {
    /// A chain made by hand: the ledger's own execution, one block after the other.
    final class History {
        let genesis: Genesis
        let store = MemoryStateStore()
        let alice: SecretKey
        let bob: SecretKey
        let leader: SecretKey
        var parent: Header
        var roots: [Digest] = []
        var oracle: ChainOracle

        init() throws {
            func key(_ number: UInt8) throws -> SecretKey { try SecretKey(seed: [UInt8](repeating: number, count: 32)) }
            alice = try key(1)
            bob = try key(2)
            leader = try key(3)
            let stake = Amount.xpl(1_000)
            let each = Amount.xpl(500)
            let rest = try Genesis.totalSupply.subtracting(stake).subtracting(each).subtracting(each)
            genesis = Genesis(
                chainName: "test", timestamp: Timestamp(milliseconds: 1_000), parameters: .devnet,
                validators: [
                    Validator(
                        consensusKey: leader.publicKey, vrfKey: leader.publicKey, stake: stake,
                        operatorAddress: leader.publicKey.address)
                ],
                accounts: [
                    GenesisAccount(address: alice.publicKey.address, balance: each),
                    GenesisAccount(address: bob.publicKey.address, balance: each),
                ], treasury: rest)
            parent = genesis.header
            roots = [try genesis.initialize(store)]
            oracle = ChainOracle(genesis: genesis)
        }

        func transfer(_ amount: Amount, nonce: UInt64, tip: UInt64 = 0, network: Digest? = nil) -> SignedTransaction {
            Transaction(
                network: network ?? genesis.digest, sender: alice.publicKey, nonce: Nonce(nonce),
                tip: Amount(baseUnits: UInt128(tip)), maximumFee: .xpl(1),
                payload: .transfer(to: bob.publicKey.address, amount: amount, memo: [])
            ).signed(by: alice)
        }

        func block(_ transactions: [SignedTransaction], on parent: Header? = nil) -> Block {
            let parent = parent ?? self.parent
            let time = parent.time.adding(milliseconds: 100)
            let claimed = Swift.max(1, parent.height.value) - 1
            let header = Header(
                network: genesis.digest, epoch: 0, view: View(parent.view.value + 1), height: parent.height.next(),
                parent: parent.digest, time: time, proposer: 0, txRoot: Block.txRoot(transactions),
                weight: transactions.reduce(0) { $0 + Fees.weight($1.transaction, genesis.parameters) },
                baseFee: Fees.baseFee(after: parent, at: time, genesis.parameters), executedHeight: Height(claimed),
                stateRoot: roots[Int(claimed)], vrfProof: parent.vrfProof,
                beacon: Header.beacon(after: parent.beacon, output: parent.digest))
            return Block(header: header, transactions: transactions)
        }

        /// Executes a block and tells the oracle of it, as node 0.
        @discardableResult func add(_ transactions: [SignedTransaction]) throws -> (
            block: Block, result: ExecutionResult
        ) {
            let block = block(transactions)
            let result = try Execution.apply(block, parameters: genesis.parameters, to: store)
            parent = block.header
            roots.append(result.stateRoot)
            tell(block, result, by: 0)
            oracle.holds(try books(), by: 0)
            return (block, result)
        }

        func tell(_ block: Block, _ result: ExecutionResult, root: Digest? = nil, by node: Int) {
            oracle.executed(
                block, root: root ?? result.stateRoot, receipts: result.receipts, receiptsRoot: result.receiptsRoot,
                by: node)
        }

        func books() throws -> StateBooks {
            let accounts = try store.scan(.state, prefix: [0x61], after: nil, limit: 100).map { entry in
                (address: try Address(bytes: entry.key.dropFirst()), account: try Account(canonicalBytes: entry.value))
            }
            return StateBooks(
                height: try #require(store.height), accounts: accounts, totals: try Query.totals(in: store),
                staked: .xpl(1_000))
        }
    }

    /// A few blocks of sound transfers, which the oracle has nothing against.
    func sound() throws -> History {
        let history = try History()
        try history.add([history.transfer(.xpl(3), nonce: 0, tip: 50)])
        try history.add([])
        try history.add([history.transfer(.xpl(4), nonce: 1), history.transfer(.xpl(1), nonce: 2)])
        #expect(history.oracle.violations == [])
        #expect(history.oracle.transactions == 3 && history.oracle.height == 3)
        return history
    }

    func blamed(_ history: History, _ words: String, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(
            history.oracle.violations.contains { $0.contains(words) }, "\(history.oracle.violations)",
            sourceLocation: sourceLocation)
    }

    @Test func twoFinalBlocksOfOneHeight() throws {
        let history = try sound()
        history.oracle.finalized(Digest.of(Domain("test"), []), at: 2, by: 1)
        blamed(history, "another block for final at height 2")
    }

    @Test func aBlockThatStandsOnAnother() throws {
        let history = try sound()
        let (block, result) = try history.add([])
        #expect(history.oracle.violations == [])
        var stray = history.block([])
        stray.header.parent = block.header.parent
        history.tell(stray, result, by: 0)
        blamed(history, "does not stand on the one below")
    }

    @Test func aBlockThatNothingLeadsTo() throws {
        let history = try sound()
        let (block, result) = try history.add([])
        var far = block
        far.header.height = 9
        history.tell(far, result, by: 1)
        blamed(history, "nothing below it")
    }

    @Test func aStateRootThatIsNotTheOthers() throws {
        let history = try sound()
        let (block, result) = try history.add([])
        history.tell(block, result, by: 1)
        #expect(history.oracle.violations == [])
        history.tell(block, result, root: Digest.of(Domain("test"), []), by: 2)
        blamed(history, "another state root at height 4")
    }

    @Test func aHeaderThatClaimsAnotherResult() throws {
        let history = try sound()
        let (_, result) = try history.add([])
        var lie = history.block([])
        lie.header.stateRoot = Digest.of(Domain("test"), [])
        history.tell(lie, result, by: 0)
        blamed(history, "claims another state root")
    }

    @Test func moneyFromNowhere() throws {
        let history = try sound()
        var books = try history.books()
        books.accounts[0].account.balance = try books.accounts[0].account.balance.adding(Amount(baseUnits: 1))
        history.oracle.holds(books, by: 1)
        blamed(history, "the totals say")
        blamed(history, "the supply is")
        blamed(history, "other accounts at height 3")
    }

    @Test func moneyThatChangedHandsByItself() throws {
        let history = try sound()
        let (block, result) = try historyWithoutBooks(history)
        history.tell(block, result, by: 0)
        var books = try history.books()
        let unit = Amount(baseUnits: 1)
        books.accounts[0].account.balance = try books.accounts[0].account.balance.adding(unit)
        books.accounts[1].account.balance = try books.accounts[1].account.balance.subtracting(unit)
        history.oracle.holds(books, by: 0)
        blamed(history, "is not what its transactions made it")
    }

    private func historyWithoutBooks(_ history: History) throws -> (Block, ExecutionResult) {
        let block = history.block([])
        let result = try Execution.apply(block, parameters: history.genesis.parameters, to: history.store)
        return (block, result)
    }

    @Test func aStakeThatIsNotTheTotal() throws {
        let history = try sound()
        var books = try history.books()
        books.staked = .xpl(999)
        history.oracle.holds(books, by: 1)
        blamed(history, "the stakes at height 3")
    }

    /// A block told to the oracle with receipts that say all went well.
    func tell(_ history: History, _ transactions: [SignedTransaction], fee: Amount? = nil) throws {
        let (_, result) = try history.add([])
        let receipts = transactions.map {
            TransactionReceipt(id: $0.id, succeeded: true, reason: "", weight: 1, fee: fee ?? Amount(baseUnits: 100))
        }
        history.oracle.executed(
            history.block(transactions), root: result.stateRoot, receipts: receipts, receiptsRoot: result.receiptsRoot,
            by: 0)
    }

    @Test func aTransactionThatIsFinalTwice() throws {
        let history = try sound()
        try tell(history, [history.transfer(.xpl(4), nonce: 1)])
        blamed(history, "final in block 3 and again in block 5")
        blamed(history, "of a sender whose next is 3")
    }

    @Test func aNonceThatIsLeftOut() throws {
        let history = try sound()
        try tell(history, [history.transfer(.xpl(1), nonce: 4)])
        blamed(history, "nonce 4 of a sender whose next is 3")
    }

    @Test func aSignatureThatIsAnothers() throws {
        let history = try sound()
        let signed = history.transfer(.xpl(1), nonce: 3)
        let other = history.transfer(.xpl(2), nonce: 3)
        try tell(history, [SignedTransaction(transaction: signed.transaction, signature: other.signature)])
        blamed(history, "wrong signature")
    }

    @Test func aTransactionOfAnotherNetwork() throws {
        let history = try sound()
        try tell(history, [history.transfer(.xpl(1), nonce: 3, network: .zero)])
        blamed(history, "of another network")
    }

    @Test func aFeeAboveItsCeilingAndMoneyThatIsNotThere() throws {
        let history = try sound()
        try tell(history, [history.transfer(.xpl(1), nonce: 3)], fee: .xpl(2))
        blamed(history, "above its ceiling")
        let other = try sound()
        try tell(other, [other.transfer(.xpl(1_000), nonce: 3)])
        blamed(other, "more from a sender than there is")
    }

    @Test func aReceiptForSomethingElse() throws {
        let history = try sound()
        let (_, result) = try history.add([])
        let receipt = TransactionReceipt(id: .zero, succeeded: true, reason: "", weight: 1, fee: .zero)
        history.oracle.executed(
            history.block([history.transfer(.xpl(1), nonce: 3)]), root: result.stateRoot, receipts: [receipt],
            receiptsRoot: result.receiptsRoot, by: 0)
        blamed(history, "a receipt for something else")
    }

    @Test func aPromiseThatIsNotKept() throws {
        let history = try sound()
        // Final, replaced by an equal nonce, not to be paid, and gone with its process: none of these is owed.
        history.oracle.accepted(history.transfer(.xpl(4), nonce: 1), by: 0)
        history.oracle.accepted(history.transfer(.xpl(9), nonce: 2), by: 0)
        history.oracle.accepted(history.transfer(.xpl(100_000), nonce: 3), by: 0)
        history.oracle.accepted(history.transfer(.xpl(1), nonce: 3), by: 1)
        history.oracle.ended(1)
        var settled = history.oracle
        settled.judgePromises()
        #expect(settled.violations == [])
        history.oracle.accepted(history.transfer(.xpl(1), nonce: 3), by: 2)
        history.oracle.judgePromises()
        blamed(history, "node 2 accepted nonce 3")
    }

    @Test func aNodeThatTakesWhatNoNodeMay() throws {
        let history = try sound()
        history.oracle.accepted(flawed: "its nonce is used", by: 1)
        blamed(history, "node 1 accepted a transaction: its nonce is used")
    }

    @Test func aNodeThatStandsStillOrStaysBehind() throws {
        let history = try sound()
        for _ in 0..<6 { try history.add([]) }
        func ending(_ node: Int, _ height: Height, _ resumed: Interval?) -> ChainOracle.Ending {
            ChainOracle.Ending(node: node, height: height, resumed: resumed)
        }
        var well = history.oracle
        well.judgeLife([ending(0, 9, .seconds(1)), ending(1, 8, .seconds(10))], within: .seconds(10))
        #expect(well.violations == [])
        history.oracle.judgeLife(
            [ending(0, 9, nil), ending(1, 9, .seconds(11)), ending(2, 4, .seconds(1))], within: .seconds(10))
        blamed(history, "node 0 saw no new final block")
        blamed(history, "node 1 went on only")
        blamed(history, "node 2 stayed behind")
    }
}
