internal import Foundation
public import Gossip
public import Logging
internal import NIOCore
internal import NIOPosix
public import Primitives

public typealias PeerID = PublicKey

/// How a node takes part in the network.
public struct NetworkConfiguration: Sendable {
    public var identity: SecretKey
    public var network: Digest
    public var roles: NodeRoles
    public var listenHost: String
    /// The IP address that others reach this node at, where it is not the one it listens on.
    public var externalHost: String?
    /// TCP and UDP; 0 takes any.
    public var port: Int
    /// UDP addresses of nodes to ask first, `host:port`.
    public var bootstrap: [String]
    public var savedRecords: [NodeRecord]
    public var maximumPeers: Int

    public init(
        identity: SecretKey, network: Digest, roles: NodeRoles, listenHost: String = "127.0.0.1",
        externalHost: String? = nil, port: Int, bootstrap: [String], savedRecords: [NodeRecord] = [],
        maximumPeers: Int = 64
    ) {
        self.identity = identity
        self.network = network
        self.roles = roles
        self.listenHost = listenHost
        self.externalHost = externalHost
        self.port = port
        self.bootstrap = bootstrap
        self.savedRecords = savedRecords
        self.maximumPeers = maximumPeers
    }
}

/// Who hears what comes. Called on event loops: must not block.
public protocol NetworkDelegate: AnyObject, Sendable {
    func peerConnected(_ peer: PeerID, hello: Hello)
    func peerDisconnected(_ peer: PeerID, reason: String)
    func received(_ bytes: [UInt8], on channel: NetworkChannel, from peer: PeerID)
    /// `reply` with nil says no.
    func request(
        _ bytes: [UInt8], on channel: NetworkChannel, from peer: PeerID, reply: @escaping @Sendable ([UInt8]?) -> Void)
    func headHeight() -> UInt64
}

/// A peer as operators see it.
public struct PeerInfo: Sendable {
    public let id: PeerID
    public let address: String
    public let direction: String
    public let roles: NodeRoles
    public let headHeight: UInt64
    public let roundTripMilliseconds: Double
    public let bytesIn: UInt64
    public let bytesOut: UInt64
    public let score: Int
}

/// Every session of a node, and the dialling of those it lacks.
public final class NetworkService: SessionOwner, @unchecked Sendable {
    private let configuration: NetworkConfiguration
    private weak var delegate: (any NetworkDelegate)?
    private let logger: Logger
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let context: TLSContext
    private let lock = NSLock()
    // Guarded by `lock`.
    private var sessions: [PeerID: Session] = [:]
    /// Who has connected to us and not greeted yet, oldest first.
    private var arriving: [Session] = []
    private var book: PeerBook
    private var logged: Set<String> = []
    private var disconnects: [String: Int] = [:]
    private var stopping = false
    private var server: (any Channel)?
    private var discovery: DiscoveryShell?
    private var dialer: RepeatedTask?
    private var record: NodeRecord?
    private var naming: Task<Void, Never>?

    public static let banScore = -100
    /// Connections that may wait for their greeting. Of more the oldest goes: a flood that never greets lasts no longer than it is fed.
    public static let maximumArriving = 128

    public init(
        configuration: NetworkConfiguration, delegate: any NetworkDelegate, logger: Logger
    ) throws(NetworkFault) {
        self.configuration = configuration
        self.delegate = delegate
        self.logger = logger
        book = PeerBook(own: configuration.identity.publicKey, maximumPeers: configuration.maximumPeers)
        context = try TLSContext(identity: configuration.identity)
    }

    // MARK: Life

