import API
import Foundation
import Ledger
import Primitives
import Storage

/// Times the execution of blocks full of transfers between many accounts, with the state root, on the store that a node has: one thread, no
/// signatures, no network.
struct ExecutionBench {
    let accounts: Int
    let transactions: Int
    let directory: String

    /// As a node flushes.
    static let blocksPerFlush = 8

    func run() throws -> JSONValue {
        let keys = (0..<accounts).map { ExecutionBench.key(UInt64($0)) }
        let validator = SecretKey.generate()
        let each = Amount.xpl(1_000)
        let stake = Amount.xpl(1_000_000)
        let genesis = Genesis(
            chainName: "bench", timestamp: Timestamp(milliseconds: 1_000_000), parameters: .devnet,
            validators: [
                Ledger.Validator(
                    consensusKey: validator.publicKey, vrfKey: validator.publicKey, stake: stake,
                    operatorAddress: validator.publicKey.address)
            ], accounts: keys.map { GenesisAccount(address: $0.address, balance: each) },
            treasury: try Genesis.totalSupply.subtracting(stake).subtracting(each.multiplied(by: UInt64(accounts))))
        let store = try LMDBStore(directory: directory, blocksPerFlush: .max / 2, initialMapBytes: 2 << 30)
        let preparing = ModelBench.now()
        try genesis.initialize(store)
        try store.flush()
        let prepared = ModelBench.now() - preparing

        // Digested once: it covers every account.
        let network = genesis.digest
        var nonces = [UInt64](repeating: 0, count: accounts)
        var chance = SplitMix(state: 1)
        var parent = genesis.header
        var rates: [Double] = []
        var cpu = 0.0
        var done = 0
        var perBlock = 0
        var inFlush = 0
        var spent = 0.0
        var blocksInFlush = 0
        while done < transactions {
            let block = try self.block(after: parent, network, genesis.parameters, keys, &nonces, &chance)
            perBlock = block.transactions.count
            let began = ModelBench.now()
            let cpuBegan = ExecutionBench.threadSeconds
            let result = try Execution.apply(block, parameters: genesis.parameters, to: store)
            spent += ModelBench.now() - began
            cpu += ExecutionBench.threadSeconds - cpuBegan
            guard result.receipts.allSatisfy(\.succeeded) else { throw Failure("a transfer of the bench failed") }
            inFlush += block.transactions.count
            blocksInFlush += 1
            done += block.transactions.count
            if blocksInFlush == ExecutionBench.blocksPerFlush || done >= transactions {
                let flushing = ModelBench.now()
                let cpuFlushing = ExecutionBench.threadSeconds
                try store.flush()
                spent += ModelBench.now() - flushing
                cpu += ExecutionBench.threadSeconds - cpuFlushing
                rates.append(Double(inFlush) / spent)
                (inFlush, blocksInFlush, spent) = (0, 0, 0)
            }
            parent = block.header
        }
        rates.sort()
        return [
            "accounts": JSONValue(accounts), "transactions": JSONValue(done), "perBlock": JSONValue(perBlock),
            "perSecond": .number(rates[rates.count / 2].rounded()),
            // By the thread's processor time: what it would be without waiting for the disk or for others.
            "perProcessorSecond": .number((Double(done) / max(cpu, 1e-9)).rounded()),
            "slowest": .number(rates[0].rounded()),
            "fastest": .number(rates[rates.count - 1].rounded()), "rounds": JSONValue(rates.count),
            "preparingSeconds": .number((prepared * 10).rounded() / 10),
        ]
    }

    private static var threadSeconds: Double {
        var now = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
    }

    /// Any 32 bytes name an account; nothing is signed here.
    private static func key(_ number: UInt64) -> PublicKey {
        var bytes = [UInt8](repeating: 0, count: 32)
        withUnsafeBytes(of: number.littleEndian) { bytes.replaceSubrange(0..<8, with: $0) }
        guard let key = try? PublicKey(bytes: bytes) else { preconditionFailure("a public key has 32 bytes") }
        return key
    }

    /// As many transfers as a block's weight allows, between accounts drawn evenly.
    private func block(
        after parent: Header, _ network: Digest, _ parameters: ChainParameters, _ keys: [PublicKey],
        _ nonces: inout [UInt64], _ chance: inout SplitMix
    ) throws -> Block {
        let signature = try Signature(bytes: [UInt8](repeating: 0, count: 64))
        var transfers: [SignedTransaction] = []
        var weight: UInt64 = 0
        while true {
            let sender = Int(chance.next() % UInt64(keys.count))
            let receiver = Int(chance.next() % UInt64(keys.count))
            let transaction = Transaction(
                network: network, sender: keys[sender], nonce: Nonce(nonces[sender]),
                maximumFee: Amount(baseUnits: 10_000_000),
                payload: .transfer(to: keys[receiver].address, amount: Amount(baseUnits: 1), memo: []))
            let next = weight + Fees.weight(transaction, parameters)
            if next > parameters.blockWeightLimit { break }
            weight = next
            nonces[sender] += 1
            transfers.append(SignedTransaction(transaction: transaction, signature: signature))
        }
        var header = parent
        header.height = parent.height.next()
        header.parent = parent.digest
        header.time = parent.time.adding(milliseconds: 100)
        header.txRoot = Block.txRoot(transfers)
        header.weight = weight
        return Block(header: header, transactions: transfers)
    }
}

/// Steele, Lea and Flood's generator: enough to draw accounts.
struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
