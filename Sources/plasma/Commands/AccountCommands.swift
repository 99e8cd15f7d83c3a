import API
import ArgumentParser
import Ledger
import Primitives
import Storage

struct BalanceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "balance", abstract: "Show an account's liquid XPL.",
        discussion: "Example: plasma balance --home devnet/client")

    @OptionGroup var options: ClientOptions
    @OptionGroup var keys: KeyOptions

    @Argument(help: "An address (xpl1…). Default: that of your own key.")
    var address: String?

    func run() async throws {
        let address = try address ?? keys.publicPart().address.description
        let account = try await options.withNode { try await $0.call("account.get", ["address": .string(address)]) }
        options.show(account) { "\($0["balance"]?.string ?? "") XPL" }
    }
}

struct TransferCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "transfer", abstract: "Send XPL, and wait until it is final.",
        discussion: "Example: plasma transfer xpl1… 12.5 --home devnet/client")

    @OptionGroup var options: ClientOptions
    @OptionGroup var keys: KeyOptions

    @Argument(help: "The receiver's address.")
    var to: String

    @Argument(help: "XPL, with at most nine decimals.")
    var amount: String

    @Option(help: "Up to 128 bytes that go with it, public.")
    var memo = ""

    @Option(help: "The most that the fee may be, in XPL.")
    var maxFee = "1"

    func run() async throws {
        let receiver: Address
        let value: Amount
        let ceiling: Amount
        do {
            receiver = try Address(parsing: to)
            value = try Amount(parsing: amount)
            ceiling = try Amount(parsing: maxFee)
        } catch { throw Failure(describing: error) }
        if memo.utf8.count > Payload.maximumMemoBytes {
            throw Failure("the memo has \(memo.utf8.count) bytes, at most \(Payload.maximumMemoBytes) fit: shorten it")
        }
        let key = try keys.open()
        let done = try await options.withNode { node in
            try await node.submit(
                .transfer(to: receiver, amount: value, memo: Array(memo.utf8)), as: key, maximumFee: ceiling)
        }
        options.show(done.json) { _ in
            "sent \(value) XPL to \(receiver): final at height \(done.height), fee \(done.fee) XPL\n\(done.id.hex)"
        }
    }
}

struct TransactionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tx", abstract: "Look at transactions.", subcommands: [Status.self])

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "What became of a transaction.")

        @OptionGroup var options: ClientOptions

        @Argument(help: "The transaction's id.")
        var id: String

        func run() async throws {
            let status = try await options.withNode { try await $0.call("tx.status", ["id": .string(id)]) }
            options.show(status) { status in
                guard status["status"]?.string == "final" else {
                    let word = status["status"]?.string ?? "unknown"
                    return status["reason"]?.string.map { "\(word): \($0)" } ?? word
                }
                let height = status["height"]?.uint64 ?? 0
                return status["failure"]?.string.map { "failed at height \(height): \($0)" }
                    ?? "final at height \(height)"
            }
        }
    }
}

struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Make and list the keys of a home.", subcommands: [Create.self, List.self])

    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key, sealed by a password (Argon2id, XChaCha20-Poly1305).",
            discussion: "Example: plasma keys create alice --home ~/.plasma")

        @OptionGroup var keys: KeyOptions

        @Argument(help: "The key's name.")
        var name: String

        @Option(name: .shortAndLong, help: "text or json")
        var output: OutputFormat = .text

        func run() throws {
            do {
                let password = try keys.newPassword()
                let key = try keys.store().create(
                    name, password: password, strength: password.isEmpty ? .development : .interactive)
                let address = key.publicKey.address.description
                let json: JSONValue = [
                    "name": .string(name), "address": .string(address), "publicKey": .string(key.publicKey.hex),
                ]
                print(output == .json ? json.text(pretty: true) : address)
            } catch { throw Failure(describing: error) }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the keys and their addresses.")

        @OptionGroup var keys: KeyOptions

        @Option(name: .shortAndLong, help: "text or json")
        var output: OutputFormat = .text

        func run() throws {
            do {
                let store = try keys.store()
                let all = try store.names().map { try store.key($0) }
                if output == .json {
                    let list = all.map { key -> JSONValue in
                        [
                            "name": .string(key.name), "address": .string(key.address.description),
                            "publicKey": .string(key.publicKey.hex),
                        ]
                    }
                    print(JSONValue.object(["keys": .array(list)]).text(pretty: true))
                } else {
                    for key in all { print("\(key.name)\t\(key.address)\t\(key.publicKey.hex)") }
                }
            } catch { throw Failure(describing: error) }
        }
    }
}
