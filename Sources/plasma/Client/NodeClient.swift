import API
import Foundation
import Ledger
import Primitives

/// A node as the commands use it: calls with typed answers, and transactions signed here.
struct NodeClient: Sendable {
    let rpc: RPCClient

    init(_ rpc: RPCClient) { self.rpc = rpc }

    func close() async { await rpc.close() }

    func call(_ method: String, _ parameters: [String: JSONValue] = [:]) async throws -> JSONValue {
        try await rpc.call(method, parameters)
    }

    /// What became of a transaction that is final.
    struct Finality: Sendable {
        let id: Digest
        let height: UInt64
        let fee: String

        var json: JSONValue {
            ["id": .string(id.hex), "status": "final", "height": JSONValue(height), "fee": .string(fee)]
        }
    }

    /// Signs and submits, and waits until it is final.
    ///
    /// - Throws: what refused it, or why it failed when executed.
    func submit(_ payload: Payload, as key: SecretKey, maximumFee: Amount = .xpl(1)) async throws -> Finality {
        let prepared = try await call(
            "tx.prepare",
            [
                "sender": .string(key.publicKey.hex),
                "payload": .string(Hexadecimal.encode(payload.canonicalBytes)),
            ])
        guard let network = prepared["network"]?.string.flatMap(Digest.init(hex:)),
            let nonce = prepared["nonce"]?.uint64,
            let ceiling = try prepared["maximumFee"]?.string.map({ try Amount(parsing: $0) })
        else { throw Failure("the node answered tx.prepare in a form that this version does not know") }
        if ceiling > maximumFee {
            throw Failure("the fee may be up to \(ceiling) XPL now, you allow \(maximumFee): wait, or raise --max-fee")
        }
        let signed = Transaction(
            network: network, sender: key.publicKey, nonce: Nonce(nonce), maximumFee: ceiling, payload: payload
        ).signed(by: key)
        let answer = try await call(
            "tx.submit",
            ["transaction": .string(Hexadecimal.encode(signed.canonicalBytes)), "timeoutMs": 45_000])
        guard answer["status"]?.string == "final", let height = answer["height"]?.uint64 else {
            throw Failure(
                "transaction \(signed.id.hex) is not final yet: ask again with plasma tx status \(signed.id.hex)")
        }
        if let reason = answer["failure"]?.string { throw Failure("the transaction failed: \(reason)") }
        return Finality(id: signed.id, height: height, fee: prepared["fee"]?.string ?? "")
    }

    func balance(_ address: Address) async throws -> Amount {
        let account = try await call("account.get", ["address": .string(address.description)])
        return try Amount(parsing: account["balance"]?.string ?? "")
    }

    /// Downloads a blob, fetched by the node from its peers where it does not have it.
    func download(_ id: Digest) async throws -> [UInt8] { try await rpc.download(id.hex) }

    /// The names under which providers registered, by address.
    func providerNames() async throws -> [String: String] {
        var names: [String: String] = [:]
        for provider in try await call("provider.list")["providers"]?.array ?? [] {
            if let address = provider["operator"]?.string { names[address] = provider["name"]?.string }
        }
        return names
    }
}
