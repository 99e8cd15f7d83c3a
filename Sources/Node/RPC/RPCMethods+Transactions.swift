internal import API
internal import Foundation
internal import Ledger
internal import Primitives
internal import Replica

/// Transactions: made ready, handed in, followed to their end.
extension RPCMethods {
    func prepare(_ parameters: Parameters) async throws -> JSONValue {
        guard let sender = PublicKey(hex: try parameters.requiredString("sender")) else {
            throw RPCError.invalidParams("the parameter \"sender\" must be a public key of 64 hexadecimal digits")
        }
        let (nonce, baseFee, network) = try await node.driver.access { replica in
            let account = try Query.account(sender.address, in: replica.stateStore)
            return (
                replica.mempool.nextNonce(of: sender, after: account.nonce), replica.tree.finalizedHeader.baseFee,
                replica.network
            )
        }
        var answer: [String: JSONValue] = [
            "network": .string(network.hex), "nonce": JSONValue(nonce.value), "baseFee": JSONValue(baseFee),
        ]
        if parameters["payload"] != nil {
            // What it costs now, and four times that: room for the base fee to rise meanwhile.
            let payload = try decode(Payload.self, parameters, "payload")
            let chain = node.genesis.parameters
            let probe = Transaction(
                network: network, sender: sender, nonce: nonce, maximumFee: .zero, payload: payload)
            let weight = Fees.weight(probe, chain)
            answer["weight"] = JSONValue(weight)
            answer["fee"] = text(try Fees.fee(weight: weight, baseFee: baseFee, tip: .zero))
            answer["maximumFee"] = text(try Fees.fee(weight: weight, baseFee: baseFee, tip: .zero).multiplied(by: 4))
        }
        return .object(answer)
    }

    func submit(_ parameters: Parameters) async throws -> JSONValue {
        let transaction = try decode(SignedTransaction.self, parameters, "transaction")
        let timeout = Double(min(try parameters.optionalUInt64("timeoutMs") ?? 30_000, 120_000)) / 1000
        do { try await node.submit(transaction) } catch { throw RPCError.refused("\(error)") }
        var outcome: FinalityTracker.Outcome?
        if try parameters.optionalBool("wait") ?? true {
            outcome = await node.finality.wait(for: transaction.id, timeout: timeout)
        }
        let id = transaction.id
        let missing = outcome == nil ? try? await node.driver.access { try $0.missingNonce(before: id) } : nil
        return describe(id, outcome, otherwise: "pending", missing: missing)
    }

    func submitBatch(_ parameters: Parameters) async throws -> JSONValue {
        var reader = ByteReader(try bytes(parameters, "transactions"))
        guard
            let batch = try? reader.readList(SignedTransaction.self, max: NetworkBridge.maximumBatch),
            reader.remaining == 0
        else { throw RPCError.invalidParams("the transactions cannot be read") }
        let accepted = await node.submit(batch)
        return ["accepted": JSONValue(accepted), "refused": JSONValue(batch.count - accepted)]
    }

    /// The same without hexadecimal, and with the outcomes where they are waited for.
    func take(_ encoded: [UInt8], wait: Double?) async throws -> JSONValue {
        var reader = ByteReader(encoded)
        guard
            let batch = try? reader.readList(SignedTransaction.self, max: NetworkBridge.maximumBatch),
            reader.remaining == 0
        else {
            throw RPCError.invalidParams(
                "the transactions cannot be read: they are a list of up to \(NetworkBridge.maximumBatch) signed ones")
        }
        let accepted = await node.submit(batch)
        var answer: [String: JSONValue] = [
            "accepted": JSONValue(accepted), "refused": JSONValue(batch.count - accepted),
        ]
        guard let wait else { return .object(answer) }
        let finality = node.finality
        let outcomes = await withTaskGroup(of: FinalityTracker.Outcome?.self) { group in
            for transaction in batch {
                group.addTask { await finality.wait(for: transaction.id, timeout: wait) }
            }
            return await group.reduce(into: [FinalityTracker.Outcome]()) { all, one in
                if let one { all.append(one) }
            }
        }
        answer["final"] = JSONValue(outcomes.count)
        answer["succeeded"] = JSONValue(outcomes.count { $0.failure == nil })
        answer["height"] = outcomes.map(\.height.value).max().map { JSONValue($0) } ?? .null
        return .object(answer)
    }

    private func describe(
        _ id: Digest, _ outcome: FinalityTracker.Outcome?, otherwise: String, missing: Nonce? = nil
    ) -> JSONValue {
        guard let outcome else {
            var answer: [String: JSONValue] = ["id": .string(id.hex), "status": .string(otherwise)]
            if let missing {
                answer["missingNonce"] = JSONValue(missing.value)
                answer["reason"] = .string("waiting for nonce \(missing) of its sender")
            }
            return .object(answer)
        }
        var answer: [String: JSONValue] = [
            "id": .string(id.hex), "status": "final", "height": JSONValue(outcome.height.value),
            "succeeded": .bool(outcome.failure == nil), "failure": optional(outcome.failure),
        ]
        if !outcome.failures.isEmpty {
            answer["moves"] = .array(
                outcome.failures.map { ["place": JSONValue(UInt64($0.place)), "failure": .string($0.reason)] })
        }
        return .object(answer)
    }

    func transactionStatus(_ parameters: Parameters) async throws -> JSONValue {
        let id = try digest(parameters, "id")
        if let outcome = try await node.finality.outcome(of: id) ?? node.outcomes.outcome(of: id) {
            return describe(id, outcome, otherwise: "")
        }
        let (waits, missing) = try await node.driver.access { replica in
            (replica.mempool.contains(id), try replica.missingNonce(before: id))
        }
        return describe(id, nil, otherwise: waits ? "pending" : "unknown", missing: missing)
    }
}
