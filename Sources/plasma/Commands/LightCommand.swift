import API
import ArgumentParser
import Consensus
import Foundation
import Ledger
import Node
import Primitives
import Replica

struct LightCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "light", abstract: "Check what a node says with nothing but the genesis.",
        subcommands: [VerifyReceipt.self])

    struct VerifyReceipt: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "verify-receipt",
            abstract: "Check a job's receipt: certificate, header and Merkle path.",
            discussion: """
                The evidence comes from a node, or from a file that `plasma job result --proof FILE` wrote; neither is trusted.
                Example: plasma light verify-receipt JOB --genesis devnet/genesis.toml
                """)

        @OptionGroup var options: ClientOptions

        @Argument(help: "The job's id.")
        var job: String

        @Option(help: "The network's genesis.toml.")
        var genesis: String

        @Option(help: "A file with the evidence; without it the node is asked.")
        var file: String?

        func run() async throws {
            guard let id = Digest(hex: job) else {
                throw Failure("\"\(job)\" is no job id: it has 64 hexadecimal digits")
            }
            let network = try GenesisReader.load(genesis)
            let evidence: ReceiptCheck.Evidence
            do {
                if let file {
                    guard let bytes = FileManager.default.contents(atPath: file) else {
                        throw Failure("there is no file \(file)")
                    }
                    evidence = try ReceiptCheck.Evidence(canonicalBytes: Array(bytes))
                    _ = try JobResult.check(evidence, of: id, genesis: network)
                } else {
                    evidence = try await options.withNode {
                        try await JobResult.receipt(of: id, from: $0, genesis: network).1
                    }
                }
                let receipt = try JobResult.check(evidence, of: id, genesis: network)
                let signers = evidence.certificate.signatures.count
                let json: JSONValue = [
                    "valid": true, "job": .string(receipt.job.hex), "network": .string(network.digest.hex),
                    "height": JSONValue(evidence.header.height.value), "signers": JSONValue(signers),
                    "provider": .string(receipt.provider.description), "paid": .string(receipt.amount.description),
                    "outputRoot": .string(receipt.commitment.outputRoot.hex),
                ]
                options.show(json) { _ in
                    """
                    The receipt is proven: header \(evidence.header.height), finalized by \(signers) of \
                    \(network.validators.count) validators, holds the root of a state with it.
                    provider \(receipt.provider), paid \(receipt.amount) XPL, output root \(receipt.commitment.outputRoot.hex)
                    """
                }
            } catch { throw Failure(describing: error) }
        }
    }
}

/// Reads a genesis for a command.
enum GenesisReader {
    static func load(_ path: String) throws -> Genesis {
        do { return try GenesisFile.load(path) } catch { throw Failure(describing: error) }
    }
}
