internal import Foundation
internal import Gossip
internal import NIOCore
internal import NIOPosix
internal import Primitives

/// The UDP socket around the discovery machine.
final class DiscoveryShell: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private let lock = NSLock()
    // Guarded by `lock`.
    private var discovery: Discovery
    private var channel: (any Channel)?
    private var ticking: RepeatedTask?

    init(discovery: Discovery) { self.discovery = discovery }

    func start(group: any EventLoopGroup, host: String, port: Int) async throws {
        let channel = try await DatagramBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(self) }
            }
            .bind(host: host, port: port).get()
        // The first tick speaks at once: it must find the socket in its place, or its questions count as asked and go nowhere.
        lock.withLock { self.channel = channel }
        let ticking = channel.eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(100)) {
            [weak self] _ in
            guard let self else { return }
            self.carryOut(self.lock.withLock { self.discovery.tick(at: self.now) })
        }
        lock.withLock { self.ticking = ticking }
    }

    func stop() async {
        let (channel, ticking) = lock.withLock { (self.channel, self.ticking) }
        ticking?.cancel()
        try? await channel?.close()
    }

    /// The bootstrap addresses are these from now on.
    func ask(first endpoints: [Endpoint]) { lock.withLock { discovery.ask(first: endpoints) } }

    private var now: Instant { Instant(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) }

    /// Everyone that answered from the address of its record.
    var proven: [NodeRecord] { lock.withLock { discovery.table.entries.map(\.record) } }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard envelope.data.readableBytes <= DiscoveryMessage.maximumLength,
            let endpoint = try? Endpoint(envelope.remoteAddress)
        else { return }
        let bytes = Array(envelope.data.readableBytesView)
        carryOut(lock.withLock { discovery.receive(bytes, from: endpoint, at: now) })
    }

    private func carryOut(_ outputs: [Discovery.Output]) {
        guard let channel = lock.withLock({ channel }) else { return }
        var wrote = false
        for output in outputs {
            guard case .send(let bytes, let endpoint) = output, let address = endpoint.socketAddress else { continue }
            let envelope = AddressedEnvelope(remoteAddress: address, data: channel.allocator.buffer(bytes: bytes))
            channel.write(envelope, promise: nil)
            wrote = true
        }
        if wrote { channel.flush() }
    }
}
