internal import API
internal import Consensus
internal import Foundation
internal import Gossip
internal import Ledger
internal import Networking
internal import Primitives
internal import Programs
internal import Replica
internal import Storage
internal import Worker

/// The JSON-RPC methods of a node. Each reads the newest executed state on the replica's thread, or hands something in.
struct RPCMethods: Sendable {
    let node: NodeServices

    typealias Parameters = [String: JSONValue]

    var handlers: APIHandlers {
        APIHandlers(
            methods: [
                "node.status": { _ in try await status().details }, "node.peers": { _ in peers() },
                "node.why": { _ in try await why() },
                "worker.jobs": { _ in await workerJobs() }, "chain.header": { try await header($0) },
                "chain.totals": { _ in try await totals() }, "account.get": { try await account($0) },
                "tx.prepare": { try await prepare($0) }, "tx.submit": { try await submit($0) },
                "tx.submitBatch": { try await submitBatch($0) }, "tx.status": { try await transactionStatus($0) },
                "provider.list": { _ in try await providers() }, "model.get": { try await model($0) },
                "model.list": { _ in try await models() }, "job.plan": { try await plan($0) },
                "job.get": { try await job($0) }, "job.list": { try await jobs($0) },
                "validator.list": { _ in try await validators() }, "light.epochs": { try lightEpochs($0) },
                "state.prove": { try await prove($0) }, "job.receipt": { try await receipt($0) },
                "blob.get": { try await blob($0) }, "challenger.status": { _ in try await challenger() },
            ],
            readiness: {
                (try? await status()) ?? Readiness(isReady: false, details: ["reason": "the node is stopping"])
            },
            metrics: { await metrics() }, upload: { try await upload($0, $1, $2) },
            transactions: { try await take($0, wait: $1) }, download: { try await download($0) }
        )
    }

    // MARK: Reading parameters

    func digest(_ parameters: Parameters, _ name: String) throws(RPCError) -> Digest {
        guard let digest = Digest(hex: try parameters.requiredString(name)) else {
            throw .invalidParams("the parameter \"\(name)\" must be 64 hexadecimal digits")
        }
        return digest
    }

    func bytes(_ parameters: Parameters, _ name: String) throws(RPCError) -> [UInt8] {
        guard let bytes = Hexadecimal.decode(try parameters.requiredString(name)) else {
            throw .invalidParams("the parameter \"\(name)\" must be hexadecimal")
        }
        return bytes
    }

    func decode<T: CanonicalCodable>(_: T.Type, _ parameters: Parameters, _ name: String) throws(RPCError) -> T {
        let bytes = try bytes(parameters, name)
        do throws(DecodingFault) { return try T(canonicalBytes: bytes) } catch {
            throw .invalidParams("the parameter \"\(name)\" cannot be read: \(error)")
        }
    }

    func text(_ amount: Amount) -> JSONValue { .string(amount.description) }

