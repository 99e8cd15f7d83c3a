import API
import Foundation
import Ledger
import Node
import Primitives
import Programs
import Runtime
import Storage

/// Times a fresh network of this machine. Everything runs here: four validators, three providers and this client share its cores.
struct NetworkBench {
    let layout: DevnetLayout
    let modelFolder: String

    static let senders = 32
    static let batch = 512

    func run(transfers: Int, probes: Int, jobs: Int) async throws -> JSONValue {
        let processes = DevnetProcesses(layout: layout)
        if layout.names.contains(where: { processes.pid($0) != nil }) {
            throw Failure("a network runs in \(layout.directory): stop it (plasma devnet down) or name another folder")
        }
        try layout.create()
        do {
            try await processes.up()
            let alice = try KeyStore(home: layout.home("client")).open("alice", password: "")
            let nodes = (0..<DevnetLayout.validators).map {
                NodeClient(RPCClient(port: layout.rpcPort($0), timeoutSeconds: 120))
            }
            var result: [String: JSONValue] = ["cores": JSONValue(ProcessInfo.processInfo.activeProcessorCount)]
            if probes > 0 { result["finality"] = try await latency(probes, alice, nodes[0]) }
            if jobs > 0 { result["job"] = try await jobOverhead(jobs, alice, nodes[0]) }
            // The figure is the validators': the rest would share their cores.
            for name in layout.names.dropFirst(DevnetLayout.validators) { await processes.stop(name) }
            result["transfers"] = try await throughput(transfers, alice, nodes)
            for node in nodes { await node.close() }
            await processes.stop()
            return .object(result)
        } catch {
            await processes.stop()
            throw error
        }
    }

    // MARK: Finality

    /// One transfer at a time: from submitting it to knowing that it is final.
    private func latency(_ probes: Int, _ alice: SecretKey, _ node: NodeClient) async throws -> JSONValue {
        var times: [Double] = []
        for probe in 0..<probes {
            // Not in step with the blocks.
            try await Task.sleep(nanoseconds: UInt64(probe * 7 % 50) * 1_000_000)
            let began = ModelBench.now()
            _ = try await node.submit(
                .transfer(to: alice.publicKey.address, amount: Amount(baseUnits: 1), memo: []), as: alice)
            times.append((ModelBench.now() - began) * 1000)
        }
        times.sort()
        func quantile(_ q: Double) -> JSONValue {
            .number((times[min(times.count - 1, Int(Double(times.count) * q))] * 10).rounded() / 10)
        }
        return ["probes": JSONValue(probes), "p50Ms": quantile(0.5), "p99Ms": quantile(0.99)]
    }

    // MARK: Transfers

    /// A chain's own counters, summed over the validators.
    private func counters(_ nodes: [NodeClient]) async throws -> (signatures: Double, seconds: Double, cpu: Double) {
        var sums = (0.0, 0.0, 0.0)
        for node in nodes {
            let text = String(decoding: try await node.rpc.get("/metrics").body, as: UTF8.self)
            func value(_ name: String) -> Double {
                for line in text.split(separator: "\n") where line.hasPrefix(name) {
                    if let last = line.split(separator: " ").last, let number = Double(last) { return number }
                }
                return 0
            }
            sums.0 += value("plasma_signatures_verified")
            sums.1 += value("plasma_signature_seconds")
            sums.2 += value("plasma_cpu_seconds")
        }
        return sums
    }

