import API
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// A server on a free loopback port that keeps uploads in memory.
final class TestNode: Sendable {
    let blobs = Mutex<[String: [UInt8]]>([:])
    let isReady = Mutex(true)

    func handlers() -> APIHandlers {
        APIHandlers(
            methods: [
                "echo": { .object($0) },
                "refuse": { _ in throw RPCError.refused("not enough XPL: 3 are missing", data: ["missing": "3"]) },
                "slow": { _ in
                    try await Task.sleep(for: .seconds(1))
                    return nil
                },
            ],
            readiness: {
                let isReady = self.isReady.withLock { $0 }
                return Readiness(isReady: isReady, details: ["reason": isReady ? "voting" : "catching up"])
            },
            metrics: { "plasma_height 1\n" },
            upload: { kind, length, body in
                var all: [UInt8] = []
                for try await piece in body { all += piece }
                if kind == .tensor(type: "bad", shape: [1]) { throw RPCError.refused("an unknown element type") }
                let id = "\(kind)"
                let bytes = all
                self.blobs.withLock { $0["b\($0.count)"] = bytes }
                return [
                    "kind": .string(id), "length": JSONValue(all.count),
                    "announced": length.map { JSONValue($0) } ?? nil,
                ]
            },
            transactions: { encoded, wait in
                if encoded.isEmpty { throw RPCError.invalidParams("no transactions") }
                return ["bytes": JSONValue(encoded.count), "wait": wait.map { .number($0) } ?? .null]
            },
            download: { id in
                guard let bytes = self.blobs.withLock({ $0[id] }) else { return nil }
                return BlobDownload(length: UInt64(bytes.count)) { offset, count in
                    Array(bytes[Int(offset)..<Int(offset) + count])
                }
            })
    }

    /// Serves while `body` runs, then stops.
    func serve(_ body: (_ port: Int) async throws -> Void) async throws {
        let server = RPCServer(port: 0, handlers: handlers(), logger: Logger(label: "test"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let port = try await server.port()
            do { try await body(port) } catch {
                try await server.stop()
                throw error
            }
            try await server.stop()
            try await group.waitForAll()
        }
    }

    /// Sends raw bytes and answers the version and status that come back.
    static func raw(_ text: String, port: Int) async throws -> String {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: text))
            var all = ""
            for try await piece in inbound {
                all += String(buffer: piece)
                if all.contains("\r\n\r\n") { break }
            }
            return String(all.prefix(12))
        }
    }
}
