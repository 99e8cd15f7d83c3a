import API
import Foundation
import Ledger
import Primitives
import Synchronization

/// Sends transfers at a rate to real nodes and remembers when each was reported final.
///
/// Each transfer has its time by the rate, and its latency counts from that time on, whatever the nodes do meanwhile: a load that waits for a
/// slow network would not see how slow it is. Every sender has one transfer under way, so many senders are needed where finality is slow.
final class TransferLoad: Sendable {
    /// One transfer that a node reported final.
    struct Final: Sendable {
        let id: Digest
        let height: UInt64
        /// Unix milliseconds of the report.
        let at: UInt64
        let latencyMilliseconds: Double
    }

    struct Report: Sendable {
        var finals: [Final] = []
        /// How often a transfer was handed in again: its node was away, or did not answer in time.
        var retries = 0
        /// Used up by the chain, as their senders' nonces say, while no node that knew was left to report it.
        var settledUnreported = 0
        /// Given up at the end, without a report.
        var open = 0
    }

    private struct Plan: Sendable {
        let began: Double
        let end: Double
        let rate: Double
    }

    let nodes: [NodeClient]
    let senders: [SecretKey]
    private let network: Digest
    private let receiver: Address
    private let report = Mutex(Report())
    private let ticket = Mutex(0)
    private let stopping = Atomic<Bool>(false)
    /// Told of each transfer as soon as it is reported final.
    private let record: (@Sendable (Final) -> Void)?

    /// How long one node is asked to wait for finality before another is asked.
    static let patience = 4.0
    private static let fee = Amount(baseUnits: 1_000_000)

    /// Pays `count` new senders from an account that has enough.
    static func funded(
        _ count: Int, by payer: SecretKey, on nodes: [NodeClient], record: (@Sendable (Final) -> Void)? = nil
    ) async throws -> TransferLoad {
        let prepared = try await nodes[0].call("tx.prepare", ["sender": .string(payer.publicKey.hex)])
        guard let network = prepared["network"]?.string.flatMap(Digest.init(hex:)),
            let first = prepared["nonce"]?.uint64
        else { throw Failure("the node's answer to tx.prepare cannot be read") }
        let senders = (0..<count).map { _ in SecretKey.generate() }
        for start in stride(from: 0, to: count, by: 512) {
            var writer = ByteWriter(capacity: 1 << 16)
            let part = senders[start..<min(count, start + 512)]
            writer.write(
                list: part.enumerated().map { offset, sender in
                    Transaction(
                        network: network, sender: payer.publicKey, nonce: Nonce(first + UInt64(start + offset)),
                        maximumFee: fee, payload: .transfer(to: sender.publicKey.address, amount: .xpl(100), memo: [])
                    ).signed(by: payer)
                })
            _ = try await nodes[0].call(
                "tx.submitBatch", ["transactions": .string(Hexadecimal.encode(writer.bytes))])
        }
        let deadline = Date().addingTimeInterval(60)
        for node in nodes {
            while try await nonce(of: payer.publicKey.address, on: node) < first + UInt64(count) {
                if Date() > deadline { throw Failure("the senders' accounts were not paid within 60 s") }
                try await Task.sleep(nanoseconds: 20_000_000)
            }
        }
        return TransferLoad(
            nodes: nodes, senders: senders, network: network, receiver: payer.publicKey.address, record: record)
    }

    private init(
        nodes: [NodeClient], senders: [SecretKey], network: Digest, receiver: Address,
        record: (@Sendable (Final) -> Void)?
    ) {
        self.nodes = nodes
        self.senders = senders
        self.network = network
        self.receiver = receiver
        self.record = record
    }

    /// No new transfer begins; those under way are waited for.
    func stop() { stopping.store(true, ordering: .relaxed) }

    /// Runs for so long at so many transfers a second, then waits up to `drain` for what is under way.
    func run(rate: Double, seconds: Double, drain: Double = 60) async -> Report {
        report.withLock { $0 = Report() }
        ticket.withLock { $0 = 0 }
        // Before the clock runs: thousands of questions at once are no part of the load.
        let nonces = await nextNonces()
        let began = ModelBench.now()
        let plan = Plan(began: began, end: began + seconds, rate: rate)
        await withTaskGroup(of: Void.self) { group in
            for (sender, nonce) in zip(senders, nonces) {
                group.addTask { await self.send(from: sender, nonce, plan, drain) }
            }
        }
        return report.withLock { $0 }
    }

    private func nextNonces() async -> [UInt64] {
        var nonces: [UInt64] = []
        for sender in senders {
            var next: UInt64 = 0
            for node in nodes {
                if let known = try? await TransferLoad.nonce(of: sender.publicKey.address, on: node) {
                    next = max(next, known)
                }
            }
            nonces.append(next)
        }
        return nonces
    }

