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
        discussion: """
            The client walks from the genesis to the chain's epoch by one certificate an epoch, and believes nothing that these
            validators have not signed. Example: plasma light balance xpl1… --genesis devnet/genesis.toml
            """,
        subcommands: [Tip.self, Balance.self, JobState.self, VerifyReceipt.self])

    /// What is trusted to begin with.
    struct Trust: ParsableArguments {
        @Option(help: "The network's genesis.toml.")
        var genesis: String

        @Option(help: "A file that remembers how far was walked: made where it is not, moved on where it is.")
        var pin: String?

        @Option(help: "The digest of an epoch's record that you were told by others: the walk must pass it.")
        var checkpoint: String?

        func digest() throws -> Digest? {
            try checkpoint.map {
                guard let digest = Digest(hex: $0) else {
                    throw Failure("\"\($0)\" is no digest: it has 64 hexadecimal digits")
                }
                return digest
            }
        }

        func walk() throws -> LightWalk {
            do { return try LightWalk(genesis: GenesisReader.load(genesis), pin: pin) } catch {
                throw Failure(describing: error)
            }
        }

        /// After a walk that held.
        func finish(_ walk: LightWalk) throws {
            if let pin { try walk.write(to: pin) }
            if walk.isOld {
                FileHandle.standardError.write(
                    Data(
                        """
                        note: what you trusted is older than the time in which stake can be taken out. Compare the digest of epoch \
                        \(walk.client.epoch), \(walk.client.record.digest.hex), with others', and give it with --checkpoint.

                        """.utf8))
            }
        }
    }

    private static func fields(_ walk: LightWalk) -> [String: JSONValue] {
        [
            "network": .string(walk.client.record.network.hex), "epoch": JSONValue(walk.client.epoch.value),
            "epochDigest": .string(walk.client.record.digest.hex), "steps": JSONValue(walk.steps.count),
            "validators": JSONValue(walk.client.validators.count), "olderThanUnbonding": .bool(walk.isOld),
        ]
    }

    struct Tip: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "tip", abstract: "Walk to the newest epoch and check the newest final header.")

        @OptionGroup var options: ClientOptions
        @OptionGroup var trust: Trust

        func run() async throws {
            var walk = try trust.walk()
            let checkpoint = try trust.digest()
            let (moved, header, certificate) = try await options.withNode { node in
                var walk = walk
                // The newest block may be final by a descendant's certificate; one a little older has its own.
                let newest = try await node.call("chain.header")["height"]?.uint64 ?? 0
                for height in stride(from: newest, to: newest > 32 ? newest - 32 : 0, by: -1) {
                    let answer = try await node.call("chain.header", ["height": JSONValue(height)])
                    guard let header = answer["header"]?.string.flatMap(Hexadecimal.decode),
                        let certificate = answer["certificate"]?.string.flatMap(Hexadecimal.decode)
                    else { continue }
                    let checked = try Header(canonicalBytes: header)
                    try await walk.advance(to: checked.epoch, from: node, checkpoint: checkpoint)
                    let proof = try Certificate(canonicalBytes: certificate)
                    try walk.client.check(checked, proof)
                    return (walk, checked, proof)
                }
                throw Failure("the node has no final block with a certificate yet: ask again in a few seconds")
            }
            walk = moved
            try trust.finish(walk)
            var json = LightCommand.fields(walk)
            json["height"] = JSONValue(header.height.value)
            json["digest"] = .string(header.digest.hex)
            json["stateRoot"] = .string(header.stateRoot.hex)
            json["executedHeight"] = JSONValue(header.executedHeight.value)
            json["signers"] = JSONValue(certificate.signers.count)
            let epochs = walk.steps.count
            options.show(.object(json)) { _ in
                """
                height \(header.height) is final: \(certificate.signers.count) of \(walk.client.validators.count) validators of epoch \
                \(walk.client.epoch) signed it, after a walk of \(epochs) epochs
                block \(header.digest.hex)
                state \(header.stateRoot.hex) (after height \(header.executedHeight))
                epoch \(walk.client.record.digest.hex)
                """
            }
        }
    }

    struct Balance: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "balance", abstract: "An account's balance, proven.")

        @OptionGroup var options: ClientOptions
        @OptionGroup var trust: Trust

        @Argument(help: "An address (xpl1…).")
        var address: String

        func run() async throws {
            let account: Address
            do { account = try Address(parsing: address) } catch { throw Failure(describing: error) }
            let (walk, evidence) = try await LightCommand.prove(
                "account", address, StateKey.account(account), trust, options)
            let value = try Account(canonicalBytes: evidence.value)
            var json = LightCommand.fields(walk)
            json["address"] = .string(address)
            json["balance"] = .string(value.balance.description)
            json["nonce"] = JSONValue(value.nonce.value)
            json["height"] = JSONValue(evidence.header.executedHeight.value)
            options.show(.object(json)) { _ in
                """
                \(value.balance) XPL after height \(evidence.header.executedHeight), proven by \
                \(evidence.certificate.signers.count) of \(walk.client.validators.count) validators of epoch \(walk.client.epoch)
                """
            }
        }
    }

    struct JobState: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "job", abstract: "A job's state, proven.")

        @OptionGroup var options: ClientOptions
        @OptionGroup var trust: Trust

        @Argument(help: "The job's id.")
        var job: String

        func run() async throws {
            guard let id = Digest(hex: job) else {
                throw Failure("\"\(job)\" is no job id: it has 64 hexadecimal digits")
            }
            let (walk, evidence) = try await LightCommand.prove("job", job, StateKey.job(id), trust, options)
            let value = try Job(canonicalBytes: evidence.value)
            var json = LightCommand.fields(walk)
            json["job"] = .string(job)
            json["state"] = .string("\(value.state)")
            json["attempt"] = JSONValue(UInt64(value.attempt))
            json["provider"] = value.assignment.map { .string($0.provider.description) } ?? .null
            json["escrow"] = .string(value.escrow.description)
            json["height"] = JSONValue(evidence.header.executedHeight.value)
            options.show(.object(json)) { _ in
                """
                \(value.state), attempt \(value.attempt), escrow \(value.escrow) XPL after height \
                \(evidence.header.executedHeight), proven by \(evidence.certificate.signers.count) of \
                \(walk.client.validators.count) validators of epoch \(walk.client.epoch)
                """
            }
        }
    }

    private static func prove(
        _ kind: String, _ name: String, _ key: [UInt8], _ trust: Trust, _ options: ClientOptions
    ) async throws -> (LightWalk, ReceiptCheck.Evidence) {
        let walk = try trust.walk()
        let checkpoint = try trust.digest()
        let (moved, evidence) = try await options.withNode { node in
            var walk = walk
            let evidence = try await walk.value(kind, name, key: key, from: node, checkpoint: checkpoint)
            return (walk, evidence)
        }
        try trust.finish(moved)
        return (moved, evidence)
    }

    struct VerifyReceipt: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "verify-receipt",
            abstract: "Check a job's receipt: certificates, header and Merkle path.",
            discussion: """
                The evidence comes from a node, or from a file that `plasma job result --proof FILE` wrote; neither is trusted.
                Example: plasma light verify-receipt JOB --genesis devnet/genesis.toml
                """)

        @OptionGroup var options: ClientOptions
        @OptionGroup var trust: Trust

        @Argument(help: "The job's id.")
        var job: String

        @Option(help: "A file with the evidence; without it the node is asked.")
        var file: String?

        func run() async throws {
            guard let id = Digest(hex: job) else {
                throw Failure("\"\(job)\" is no job id: it has 64 hexadecimal digits")
            }
            let network = try GenesisReader.load(trust.genesis)
            let checkpoint = try trust.digest()
            do {
                let proof: PortableProof
                if let file {
                    guard let bytes = FileManager.default.contents(atPath: file) else {
                        throw Failure("there is no file \(file)")
                    }
                    proof = try PortableProof(canonicalBytes: Array(bytes))
                } else {
                    proof = try await options.withNode {
                        try await JobResult.receipt(of: id, from: $0, genesis: network, checkpoint: checkpoint).1
                    }
                }
                let receipt = try JobResult.check(proof, of: id, genesis: network)
                let evidence = proof.evidence
                let signers = evidence.certificate.signatures.count
                let epoch = evidence.header.epoch
                let validators =
                    proof.steps.first { $0.next.epoch == epoch }?.next.members.count ?? network.validators.count
                let json: JSONValue = [
                    "valid": true, "job": .string(receipt.job.hex), "network": .string(network.digest.hex),
                    "height": JSONValue(evidence.header.height.value), "epoch": JSONValue(epoch.value),
                    "signers": JSONValue(signers), "provider": .string(receipt.provider.description),
                    "paid": .string(receipt.amount.description),
                    "outputRoot": .string(receipt.commitment.outputRoot.hex),
                ]
                options.show(json) { _ in
                    """
                    The receipt is proven: header \(evidence.header.height), finalized by \(signers) of \
                    \(validators) validators, holds the root of a state with it.
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
