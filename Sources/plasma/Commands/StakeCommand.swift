import API
import ArgumentParser
import Foundation
import Ledger
import Primitives
import Storage

/// The set of validators, and one's own place in it.
struct StakeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stake", abstract: "Become a validator, or cease to be one.",
        discussion: """
            What is changed here takes effect with the next epoch whose set is not fixed yet: plasma stake list says when.
            Example: plasma stake register 20000 --home mynode
            """,
        subcommands: [List.self, Register.self, Add.self, Unbond.self, Claim.self, Unjail.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Everyone with a stake, and who votes in this epoch.")

        @OptionGroup var options: ClientOptions

        func run() async throws {
            let answer = try await options.withNode { try await $0.call("validator.list") }
            options.show(answer) { answer in
                func number(_ name: String) -> UInt64 { answer[name]?.uint64 ?? 0 }
                var lines = [
                    "epoch \(number("epoch")): heights \(number("firstHeight")) to \(number("endHeight")) or a few more; "
                        + "the next set is fixed at \(number("snapshotHeight"))",
                    "quorum \(number("quorumWeight")) of \(number("totalWeight")) XPL",
                ]
                for validator in answer["validators"]?.array ?? [] {
                    let place = validator["index"]?.uint64.map { "#\($0)" } ?? "-"
                    var line =
                        "\(place)  \(validator["consensusKey"]?.string?.prefix(16) ?? "")…  "
                        + "\(validator["stake"]?.string ?? "") XPL  \(validator["status"]?.string ?? "")"
                    if validator["inNextEpoch"]?.bool == false { line += ", not in the next epoch" }
                    for part in validator["unbonding"]?.array ?? [] {
                        line +=
                            ", \(part["amount"]?.string ?? "") XPL unbonding until epoch \(part["unlocks"]?.uint64 ?? 0)"
                    }
                    lines.append(line)
                }
                return lines.joined(separator: "\n")
            }
        }
    }

    /// Which validator, and who pays: both are in the home of the node.
    struct Own: ParsableArguments {
        @OptionGroup var options: ClientOptions
        @OptionGroup var keys: KeyOptions

        @Option(help: "The validator's consensus key, in hexadecimal. Default: the one in the home.")
        var validator: String?

        /// The public consensus key.
        func consensusKey() throws -> PublicKey {
            if let validator {
                guard let key = PublicKey(hex: validator) else {
                    throw Failure("\"\(validator)\" is no key: it has 64 hexadecimal digits")
                }
                return key
            }
            do { return try keys.store().key("consensus").publicKey } catch {
                throw Failure(
                    "\(keys.homePath) has no consensus key: make a validator's home with plasma init --validator, or name the key with --validator"
                )
            }
        }

        func submit(_ payload: Payload, _ words: String) async throws {
            let key = try keys.open()
            let done = try await options.withNode { try await $0.submit(payload, as: key) }
            options.show(done.json) { _ in
                "\(words): final at height \(done.height), fee \(done.fee) XPL\n\(done.id.hex)"
            }
        }

        static func amount(_ text: String) throws -> Amount {
            do { return try Amount(parsing: text) } catch { throw Failure(describing: error) }
        }
    }

    struct Register: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "register", abstract: "Stake XPL for the validator of a home.",
            discussion: "The operator's account pays. Example: plasma stake register 20000 --home mynode")

        @OptionGroup var own: Own

        @Argument(help: "XPL to stake.")
        var amount: String

        func run() async throws {
            let stake = try Own.amount(amount)
            let payer = try own.keys.open()
            let (consensus, vrf): (SecretKey, SecretKey)
            do {
                var named = own.keys
                named.key = "consensus"
                consensus = try named.open()
                named.key = "vrf"
                vrf = try named.open()
            } catch { throw Failure(describing: error) }
            let network = try await own.options.withNode { node -> Digest in
                guard let network = try await node.call("node.status")["network"]?.string.flatMap(Digest.init(hex:))
                else { throw Failure("the node's answer cannot be read: is it of another version?") }
                return network
            }
            let message = StakedValidator.possessionMessage(
                network: network, operatorAddress: payer.publicKey.address, vrfKey: vrf.publicKey)
            try await own.submit(
                .registerValidator(
                    consensusKey: consensus.publicKey, vrfKey: vrf.publicKey, stake: stake,
                    possession: consensus.sign(message)),
                "\(stake) XPL staked")
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "add", abstract: "Add XPL to your stake.")

        @OptionGroup var own: Own

        @Argument(help: "XPL to add.")
        var amount: String

        func run() async throws {
            let amount = try Own.amount(amount)
            try await own.submit(.addStake(validator: own.consensusKey(), amount: amount), "\(amount) XPL added")
        }
    }

    struct Unbond: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "unbond", abstract: "Take stake out: it can be claimed some epochs later.")

        @OptionGroup var own: Own

        @Argument(help: "XPL to take out.")
        var amount: String

        func run() async throws {
            let amount = try Own.amount(amount)
            try await own.submit(
                .unbondStake(validator: own.consensusKey(), amount: amount), "\(amount) XPL on their way out")
        }
    }

    struct Claim: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "claim", abstract: "Bring unbonded stake home, once its time has passed.")

        @OptionGroup var own: Own

        func run() async throws {
            try await own.submit(.claimStake(validator: own.consensusKey()), "claimed")
        }
    }

    struct Unjail: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "unjail", abstract: "Say that a validator that was absent is back.")

        @OptionGroup var own: Own

        func run() async throws {
            try await own.submit(.unjail(validator: own.consensusKey()), "out of jail from the next set on")
        }
    }
}
