internal import API
internal import Consensus
internal import Ledger
internal import Primitives
internal import Replica

/// Validators and their stakes, and what a light client asks.
extension RPCMethods {
    /// Everyone with a stake, and who votes in this epoch.
    func validators() async throws -> JSONValue {
        try await node.driver.access { replica in
            let state = replica.stateStore
            let epoch = replica.epoch
            let next = try Query.epochRecord(epoch.epoch.next(), in: state)
            var entries: [JSONValue] = []
            for validator in try Query.validators(in: state) {
                entries.append(try RPCMethods.describe(validator, epoch, next, state))
            }
            // Who is out for good has its stake to claim still.
            for convicted in try Query.tombstones(in: state) {
                entries.append(try RPCMethods.describe(convicted, epoch, next, state))
            }
            // In the order of their places; who waits comes behind.
            entries.sort { ($0["index"]?.uint64 ?? .max) < ($1["index"]?.uint64 ?? .max) }
            return [
                "epoch": JSONValue(epoch.epoch.value), "firstHeight": JSONValue(epoch.schedule.firstHeight.value),
                "snapshotHeight": JSONValue(epoch.schedule.snapshotHeight.value),
                "endHeight": JSONValue(epoch.schedule.endHeight.value),
                "totalWeight": JSONValue(epoch.validators.totalWeight),
                "quorumWeight": JSONValue(epoch.validators.quorumWeight),
                "recordDigest": .string(epoch.record.digest.hex), "validators": .array(entries),
            ]
        }
    }

    private static func describe(
        _ validator: StakedValidator, _ epoch: EpochContext, _ next: EpochRecord?, _ state: any StateStore
    ) throws -> JSONValue {
        let key = validator.consensusKey
        let place = epoch.record.members.firstIndex { $0.consensusKey == key }
        let status =
            validator.isTombstoned
            ? "tombstoned" : validator.jailedUntil != nil ? "jailed" : place != nil ? "voting" : "waiting"
        let unbonding = try Query.unbondings(of: key, in: state)
        return [
            "consensusKey": .string(key.hex), "operator": .string(validator.operatorAddress.description),
            "stake": .string(validator.stake.description), "status": .string(status),
            "index": place.map { JSONValue($0) } ?? .null,
            "weight": place.map { JSONValue(epoch.record.members[$0].weight) } ?? .null,
            "inNextEpoch": next.map { .bool($0.members.contains { $0.consensusKey == key }) } ?? .null,
            "jailedUntil": validator.jailedUntil.map { JSONValue($0) } ?? .null,
            "unbonding": .array(
                unbonding.map {
                    ["amount": .string($0.amount.description), "unlocks": JSONValue($0.unlocks.value)]
                }),
        ]
    }

    /// Steps a request: each has a certificate and a set, some kilobytes.
    private static let maximumSteps: UInt64 = 64

    /// The steps of a light client from an epoch on.
    func lightEpochs(_ parameters: Parameters) throws -> JSONValue {
        let from = Epoch(try parameters.optionalUInt64("from") ?? 0)
        let limit = min(try parameters.optionalUInt64("limit") ?? RPCMethods.maximumSteps, RPCMethods.maximumSteps)
        let steps = node.epochs.steps(from: from, limit: Int(limit))
        return ["steps": .array(steps.map { .string(Hexadecimal.encode($0.canonicalBytes)) })]
    }

    /// A value of the state with all that a light client needs to believe it.
    func prove(_ parameters: Parameters) async throws -> JSONValue {
        let key = try stateKey(parameters)
        guard let evidence = try await node.receipts.evidence(for: key) else {
            throw RPCError.notFound("the state has nothing there")
        }
        return ["evidence": .string(Hexadecimal.encode(evidence.canonicalBytes))]
    }

    private func stateKey(_ parameters: Parameters) throws -> [UInt8] {
        let kind = try parameters.requiredString("kind")
        let name = try parameters.requiredString("name")
        func digest() throws -> Digest {
            guard let digest = Digest(hex: name) else {
                throw RPCError.invalidParams("the parameter \"name\" must be 64 hexadecimal digits")
            }
            return digest
        }
        switch kind {
        case "account":
            do throws(AddressFault) { return StateKey.account(try Address(parsing: name)) } catch {
                throw RPCError.invalidParams("\(error)")
            }
        case "job": return StateKey.job(try digest())
        case "receipt": return StateKey.receipt(try digest())
        case "validator":
            guard let key = PublicKey(hex: name) else {
                throw RPCError.invalidParams("the parameter \"name\" must be a public key of 64 hexadecimal digits")
            }
            return StateKey.validator(key)
        default:
            throw RPCError.invalidParams("the parameter \"kind\" is account, job, receipt or validator")
        }
    }
}
