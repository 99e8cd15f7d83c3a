import API
import Foundation
import Ledger
import Node
import Primitives
import Programs
import Runtime
import Storage

/// Times the market on a fresh network of this machine: how many jobs it settles a second, how long pay takes beside the computing, and how long a dispute.
/// Four validators, three providers and this client share its cores.
struct MarketBench {
    let layout: DevnetLayout
    let modelFolder: String

    func run(jobs: Int, rounds: Int, outstanding: Int) async throws -> JSONValue {
        let processes = DevnetProcesses(layout: layout)
        if layout.names.contains(where: { processes.pid($0) != nil }) {
            throw Failure("a network runs in \(layout.directory): stop it (plasma devnet down) or name another folder")
        }
        var result: [String: JSONValue] = ["cores": JSONValue(ProcessInfo.processInfo.activeProcessorCount)]
        if jobs > 0 {
            var busy = layout
            busy.capacity = 1_024
            result["small"] = try await network(busy) { try await smallJobs(jobs, outstanding, $0, $1, $2) }
        }
        if rounds > 0 {
            result["pay"] = try await network(layout) { node, alice, hint in
                let model = try await publish(node, alice)
                let sampled = try await pay(.sampled(perMille: 50), rounds, model, node, alice, hint)
                let audited = try await pay(.audited, rounds, model, node, alice, hint)
                return ["sampled": sampled, "audited": audited]
            }
            var lying = layout
            lying.liar = "provider-1"
            result["dispute"] = try await network(lying) { try await dispute($0, $1, $2) }
        }
        return .object(result)
    }

    /// A network made anew, until the body has ended.
    private func network(
        _ layout: DevnetLayout, _ body: (NodeClient, SecretKey, PublicKey) async throws -> JSONValue
    ) async throws -> JSONValue {
        let processes = DevnetProcesses(layout: layout)
        say("a new network of \(layout.names.count) nodes …")
        try layout.create()
        do {
            try await processes.up()
            let alice = try KeyStore(home: layout.home("client")).open("alice", password: "")
            let node = NodeClient(RPCClient(port: layout.rpcPort(0), timeoutSeconds: 120))
            try await waitForOffers(node)
            let result = try await body(node, alice, try await JobCommand.storageHint(node))
            await node.close()
            await processes.stop()
            return result
        } catch {
            await processes.stop()
            throw error
        }
    }

    /// Progress is for people: the figures alone go to the standard output.
    private func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

    private func waitForOffers(_ node: NodeClient) async throws {
        let deadline = Date().addingTimeInterval(120)
        while true {
            let height = try await node.call("node.status")["executedHeight"]?.uint64 ?? 0
            let offers = (try await node.call("provider.list")["providers"]?.array ?? []).flatMap {
                $0["offers"]?.array ?? []
            }
            if offers.count(where: { ($0["activeFrom"]?.uint64 ?? .max) <= height }) == DevnetLayout.providers {
                return
            }
            if Date() > deadline { throw Failure("the providers had no offers within 120 s: see \(layout.directory)") }
            try await Task.sleep(nanoseconds: 100_000_000)
        }
    }

    // MARK: Small jobs

