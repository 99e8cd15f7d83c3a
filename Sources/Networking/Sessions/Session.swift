internal import Foundation
internal import Gossip
internal import NIOCore
internal import Primitives

/// What a session tells the service. Called on its event loop.
protocol SessionOwner: AnyObject, Sendable {
    func sessionReady(_ session: Session)
    func sessionEnded(_ session: Session, reason: String)
    func session(_ session: Session, received frame: Frame)
    func hello() -> Hello
}

/// One connection after TLS: frames, greeting, requests and their answers, and a bounded queue a channel.
final class Session: ChannelInboundHandler, @unchecked Sendable {
    // All mutable state belongs to the channel's event loop, but for `counters`, which its lock guards.
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let dialled: Bool
    private weak var owner: (any SessionOwner)?
    private let network: Digest
    private(set) var channel: (any Channel)?
    private(set) var peer: PublicKey?
    private(set) var hello: Hello?
    let connectedAt = DispatchTime.now().uptimeNanoseconds
    private var arrived = ByteBuffer()
    private var queues: [[Frame]] = [[Frame]](repeating: [], count: NetworkChannel.allCases.count)
    private var nextRequest: UInt64 = 1
    private var requests: [UInt64: (Scheduled<Void>, @Sendable (Result<[UInt8], RequestFault>) -> Void)] = [:]
    /// The end is decided, and nothing more is read. The first reason for it counts.
    private var ending = false
    private var ended = false
    private var reason = "the connection ended"
    private var pingSentAt: UInt64 = 0
    private var unanswered = 0
    private var pinging: RepeatedTask?
    let counters = SessionCounters()

    /// Frames that may wait a channel while the socket is busy. Consensus and transactions drop their oldest, blobs are bounded by their requests.
    static let queueLimits = [2_048, 256, 256, 64]
    static let maximumRequests = 64
    static let pingInterval = TimeAmount.seconds(2)
    static let maximumUnansweredPings = 5
    /// From the connection to the greeting. Who is slower is no peer.
    static let greetingTimeout = TimeAmount.seconds(5)

    init(dialled: Bool, network: Digest, owner: any SessionOwner) {
        self.dialled = dialled
        self.network = network
        self.owner = owner
    }

