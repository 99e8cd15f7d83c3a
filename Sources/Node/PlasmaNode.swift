internal import API
internal import Consensus
internal import Foundation
internal import Gossip
internal import Ledger
public import Logging
internal import Networking
internal import Primitives
internal import Replica
internal import Storage
internal import Worker

/// A whole node: its home, its keys, its chain, its sockets. Composition only.
public final class PlasmaNode: @unchecked Sendable {
    private let configuration: NodeConfiguration
    private let logger: Logger
    private let lock: HomeLock
    private let services: NodeServices
    private let network: NetworkService
    private let bridge: NetworkBridge
    private let server: RPCServer
    private let observer: Observer

    /// Opens a home and everything in it. Nothing listens yet.
    public init(configuration: NodeConfiguration, password: String, logger: Logger) throws {
        let opened = DispatchTime.now().uptimeNanoseconds
        self.configuration = configuration
        self.logger = logger
        let home = configuration.home
        lock = try HomeLock(home: home)
        let genesis = try GenesisFile.load(configuration.genesisPath)
        let keys = try KeyStore(home: home)
        let identity = try keys.open("node", password: password)
        let consensusKey = configuration.validator ? try keys.open("consensus", password: password) : nil
        let vrfKey = configuration.validator ? try keys.open("vrf", password: password) : nil
        let data = home + "/data"
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        try PlasmaNode.checkNetwork(genesis, data: data)
        try SnapshotInstall.finish(data)
        let memory = try SigningMemory(data: data, hasKey: consensusKey != nil)
        if memory.isAmnesiac {
            logger.warning(
                "this key's journal is missing: it votes again when the network has passed what it may have signed"
            )
        }
        let blocks = try BlockStore(directory: data + "/blocks")
        // The driver flushes after the blocks are durable, never the store by itself.
        let state = try LMDBStore(
            directory: data + "/state", blocksPerFlush: .max / 2,
            keeps: { $0.fixesEpoch })
        if state.height == nil { try genesis.initialize(state) }
        let records = try memory.journal.replay().map { try JournalRecord(canonicalBytes: $0) }
        let parameters = genesis.parameters
        let delta = Interval.milliseconds(Int64(clamping: parameters.deltaMilliseconds))
        let replica = try Replica(
            configuration: ReplicaConfiguration(
                genesis: genesis, consensusKey: consensusKey?.publicKey,
                signer: consensusKey.map { Ed25519Scheme($0) }, vrfKey: vrfKey,
                consensus: ConsensusParameters(
                    delta: delta, heartbeat: .milliseconds(Int64(clamping: parameters.heartbeatMilliseconds)),
                    retry: delta.scaled(2)),
                pace: BlockPace(
                    withWork: .milliseconds(Int64(clamping: parameters.blockPaceMilliseconds)),
                    heartbeat: .milliseconds(Int64(clamping: parameters.heartbeatMilliseconds))),
                challenge: memory.isAmnesiac ? try Digest(bytes: SystemRandom.bytes(32)) : nil),
            state: state, archive: StoredBlocks(blocks), tip: blocks.finalizedTip ?? 0, journal: records)
        if configuration.validator && replica.ownIndex == nil {
            logger.notice(
                "this node's consensus key is not among the validators of epoch \(replica.epoch.epoch): it follows, and votes once its stake is in a set (plasma stake register)"
            )
        }
        let epochs = try EpochArchive(path: data + "/epochs", state: state, blocks: blocks)
        let outcomes = try OutcomeIndex(state)
        let pruning = PruningService(
            history: configuration.history, blocks: blocks, outcomes: outcomes, logger: logger)
        let snapshots = try SnapshotService(path: data + "/snapshots", blocks: blocks, epochs: epochs, logger: logger)
        let driver = ReplicaDriver(
            replica: replica, memory: memory, blocks: blocks, state: state, outcomes: outcomes, opened: opened,
            logger: logger)
        bridge = NetworkBridge(
            driver: driver, blocks: blocks, relays: replica.ownIndex == nil, chain: genesis.digest, logger: logger)
        var roles: NodeRoles = configuration.validator ? .validator : .follower
        if configuration.provider != nil { roles.insert(.provider) }
        network = try NetworkService(
            configuration: NetworkConfiguration(
                identity: identity, network: genesis.digest, roles: roles, listenHost: configuration.listenHost,
                externalHost: configuration.externalHost, port: configuration.port, bootstrap: configuration.bootstrap,
                savedRecords: PlasmaNode.savedPeers(data)),
            delegate: bridge, logger: logger)
        let blobs = BlobService(store: try BlobStore(directory: data + "/blobs"), logger: logger)
        blobs.attach(network)
        bridge.network = network
        bridge.pruning = pruning
        bridge.blobs = blobs
        bridge.snapshots = snapshots
        let walks = WalkService(network: network)
        bridge.walks = walks
        bridge.executed(replica.executed.header)
        services = NodeServices(
            configuration: configuration, genesis: genesis, identity: identity.publicKey,
            consensusKey: consensusKey?.publicKey,
            epochs: epochs, snapshots: snapshots, driver: driver, blocks: blocks, outcomes: outcomes, network: network,
            blobs: blobs, walks: walks,
            logger: logger)
        if let provider = configuration.provider {
            let key = try keys.open("operator", password: password)
            var worker = WorkerConfiguration(
                key: key,
                registration: .registerProvider(
                    name: configuration.name, node: identity.publicKey, payout: key.publicKey.address,
                    bond: provider.bond),
                offer: OfferTerms(
                    device: 0, pricePer1000CUf32: provider.price, pricePer1000CUi8: provider.price,
                    memory: provider.memory, capacity: UInt16(clamping: provider.capacity), expiry: Height(.max),
                    measuredRate: provider.rate),
                threads: provider.threads, memory: provider.memory,
                flipsBit: provider.fault == "flip-bit" || provider.fault == "flip-bit-silent")
            worker.withholds = provider.fault == "withhold"
            if worker.withholds { blobs.withholdOutputs() }
            services.startWorker(
                worker, answersChallengers: provider.fault != "flip-bit-silent")
        }
        if let challenger = configuration.challenger {
            services.startChallenger(challenger, key: try keys.open("operator", password: password))
        }
        observer = Observer(services: services, bridge: bridge)
        driver.transport = bridge
        driver.observer = observer
        let methods = RPCMethods(node: services)
        server = RPCServer(
            host: configuration.rpcHost, port: configuration.rpcPort, handlers: methods.handlers, logger: logger)
    }

