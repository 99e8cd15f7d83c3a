import Consensus
import Ledger
import Primitives

/// Why the market could not go on: always a fault of the program.
struct MarketFault: Error, CustomStringConvertible {
    let description: String
}

/// A chain in one process. What is submitted goes into the next block, signed, chosen by `BlockSelection`, judged by `Validity` and executed by `Execution`, as
/// at every validator. Left out are consensus, gossip and the mempool; the beacon is drawn from the seed.
final class MarketChain {
    let genesis: Genesis
    let state = SimulatedState()
    var parameters: ChainParameters { genesis.parameters }
    private(set) var parent: Header
    /// Over all blocks and the states after them.
    private(set) var digest = Digest.zero
    private(set) var clock: UInt64 = 0
    /// What failed on chain, by the first words of the reason.
    private(set) var failures: [String: Int] = [:]
    private(set) var transactions = 0
    private var stateRoot: Digest
    private var waiting: [(key: SecretKey, payload: Payload)] = []
    private var random: SplitMix64
    private let pace: UInt64

    /// More than any transaction here costs, and little enough that several can wait.
    private static let maximumFee = Amount(baseUnits: 50_000_000)

    init(_ parameters: ChainParameters, accounts: [GenesisAccount], pace: UInt64, seed: UInt64) throws {
        random = SplitMix64(seed: seed)
        self.pace = pace
        let validator = try SecretKey(seed: Digest.of(Domain("sim.validator"), [0]).bytes)
        let stake = Amount.xpl(1_000_000)
        var treasury = try Genesis.totalSupply.subtracting(stake)
        for account in accounts { treasury = try treasury.subtracting(account.balance) }
        genesis = Genesis(
            chainName: "market", timestamp: Timestamp(milliseconds: 1_000_000), parameters: parameters,
            validators: [
                Ledger.Validator(
                    consensusKey: validator.publicKey, vrfKey: validator.publicKey, stake: stake,
                    operatorAddress: validator.publicKey.address)
            ], accounts: accounts, treasury: treasury)
        parent = genesis.header
        stateRoot = try genesis.initialize(state)
    }

    /// For the next block. One that has no room there, or is not valid, is dropped: whoever wants it still says so again.
    func submit(_ payload: Payload, by key: SecretKey) { waiting.append((key, payload)) }

    /// What waits, sender by sender: nobody is always first, and each comes in the order in which it spoke.
    private func drawn() -> [(key: SecretKey, payload: Payload)] {
        var places: [PublicKey: UInt64] = [:]
        var order: [(place: UInt64, index: Int)] = []
        for (index, entry) in waiting.enumerated() {
            let place = places[entry.key.publicKey] ?? random.next()
            places[entry.key.publicKey] = place
            order.append((place, index))
        }
        return order.sorted { ($0.place, $0.index) < ($1.place, $1.index) }.map { waiting[$0.index] }
    }

    /// The next block. Gives what it did and, by their senders, what was executed.
    func advance() throws -> (result: ExecutionResult, transactions: [SignedTransaction]) {
        let time = parent.time.adding(milliseconds: pace)
        var selection = try BlockSelection(parent: parent, time: time, ancestors: [], parameters: parameters, in: state)
        for (key, payload) in drawn() {
            let transaction = Transaction(
                network: genesis.digest, sender: key.publicKey, nonce: selection.nextNonce(of: key.publicKey),
                tip: .zero, maximumFee: MarketChain.maximumFee, payload: payload)
            if !selection.take(transaction.signed(by: key)) { failures["(not taken into a block)", default: 0] += 1 }
        }
        waiting.removeAll(keepingCapacity: true)
        var draw = ByteWriter(capacity: 16)
        draw.write(random.next())
        let header = Header(
            network: genesis.digest, epoch: parent.epoch, view: View(parent.view.value + 1),
            height: parent.height.next(), parent: parent.digest, time: time, proposer: 0,
            txRoot: Block.txRoot(selection.transactions), weight: selection.weight,
            baseFee: Fees.baseFee(after: parent, at: time, parameters), executedHeight: parent.height,
            stateRoot: stateRoot, vrfProof: parent.vrfProof,
            beacon: Header.beacon(after: parent.beacon, output: Digest.of(Domain("sim.beacon"), draw.bytes)))
        let block = Block(header: header, transactions: selection.transactions)
        // They were signed above.
        try Validity.check(
            block, parent: parent, ancestors: [], parameters: parameters, in: state, isVerified: { _, _ in true })
        let result = try Execution.apply(block, parameters: parameters, to: state)
        for receipt in result.receipts where !receipt.succeeded {
            let words = receipt.reason.prefix { !$0.isNumber }
            failures[String(words), default: 0] += 1
        }
        parent = header
        stateRoot = result.stateRoot
        clock = try Query.chain(in: state).clock
        transactions += selection.transactions.count
        digest = Digest.of(Domain("sim.market"), digest, Digest.of(Domain("sim.market"), header.digest, stateRoot))
        return (result, selection.transactions)
    }
}