    /// Signs all transfers first, then hands them in as fast as the nodes take them, until the last is final.
    func throughput(_ count: Int, _ alice: SecretKey, _ nodes: [NodeClient]) async throws -> JSONValue {
        let senders = (0..<NetworkBench.senders).map { _ in SecretKey.generate() }
        let each = count / senders.count
        for sender in senders {
            _ = try await nodes[0].submit(
                .transfer(to: sender.publicKey.address, amount: .xpl(100), memo: []), as: alice)
        }
        let prepared = try await nodes[0].call("tx.prepare", ["sender": .string(alice.publicKey.hex)])
        guard let network = prepared["network"]?.string.flatMap(Digest.init(hex:)) else {
            throw Failure("the node's answer to tx.prepare cannot be read")
        }
        let fee = try Amount(parsing: "0.001")
        let receiver = alice.publicKey.address
        // Each sender's in order, senders interleaved.
        var signed: [SignedTransaction] = []
        for nonce in 0..<each {
            for sender in senders {
                signed.append(
                    Transaction(
                        network: network, sender: sender.publicKey, nonce: Nonce(UInt64(nonce)), maximumFee: fee,
                        payload: .transfer(to: receiver, amount: Amount(baseUnits: 1), memo: [])
                    ).signed(by: sender))
            }
        }
        let verification = verifySeconds(signed)
        let startHeight = try await nodes[0].call("node.status")["height"]?.uint64 ?? 0
        let before = try await counters(nodes)
        let began = ModelBench.now()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, node) in nodes.enumerated() {
                // A sender's transfers all go through one node, so that they come in order.
                let mine = signed.enumerated().filter { ($0.offset % senders.count) % nodes.count == index }
                    .map(\.element)
                group.addTask { try await NetworkBench.feed(mine, to: node) }
            }
            try await group.waitForAll()
        }
        let fed = ModelBench.now()
        // The last nonce of every sender is used: all are final.
        let deadline = Date().addingTimeInterval(300)
        for sender in senders {
            while true {
                let account = try await nodes[0].call(
                    "account.get", ["address": .string(sender.publicKey.address.description)])
                if account["nonce"]?.uint64 ?? 0 >= UInt64(each) { break }
                if Date() > deadline { throw Failure("the transfers were not final within 300 s") }
                try await Task.sleep(nanoseconds: 20_000_000)
            }
        }
        let seconds = ModelBench.now() - began
        let after = try await counters(nodes)
        let endHeight = try await nodes[0].call("node.status")["height"]?.uint64 ?? 0
        let rate = Double(signed.count) / seconds
        let cores = Double(ProcessInfo.processInfo.activeProcessorCount)
        // What these cores could check if four validators did nothing else.
        let limit = cores / verification / Double(nodes.count)
        func rounded(_ value: Double, _ digits: Double = 1) -> JSONValue {
            .number((value * digits).rounded() / digits)
        }
        return [
            "count": JSONValue(signed.count), "seconds": rounded(seconds, 100),
            "feedingSeconds": rounded(fed - began, 100),
            "perSecond": rounded(rate), "blocks": JSONValue(endHeight - startHeight),
            "signatureMicroseconds": rounded(verification * 1e6, 10),
            "limitPerSecond": rounded(limit), "shareOfLimit": rounded(rate / limit, 1000),
            "signatureShareOfCPU": rounded(
                (after.seconds - before.seconds) / max(after.cpu - before.cpu, 1e-9), 1000),
            "signaturesPerTransferAndValidator": rounded(
                (after.signatures - before.signatures) / Double(signed.count * nodes.count), 100),
            "cpuMicrosecondsPerTransferAndValidator": rounded(
                (after.cpu - before.cpu) / Double(signed.count * nodes.count) * 1e6, 10),
        ]
    }

    private static func feed(_ transfers: [SignedTransaction], to node: NodeClient) async throws {
        var rest = transfers[...]
        while !rest.isEmpty {
            let part = Array(rest.prefix(batch))
            var writer = ByteWriter(capacity: part.count * 256)
            writer.write(list: part)
            let answer = try await node.call(
                "tx.submitBatch", ["transactions": .string(Hexadecimal.encode(writer.bytes))])
            // A full pool is waited for.
            if answer["accepted"]?.uint64 != UInt64(part.count) {
                try await Task.sleep(nanoseconds: 100_000_000)
                continue
            }
            rest = rest.dropFirst(part.count)
        }
    }

    /// One core's time for one transfer's signature.
    private func verifySeconds(_ signed: [SignedTransaction]) -> Double {
        let sample = signed.prefix(2_000)
        let began = ModelBench.now()
        var good = 0
        for transaction in sample where transaction.isSigned { good += 1 }
        precondition(good == sample.count, "what was signed here is signed")
        return (ModelBench.now() - began) / Double(max(1, sample.count))
    }

    // MARK: A job

    /// From submitting a job to its settlement, beside computing it twice on this machine (the provider's run and the auditor's).
    private func jobOverhead(_ count: Int, _ alice: SecretKey, _ node: NodeClient) async throws -> JSONValue {
        let model = try ModelImporter.importFolder(modelFolder)
        _ = try await ModelPublisher(node: node, key: alice).publish(model, as: model.name) { _, _ in }
        let published = try await PublishedModel.fetch(
            named: model.name, from: node, cache: layout.home("client") + "/models")
        let sentences = (0..<24).map { "Sentence number \($0) is about the price of bread in a town by the sea." }
        guard let hint = try await node.call("node.status")["nodeId"]?.string.flatMap(PublicKey.init(hex:)) else {
            throw Failure("the node does not say who it is")
        }
        var times: [Double] = []
        var first: Double?
        for round in 0...count {
            let terms = JobTerms(
                maximumPricePer1000CU: .xpl(200), policy: .audited, queueMilliseconds: 60_000,
                deadlineMilliseconds: 600_000)
            let request = try JobRequest.make(
                published, sentences: sentences.map { "\($0) Round \(round)." }, terms: terms, storageHint: hint)
            try await request.upload(to: node)
            let began = ModelBench.now()
            let finality = try await node.submit(.submitJob(request.spec), as: alice)
            let end = try await JobWatch(node: node, id: finality.id).follow(timeout: 180, event: { _ in })
            if end["state"]?.string != "settled" { throw Failure("a job ended \(end["state"]?.string ?? "")") }
            // The first fetches the weights.
            if round == 0 { first = ModelBench.now() - began } else { times.append(ModelBench.now() - began) }
        }
        let tokens = 24 * 18
        let single = try ModelBench.measure(model, threads: 1, batch: 24, length: tokens / 24, seconds: 1)
        let computing = 2 * (single["seconds"]?.double ?? 0)
        times.sort()
        let median = times[times.count / 2]
        let chain = ChainParameters.devnet
        return [
            "jobs": JSONValue(count), "firstSeconds": .number(((first ?? 0) * 100).rounded() / 100),
            "medianSeconds": .number((median * 100).rounded() / 100),
            "computingTwiceSeconds": .number((computing * 1000).rounded() / 1000),
            "overheadSeconds": .number(((median - computing) * 100).rounded() / 100),
            "ofThatChallengeWindowSeconds": .number(Double(chain.settleBase) / 1000),
            "ofThatAuditDrawBlocks": JSONValue(chain.auditLag),
        ]
    }
}
