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
                "blob.get": { try await blob($0) },
            ],
            readiness: {
                (try? await status()) ?? Readiness(isReady: false, details: ["reason": "the node is stopping"])
            },
            metrics: { await metrics() }, upload: { try await upload($0, $1, $2) },
            transactions: { try await take($0, wait: $1) }, download: { try await download($0) }
        )
    }

    // MARK: Reading parameters

    private func digest(_ parameters: Parameters, _ name: String) throws(RPCError) -> Digest {
        guard let digest = Digest(hex: try parameters.requiredString(name)) else {
            throw .invalidParams("the parameter \"\(name)\" must be 64 hexadecimal digits")
        }
        return digest
    }

    private func bytes(_ parameters: Parameters, _ name: String) throws(RPCError) -> [UInt8] {
        guard let bytes = Hexadecimal.decode(try parameters.requiredString(name)) else {
            throw .invalidParams("the parameter \"\(name)\" must be hexadecimal")
        }
        return bytes
    }

    private func decode<T: CanonicalCodable>(_: T.Type, _ parameters: Parameters, _ name: String) throws(RPCError) -> T
    {
        let bytes = try bytes(parameters, name)
        do throws(DecodingFault) { return try T(canonicalBytes: bytes) } catch {
            throw .invalidParams("the parameter \"\(name)\" cannot be read: \(error)")
        }
    }

    private func text(_ amount: Amount) -> JSONValue { .string(amount.description) }

    private func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }

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

    // MARK: Transactions

    private func prepare(_ parameters: Parameters) async throws -> JSONValue {
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

    private func submit(_ parameters: Parameters) async throws -> JSONValue {
        let transaction = try decode(SignedTransaction.self, parameters, "transaction")
        let timeout = Double(min(try parameters.optionalUInt64("timeoutMs") ?? 30_000, 120_000)) / 1000
        do { try await node.submit(transaction) } catch { throw RPCError.refused("\(error)") }
        var outcome: FinalityTracker.Outcome?
        if try parameters.optionalBool("wait") ?? true {
            outcome = await node.finality.wait(for: transaction.id, timeout: timeout)
        }
        return describe(transaction.id, outcome, otherwise: "pending")
    }

    private func submitBatch(_ parameters: Parameters) async throws -> JSONValue {
        var reader = ByteReader(try bytes(parameters, "transactions"))
        guard
            let batch = try? reader.readList(SignedTransaction.self, max: NetworkBridge.maximumBatch),
            reader.remaining == 0
        else { throw RPCError.invalidParams("the transactions cannot be read") }
        let accepted = await node.submit(batch)
        return ["accepted": JSONValue(accepted), "refused": JSONValue(batch.count - accepted)]
    }

    /// The same without hexadecimal, and with the outcomes where they are waited for.
    private func take(_ encoded: [UInt8], wait: Double?) async throws -> JSONValue {
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

    private func describe(_ id: Digest, _ outcome: FinalityTracker.Outcome?, otherwise: String) -> JSONValue {
        guard let outcome else { return ["id": .string(id.hex), "status": .string(otherwise)] }
        return [
            "id": .string(id.hex), "status": "final", "height": JSONValue(outcome.height.value),
            "succeeded": .bool(outcome.failure == nil), "failure": optional(outcome.failure),
        ]
    }

    private func transactionStatus(_ parameters: Parameters) async throws -> JSONValue {
        let id = try digest(parameters, "id")
        if let outcome = await node.finality.outcome(of: id) { return describe(id, outcome, otherwise: "") }
        let waits = try await node.driver.access { $0.mempool.contains(id) }
        return describe(id, nil, otherwise: waits ? "pending" : "unknown")
    }

    // MARK: Market

    private func providers() async throws -> JSONValue {
        let (providers, offers) = try await node.driver.access {
            (try Query.providers(in: $0.stateStore), try Query.offers(in: $0.stateStore))
        }
        return [
            "providers": .array(
                providers.map { provider in
                    [
                        "operator": .string(provider.address.description), "name": .string(provider.name),
                        "node": .string(provider.node.hex), "bond": text(provider.bond), "free": text(provider.free),
                        "offers": .array(
                            offers.filter { $0.provider == provider.address }.map { offer in
                                [
                                    "device": JSONValue(UInt64(offer.terms.device)),
                                    "price": text(offer.terms.pricePer1000CUf32),
                                    "memory": JSONValue(offer.terms.memory),
                                    "rate": JSONValue(offer.terms.measuredRate),
                                    "paused": .bool(offer.isPaused), "activeFrom": JSONValue(offer.activeFrom.value),
                                ]
                            }),
                    ]
                })
        ]
    }

    private func describe(_ model: Model) -> JSONValue {
        [
            "name": .string(model.name), "manifest": .string(model.manifest.hex), "program": .string(model.program.hex),
            "publisher": .string(model.publisher.description), "royalty": JSONValue(UInt64(model.royaltyBasisPoints)),
        ]
    }

    private func model(_ parameters: Parameters) async throws -> JSONValue {
        let name = try parameters.requiredString("name")
        guard let model = try await node.driver.access({ try Query.model(named: name, in: $0.stateStore) }) else {
            throw RPCError.notFound("no model named \"\(name)\" is published: see plasma model list")
        }
        return describe(model)
    }

    private func models() async throws -> JSONValue {
        let models = try await node.driver.access { try Query.models(in: $0.stateStore) }
        return ["models": .array(models.map { describe($0) })]
    }

    private func plan(_ parameters: Parameters) async throws -> JSONValue {
        let spec = try decode(JobSpec.self, parameters, "spec")
        let plan = try await node.driver.access { try Matching.plan(spec, in: $0.stateStore) }
        return [
            "computeUnits": .string(spec.computeUnits.description), "price": optional(plan.price?.description),
            "maximumPrice": text(plan.maximumPrice), "escrow": text(plan.escrowAndPosting),
            "eligible": .array(
                plan.eligible.map {
                    [
                        "provider": .string($0.provider.description), "price": text($0.price),
                        "effectivePrice": text($0.effectivePrice), "inDraw": .bool($0.isInDraw),
                    ]
                }),
            "excluded": .array(
                plan.excluded.map { ["provider": .string($0.provider.description), "reason": .string($0.reason)] }),
        ]
    }

    private func describe(_ job: Job) -> JSONValue {
        [
            "job": .string(job.id.hex), "state": .string(job.state.description),
            "attempt": JSONValue(UInt64(job.attempt)),
            "requester": .string(job.requester.description),
            "provider": optional(job.assignment?.provider.description),
            "price": optional(job.assignment?.price.description),
            "auditors": .array(job.audits.map { .string($0.auditor.description) }), "reason": .string(job.reason),
            "outputRoot": optional(job.assignment?.commitment?.outputRoot.hex),
            "history": .array(
                job.history.map {
                    [
                        "state": .string($0.state.description), "height": JSONValue($0.height.value),
                        "time": JSONValue($0.time.milliseconds),
                    ]
                }),
        ]
    }

    private func job(_ parameters: Parameters) async throws -> JSONValue {
        let id = try digest(parameters, "job")
        guard let job = try await node.driver.access({ try Query.job(id, in: $0.stateStore) }) else {
            throw RPCError.notFound("there is no job \(id.hex)")
        }
        return describe(job)
    }

    private func jobs(_ parameters: Parameters) async throws -> JSONValue {
        let limit = Int(clamping: min(try parameters.optionalUInt64("limit") ?? 50, 1_000))
        let jobs = try await node.driver.access { try Query.jobs(limit: limit, in: $0.stateStore) }
        return ["jobs": .array(jobs.map { describe($0) })]
    }

    private func receipt(_ parameters: Parameters) async throws -> JSONValue {
        let id = try digest(parameters, "job")
        guard let evidence = try await node.receipts.evidence(for: StateKey.receipt(id)) else {
            throw RPCError.notFound("job \(id.hex) has no receipt: it has not settled")
        }
        return [
            "receipt": .string(Hexadecimal.encode(evidence.value)), "key": .string(Hexadecimal.encode(evidence.key)),
            "proof": .string(Hexadecimal.encode(evidence.proof.canonicalBytes)),
            "header": .string(Hexadecimal.encode(evidence.header.canonicalBytes)),
            "certificate": .string(Hexadecimal.encode(evidence.certificate.canonicalBytes)),
            "height": JSONValue(evidence.header.height.value),
            "evidence": .string(Hexadecimal.encode(evidence.canonicalBytes)),
        ]
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
            answer["steps"] = .array(steps.map { .array($0.map { .string($0.hex) }) })
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
