import API
import Consensus
import Foundation
import Ledger
import Node
import Primitives
import Replica
import Runtime
import Storage

/// The main job, end to end, before a person's eyes: a network, a model, a job, its result, its proof, and the money.
struct Demo {
    let layout: DevnetLayout
    let modelFolder: String
    let sentenceFile: String
    let isJSON: Bool

    private let began = Date()

    init(layout: DevnetLayout, modelFolder: String, sentenceFile: String, isJSON: Bool) {
        self.layout = layout
        self.modelFolder = modelFolder
        self.sentenceFile = sentenceFile
        self.isJSON = isJSON
    }

    func say(_ text: String) {
        if isJSON { return }
        print(text)
        fflush(nil)
    }

    private func stamped(_ text: String) {
        say(String(format: "%7.1f s  %@", Date().timeIntervalSince(began), text))
    }

    /// Finds what is wrong with the user's files before anything starts.
    func check() throws {
        _ = try SentenceFile.read(sentenceFile)
        _ = try ModelImporter.importFolder(modelFolder)
    }

    /// Runs on a network that is up. Returns what `demo.json` says.
    func run() async throws -> JSONValue {
        let sentences = try SentenceFile.read(sentenceFile)
        let imported: ImportedModel
        do { imported = try ModelImporter.importFolder(modelFolder) } catch { throw Failure(describing: error) }
        let genesis = try GenesisReader.load(layout.directory + "/genesis.toml")
        let alice = try KeyStore(home: layout.home("client")).open("alice", password: "")
        let node = NodeClient(RPCClient(port: layout.rpcPort(0), timeoutSeconds: 60))
        let result: JSONValue
        do { result = try await job(sentences, imported, genesis, alice, node) } catch {
            await node.close()
            throw Failure(describing: error)
        }
        await node.close()
        return result
    }

