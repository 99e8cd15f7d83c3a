internal import HummingbirdCore
public import Logging
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Why the API cannot be served.
public enum ServerFault: Error, Equatable, Sendable, CustomStringConvertible {
    case portInUse(host: String, port: Int)
    case cannotListen(host: String, port: Int, reason: String)

    public var description: String {
        switch self {
        case .portInUse(let host, let port):
            "\(host):\(port) is in use by another program; stop it or choose another --rpc-port"
        case .cannotListen(let host, let port, let reason): "cannot listen at \(host):\(port): \(reason)"
        }
    }
}

/// The node's HTTP server: JSON-RPC at `POST /`, `/health`, `/ready`, `/metrics`, `PUT /blobs/file`, `PUT /blobs/tensor`
/// and `GET /blobs/{id}`.
///
/// `run()` serves until `stop()`, the task's cancellation, or the graceful shutdown of the service group that runs it;
/// requests under way are then answered and idle connections closed.
public final class RPCServer: Sendable {
    private typealias Core = Server<HTTP1Channel>

    public let host: String
    private let wantedPort: Int
    private let server: Core
    private let running: EventLoopPromise<Int>

    /// - Parameters:
    ///   - host: loopback by default: who can reach the port can use the node.
    ///   - port: 0 takes a free one; `port()` tells which.
    ///   - idleTimeoutSeconds: after so long without a request a connection is closed.
    public init(
        host: String = "127.0.0.1", port: Int, handlers: APIHandlers, idleTimeoutSeconds: Int64 = 60, logger: Logger
    ) {
        self.host = host
        wantedPort = port
        let responder = APIResponder(handlers)
        let channel = HTTP1Channel(
            responder: { request, writer, _ in
                let response = await responder.respond(to: request)
                try await writer.write(response: response.head, body: response.body)
            },
            configuration: HTTP1Channel.Configuration(idleTimeout: .seconds(idleTimeoutSeconds)))
        let group = MultiThreadedEventLoopGroup.singleton
        let running = group.next().makePromise(of: Int.self)
        self.running = running
        server = Core(
            childChannelSetup: channel,
            configuration: ServerConfiguration(address: .hostname(host, port: port)),
            onServerRunning: { channel in running.succeed(channel.localAddress?.port ?? port) },
            eventLoopGroup: group, logger: logger)
    }

    deinit { running.fail(CancellationError()) }

    /// Serves until it is stopped.
    ///
    /// - Throws: `ServerFault` where the port cannot be had.
    public func run() async throws {
        do {
            try await server.run()
        } catch {
            let fault: any Error
            switch error {
            case let error as IOError where error.errnoCode == 98:
                fault = ServerFault.portInUse(host: host, port: wantedPort)
            case is IOError, is SocketAddressError, is NIOConnectionError:
                fault = ServerFault.cannotListen(host: host, port: wantedPort, reason: "\(error)")
            default: fault = error
            }
            running.fail(fault)
            throw fault
        }
    }

    /// The port, once connections are taken.
    ///
    /// - Throws: what `run()` throws where it cannot listen.
    public func port() async throws -> Int { try await running.futureResult.get() }

    /// Takes no more connections, answers what is under way and returns.
    public func stop() async throws { try await server.shutdownGracefully() }
}