    private func send(from sender: SecretKey, _ nonce: UInt64, _ plan: Plan, _ drain: Double) async {
        var next = nonce
        while !stopping.load(ordering: .relaxed) {
            let number = ticket.withLock { ticket in
                defer { ticket += 1 }
                return ticket
            }
            let due = plan.began + Double(number) / plan.rate
            if due >= plan.end { return }
            while !stopping.load(ordering: .relaxed) {
                let wait = due - ModelBench.now()
                if wait <= 0 { break }
                try? await Task.sleep(nanoseconds: UInt64(min(wait, 0.25) * 1e9))
            }
            if stopping.load(ordering: .relaxed) { return }
            let signed = Transaction(
                network: network, sender: sender.publicKey, nonce: Nonce(next), maximumFee: TransferLoad.fee,
                payload: .transfer(to: receiver, amount: Amount(baseUnits: 1), memo: [])
            ).signed(by: sender)
            if !(await settle(signed, due: due, firstNode: number, plan, drain)) { return }
            next += 1
        }
    }

    /// Until the transfer is reported final, whichever node has to be asked. False where it never was.
    private func settle(
        _ signed: SignedTransaction, due: Double, firstNode: Int, _ plan: Plan, _ drain: Double
    ) async -> Bool {
        let id = signed.id
        let bytes = JSONValue.string(Hexadecimal.encode(signed.canonicalBytes))
        var stoppedAt: Double?
        var attempt = 0
        while true {
            let node = nodes[(firstNode + attempt) % nodes.count]
            var answer = try? await node.call(
                "tx.submit", ["transaction": bytes, "timeoutMs": JSONValue(Int(TransferLoad.patience * 1000))])
            // It may wait there already, or be final.
            if answer == nil { answer = try? await node.call("tx.status", ["id": .string(id.hex)]) }
            if answer?["status"]?.string == "final", let height = answer?["height"]?.uint64 {
                finish(id, height, due)
                return true
            }
            attempt += 1
            report.withLock { $0.retries += 1 }
            if attempt % nodes.count == 0, await isUsed(signed) {
                report.withLock { $0.settledUnreported += 1 }
                return true
            }
            let now = ModelBench.now()
            if stoppedAt == nil && (stopping.load(ordering: .relaxed) || now > plan.end) { stoppedAt = now }
            if let stoppedAt, now > stoppedAt + drain {
                report.withLock { $0.open += 1 }
                return false
            }
            try? await Task.sleep(nanoseconds: 50_000_000)
        }
    }

    private func finish(_ id: Digest, _ height: UInt64, _ due: Double) {
        let final = Final(
            id: id, height: height, at: UInt64(Date().timeIntervalSince1970 * 1000),
            latencyMilliseconds: (ModelBench.now() - due) * 1000)
        report.withLock { $0.finals.append(final) }
        record?(final)
    }

    /// Whether the chain has a transaction with this nonce: only this sender makes any, so it is this one. Who restarted after executing it does
    /// not know it by its name any more.
    private func isUsed(_ signed: SignedTransaction) async -> Bool {
        for node in nodes {
            if let nonce = try? await TransferLoad.nonce(of: signed.transaction.sender.address, on: node),
                nonce > signed.transaction.nonce.value
            {
                return true
            }
        }
        return false
    }

    private static func nonce(of address: Address, on node: NodeClient) async throws -> UInt64 {
        try await node.call("account.get", ["address": .string(address.description)])["nonce"]?.uint64 ?? 0
    }
}

extension TransferLoad.Report {
    /// Those that were due from a time on, in unix milliseconds.
    func since(_ time: UInt64) -> TransferLoad.Report {
        var report = self
        report.finals.removeAll { Double($0.at) - $0.latencyMilliseconds < Double(time) }
        return report
    }

    /// Latencies in milliseconds, and the times without a report.
    var json: JSONValue {
        let latencies = finals.map(\.latencyMilliseconds).sorted()
        let times = finals.map(\.at).sorted()
        let gaps = zip(times, times.dropFirst()).map { $1 - $0 }
        let gap = gaps.max() ?? 0
        func quantile(_ q: Double) -> JSONValue {
            if latencies.isEmpty { return .null }
            return .number((latencies[min(latencies.count - 1, Int(Double(latencies.count) * q))] * 10).rounded() / 10)
        }
        return [
            "final": JSONValue(finals.count), "p50Ms": quantile(0.5), "p99Ms": quantile(0.99), "maxMs": quantile(1),
            "longestGapMs": JSONValue(gap), "gapsOver500Ms": JSONValue(gaps.count { $0 > 500 }),
            "retries": JSONValue(retries),
            "settledUnreported": JSONValue(settledUnreported), "open": JSONValue(open),
        ]
    }
}