    private func job(
        _ sentences: [String], _ imported: ImportedModel, _ genesis: Genesis, _ alice: SecretKey, _ node: NodeClient
    ) async throws -> JSONValue {
        let name = imported.name
        try await waitForOffers(node)
        let names = try await node.providerNames()
        stamped("\(names.count) providers have joined with bond and offer")
        let line = StatusLine(isQuiet: isJSON)
        let elements = imported.parameters.map(\.elementCount).reduce(0, +)
        stamped("imported \(name): \(elements / 1_000_000) M parameters, up to \(imported.tokenizer.limit) tokens")
        let known = try? await node.call("model.get", ["name": .string(name)])
        if known == nil {
            let published = try await ModelPublisher(node: node, key: alice).publish(imported, as: name) {
                done, total in
                line.update("           uploading \(done * 100 / max(total, 1)) %")
            }
            line.clear()
            stamped(
                "published \(name): \(published.bytes / 1_000_000) MB, final at height \(published.finality.height)")
        } else {
            stamped("\(name) is published already")
        }

        var terms = JobTermOptions()
        terms.maxPrice = "200"
        terms.policy = "audited"
        terms.queue = 60
        terms.deadline = 600
        let bondsBefore = try await bonds(node)
        let request = try await JobCommand.prepare(
            sentenceFile, model: name, terms, cache: layout.home("client") + "/models", on: node)
        let addresses =
            [("alice", alice.publicKey.address.description)] + names.map { ($0.value, $0.key) }.sorted { $0 < $1 }
        let before = try await balances(addresses, node)
        try await request.upload(to: node)
        say("")
        say("Job: \(sentences.count) sentences, \(request.inputs.tokens) tokens, \(request.spec.computeUnits) CU")
        let submitted = Date()
        let finality = try await node.submit(.submitJob(request.spec), as: alice)
        say("     \(finality.id.hex)")
        let (end, states) = try await follow(finality.id, names, node, line)
        let seconds = Date().timeIntervalSince(submitted)
        guard end["state"]?.string == "settled" else {
            throw Failure(
                "the job ended \(end["state"]?.string ?? ""): \(end["reason"]?.string ?? "") "
                    + "(see \(layout.directory)/provider-*/log.txt)")
        }

        let result = try await JobResult.fetch(finality.id, from: node, genesis: genesis)
        let path = layout.directory + "/embeddings.npy"
        try result.writeNumpy(to: path)
        show(result, sentences)
        let after = try await balances(addresses, node)
        let totals = try await node.call("chain.totals")
        let disputes = end["disputes"]?.array ?? []
        var truths: [JSONValue] = []
        for dispute in disputes where dispute["state"]?.string == "convicted" {
            truths.append(try showTruth(dispute, imported, request))
        }
        let bondsAfter = try await bonds(node)
        showBonds(bondsBefore, bondsAfter)
        showMoney(before, after, totals, result, request)
        let json: JSONValue = [
            "state": end["state"] ?? .null, "job": .string(finality.id.hex), "states": .array(states),
            "provider": end["provider"] ?? .null,
            "providerName": JSONValue(end["provider"]?.string.flatMap { names[$0] }),
            "auditors": end["auditors"] ?? [],
            "auditorNames": .array(
                (end["auditors"]?.array ?? []).map { JSONValue($0.string.flatMap { names[$0] }) }),
            "price": .string(result.receipt.amount.description),
            "auditFees": .string(result.receipt.auditFees.description),
            "computeUnits": .string(request.spec.computeUnits.description),
            "sentences": JSONValue(sentences.count), "tokens": JSONValue(request.inputs.tokens),
            "truncated": .array(request.inputs.truncated.map { JSONValue($0) }),
            "balances": [
                "before": .object(before.mapValues { .string($0.description) }),
                "after": .object(after.mapValues { .string($0.description) }),
            ],
            "addresses": .object(Dictionary(uniqueKeysWithValues: addresses.map { ($0.0, .string($0.1)) })),
            "totalSupply": totals["supply"] ?? .null, "burned": totals["burned"] ?? .null, "totals": totals,
            "disputes": .array(disputes), "truths": .array(truths),
            "bonds": ["before": .object(bondsBefore), "after": .object(bondsAfter)],
            "outputRoot": .string(result.receipt.commitment.outputRoot.hex),
            "receipt": [
                "proven": true, "height": JSONValue(result.proof.evidence.header.height.value),
                "signers": JSONValue(result.proof.evidence.certificate.signers.count),
            ],
            "embeddings": .string(path), "shape": .array(result.shape.map { JSONValue($0) }),
            "seconds": .number((seconds * 1000).rounded() / 1000),
        ]
        try json.text(pretty: true).write(
            toFile: layout.directory + "/demo.json", atomically: true, encoding: .utf8)
        return json
    }

    /// Until every provider's offer can be matched.
    private func waitForOffers(_ node: NodeClient) async throws {
        let deadline = Date().addingTimeInterval(60)
        while true {
            let height = try await node.call("node.status")["executedHeight"]?.uint64 ?? 0
            let providers = try await node.call("provider.list")["providers"]?.array ?? []
            let active = providers.filter { provider in
                (provider["offers"]?.array ?? []).contains { ($0["activeFrom"]?.uint64 ?? .max) <= height + 1 }
            }
            if active.count >= DevnetLayout.providers { return }
            if Date() > deadline {
                throw Failure(
                    "only \(active.count) of \(DevnetLayout.providers) providers offer their machine after 60 s: "
                        + "see \(layout.directory)/provider-*/log.txt")
            }
            try await Task.sleep(nanoseconds: 100_000_000)
        }
    }

    private func balances(_ addresses: [(String, String)], _ node: NodeClient) async throws -> [String: Amount] {
        var balances: [String: Amount] = [:]
        for (name, address) in addresses { balances[name] = try await node.balance(try Address(parsing: address)) }
        return balances
    }