    /// Listens on TCP and UDP and begins to look for peers. Returns the port of both.
    public func start() async throws(NetworkFault) -> Int {
        let host = configuration.listenHost
        let addresses = try BootstrapAddresses(configuration.bootstrap)
        // A record that says "anywhere" can be checked by nobody: no peer would ever keep it.
        let named = try Endpoint.parse(host: configuration.externalHost ?? host, port: 1)
        if named.isUnspecified { throw .noExternalAddress(listening: host) }
        // Any port that TCP has free may be taken for UDP: then another is tried.
        var attemptsLeft = configuration.port == 0 ? 16 : 1
        while true {
            attemptsLeft -= 1
            let server = try await listen(host)
            let port = server.localAddress?.port ?? configuration.port
            let ip = server.localAddress?.ipAddress ?? host
            do {
                let endpoint = try Endpoint.parse(host: configuration.externalHost ?? ip, port: port)
                let record = NodeRecord(
                    key: configuration.identity, network: configuration.network,
                    sequence: UInt64(Date().timeIntervalSince1970 * 1000), endpoint: endpoint,
                    tcpPort: UInt16(clamping: port), roles: configuration.roles)
                let shell = DiscoveryShell(
                    discovery: Discovery(
                        key: configuration.identity, record: record, bootstrap: addresses.fixed,
                        saved: configuration.savedRecords,
                        seed: SystemRandom.bytes(8).reduce(0) { $0 << 8 | UInt64($1) }))
                try await shell.start(group: group, host: ip, port: port)
                lock.withLock {
                    self.server = server
                    self.record = record
                    discovery = shell
                }
                // Only from here on can a greeting be answered.
                try await server.setOption(.autoRead, value: true).get()
            } catch {
                try? await server.close()
                let fault = NetworkService.explain(error, host, port)
                if case .portInUse = fault, attemptsLeft > 0 { continue }
                throw fault
            }
            beginDialling()
            if !addresses.names.isEmpty { lookUp(addresses) }
            return port
        }
    }

    /// How long what a name means is believed. A name that means nothing yet is asked for sooner.
    static let nameLifetime: UInt64 = 300_000_000_000
    static let nameRetry: UInt64 = 5_000_000_000

    /// Asks for the names of bootstrap addresses for as long as the node lives. The resolver blocks: it has a thread of its own.
    private func lookUp(_ addresses: BootstrapAddresses) {
        let queue = DispatchQueue(label: "names", qos: .utility)
        let logger = logger
        let task = Task { [weak self] in
            var said: Set<BootstrapAddresses.Name> = []
            while !Task.isCancelled {
                let (found, missing) = await withCheckedContinuation { continuation in
                    queue.async { continuation.resume(returning: addresses.resolve()) }
                }
                guard let discovery = self.flatMap({ service in service.lock.withLock { service.discovery } }) else {
                    return
                }
                if !found.isEmpty { discovery.ask(first: addresses.fixed + found) }
                for name in missing where said.insert(name).inserted {
                    logger.warning("the bootstrap name \(name) has no address yet: it is asked for again")
                }
                said.formIntersection(missing)
                try? await Task.sleep(
                    nanoseconds: missing.isEmpty ? NetworkService.nameLifetime : NetworkService.nameRetry)
            }
        }
        lock.withLock { naming = task }
    }

