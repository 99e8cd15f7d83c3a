import API
import ArgumentParser
import Foundation
import Ledger
import Node
import Primitives
import Storage

/// Those who rent out machines, and how a machine joins without XPL.
struct ProviderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "provider", abstract: "Look at providers, and bring in one without XPL.",
        discussion: """
            A machine whose account is empty: plasma init --home ~/p0 --provider --bond 0 … and plasma start --home ~/p0. Then
              plasma provider request --home ~/p0           prints what its owner signs
              plasma provider sponsor REQUEST --home ~/alice   pays for it, from alice's account
              plasma provider show --home ~/p0              says how full its bond is
            """, subcommands: [List.self, Show.self, Request.self, Sponsor.self, AddBond.self, Withdraw.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the providers and their offers.")

        @OptionGroup var options: ClientOptions

        func run() async throws {
            let answer = try await options.withNode { try await $0.call("provider.list") }
            options.show(answer) { answer in
                let providers = answer["providers"]?.array ?? []
                if providers.isEmpty { return "no provider has joined yet" }
                return providers.map { provider in
                    let isNewcomer = provider["newcomer"]?["missing"] != nil
                    return [
                        provider["name"]?.string ?? "", provider["operator"]?.string ?? "",
                        "bond \(provider["bond"]?.string ?? "") XPL" + (isNewcomer ? ", not full" : "")
                            + (["0", nil].contains(provider["atStake"]?.string)
                                ? "" : ", \(provider["atStake"]?.string ?? "") XPL of pay at stake"),
                        ProviderCommand.offers(provider).joined(separator: "; "),
                    ].joined(separator: "\t")
                }.joined(separator: "\n")
            }
        }
    }

    private static func offers(_ provider: JSONValue) -> [String] {
        let offers = (provider["offers"]?.array ?? []).map { offer in
            "device \(offer["device"]?.uint64 ?? 0): \(offer["price"]?.string ?? "") XPL/1000 CU"
                + (offer["paused"]?.bool == true ? ", paused" : "") + ", \(measure(offer))"
        }
        return offers.isEmpty ? ["no offer"] : offers
    }

    /// What a device has shown of its rate.
    private static func measure(_ offer: JSONValue) -> String {
        func rate(_ value: JSONValue?) -> String {
            let rate = Double(value?.uint64 ?? 0) / 1e9
            return (rate < 10 ? String(format: "%.2f", rate) : String(format: "%.0f", rate)) + " G/s"
        }
        let claim = rate(offer["claimedRate"])
        guard let measure = offer["measure"], let milliseconds = measure["millisecondsAgo"]?.uint64 else {
            switch offer["failure"]?.string {
            case "silent": return "\(claim) claimed, its last challenge was not answered"
            case "unproven": return "\(claim) claimed, its last answer was not shown to be right"
            default: return "\(claim) claimed, not measured yet"
            }
        }
        let shown = "\(rate(measure["rate"])) measured \(milliseconds / 1000) s ago"
        return measure["passed"]?.bool == true ? shown : "\(shown) of \(claim) claimed: not passed"
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "One provider: its bond, and what is held of its pay until that is full.")

        @OptionGroup var options: ClientOptions
        @OptionGroup var keys: KeyOptions

        @Argument(help: "Its operator's address (xpl1…). Default: that of your own key.")
        var address: String?

        func run() async throws {
            let address = try address ?? keys.publicPart().address.description
            let answer = try await options.withNode { try await $0.call("provider.list") }
            let full = answer["minimumBond"]?.string ?? ""
            guard let provider = answer["providers"]?.array?.first(where: { $0["operator"]?.string == address }) else {
                throw Failure(
                    "\(address) is no provider yet: start its node with enough XPL, or have it sponsored (plasma provider request)"
                )
            }
            options.show(provider) { provider in
                var lines = ["\(provider["name"]?.string ?? "")  \(address)"]
                if provider["withdrawn"]?.bool == true { return lines[0] + "\nit has withdrawn" }
                let bond = provider["bond"]?.string ?? ""
                if let missing = provider["newcomer"]?["missing"]?.string {
                    let withheld = provider["newcomer"]?["withheld"]?.string ?? ""
                    let standing = provider["newcomer"]?["standing"]?.string ?? ""
                    lines += [
                        "bond \(bond) of \(full) XPL: its pay is held until \(missing) XPL more are there, then it is paid out",
                        "\(withheld) XPL of that are pay, given up by leaving before the bond is full",
                        standing == "0"
                            ? "nothing of its registration fee is left: it gets no more jobs before its bond is full"
                            : "\(standing) XPL of its registration fee stand for it: one job at a time, of those that are always audited",
                    ]
                } else {
                    lines.append("bond \(bond) XPL, full: its pay is paid out")
                }
                lines.append("\(provider["settled"]?.uint64 ?? 0) jobs settled")
                return (lines + ProviderCommand.offers(provider)).joined(separator: "\n")
            }
        }
    }

    struct Request: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sign for this home's machine, so that somebody else can pay for its registration.",
            discussion: """
                It brings no bond: that fills from its pay. What is signed serves once, and only until the account's first own transaction.
                Example: plasma provider request --home ~/p0
                """)

        @OptionGroup var options: ClientOptions
        @OptionGroup var keys: KeyOptions

        func run() async throws {
            let key = try keys.open()
            let configuration: NodeConfiguration
            let node: PublicKey
            do {
                configuration = try NodeConfiguration.load(home: keys.homePath)
                node = try keys.store().key("node").publicKey
            } catch { throw Failure(describing: error) }
            let answer = try await options.withNode {
                try await $0.call("tx.prepare", ["sender": .string(key.publicKey.hex)])
            }
            guard let network = answer["network"]?.string.flatMap(Digest.init(hex:)),
                let nonce = answer["nonce"]?.uint64
            else { throw Failure("the node answered tx.prepare in a form that this version does not know") }
            let registration = Registration(
                key: key, nonce: Nonce(nonce), name: configuration.name, node: node, payout: key.publicKey.address,
                network: network)
            let text = Hexadecimal.encode(registration.canonicalBytes)
            let json: JSONValue = [
                "request": .string(text), "operator": .string(key.publicKey.address.description),
                "name": .string(configuration.name),
            ]
            options.show(json) { _ in "Whoever pays for it runs:\nplasma provider sponsor \(text)" }
        }
    }

    struct Sponsor: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Pay the registration of somebody's machine, and give it what its own transactions cost.",
            discussion: """
                The registration fee (newcomer_fee of the genesis) does not come back: it stands for the machine while its bond fills.
                Example: plasma provider sponsor 5f… --home ~/alice
                """)

        @OptionGroup var options: ClientOptions
        @OptionGroup var keys: KeyOptions

        @Argument(help: "What plasma provider request has printed.")
        var request: String

        @Option(help: "XPL for the fees of its own transactions, which are small.")
        var gift = "0.1"

        @Option(help: "The most that the fee of this transaction may be, in XPL.")
        var maxFee = "1"

        func run() async throws {
            guard let bytes = Hexadecimal.decode(request), let registration = try? Registration(canonicalBytes: bytes)
            else { throw Failure("this is no request: copy all of what plasma provider request has printed") }
            let (amount, ceiling): (Amount, Amount)
            do { (amount, ceiling) = (try Amount(parsing: gift), try Amount(parsing: maxFee)) } catch {
                throw Failure(describing: error)
            }
            let key = try keys.open()
            let done = try await options.withNode { node in
                let answer = try await node.call("tx.prepare", ["sender": .string(key.publicKey.hex)])
                guard let network = answer["network"]?.string.flatMap(Digest.init(hex:)),
                    registration.isSigned(for: network)
                else { throw Failure("the request is not signed by its owner for this network: ask for another") }
                return try await node.submit(
                    .sponsorProvider(registration, gift: amount), as: key, maximumFee: ceiling)
            }
            options.show(done.json) { _ in
                "sponsored \(registration.name), \(registration.key.address): final at height \(done.height), fee \(done.fee) XPL\n\(done.id.hex)"
            }
        }
    }

    struct AddBond: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add-bond", abstract: "Put more XPL of the operator's account into its bond.",
            discussion: """
                A bond that has begun to fill from pay fills from pay alone.
                Example: plasma provider add-bond 100 --home ~/p0
                """)

        @OptionGroup var options: ClientOptions
        @OptionGroup var keys: KeyOptions

        @Argument(help: "XPL, with at most nine decimals.")
        var amount: String

        func run() async throws {
            let value: Amount
            do { value = try Amount(parsing: amount) } catch { throw Failure(describing: error) }
            let key = try keys.open()
            let done = try await options.withNode { try await $0.submit(.addBond(amount: value), as: key) }
            options.show(done.json) { _ in "added \(value) XPL: final at height \(done.height)\n\(done.id.hex)" }
        }
    }

    struct Withdraw: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop being a provider, and get the bond back. No job may be outstanding.",
            discussion: """
                Pay that is held until the bond is full is given up: plasma provider show says how much that is.
                Example: plasma provider withdraw --home ~/p0
                """)

        @OptionGroup var options: ClientOptions
        @OptionGroup var keys: KeyOptions

        func run() async throws {
            let key = try keys.open()
            let done = try await options.withNode { try await $0.submit(.withdrawProvider, as: key) }
            options.show(done.json) { _ in "withdrawn: final at height \(done.height)\n\(done.id.hex)" }
        }
    }
}