    /// Prints each stage as it comes, and how far the provider's fetching and computing is.
    private func follow(
        _ id: Digest, _ names: [String: String], _ node: NodeClient, _ line: StatusLine
    ) async throws -> (JSONValue, [JSONValue]) {
        let workers = (0..<DevnetLayout.providers).map {
            RPCClient(port: layout.rpcPort(DevnetLayout.validators + $0), timeoutSeconds: 2)
        }
        var states: [JSONValue] = []
        var first: UInt64?
        var fetched = false
        func look() async {
            for worker in workers {
                guard let tasks = try? await worker.call("worker.jobs")["jobs"]?.array else { continue }
                for task in tasks where task["job"]?.string == id.hex {
                    let role = task["role"]?.string ?? ""
                    let total = task["totalBytes"]?.uint64 ?? 0
                    let percent = total == 0 ? 0 : (task["fetchedBytes"]?.uint64 ?? 0) * 100 / total
                    switch task["stage"]?.string {
                    case "fetching": line.update("           \(role): inputs fetched \(percent) %")
                    case "running":
                        line.update("           \(role): running \(Int((task["progress"]?.double ?? 0) * 100)) %")
                    default: break
                    }
                    if role == "executor", percent == 100, !fetched {
                        fetched = true
                        line.clear()
                        say("           inputs fetched 100 %, \(total / 1_000_000) MB, checked piece by piece")
                    }
                }
            }
        }
        var told: [String: Int] = [:]
        let end = try await JobWatch(node: node, id: id).follow(timeout: 180) { job in
            await look()
            for dispute in job["disputes"]?.array ?? [] {
                let key = "\(dispute["attempt"]?.uint64 ?? 0) \(dispute["challenger"]?.string ?? "")"
                let lines = DisputeText.lines(dispute, names: names)
                if lines.count > told[key] ?? 0 { line.clear() }
                for text in lines.dropFirst(told[key] ?? 0) { say("           " + text) }
                told[key] = max(lines.count, told[key] ?? 0)
            }
        } event: { event in
            if event.state == "running" { await look() }
            line.clear()
            first = first ?? event.time
            say(JobStageText.line(event, since: first ?? event.time, names: names))
            states.append([
                "state": .string(event.state == "open" ? "submitted" : event.state), "height": JSONValue(event.height),
                "time": JSONValue(event.time),
                "seconds": .number(Double(event.time - min(first ?? event.time, event.time)) / 1000),
            ])
        }
        line.clear()
        for worker in workers { await worker.close() }
        return (end, states)
    }

    private func show(_ result: JobResult, _ sentences: [String]) {
        say("")
        say("Nearest sentences:")
        for pair in Neighbours.nearest(result.rows, first: 6) {
            func short(_ index: Int) -> String {
                let text = sentences[index]
                return text.count > 60 ? text.prefix(59) + "…" : text
            }
            say(String(format: "  %.3f  %@\n         %@", pair.similarity, short(pair.sentence), short(pair.nearest)))
        }
        say("")
        say(
            "Receipt: proven with the genesis alone. Header \(result.proof.evidence.header.height) is finalized by "
                + "\(result.proof.evidence.certificate.signers.count) of \(DevnetLayout.validators) validators; its state root "
                + "holds the receipt.")
        say("         output root \(result.receipt.commitment.outputRoot.hex)")
    }

    private func showMoney(
        _ before: [String: Amount], _ after: [String: Amount], _ totals: JSONValue, _ result: JobResult,
        _ request: JobRequest
    ) {
        say("")
        say(
            "Price \(result.receipt.amount) XPL for \(request.spec.computeUnits) CU, audit \(result.receipt.auditFees) XPL"
        )
        for (name, amount) in before.sorted(by: { $0.key < $1.key }) {
            guard let now = after[name] else { continue }
            if now > amount, let gain = try? now.subtracting(amount) { say("  \(name) earned \(gain) XPL") }
            if now < amount, let loss = try? amount.subtracting(now) { say("  \(name) paid \(loss) XPL") }
        }
        say("  burned so far \(totals["burned"]?.string ?? "") XPL; supply \(totals["supply"]?.string ?? "") XPL")
    }
}
