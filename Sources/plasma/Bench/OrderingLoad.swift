import API
import Foundation
import Ledger
import Primitives
import Synchronization

/// Batches of opaque commands, signed beforehand, that senders hand to their node one after the other: the next when the last is final.
struct OrderingLoad: Sendable {
    static let commandBytes = 200
    /// 66,000 bytes, a little above 64 KiB.
    static let commandsPerBatch = 330
    static let sendersPerNode = 12

    private let nodes: [NodeClient]
    /// By sender, encoded as they are handed over.
    private let batches: [[[UInt8]]]

    /// Makes senders, pays them, and signs `count` batches of random bytes.
    static func prepared(batches count: Int, by payer: SecretKey, on nodes: [NodeClient]) async throws -> OrderingLoad {
        let senders = (0..<nodes.count * sendersPerNode).map { _ in SecretKey.generate() }
        for sender in senders {
            _ = try await nodes[0].submit(
                .transfer(to: sender.publicKey.address, amount: .xpl(10_000), memo: []), as: payer)
        }
        let prepared = try await nodes[0].call("tx.prepare", ["sender": .string(payer.publicKey.hex)])
        guard let network = prepared["network"]?.string.flatMap(Digest.init(hex:)) else {
            throw Failure("the node's answer to tx.prepare cannot be read")
        }
        var chance = SplitMix(state: 7)
        let each = max(1, count / senders.count)
        let batches = senders.map { sender in
            (0..<each).map { nonce in
                var commands = [UInt8](repeating: 0, count: commandsPerBatch * commandBytes)
                commands.withUnsafeMutableBytes { bytes in
                    for word in 0..<bytes.count / 8 {
                        bytes.storeBytes(of: chance.next(), toByteOffset: word * 8, as: UInt64.self)
                    }
                }
                var writer = ByteWriter(capacity: commands.count + 512)
                writer.write(list: [
                    Transaction(
                        network: network, sender: sender.publicKey, nonce: Nonce(UInt64(nonce)), maximumFee: .xpl(10),
                        payload: .opaque(OpaqueBytes(commands))
                    ).signed(by: sender)
                ])
                return writer.bytes
            }
        }
        return OrderingLoad(nodes: nodes, batches: batches)
    }

    private init(nodes: [NodeClient], batches: [[[UInt8]]]) {
        self.nodes = nodes
        self.batches = batches
    }

    func run() async throws -> JSONValue {
        let began = ModelBench.now()
        let latencies = try await withThrowingTaskGroup(of: [Double].self) { group in
            for (index, mine) in batches.enumerated() {
                let node = nodes[index % nodes.count]
                group.addTask {
                    var latencies: [Double] = []
                    for batch in mine {
                        let handed = ModelBench.now()
                        let answer = try await node.rpc.submit(encoded: batch, wait: 60)
                        guard answer["succeeded"]?.uint64 == 1 else {
                            throw Failure("a batch was not ordered: \(answer.text(pretty: false))")
                        }
                        latencies.append(ModelBench.now() - handed)
                    }
                    return latencies
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        let seconds = ModelBench.now() - began
        let sorted = latencies.sorted()
        let commands = latencies.count * OrderingLoad.commandsPerBatch
        func milliseconds(_ share: Double) -> JSONValue {
            .number((sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))] * 10_000).rounded() / 10)
        }
        return [
            "commands": JSONValue(commands), "batches": JSONValue(latencies.count),
            "batchBytes": JSONValue(OrderingLoad.commandsPerBatch * OrderingLoad.commandBytes),
            "seconds": .number((seconds * 100).rounded() / 100),
            "perSecond": .number((Double(commands) / seconds).rounded()),
            "megabytesPerSecond": .number(
                (Double(commands * OrderingLoad.commandBytes) / seconds / 1e5).rounded() / 10),
            "p50Ms": milliseconds(0.5), "p99Ms": milliseconds(0.99),
        ]
    }
}
