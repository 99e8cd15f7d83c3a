import API
import ArgumentParser
import Foundation
import Ledger
import Primitives
import Runtime

extension JobCommand {
    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Continue texts on the network: submit, follow to the end, fetch and check the answer.",
            discussion: """
                Example: plasma job run gpt2 --prompt "The sky is" --home devnet/client --genesis devnet/genesis.toml
                The model was published with plasma model publish FOLDER; how it chooses tokens was fixed then.
                """)

        @OptionGroup var options: ClientOptions
        @OptionGroup var terms: JobTermOptions
        @OptionGroup var keys: KeyOptions

        @Argument(help: "The published model's name.")
        var model: String

        @Option(help: "What is continued; given several times, a batch.")
        var prompt: [String]

        @Option(help: "The most tokens of each answer.")
        var maxTokens: Int = 32

        @Option(
            help: """
                Post the run as a row of jobs of at most so many steps, each paid alone: if a provider dies, the next goes on from the last
                checkpoint.
                """)
        var checkpointEvery: Int?

        @OptionGroup var sampling: SamplingOptions

        @Option(help: "The network's genesis.toml, which is all that is trusted.")
        var genesis: String

        func run() async throws {
            let key = try keys.open()
            let network = try GenesisReader.load(genesis)
            let chosen = try terms.terms()
            let settings = sampling.settings(tokens: maxTokens)
            let (job, row, result, steps) = try await options.withNode { node in
                let decoder = try await PublishedDecoder.fetch(
                    named: model, from: node, cache: keys.homePath + "/models")
                let job: GenerationJob
                do {
                    job = try GenerationJob.make(
                        decoder, prompts: prompt, settings: settings, terms: chosen,
                        storageHint: try await JobCommand.storageHint(node))
                } catch { throw Failure(describing: error) }
                try await job.upload(to: node)
                let row = try await JobRow.post(
                    job.spec, of: job.program, every: checkpointEvery, to: node, as: key)
                let result: JobRow.Result
                do throws(any Error) {
                    result = try await row.finish(on: node, as: key, genesis: network) { number, id in
                        if !options.isJSON {
                            let place = row.jobs.count > 1 ? "segment \(number + 1) of \(row.jobs.count), " : ""
                            let cost = row.jobs.count > 1 ? "" : ": at most \(job.spec.computeUnits) CU"
                            print("\(place)job \(id.hex)\(cost)")
                        }
                        return try await JobCommand.follow(id, node, isQuiet: options.isJSON)
                    }
                } catch let lost as JobRow.Lost { throw Failure("the job is \(lost.reason)") }
                let numbers = try await JobResult.numbers(result.outputs, rows: job.prompts.count, from: node)
                return (job, row, result, numbers)
            }
            let paid = try result.paid()
            let rows = job.rows(steps)
            let texts = rows.map { job.decoder.tokenizer.decode($0) }
            let json: JSONValue = [
                "job": .string(row.jobs[0].hex), "jobs": .array(row.jobs.map { .string($0.hex) }),
                "steps": .array(result.steps.map { JSONValue($0) }),
                "answers": .array(
                    zip(rows, texts).map { row, text in
                        ["text": .string(text), "tokens": .array(row.map { JSONValue(Int($0)) })]
                    }),
                "provider": .string(result.receipts[0].provider.description),
                "providers": .array(result.receipts.map { .string($0.provider.description) }),
                "paid": .string(paid.runs.description), "auditFees": .string(paid.audits.description),
                "computeUnits": .string(paid.computeUnits.description),
            ]
            options.show(json) { _ in
                let isRow = row.jobs.count > 1
                return texts.joined(separator: "\n\n") + "\n\n"
                    + "paid \(paid.runs) XPL for \(paid.computeUnits) CU, and \(paid.audits) XPL for the audit"
                    + (isRow ? "s; the receipts are proven" : "; the receipt is proven")
            }
        }
    }
}
