import API
import Consensus
import Foundation
import Ledger
import Primitives
import Replica

/// A light client that fetches its steps from a node, which it does not trust.
struct LightWalk {
    private(set) var client: LightClient
    /// The steps taken.
    private(set) var steps: [EpochStep] = []
    /// What was trusted is older than the time in which stake can be taken out: keys long unbonded could have signed another walk.
    private(set) var isOld = false
    private let genesis: Genesis
    private var trusted: Timestamp

    /// From the genesis, or from the record that an earlier walk left in a file.
    init(genesis: Genesis, pin: String? = nil) throws {
        self.genesis = genesis
        trusted = genesis.timestamp
        if let pin, let bytes = FileManager.default.contents(atPath: pin) {
            var reader = ByteReader(Array(bytes))
            guard let record = try? reader.read(EpochRecord.self), let time = try? reader.read(Timestamp.self),
                reader.remaining == 0, record.network == genesis.digest
            else { throw Failure("\(pin) holds no epoch of this network: remove it, or name another file") }
            client = try LightClient(trusting: record)
            trusted = time
        } else {
            client = try LightClient(genesis: genesis)
        }
    }

    /// Walks to an epoch, or to the newest there is. With a checkpoint, one of the records on the way must have that digest.
    mutating func advance(to target: Epoch?, from node: NodeClient, checkpoint: Digest? = nil) async throws {
        var isConfirmed = checkpoint == nil || client.record.digest == checkpoint
        isOld =
            checkpoint == nil
            && UInt64(max(0, Date().timeIntervalSince1970 * 1000)) > trusted.milliseconds
                &+ genesis.parameters.unbondingMilliseconds
        while target.map({ client.epoch < $0 }) ?? true {
            let answer = try await node.call("light.epochs", ["from": JSONValue(client.epoch.value)])
            let row = answer["steps"]?.array ?? []
            if row.isEmpty { break }
            for item in row where target.map({ client.epoch < $0 }) ?? true {
                guard let bytes = item.string.flatMap(Hexadecimal.decode),
                    let step = try? EpochStep(canonicalBytes: bytes)
                else { throw Failure("the node's answer cannot be read: is it of another version?") }
                try client.advance(step)
                steps.append(step)
                trusted = step.header.time
                if client.record.digest == checkpoint { isConfirmed = true }
            }
        }
        if let target, client.epoch < target {
            throw Failure("the node has no proof of epoch \(client.epoch.next()) yet: ask again in a few seconds")
        }
        if let checkpoint, !isConfirmed {
            throw Failure(
                "no epoch up to \(client.epoch) has the digest \(checkpoint.hex): this node's chain is not the one you were told of"
            )
        }
    }

    /// Leaves the newest record for the next walk.
    func write(to pin: String) throws {
        var writer = ByteWriter(capacity: 1_024)
        writer.write(client.record)
        writer.write(trusted)
        do { try Data(writer.bytes).write(to: URL(fileURLWithPath: pin), options: .atomic) } catch {
            throw Failure("\(pin) cannot be written: \(error.localizedDescription)")
        }
    }

    /// Asks for a value of the state and checks it; nil where the node says that there is none (which it does not prove).
    mutating func value(
        _ kind: String, _ name: String, key: [UInt8], from node: NodeClient, checkpoint: Digest? = nil
    ) async throws -> ReceiptCheck.Evidence {
        let answer = try await node.call("state.prove", ["kind": .string(kind), "name": .string(name)])
        guard let bytes = answer["evidence"]?.string.flatMap(Hexadecimal.decode) else {
            throw Failure("the node's answer cannot be read: is it of another version?")
        }
        let evidence = try ReceiptCheck.Evidence(canonicalBytes: bytes)
        try await advance(to: evidence.header.epoch, from: node, checkpoint: checkpoint)
        try ReceiptCheck.verify(evidence, by: client)
        if evidence.key != key { throw Failure("the node proved something else than it was asked: ask another node") }
        return evidence
    }
}