    private func listen(_ host: String) async throws(NetworkFault) -> any Channel {
        let context = context
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 128)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.autoRead, value: false)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { [weak self] channel in
                guard let self else { return channel.eventLoop.makeFailedFuture(ChannelError.alreadyClosed) }
                return self.prepare(channel, context, dialled: false, expected: nil)
            }
        do { return try await bootstrap.bind(host: host, port: configuration.port).get() } catch {
            throw NetworkService.explain(error, host, configuration.port)
        }
    }

    private func beginDialling() {
        let dialer = group.next().scheduleRepeatedTask(initialDelay: .milliseconds(100), delay: .milliseconds(150)) {
            [weak self] _ in self?.dialMissing()
        }
        lock.withLock { self.dialer = dialer }
    }

    private static func explain(_ error: any Error, _ host: String, _ port: Int) -> NetworkFault {
        if let fault = error as? NetworkFault { return fault }
        if let error = error as? IOError, error.errnoCode == EADDRINUSE { return .portInUse(host: host, port: port) }
        return .cannotListen(host: host, port: port, reason: "\(error)")
    }

    /// Ends every session and frees the ports. A second call does nothing.
    public func shutdown() async {
        let parts = lock.withLock { () -> ([Session], (any Channel)?, DiscoveryShell?, RepeatedTask?)? in
            if stopping { return nil }
            stopping = true
            return (Array(sessions.values), self.server, self.discovery, self.dialer)
        }
        guard let (open, server, discovery, dialer) = parts else { return }
        dialer?.cancel()
        lock.withLock { naming }?.cancel()
        for session in open { session.end("this node is stopping") }
        try? await server?.close()
        await discovery?.stop()
        try? await group.shutdownGracefully()
    }

    private func prepare(
        _ channel: any Channel, _ context: TLSContext, dialled: Bool, expected: PeerID?
    ) -> EventLoopFuture<Void> {
        do {
            let tls = try TLSHandler(context: context, isServer: !dialled, expected: expected)
            let session = Session(dialled: dialled, network: configuration.network, owner: self)
            try channel.pipeline.syncOperations.addHandlers([tls, session])
            if !dialled { welcome(session) }
            return channel.eventLoop.makeSucceededVoidFuture()
        } catch {
            return channel.eventLoop.makeFailedFuture(error)
        }
    }

    private func welcome(_ session: Session) {
        let oldest: Session? = lock.withLock {
            arriving.append(session)
            return arriving.count > NetworkService.maximumArriving ? arriving.removeFirst() : nil
        }
        oldest?.end("too many connections wait for a greeting")
    }

    private var now: Instant { Instant(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) }

    // MARK: Dialling

    private func dialMissing() {
        let proven = discovery?.proven ?? []
        let targets = lock.withLock { stopping ? [] : book.targets(proven, at: now) }
        for record in targets { dial(record) }
    }

    private func dial(_ record: NodeRecord) {
        let id = record.identity
        ClientBootstrap(group: group)
            .connectTimeout(.seconds(3))
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelInitializer { [weak self, context] channel in
                guard let self else { return channel.eventLoop.makeFailedFuture(ChannelError.alreadyClosed) }
                return self.prepare(channel, context, dialled: true, expected: id)
            }
            .connect(host: record.endpoint.host, port: Int(record.tcpPort))
            .whenComplete { [weak self] result in
                guard let self else { return }
                self.lock.withLock { self.book.dialEnded(id, at: self.now) }
                if case .success(let channel) = result, self.lock.withLock({ self.stopping }) {
                    channel.close(promise: nil)
                }
            }
    }

    // MARK: Sessions

    func hello() -> Hello {
        // The service hands out sessions only after it has a record.
        guard let record = lock.withLock({ record }) else { preconditionFailure("a session began before the service") }
        return Hello(network: configuration.network, headHeight: delegate?.headHeight() ?? 0, record: record)
    }

    func sessionReady(_ session: Session) {
        guard let peer = session.peer, let hello = session.hello else { return }
        var refused: String?
        var replaced: Session?
        lock.withLock {
            arriving.removeAll { $0 === session }
            if stopping { refused = "this node is stopping" }
            if refused == nil {
                switch book.greeted(hello.record, dialled: session.dialled, at: now) {
                case .refused(let reason): refused = reason
                case .accepted, .replaces:
                    replaced = sessions[peer]
                    sessions[peer] = session
                }
            }
        }
        if let refused { return session.end(refused) }
        replaced?.end("replaced by another connection to the same peer")
        if replaced == nil { logger.debug("peer \(peer.hex.prefix(8)) connected") }
        delegate?.peerConnected(peer, hello: hello)
    }

    func sessionEnded(_ session: Session, reason: String) {
        var gone: PeerID?
        var isNews = false
        lock.withLock {
            arriving.removeAll { $0 === session }
            disconnects[reason, default: 0] += 1
            if disconnects.count > 256 { disconnects = [reason: 1] }
            if let peer = session.peer, sessions[peer] === session {
                sessions[peer] = nil
                book.ended(peer)
                gone = peer
            }
            if logged.count < 1_024 { isNews = logged.insert("\(session.peer?.hex ?? "")\(reason)").inserted }
        }
        if isNews && !lock.withLock({ stopping }) {
            logger.info(
                "a session with \(session.peer.map { String($0.hex.prefix(8)) } ?? "an unknown peer") ended: \(reason)")
        }
        if let gone { delegate?.peerDisconnected(gone, reason: reason) }
    }

    func session(_ session: Session, received frame: Frame) {
        guard let peer = session.peer, lock.withLock({ sessions[peer] === session }) else { return }
        switch frame.kind {
        case .message: delegate?.received(frame.content, on: frame.channel, from: peer)
        case .request:
            delegate?.request(frame.content, on: frame.channel, from: peer) { [weak session] answer in
                session?.answer(frame, with: answer)
            }
        default: break
        }
    }

    // MARK: Talking

    public func send(_ bytes: [UInt8], on channel: NetworkChannel, to peer: PeerID) {
        lock.withLock { sessions[peer] }?.send(Frame(channel: channel, kind: .message, id: 0, content: bytes))
    }

    public func broadcast(_ bytes: [UInt8], on channel: NetworkChannel, except: PeerID? = nil) {
        let frame = Frame(channel: channel, kind: .message, id: 0, content: bytes)
        for session in lock.withLock({ sessions.filter { $0.key != except }.map(\.value) }) { session.send(frame) }
    }

    public func request(
        _ bytes: [UInt8], on channel: NetworkChannel, to peer: PeerID, timeout: Interval
    ) async throws(RequestFault) -> [UInt8] {
        if bytes.count > channel.limit { throw .tooLong(found: bytes.count, limit: channel.limit) }
        // A loop that has stopped takes no tasks: nobody would answer.
        guard let session = lock.withLock({ stopping ? nil : sessions[peer] }) else { throw .notConnected }
        let result: Result<[UInt8], RequestFault> = await withCheckedContinuation { continuation in
            session.request(bytes, on: channel, timeout: timeout) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// Lowers a peer's score; below the bound it is sent away for a growing time.
    public func penalize(_ peer: PeerID, reason: String, points: Int = 34) {
        guard let session = lock.withLock({ sessions[peer] }) else { return }
        if session.counters.penalize(points) > NetworkService.banScore { return }
        lock.withLock { book.ban(peer, at: now) }
        session.end("banned: \(reason)")
    }

    /// The peers at hand, in order of their ids.
    public var peers: [PeerInfo] {
        lock.withLock { sessions }.sorted { $0.key < $1.key }.compactMap { id, session in
            guard let hello = session.hello else { return nil }
            let values = session.counters.current
            return PeerInfo(
                id: id, address: "\(hello.record.endpoint.host):\(hello.record.tcpPort)",
                direction: session.dialled ? "outbound" : "inbound", roles: hello.record.roles, headHeight: values.head,
                roundTripMilliseconds: Double(values.roundTrip) / 1e6, bytesIn: values.received.reduce(0, +),
                bytesOut: values.sent.reduce(0, +), score: values.score)
        }
    }

    public var connectedPeers: [PeerID] { lock.withLock { sessions.keys.sorted() } }

    /// Every record that discovery has proven or a peer has greeted with, to be kept over a restart.
    public var knownRecords: [NodeRecord] {
        let proven = discovery?.proven ?? []
        return lock.withLock { book.known(proven) }
    }

    /// Why sessions ended, counted.
    public var disconnectReasons: [String: Int] { lock.withLock { disconnects } }
}

extension Endpoint {
    /// Reads `127.0.0.1:27600` or `[::1]:27600`.
    static func parse(_ text: String) throws(NetworkFault) -> Endpoint {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]) else {
            throw .badAddress(text)
        }
        let host = text[..<colon]
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        return try parse(host: String(isBracketed ? host.dropFirst().dropLast() : host), port: port)
    }

    /// An IP address as text, without brackets, or `localhost`.
    static func parse(host: String, port: Int) throws(NetworkFault) -> Endpoint {
        let address = host == "localhost" ? "127.0.0.1" : host
        guard let socket = try? SocketAddress(ipAddress: address, port: port), let endpoint = try? Endpoint(socket)
        else { throw .badAddress("\(host):\(port)") }
        return endpoint
    }

    init(_ socket: SocketAddress) throws {
        // The address stands at byte 4 of a sockaddr_in and at byte 8 of a sockaddr_in6.
        switch socket {
        case .v4(let address):
            let bytes = withUnsafeBytes(of: address.address) { Array($0[4..<8]) }
            try self.init(address: bytes, port: UInt16(clamping: socket.port ?? 0))
        case .v6(let address):
            let bytes = withUnsafeBytes(of: address.address) { Array($0[8..<24]) }
            try self.init(address: bytes, port: UInt16(clamping: socket.port ?? 0))
        case .unixDomainSocket: throw NetworkFault.badAddress("a local socket")
        }
    }

    var socketAddress: SocketAddress? { try? SocketAddress(ipAddress: host, port: Int(port)) }
}
