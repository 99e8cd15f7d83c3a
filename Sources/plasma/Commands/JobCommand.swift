import API
import ArgumentParser
import Foundation
import Ledger
import Primitives
import Replica
import Runtime

/// Which encoder.
struct EncoderOption: ParsableArguments {
    @Option(help: "The published model's name.")
    var model = "all-MiniLM-L6-v2"
}

/// What a requester may choose about a job.
struct JobTermOptions: ParsableArguments {
    @Option(help: "The most that 1,000 compute units may cost, in XPL.")
    var maxPrice = "200"

    @Option(help: "How the result is checked: audited, sampled:N (in a thousand) or replicated:N.")
    var policy = "audited"

    @Option(help: "Seconds that it may wait for a provider.")
    var queue: UInt64 = 60

    @Option(help: "Seconds after which no new attempt starts.")
    var deadline: UInt64 = 600

    func terms() throws -> JobTerms {
        let price: Amount
        do { price = try Amount(parsing: maxPrice) } catch { throw Failure(describing: error) }
        let longest = JobSpec.maximumMilliseconds / 1000
        if queue > longest || deadline > longest { throw Failure("a job's times are at most \(longest) seconds") }
        return JobTerms(
            maximumPricePer1000CU: price, policy: try JobTermOptions.policy(policy), queueMilliseconds: queue * 1000,
            deadlineMilliseconds: deadline * 1000)
    }

    static func policy(_ text: String) throws -> AuditPolicy {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        switch (parts.first, parts.count) {
        case ("audited", 1): return .audited
        case ("sampled", 2):
            if let rate = UInt16(parts[1]), (1...1000).contains(rate) { return .sampled(perMille: rate) }
        case ("replicated", 2):
            if let count = UInt8(parts[1]), (1...AuditPolicy.maximumAuditors).contains(count) {
                return .replicated(count: count)
            }
        default: break
        }
        throw Failure(
            "\"\(text)\" is no audit policy: use audited, sampled:1 to sampled:1000, or replicated:1 to "
                + "replicated:\(AuditPolicy.maximumAuditors)")
    }
}