    /// Jobs of four additions, as many as the market takes, at most `outstanding` that are not settled: from the first submission to the last settlement.
    private func smallJobs(
        _ count: Int, _ outstanding: Int, _ node: NodeClient, _ alice: SecretKey, _ hint: PublicKey
    ) async throws -> JSONValue {
        let spec = try await smallJob(node, hint)
        guard
            let network = try await node.call("tx.prepare", ["sender": .string(alice.publicKey.hex)])["network"]?
                .string.flatMap(Digest.init(hex:))
        else { throw Failure("the node's answer to tx.prepare cannot be read") }
        let account = try await node.call("account.get", ["address": .string(alice.publicKey.address.description)])
        let nonce = account["nonce"]?.uint64 ?? 0
        let signed = (0..<count).map { number in
            Transaction(
                network: network, sender: alice.publicKey, nonce: Nonce(nonce + UInt64(number)),
                maximumFee: .xpl(1), payload: .submitJob(spec)
            ).signed(by: alice)
        }
        let before = try await settledJobs(node)
        let began = ModelBench.now()
        var sent = 0
        var settled = 0
        var changed = began
        var told = began
        var halves: [Double] = []
        let deadline = Date().addingTimeInterval(600)
        while settled < count {
            let room = min(count - sent, outstanding - (sent - settled), NetworkBench.batch)
            if room > 0 {
                var writer = ByteWriter(capacity: room * 1_024)
                writer.write(list: Array(signed[sent..<sent + room]))
                let answer = try await node.call(
                    "tx.submitBatch", ["transactions": .string(Hexadecimal.encode(writer.bytes))])
                if answer["accepted"]?.uint64 == UInt64(room) { sent += room }
            }
            let found = try await settledJobs(node) - before
            if found != settled || room > 0 { changed = ModelBench.now() }
            settled = found
            if ModelBench.now() - told > 5 {
                told = ModelBench.now()
                say("\(settled) of \(count) small jobs are settled")
            }
            if halves.isEmpty && settled >= count / 4 { halves.append(ModelBench.now() - began) }
            if halves.count == 1 && settled >= count * 3 / 4 { halves.append(ModelBench.now() - began) }
            if Date() > deadline { throw Failure("\(settled) of \(count) jobs were settled within 600 s") }
            // A job may have lost all its attempts.
            if ModelBench.now() - changed > 30 { break }
            try await Task.sleep(nanoseconds: 20_000_000)
        }
        let seconds = (settled < count ? changed : ModelBench.now()) - began
        return [
            "jobs": JSONValue(count), "settled": JSONValue(settled), "outstanding": JSONValue(outstanding),
            "seconds": .number((seconds * 100).rounded() / 100),
            "perSecond": .number((Double(settled) / seconds).rounded()),
            // Without the filling and the emptying of the row.
            "perSecondInTheMiddle": .number(
                (Double(count / 2) / max(halves.count == 2 ? halves[1] - halves[0] : seconds, 1e-9)).rounded()),
        ]
    }

    /// Jobs that were settled, as the providers' records count them.
    private func settledJobs(_ node: NodeClient) async throws -> Int {
        let providers = try await node.call("provider.list")["providers"]?.array ?? []
        return providers.reduce(0) { $0 + Int($1["settled"]?.uint64 ?? 0) }
    }

