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

        @OptionGroup var sampling: SamplingOptions

        @Option(help: "The network's genesis.toml, which is all that is trusted.")
        var genesis: String

        func run() async throws {
            let key = try keys.open()
            let network = try GenesisReader.load(genesis)
            let chosen = try terms.terms()
            let settings = sampling.settings(tokens: maxTokens)
            let (job, id, end) = try await options.withNode { node in
                let decoder = try await PublishedDecoder.fetch(
                    named: model, from: node, cache: keys.homePath + "/models")
                let job: GenerationJob
                do {
                    job = try GenerationJob.make(
                        decoder, prompts: prompt, settings: settings, terms: chosen,
                        storageHint: try await JobCommand.storageHint(node))
                } catch { throw Failure(describing: error) }
                try await job.upload(to: node)
                let id = try await node.submit(.submitJob(job.spec), as: key).id
                if !options.isJSON { print("job \(id.hex): at most \(job.spec.computeUnits) CU") }
                return (job, id, try await JobCommand.follow(id, node, isQuiet: options.isJSON))
            }
            try JobCommand.judge(end, id, isQuiet: true)
            let (steps, receipt) = try await options.withNode {
                try await JobResult.steps(id, rows: job.prompts.count, from: $0, genesis: network)
            }
            let rows = job.rows(steps)
            let texts = rows.map { job.decoder.tokenizer.decode($0) }
            let json: JSONValue = [
                "job": .string(id.hex), "steps": .array(receipt.commitment.steps.map { JSONValue($0) }),
                "answers": .array(
                    zip(rows, texts).map { row, text in
                        ["text": .string(text), "tokens": .array(row.map { JSONValue(Int($0)) })]
                    }),
                "provider": .string(receipt.provider.description), "paid": .string(receipt.amount.description),
                "auditFees": .string(receipt.auditFees.description),
                "computeUnits": .string(receipt.computeUnits.description),
            ]
            options.show(json) { _ in
                let paid = "paid \(receipt.amount) XPL for \(receipt.computeUnits) CU, and \(receipt.auditFees) XPL "
                return texts.joined(separator: "\n\n") + "\n\n" + paid + "for the audit; the receipt is proven"
            }
        }
    }
}