struct JobCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "job", abstract: "Run a model on others' machines.",
        subcommands: [
            Plan.self, Submit.self, Run.self, Watch.self, Result.self, List.self, Show.self, Cancel.self,
            Claim.self,
        ])

    static func id(_ text: String) throws -> Digest {
        guard let id = Digest(hex: text) else {
            throw Failure("\"\(text)\" is no job id: it has 64 hexadecimal digits")
        }
        return id
    }

    /// Reads the file, takes the model from the network, tokenizes, sizes and costs.
    static func prepare(
        _ file: String, model name: String, _ terms: JobTermOptions, cache: String, on node: NodeClient
    ) async throws -> JobRequest {
        let sentences = try SentenceFile.read(file)
        let chosen = try terms.terms()
        let model = try await PublishedModel.fetch(named: name, from: node, cache: cache)
        let hint = try await storageHint(node)
        let request = try JobRequest.make(model, sentences: sentences, terms: chosen, storageHint: hint)
        if let notice = request.truncationNotice {
            FileHandle.standardError.write(Data("notice: \(notice)\n".utf8))
        }
        return request
    }

    /// The node that serves what is uploaded to it.
    static func storageHint(_ node: NodeClient) async throws -> PublicKey {
        guard let hint = try await node.call("node.status")["nodeId"]?.string.flatMap(PublicKey.init(hex:)) else {
            throw Failure("the node does not say who it is: is it of another version?")
        }
        return hint
    }

    static func describe(plan: JSONValue, _ request: JobRequest, names: [String: String]) -> String {
        var lines = [
            "\(request.sentences.count) sentences, \(request.inputs.tokens) tokens: "
                + "\(request.spec.computeUnits) CU, \(request.spec.memory >> 20) MiB of memory",
            "price: \(plan["price"]?.string.map { "\($0) XPL" } ?? "no offer matches"); at most "
                + "\(plan["maximumPrice"]?.string ?? "") XPL; locked until it ends: \(plan["escrow"]?.string ?? "") XPL",
        ]
        if let parts = plan["escrowParts"], parts["run"] != nil { lines.append(StagingText.escrow(parts)) }
        func name(_ offer: JSONValue) -> String {
            let address = offer["provider"]?.string ?? ""
            return names[address] ?? address
        }
        for offer in plan["eligible"]?.array ?? [] {
            var draw = offer["inDraw"]?.bool == true ? "in the draw" : "too dear or too slow beside the others"
            if offer["newcomer"]?.bool == true { draw += ", among newcomers" }
            lines.append("  \(name(offer)): \(offer["price"]?.string ?? "") XPL, \(draw)")
        }
        for offer in plan["excluded"]?.array ?? [] {
            lines.append("  \(name(offer)): excluded: \(offer["reason"]?.string ?? "")")
        }
        return lines.joined(separator: "\n")
    }

    struct Plan: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say what a job would cost, who could take it, and why others cannot.",
            discussion: "Example: plasma job plan examples/sentences.txt")

        @OptionGroup var options: ClientOptions
        @OptionGroup var encoder: EncoderOption
        @OptionGroup var terms: JobTermOptions
        @OptionGroup var keys: KeyOptions

        @Argument(help: "A text file with one sentence a line.")
        var file: String

        func run() async throws {
            let (plan, request, names) = try await options.withNode { node in
                let request = try await JobCommand.prepare(
                    file, model: encoder.model, terms, cache: keys.homePath + "/models", on: node)
                return (try await request.plan(on: node), request, try await node.providerNames())
            }
            options.show(plan) { JobCommand.describe(plan: $0, request, names: names) }
        }
    }

    struct Submit: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Embed the sentences of a file: sign, submit, and follow the job to its end.",
            discussion: "Example: plasma job submit examples/sentences.txt --home devnet/client")

        @OptionGroup var options: ClientOptions
        @OptionGroup var encoder: EncoderOption
        @OptionGroup var terms: JobTermOptions
        @OptionGroup var keys: KeyOptions

        @Argument(help: "A text file with one sentence a line.")
        var file: String

        @Flag(inversion: .prefixedNo, help: "Follow the job until it is over.")
        var watch = true

        @Flag(
            inversion: .prefixedNo,
            help: "Hand the inputs to the node first. Without it others must have them, or the deposit is lost.")
        var upload = true

        func run() async throws {
            let key = try keys.open()
            let (id, job) = try await options.withNode { node -> (Digest, JSONValue) in
                let request = try await JobCommand.prepare(
                    file, model: encoder.model, terms, cache: keys.homePath + "/models", on: node)
                let plan = try await request.plan(on: node)
                if plan["price"]?.string == nil, !options.isJSON {
                    FileHandle.standardError.write(
                        Data("notice: no offer matches now; the job waits \(terms.queue) s for one\n".utf8))
                }
                if upload { try await request.upload(to: node) }
                let finality = try await node.submit(.submitJob(request.spec), as: key)
                if !options.isJSON { print("job \(finality.id.hex)") }
                if !watch { return (finality.id, ["job": .string(finality.id.hex), "state": "open"]) }
                return (
                    finality.id, try await JobCommand.follow(finality.id, node, isQuiet: options.isJSON)
                )
            }
            if options.isJSON { print(job.text(pretty: true)) }
            if watch { try JobCommand.judge(job, id, isQuiet: options.isJSON) }
        }
    }

    /// Follows a job and prints each stage.
    static func follow(_ id: Digest, _ node: NodeClient, isQuiet: Bool) async throws -> JSONValue {
        let names = try await node.providerNames()
        let line = StatusLine(isQuiet: isQuiet)
        let began = Date()
        var first: UInt64?
        let job = try await JobWatch(node: node, id: id).follow(timeout: 24 * 3600) { job in
            let stage = job["state"]?.string ?? ""
            line.update("\(stage) … \(Int(Date().timeIntervalSince(began))) s")
        } event: { event in
            line.clear()
            first = first ?? event.time
            if !isQuiet { print(JobStageText.line(event, since: first ?? event.time, names: names)) }
        }
        line.clear()
        return job
    }

    /// Says what follows from how a job ended; exit code 1 unless it settled.
    static func judge(_ job: JSONValue, _ id: Digest, isQuiet: Bool) throws {
        let state = job["state"]?.string ?? ""
        if state != "settled" {
            let reason = job["reason"]?.string ?? ""
            throw Failure("the job is \(state)\(reason.isEmpty ? "" : ": \(reason)")")
        }
        if !isQuiet {
            print("get the result with: plasma job result \(id.hex) --genesis genesis.toml --out result.npy")
        }
    }

    struct Watch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Follow a job until it is over.")

        @OptionGroup var options: ClientOptions

        @Argument(help: "The job's id.")
        var job: String

        func run() async throws {
            let id = try JobCommand.id(job)
            let end = try await options.withNode { try await JobCommand.follow(id, $0, isQuiet: options.isJSON) }
            if options.isJSON { print(end.text(pretty: true)) }
            try JobCommand.judge(end, id, isQuiet: options.isJSON)
        }
    }

    struct Result: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fetch a settled job's output, checked against its receipt and the receipt against the chain.",
            discussion: "Example: plasma job result JOB --genesis devnet/genesis.toml --out result.npy")

        @OptionGroup var options: ClientOptions

        @Argument(help: "The job's id.")
        var job: String

        @Option(help: "The network's genesis.toml, which is all that is trusted.")
        var genesis: String

        @Option(help: "Where to write the embeddings, a float32 .npy of one row a sentence.")
        var out: String

        @Option(help: "Where to write the receipt's evidence, for plasma light verify-receipt --file.")
        var proof: String?

        func run() async throws {
            let id = try JobCommand.id(job)
            let network = try GenesisReader.load(genesis)
            let result = try await options.withNode { node in
                do { return try await JobResult.fetch(id, from: node, genesis: network) } catch {
                    throw JobCommand.missing(id, try? await node.call("job.get", ["job": .string(id.hex)]), error)
                }
            }
            try result.writeNumpy(to: out)
            if let proof {
                do {
                    try Data(result.proof.canonicalBytes).write(to: URL(fileURLWithPath: proof), options: .atomic)
                } catch { throw Failure("\(proof) cannot be written: \(error.localizedDescription)") }
            }
            let json: JSONValue = [
                "job": .string(id.hex), "embeddings": .string(out),
                "shape": .array(result.shape.map { JSONValue($0) }),
                "outputRoot": .string(result.receipt.commitment.outputRoot.hex),
                "provider": .string(result.receipt.provider.description),
                "paid": .string(result.receipt.amount.description),
                "auditFees": .string(result.receipt.auditFees.description),
                "provenAtHeight": JSONValue(result.proof.evidence.header.height.value),
            ]
            options.show(json) { _ in
                "\(out): float32 \(result.shape.map { String($0) }.joined(separator: " x ")); paid "
                    + "\(result.receipt.amount) XPL and \(result.receipt.auditFees) XPL for the audit; "
                    + "receipt proven at height \(result.proof.evidence.header.height)"
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the newest jobs.")

        @OptionGroup var options: ClientOptions

        @Option(help: "How many.")
        var limit: UInt64 = 20

        func run() async throws {
            let answer = try await options.withNode { try await $0.call("job.list", ["limit": JSONValue(limit)]) }
            options.show(answer) { answer in
                let jobs = answer["jobs"]?.array ?? []
                if jobs.isEmpty { return "no job was ever submitted" }
                return jobs.map { job in
                    [
                        job["job"]?.string ?? "", job["state"]?.string ?? "",
                        "attempt \(job["attempt"]?.uint64 ?? 0)", job["price"]?.string.map { "\($0) XPL" } ?? "",
                        GangText.place(job) ?? "",
                    ].joined(separator: "  ")
                }.joined(separator: "\n")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a job with all its stages and disputes.")

        @OptionGroup var options: ClientOptions

        @Argument(help: "The job's id.")
        var job: String

        func run() async throws {
            let id = try JobCommand.id(job)
            let (found, names) = try await options.withNode { node in
                (try await node.call("job.get", ["job": .string(id.hex)]), try await node.providerNames())
            }
            options.show(found) { job in
                var lines = ["\(job["state"]?.string ?? "") \(job["reason"]?.string ?? "")"]
                let history = job["history"]?.array ?? []
                let first = history.first?["time"]?.uint64 ?? 0
                for (place, step) in history.enumerated() {
                    let event = JobWatch.Event(
                        state: step["state"]?.string ?? "", height: step["height"]?.uint64 ?? 0,
                        time: step["time"]?.uint64 ?? 0, isSecond: place == 1, job: job)
                    lines.append(JobStageText.line(event, since: first, names: names))
                }
                lines += GangText.lines(job)
                lines += AuditText.lines(job, names: names)
                lines += ClaimText.lines(job, names: names)
                lines += StagingText.lines(job, names: names)
                for dispute in job["disputes"]?.array ?? [] {
                    lines += DisputeText.lines(dispute, names: names)
                }
                return lines.joined(separator: "\n")
            }
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take back a job that nobody has started yet; one that is bound to a gang with all of it.")

        @OptionGroup var options: ClientOptions
        @OptionGroup var keys: KeyOptions

        @Argument(help: "The job's id.")
        var job: String

        func run() async throws {
            let id = try JobCommand.id(job)
            let key = try keys.open()
            let done = try await options.withNode { node in
                let gang = try await node.call("job.get", ["job": .string(id.hex)])["gang"]
                return try await node.submit(GangText.cancel(gang) ?? .cancelJob(job: id), as: key)
            }
            options.show(done.json) { _ in "cancelled at height \(done.height)" }
        }
    }
}

/// A job's stage as one line.
enum JobStageText {
    static func line(_ event: JobWatch.Event, since first: UInt64, names: [String: String]) -> String {
        let seconds = Double(event.time - min(first, event.time)) / 1000
        func name(_ value: JSONValue?) -> String { value?.string.map { names[$0] ?? $0 } ?? "nobody" }
        var text = event.state == "open" ? "submitted" : event.state
        text += String(repeating: " ", count: max(0, 10 - text.count))
        switch event.state {
        case "assigned":
            text += " to \(name(event.job["provider"]))"
            if let price = event.job["price"]?.string { text += " for \(price) XPL" }
        case "auditing":
            text += " by \((event.job["auditors"]?.array ?? []).map { name($0) }.joined(separator: ", "))"
        case "waiting": text += " for the jobs whose results it reads"
        case "open" where event.job["history"]?[0]?["state"]?.string == "waiting" && event.isSecond:
            text = "open: what it reads has settled"
        case "open" where seconds > 0: text = "open again, to be given to another provider"
        case "opened":
            text += " to be challenged, until its window is over"
            if let pay = event.job["atStake"]?.string, pay != "0" { text += "; \(pay) XPL credited, at stake" }
        default: break
        }
        return String(format: "%7.1f s  %@", seconds, text + "  (height \(event.height))")
    }
}