    /// Runs until SIGTERM or SIGINT, or until storage fails.
    public func run() async throws {
        let port = try await network.start()
        services.driver.start()
        await takeUpTransactions()
        logger.notice(
            "\(configuration.name) listens on \(configuration.listenHost):\(port), RPC on port \(configuration.rpcPort)"
        )
        let server = server
        let serving = Task { try await server.run() }
        let failure = AsyncStream<String?>.makeStream()
        services.driver.onFailure = { failure.continuation.yield("\($0)") }
        var sources: [any DispatchSourceSignal] = []
        for number in [SIGTERM, SIGINT] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { failure.continuation.yield(nil) }
            source.resume()
            sources.append(source)
        }
        let watch = Task {
            // The server ends by itself only where it could not listen.
            do { try await serving.value } catch { failure.continuation.yield("\(error)") }
        }
        var reason: String?
        for await event in failure.stream {
            reason = event
            break
        }
        watch.cancel()
        logger.notice("stopping")
        services.stopWorker()
        services.snapshots.stop()
        savePeers()
        await keepTransactions()
        // Else those who wait for a transaction would hold the server open for as long as they are willing to.
        await services.finality.close()
        try? await server.stop()
        await network.shutdown()
        await services.driver.stop()
        withExtendedLifetime((lock, sources, observer)) {}
        if let reason { throw NodeFault.cannotStart(reason) }
    }

    /// A home keeps to the network that its data is of.
    static func checkNetwork(_ genesis: Genesis, data: String) throws {
        let path = data + "/network"
        guard let known = try? String(contentsOfFile: path, encoding: .utf8) else {
            return try (genesis.digest.hex + "\n").write(toFile: path, atomically: true, encoding: .utf8)
        }
        let found = known.trimmingCharacters(in: .whitespacesAndNewlines)
        if found != genesis.digest.hex {
            throw NodeFault.cannotStart(
                "the data in \(data) is of network \(found.prefix(8)), the genesis is of \(genesis.digest.hex.prefix(8)): "
                    + "put the old genesis.toml back, or move \(data) away to start anew")
        }
    }

    private var transactionsPath: String { configuration.home + "/data/mempool" }

    /// What waits is kept over a clean stop. Nothing was promised of it: only what is final is acknowledged.
    private func keepTransactions() async {
        guard let waiting = try? await services.driver.access({ $0.mempool.all }),
            !waiting.isEmpty
        else { return }
        var writer = ByteWriter(capacity: 1 << 16)
        writer.write(list: waiting)
        if !FileManager.default.createFile(atPath: transactionsPath, contents: Data(writer.bytes)) {
            logger.warning("the waiting transactions could not be written to \(transactionsPath)")
        }
    }

    /// Takes up what was kept, once: what is stale or unsigned is refused like anything else.
    private func takeUpTransactions() async {
        guard let bytes = FileManager.default.contents(atPath: transactionsPath) else { return }
        try? FileManager.default.removeItem(atPath: transactionsPath)
        var reader = ByteReader(Array(bytes))
        let kept = (try? reader.readList(SignedTransaction.self, max: Mempool.maximumTransactions)) ?? []
        let accepted = await services.submit(kept)
        logger.info("took up \(accepted) transactions that waited at the last stop")
    }

    /// The peers that were known at the last stop.
    static func savedPeers(_ data: String) -> [NodeRecord] {
        guard let bytes = FileManager.default.contents(atPath: data + "/peers") else { return [] }
        var reader = ByteReader(Array(bytes))
        return (try? reader.readList(NodeRecord.self, max: 1_024)) ?? []
    }

    private func savePeers() {
        var writer = ByteWriter(capacity: 4_096)
        writer.write(list: Array(network.knownRecords.prefix(1_024)))
        let path = configuration.home + "/data/peers"
        if !FileManager.default.createFile(atPath: path, contents: Data(writer.bytes)) {
            logger.warning("the known peers could not be written to \(path)")
        }
    }
}

/// Passes what the replica did on to those who wait for it.
private final class Observer: ReplicaObserver {
    private let services: NodeServices
    private let bridge: NetworkBridge

    init(services: NodeServices, bridge: NetworkBridge) {
        self.services = services
        self.bridge = bridge
    }

    func executed(_ block: Block, _ result: ExecutionResult) {
        bridge.executed(block.header)
        bridge.pruning?.executed(block.header)
        services.executed(result)
        services.keepOutputs(of: block, result)
        let receipts = result.receipts
        let services = services
        let height = block.header.height
        Task {
            await services.finality.executed(height, receipts)
            await services.worker?.stateChanged()
            await services.challenger?.stateChanged()
        }
    }

    func refused(_ transaction: Digest, _ fault: SubmissionFault) {
        let finality = services.finality
        Task { await finality.refused(transaction, fault.description) }
    }

    func epochEnded() {
        let services = services
        // Off the driver's thread: it reads the state between two steps.
        Task { await services.takeUpEpochs() }
    }

    func kept(_ view: StateView, root: Digest) { services.snapshots.export(view, root: root) }

    func certified(_ header: Header, _ certificate: Certificate) {
        let receipts = services.receipts
        Task { await receipts.certified(header, certificate) }
    }
}