    func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }

    // MARK: Node

    /// Ready is: voting at the tip, or following it.
    private func status() async throws -> Readiness {
        let peers = node.network.peers
        let best = peers.map(\.headHeight).max() ?? 0
        let restored = node.restoredTip
        let driver = node.driver
        let (details, ready) = try await driver.access { replica -> ([String: JSONValue], Bool) in
            let tip = replica.tree.finalizedHeader
            let age = Int64(Date().timeIntervalSince1970 * 1000) - Int64(clamping: tip.time.milliseconds)
            let limit = Int64(clamping: 3 * replica.chainParameters.heartbeatMilliseconds + 2_000)
            var reason = ""
            if tip.height.value == 0 {
                reason = "no block is final yet"
            } else if tip.height <= restored {
                // What an earlier run knew does not say that this one takes part.
                reason = "no block has become final since the start: \(replica.waitingFor)"
            } else if best > tip.height.value + 3 {
                reason = "behind the network: at \(tip.height), peers are at \(best)"
            } else if age > limit {
                reason = "the newest block is \(age / 1000) s old"
            } else if replica.engineStatus.isKeyInUseElsewhere {
                reason = "silent: another machine votes with this validator's key; stop one of the two for good"
            } else if replica.isAbstaining {
                reason = "abstaining: this key's journal is missing"
            }
            return (
                [
                    "height": JSONValue(tip.height.value), "executedHeight": JSONValue(replica.executed.height.value),
                    "view": JSONValue(replica.view.value), "tipTime": JSONValue(tip.time.milliseconds),
                    "ready": .bool(reason.isEmpty), "reason": .string(reason),
                    "waitingFor": .string(replica.waitingFor),
                    "waitingTransactions": JSONValue(replica.mempool.count),
                    "earlyTransactions": JSONValue(replica.mempool.earlyCount),
                    "epoch": JSONValue(replica.epoch.epoch.value),
                    "epochEndsAt": JSONValue(replica.epoch.schedule.endHeight.value),
                    "votingAfterMs": driver.votingAfter.map { JSONValue(Int($0.milliseconds)) } ?? .null,
                    "validatorIndex": replica.ownIndex.map { JSONValue($0) } ?? .null,
                ], reason.isEmpty
            )
        }
        var all = details
        all["version"] = "0.1.0"
        all["network"] = .string(node.genesis.digest.hex)
        all["chain"] = .string(node.genesis.chainName)
        all["nodeId"] = .string(node.identity.hex)
        all["name"] = .string(node.configuration.name)
        all["peers"] = JSONValue(peers.count)
        // The heights of the states that new nodes may fetch here.
        all["snapshots"] = .array(node.snapshots.offers.map { JSONValue($0.height.value) })
        all["uptimeSeconds"] = JSONValue(Int(Date().timeIntervalSince(node.startedAt)))
        return Readiness(isReady: ready, details: .object(all))
    }

    /// What keeps the current view from ending: for whoever looks at a node that stands still.
    private func why() async throws -> JSONValue {
        let driver = node.driver
        let peers = node.network.peers
        return try await driver.access { replica in
            let members = replica.epoch.record.members
            func validator(_ index: Int) -> JSONValue {
                ["index": JSONValue(index), "operator": .string(members[index].operatorAddress.description)]
            }
            let status = replica.engineStatus
            let waited = status.enteredAt.map { driver.now.monotonic.interval(since: $0).milliseconds } ?? 0
            return [
                "view": JSONValue(status.view.value), "lastFinalizedView": JSONValue(status.lastFinalized.value),
                "waitingFor": .string(status.description), "sinceMs": JSONValue(Int(waited)),
                "leader": validator(status.leader), "isIdle": .bool(!status.work && status.reason == nil),
                "notarizeStake": JSONValue(status.notarizeWeight), "nullifyStake": JSONValue(status.nullifyWeight),
                "quorumStake": JSONValue(status.quorumWeight), "silent": .array(status.silent.map { validator($0) }),
                "missingViews": .array(status.missing.map { JSONValue($0.value) }),
                "missingBlocks": .array(status.outstanding.map { JSONValue($0.value) }),
                "validatorPeers": JSONValue(peers.filter { $0.roles.contains(.validator) }.count),
                "abstains": .bool(status.abstains),
                "givenUp": .array(
                    replica.givenUp.map {
                        [
                            "view": JSONValue($0.view.value), "leader": JSONValue($0.leader),
                            "reason": .string($0.reason.rawValue),
                        ]
                    }),
                "votesOnRecord": JSONValue(replica.votesOnRecord),
                "missedVotes": .array(
                    replica.missedVotes.map {
                        [
                            "height": JSONValue($0.height.value), "view": JSONValue($0.view.value),
                            "reason": .string($0.reason.rawValue),
                        ]
                    }),
                "missedVoteCounts": .object(
                    Dictionary(
                        uniqueKeysWithValues: replica.missedVoteCounts.map { ($0.key.rawValue, JSONValue($0.value)) })),
            ]
        }
    }

    private func metrics() async -> String {
        var text = PrometheusText()
        if let status = try? await status().details {
            text.gauge("plasma_height", "Newest finalized block.", status["height"]?.double ?? 0)
            text.gauge("plasma_view", "Current consensus view.", status["view"]?.double ?? 0)
            text.gauge("plasma_ready", "1 when voting or following at the tip.", status["ready"]?.bool == true ? 1 : 0)
            text.gauge(
                "plasma_mempool_transactions", "Waiting transactions.", status["waitingTransactions"]?.double ?? 0)
            text.gauge(
                "plasma_mempool_early_transactions", "Transactions that wait for an earlier nonce.",
                status["earlyTransactions"]?.double ?? 0)
        }
        let votes = try? await node.driver.access { ($0.votesOnRecord, $0.missedVoteCounts) }
        if let votes {
            text.counter("plasma_votes_on_record", "Own votes in final blocks since the start.", votes.0)
            for reason in MissedVoteReason.allCases {
                text.counter(
                    "plasma_votes_missed", "Own votes that final blocks lack, by reason.", votes.1[reason] ?? 0,
                    labels: [("reason", reason.rawValue)])
            }
        }
        let signatures = SignatureMeter.shared
        text.counter("plasma_signatures_verified", "Signatures checked.", signatures.verified)
        text.gauge("plasma_signature_seconds", "Processor time of those checks.", signatures.seconds)
        text.gauge("plasma_cpu_seconds", "Processor time of the process.", SignatureMeter.processSeconds)
        text.gauge("plasma_peers", "Connected peers.", Double(node.network.peers.count))
        for (reason, count) in node.network.disconnectReasons.sorted(by: { $0.key < $1.key }) {
            text.counter(
                "plasma_disconnects", "Sessions ended, by reason.", UInt64(count), labels: [("reason", reason)])
        }
        return text.text
    }

    private func peers() -> JSONValue {
        [
            "peers": .array(
                node.network.peers.map { peer in
                    [
                        "id": .string(peer.id.hex), "address": .string(peer.address),
                        "direction": .string(peer.direction),
                        "roles": .array(peer.roles.names.map { .string($0) }), "height": JSONValue(peer.headHeight),
                        "roundTripMs": .number(peer.roundTripMilliseconds), "bytesIn": JSONValue(peer.bytesIn),
                        "bytesOut": JSONValue(peer.bytesOut), "score": JSONValue(peer.score),
                    ]
                })
        ]
    }

    private func workerJobs() async -> JSONValue {
        let reports = await node.worker?.reports ?? []
        return [
            "jobs": .array(
                reports.map { report in
                    [
                        "job": .string(report.task.job.hex), "attempt": JSONValue(UInt64(report.task.attempt)),
                        "role": .string(report.task.role.rawValue), "stage": .string(report.stage),
                        "fetchedBytes": JSONValue(report.fetchedBytes), "totalBytes": JSONValue(report.totalBytes),
                        "progress": .number(report.progress),
                    ]
                })
        ]
    }

    // MARK: Chain

    private func header(_ parameters: Parameters) async throws -> JSONValue {
        let tip = try await node.driver.access { $0.tree.finalizedHeader.height }
        let height = Height(try parameters.optionalUInt64("height") ?? tip.value)
        guard let found = StoredBlocks.finalized(at: height, in: node.blocks),
            let block = try? Block(canonicalBytes: found.block)
        else { throw RPCError.notFound("there is no finalized block at height \(height): the newest is \(tip)") }
        return [
            "height": JSONValue(height.value), "digest": .string(block.digest.hex),
            "time": JSONValue(block.header.time.milliseconds), "transactions": JSONValue(block.transactions.count),
            "header": .string(Hexadecimal.encode(block.header.canonicalBytes)),
            "certificate": optional(found.certificate.map { Hexadecimal.encode($0.canonicalBytes) }),
        ]
    }

    private func totals() async throws -> JSONValue {
        let totals = try await node.driver.access { try Query.totals(in: $0.stateStore) }
        return [
            "supply": text(totals.supply), "liquid": text(totals.liquid), "burned": text(totals.burned),
            "escrowed": text(totals.escrowed), "bonded": text(totals.bonded), "staked": text(totals.staked),
            "stakersPool": text(totals.stakersPool), "treasury": text(totals.treasury),
            "auditPool": text(totals.auditPool),
        ]
    }

    private func account(_ parameters: Parameters) async throws -> JSONValue {
        let address: Address
        do throws(AddressFault) { address = try Address(parsing: try requiredAddress(parameters)) } catch {
            throw RPCError.invalidParams("\(error)")
        }
        let account = try await node.driver.access { try Query.account(address, in: $0.stateStore) }
        return [
            "address": .string(address.description), "balance": text(account.balance),
            "nonce": JSONValue(account.nonce.value),
        ]
    }

    private func requiredAddress(_ parameters: Parameters) throws(AddressFault) -> String {
        do throws(RPCError) { return try parameters.requiredString("address") } catch { throw .malformed }
    }

    // MARK: Blobs

    private func upload(_ kind: UploadKind, _ length: UInt64?, _ body: UploadBody) async throws -> JSONValue {
        let draft = try node.blobs.newDraft()
        for try await piece in body { try draft.append(piece) }
        let blob: BlobManifest.Kind
        switch kind {
        case .file: blob = .file
        case .tensor(let type, let shape):
            guard let element = ElementType(name: type), shape.count <= BlobManifest.maximumRank else {
                throw RPCError.invalidParams("\"\(type)\" of \(shape.count) axes is no tensor type")
            }
            let count = shape.reduce((UInt64(element.size), false)) {
                let (product, overflow) = $0.0.multipliedReportingOverflow(by: $1)
                return (product, $0.1 || overflow)
            }
            if count.1 || count.0 != draft.length {
                throw RPCError.invalidParams("\(draft.length) bytes are no \(type) tensor of shape \(shape)")
            }
            blob = .tensor(type: element.rawValue, shape: shape)
        }
        let (id, size) = try node.blobs.finish(draft, as: blob)
        return ["id": .string(id.hex), "length": JSONValue(size)]
    }

    /// What a blob is; fetched from peers where it is not here.
    private func blob(_ parameters: Parameters) async throws -> JSONValue {
        let id = try digest(parameters, "id")
        if node.blobs.length(of: id) == nil { try? await node.blobs.fetch([id], progress: { _, _ in }) }
        guard let length = node.blobs.length(of: id), let kind = node.blobs.kind(of: id) else {
            throw RPCError.notFound("no peer has the blob \(id.hex)")
        }
        var answer: [String: JSONValue] = ["id": .string(id.hex), "length": JSONValue(length)]
        switch kind {
        case .file: answer["kind"] = "file"
        case .tensor(let type, let shape):
            answer["kind"] = "tensor"
            answer["type"] = .string(ElementType(rawValue: type)?.name ?? "unknown")
            answer["shape"] = .array(shape.map { JSONValue($0) })
        case .outputs(let steps):
            answer["kind"] = "outputs"
            answer["steps"] = .array(steps.map { .array($0.map { .string($0.root.hex) }) })
        }
        return .object(answer)
    }

    private func download(_ text: String) async throws -> BlobDownload? {
        guard let id = Digest(hex: text) else { return nil }
        if node.blobs.length(of: id) == nil { try? await node.blobs.fetch([id], progress: { _, _ in }) }
        guard let length = node.blobs.length(of: id) else { return nil }
        let blobs = node.blobs
        return BlobDownload(length: length) { offset, count in try blobs.read(id, at: offset, count: count) }
    }
}