    private func smallJob(_ node: NodeClient, _ hint: PublicKey) async throws -> JobSpec {
        let inputs = [TensorDeclaration(name: "x", type: TensorType(.i32, [4]))]
        var graph = GraphBuilder(leading: inputs.map(\.type))
        let sum = graph.map(.i32, [4], [ValueID(0)]) { e in
            let x = e.input(0)
            _ = e.apply(.add, x, x)
        }
        let program = try Program(
            axes: [], parameters: [], inputs: inputs,
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [sum])])
        let input = Tensor([1, 2, 3, 4] as [Int32], shape: [4])
        _ = try await node.rpc.upload(input.bytes, as: .tensor(type: "i32", shape: [4]))
        _ = try await node.rpc.upload(program.canonicalBytes, as: .file)
        let manifest = try ModelManifest(
            name: "four additions", programRoot: program.root, programFile: FileIdentity.of(program.canonicalBytes),
            parameterRoots: [], files: []
        ).canonicalBytes
        _ = try await node.rpc.upload(manifest, as: .file)
        let fixed = try program.specialise([])
        return try JobSpec(
            program: program.root, manifest: FileIdentity.of(manifest), axes: [], parameters: AgreedList([]),
            inputs: [JobInput(name: "x", root: input.root)], initialState: fixed.initialState(),
            scans: JobScan.all(of: fixed), computeUnits: fixed.cost(), memory: fixed.memoryEstimate,
            maximumPricePer1000CU: .xpl(200), policy: .sampled(perMille: 50), queueMilliseconds: 600_000,
            deadlineMilliseconds: 600_000, storageHint: hint)
    }

    // MARK: Pay

    private func publish(_ node: NodeClient, _ alice: SecretKey) async throws -> PublishedModel {
        let model = try ModelImporter.importFolder(modelFolder)
        _ = try await ModelPublisher(node: node, key: alice).publish(model, as: model.name) { _, _ in }
        return try await PublishedModel.fetch(
            named: model.name, from: node, cache: layout.home("client") + "/models")
    }

    private func request(
        _ model: PublishedModel, _ policy: AuditPolicy, _ round: Int, _ hint: PublicKey
    ) throws -> JobRequest {
        let sentences = (0..<24).map {
            "Sentence number \($0) of round \(round) is about the price of bread in a town by the sea."
        }
        return try JobRequest.make(
            model, sentences: sentences,
            terms: JobTerms(
                maximumPricePer1000CU: .xpl(200), policy: policy, queueMilliseconds: 60_000,
                deadlineMilliseconds: 600_000),
            storageHint: hint)
    }

    /// MiniLM on 24 sentences: from submitting to the opened result, to the pay that is credited and stays at stake, and to the pay that is paid out, for jobs that were checked as
    /// the policy asks (of `sampled`: those that were not drawn).
    private func pay(
        _ policy: AuditPolicy, _ rounds: Int, _ model: PublishedModel, _ node: NodeClient, _ alice: SecretKey,
        _ hint: PublicKey
    ) async throws -> JSONValue {
        var opened: [Double] = []
        var credited: [Double] = []
        var paid: [Double] = []
        var round = 0
        // The first fetches the weights; of twenty sampled ones one is drawn.
        while paid.count < rounds && round < 3 * rounds + 10 {
            round += 1
            let request = try request(model, policy, round, hint)
            try await request.upload(to: node)
            let began = ModelBench.now()
            let job = try await node.submit(.submitJob(request.spec), as: alice)
            var atOpening: Double?
            var atCredit: Double?
            let end = try await JobWatch(node: node, id: job.id).follow(timeout: 180) { job in
                if atCredit == nil, job["atStake"]?.string != "0" { atCredit = ModelBench.now() - began }
            } event: { event in
                if ["opened", "auditing"].contains(event.state) && atOpening == nil {
                    atOpening = ModelBench.now() - began
                }
            }
            if end["state"]?.string != "settled" { throw Failure("a job ended \(end["state"]?.string ?? "")") }
            let isDrawn = !(end["auditors"]?.array ?? []).isEmpty
            if round == 1 || isDrawn != (policy == .audited) { continue }
            paid.append(ModelBench.now() - began)
            if let atOpening { opened.append(atOpening) }
            // An audited job may settle before anybody has seen its credit.
            credited.append(atCredit ?? ModelBench.now() - began)
            say("\(paid.count) of \(rounds) jobs of MiniLM are paid")
        }
        guard let firstOpened = opened.sorted().dropFirst(opened.count / 2).first,
            let firstCredited = credited.sorted().dropFirst(credited.count / 2).first,
            let firstPaid = paid.sorted().dropFirst(paid.count / 2).first
        else { throw Failure("no job was as it should be: run again") }
        let single = try ModelBench.measure(
            try ModelImporter.importFolder(modelFolder), threads: 1, batch: 24, length: 18, seconds: 1)
        let computing = (policy == .audited ? 2 : 1) * (single["seconds"]?.double ?? 0)
        func rounded(_ seconds: Double) -> JSONValue { .number((seconds * 100).rounded() / 100) }
        return [
            "jobs": JSONValue(paid.count), "openedSeconds": rounded(firstOpened), "paidSeconds": rounded(firstPaid),
            "computingSeconds": rounded(computing), "openedLessComputingSeconds": rounded(firstOpened - computing),
            "creditedSeconds": rounded(firstCredited),
            "creditedLessComputingSeconds": rounded(firstCredited - computing),
            "paidLessComputingSeconds": rounded(firstPaid - computing),
        ]
    }

    // MARK: A dispute

    /// A provider that lies in a bit: from the challenge to the conviction, as this client sees them.
    private func dispute(_ node: NodeClient, _ alice: SecretKey, _ hint: PublicKey) async throws -> JSONValue {
        let request = try request(try await publish(node, alice), .audited, 0, hint)
        try await request.upload(to: node)
        let job = try await node.submit(.submitJob(request.spec), as: alice)
        var challenged: Double?
        let deadline = Date().addingTimeInterval(180)
        while true {
            let found = try await node.call("job.get", ["job": .string(job.id.hex)])
            if let dispute = found["disputes"]?.array?.first {
                let now = ModelBench.now()
                if challenged == nil { challenged = now }
                if dispute["state"]?.string == "convicted", let challenged {
                    return [
                        "seconds": .number(((now - challenged) * 100).rounded() / 100),
                        "rounds": dispute["rounds"] ?? .null, "reason": dispute["reason"] ?? .null,
                    ]
                }
            }
            if Date() > deadline { throw Failure("nobody was convicted within 180 s: job \(job.id.hex)") }
            try await Task.sleep(nanoseconds: 20_000_000)
        }
    }
}