    func handlerAdded(context: ChannelHandlerContext) { channel = context.channel }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let done = event as? TLSHandshakeCompleted, let owner else {
            return context.fireUserInboundEventTriggered(event)
        }
        peer = done.peer
        write(Frame(channel: .consensus, kind: .hello, id: 0, content: owner.hello().canonicalBytes))
    }

    func channelActive(context: ChannelHandlerContext) {
        context.eventLoop.assumeIsolated().scheduleTask(in: Session.greetingTimeout) { [weak self] in
            guard let self, self.hello == nil else { return }
            self.end(self.peer == nil ? "no TLS handshake came" : "no greeting came")
        }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if ending { return }
        if arrived.readableBytes == 0 { arrived = buffer } else { arrived.writeBuffer(&buffer) }
        do {
            while !ending, let frame = try Frame.read(from: &arrived) { receive(frame) }
        } catch {
            end("the peer broke the protocol: \(error)")
        }
        if arrived.readableBytes == 0 { arrived.clear() } else { arrived.discardReadBytes() }
    }

    private func receive(_ frame: Frame) {
        counters.received(frame.content.count, on: frame.channel)
        if hello == nil {
            guard frame.kind == .hello, let hello = try? Hello(canonicalBytes: frame.content) else {
                return end("the peer did not greet")
            }
            if hello.version != Hello.currentVersion {
                return end("the peer speaks protocol version \(hello.version), this node \(Hello.currentVersion)")
            }
            if hello.network != network {
                return end("the peer is of another network (\(hello.network.hex.prefix(16))…): its genesis differs")
            }
            if hello.record.identity != peer || hello.record.network != network {
                return end("the peer greeted with another's record")
            }
            self.hello = hello
            counters.raiseHead(hello.headHeight)
            startPinging()
            owner?.sessionReady(self)
            return
        }
        switch frame.kind {
        case .hello: end("the peer greeted twice")
        case .ping:
            note(head: frame.content)
            write(Frame(channel: .consensus, kind: .pong, id: 0, content: []))
        case .pong:
            unanswered = 0
            counters.setRoundTrip(DispatchTime.now().uptimeNanoseconds - pingSentAt)
        case .answer, .refusal:
            guard let (deadline, done) = requests.removeValue(forKey: frame.id) else { return }
            deadline.cancel()
            done(frame.kind == .answer ? .success(frame.content) : .failure(.refused))
        case .message, .request: owner?.session(self, received: frame)
        }
    }

    private func note(head content: [UInt8]) {
        var reader = ByteReader(content)
        if let head = try? reader.readUInt64() { counters.raiseHead(head) }
    }

    private func startPinging() {
        pinging = channel?.eventLoop.scheduleRepeatedTask(initialDelay: .milliseconds(50), delay: Session.pingInterval)
        {
            [weak self] _ in self?.ping()
        }
    }

    private func ping() {
        if ended { return }
        unanswered += 1
        if unanswered > Session.maximumUnansweredPings { return end("the peer does not answer") }
        pingSentAt = DispatchTime.now().uptimeNanoseconds
        var writer = ByteWriter(capacity: 8)
        writer.write(owner?.hello().headHeight ?? 0)
        write(Frame(channel: .consensus, kind: .ping, id: 0, content: writer.bytes))
    }

    // MARK: Sending (any thread)

    func send(_ frame: Frame) {
        guard let channel else { return }
        channel.eventLoop.execute { self.write(frame) }
    }

    func request(
        _ bytes: [UInt8], on networkChannel: NetworkChannel, timeout: Interval,
        done: @escaping @Sendable (Result<[UInt8], RequestFault>) -> Void
    ) {
        guard let channel else { return done(.failure(.notConnected)) }
        channel.eventLoop.execute {
            if self.ended { return done(.failure(.notConnected)) }
            if self.requests.count >= Session.maximumRequests { return done(.failure(.tooManyUnderWay)) }
            let id = self.nextRequest
            self.nextRequest += 1
            let deadline = channel.eventLoop.scheduleTask(in: .nanoseconds(timeout.nanoseconds)) {
                if let (_, waiting) = self.requests.removeValue(forKey: id) { waiting(.failure(.timedOut)) }
            }
            self.requests[id] = (deadline, done)
            self.write(Frame(channel: networkChannel, kind: .request, id: id, content: bytes))
        }
    }

    func answer(_ frame: Frame, with bytes: [UInt8]?) {
        let tooLong = (bytes?.count ?? 0) > frame.channel.limit
        send(
            Frame(
                channel: frame.channel, kind: bytes == nil || tooLong ? .refusal : .answer, id: frame.id,
                content: tooLong ? [] : bytes ?? []))
    }

    private func write(_ frame: Frame) {
        guard !ended, let channel else { return }
        if frame.content.count > frame.channel.limit { return }
        let slot = Int(frame.channel.rawValue)
        if channel.isWritable && queues.allSatisfy({ $0.isEmpty }) {
            put(frame, channel)
            channel.flush()
            return
        }
        queues[slot].append(frame)
        if queues[slot].count > Session.queueLimits[slot] {
            queues[slot].removeFirst()
            counters.dropped()
        }
    }

    private func put(_ frame: Frame, _ channel: any Channel) {
        var buffer = channel.allocator.buffer(capacity: frame.content.count + 32)
        frame.write(into: &buffer)
        counters.sent(buffer.readableBytes, on: frame.channel)
        channel.write(buffer, promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        // Highest priority first, for as long as the socket takes more.
        var wrote = false
        for slot in queues.indices {
            var taken = 0
            while taken < queues[slot].count, context.channel.isWritable {
                put(queues[slot][taken], context.channel)
                taken += 1
                wrote = true
            }
            queues[slot].removeFirst(taken)
        }
        if wrote { context.flush() }
        context.fireChannelWritabilityChanged()
    }

    // MARK: Ending

    func end(_ why: String) {
        guard let channel else { return }
        if channel.eventLoop.inEventLoop { return close(channel, why) }
        channel.eventLoop.execute { self.close(channel, why) }
    }

    private func close(_ channel: any Channel, _ why: String) {
        if !ending {
            ending = true
            reason = why
        }
        channel.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close(context.channel, "\(error)") }

    func channelInactive(context: ChannelHandlerContext) {
        ending = true
        if !ended {
            ended = true
            pinging?.cancel()
            for (deadline, done) in requests.values {
                deadline.cancel()
                done(.failure(.notConnected))
            }
            requests.removeAll()
            owner?.sessionEnded(self, reason: reason)
        }
        context.fireChannelInactive()
    }
}

/// What operators see of a session.
final class SessionCounters: @unchecked Sendable {
    struct Values {
        var received = [UInt64](repeating: 0, count: NetworkChannel.allCases.count)
        var sent = [UInt64](repeating: 0, count: NetworkChannel.allCases.count)
        var dropped: UInt64 = 0
        var head: UInt64 = 0
        var roundTrip: UInt64 = 0
        var score = 0
    }

    private let lock = NSLock()
    private var values = Values()

    var current: Values { lock.withLock { values } }

    func received(_ count: Int, on channel: NetworkChannel) {
        lock.withLock { values.received[Int(channel.rawValue)] += UInt64(count) }
    }

    func sent(_ count: Int, on channel: NetworkChannel) {
        lock.withLock { values.sent[Int(channel.rawValue)] += UInt64(count) }
    }

    func dropped() { lock.withLock { values.dropped += 1 } }

    func raiseHead(_ head: UInt64) { lock.withLock { values.head = max(values.head, head) } }

    func setRoundTrip(_ nanoseconds: UInt64) { lock.withLock { values.roundTrip = nanoseconds } }

    /// Lowers the score and returns it.
    func penalize(_ points: Int) -> Int {
        lock.withLock {
            values.score -= points
            return values.score
        }
    }
}
