internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Synchronization

/// The other end of `RPCServer`: calls, uploads, downloads, over connections that are kept for the next request.
///
/// Every failure to reach the node is a `ClientFault`; what the node refuses is an `RPCError`.
public final class RPCClient: Sendable {
    /// Told how many bytes have gone, and of how many.
    public typealias Progress = @Sendable (_ done: UInt64, _ total: UInt64) -> Void

    fileprivate struct Connection: Sendable {
        let channel: any Channel
        let handler: NIOLoopBound<AnswerHandler>
    }

    public let host: String
    public let port: Int
    private let timeout: TimeAmount
    private let idle = Mutex<[Connection]>([])
    private let nextID = Mutex<Int64>(0)

    /// - Parameter timeoutSeconds: how long an answer may take; for uploads and downloads, how long the peer may be silent
    ///   at the end of the transfer.
    public init(host: String = "127.0.0.1", port: Int, timeoutSeconds: Double = 30) {
        self.host = host
        self.port = port
        timeout = .milliseconds(Int64(max(0.001, min(timeoutSeconds, 1_000_000)) * 1000))
    }

    deinit { for connection in idle.withLock({ $0 }) { connection.channel.close(promise: nil) } }

    // MARK: Requests

    /// Calls a method.
    ///
    /// - Throws: `RPCError` where the node refuses, `ClientFault` where it cannot be asked.
    public func call(_ method: String, _ parameters: [String: JSONValue] = [:]) async throws -> JSONValue {
        let id = nextID.withLock { id in
            id += 1
            return id
        }
        let request: JSONValue = [
            "jsonrpc": "2.0", "id": .integer(id), "method": .string(method), "params": .object(parameters),
        ]
        let answer = try await exchange(.POST, "/", body: request.bytes)
        let json = try RPCClient.json(answer)
        if let error = json["error"] {
            guard let error = RPCError(json: error) else { throw ClientFault.malformedAnswer("\(error)") }
            throw error
        }
        guard json["id"] == .integer(id), let result = json["result"] else {
            throw ClientFault.malformedAnswer("it is no answer to this call")
        }
        return result
    }

    /// Gets a path such as `/ready` as it is.
    public func get(_ path: String) async throws -> (status: Int, body: [UInt8]) {
        let answer = try await exchange(.GET, path, body: [])
        return (answer.status, answer.body)
    }

    /// Hands encoded transactions over as they are: a list of signed ones, at most `APILimits.requestBytes` together. With `wait`
    /// the answer comes when they are final, or after so many seconds.
    public func submit(encoded transactions: [UInt8], wait: Int? = nil) async throws -> JSONValue {
        let path = "/transactions" + (wait.map { "?wait=\($0)" } ?? "")
        let answer = try await exchange(.PUT, path, body: transactions)
        try RPCClient.check(answer)
        return try RPCClient.json(answer)
    }

    /// Uploads a file from the disk, piece by piece. Answers what the node made of it.
    public func upload(
        file path: String, as kind: UploadKind = .file, progress: Progress? = nil
    ) async throws -> JSONValue {
        let file = try LocalFile(reading: path)
        return try await upload(try file.length(), kind, progress) { offset, count in try file.read(count, at: offset) }
    }

    /// Uploads bytes from memory.
    public func upload(_ bytes: [UInt8], as kind: UploadKind, progress: Progress? = nil) async throws -> JSONValue {
        try await upload(UInt64(bytes.count), kind, progress) { offset, count in
            Array(bytes[Int(offset)..<Int(offset) + count])
        }
    }

    /// Downloads a blob into memory.
    public func download(_ id: String) async throws -> [UInt8] {
        let answer = try await exchange(.GET, "/blobs/\(id)", body: [])
        try RPCClient.check(answer)
        return answer.body
    }

    /// Downloads a blob to the disk and answers its length. A file that is there is overwritten; after a failure what had
    /// arrived stays.
    @discardableResult
    public func download(_ id: String, to path: String, progress: Progress? = nil) async throws -> UInt64 {
        let file = try LocalFile(writing: path)
        let done = Mutex<UInt64>(0)
        let answer = try await exchange(.GET, "/blobs/\(id)", body: []) { piece, length in
            try file.append(piece)
            let sum = done.withLock { done in
                done += UInt64(piece.count)
                return done
            }
            progress?(sum, UInt64(length ?? 0))
        }
        try RPCClient.check(answer)
        return done.withLock { $0 }
    }

    /// Closes the connections that are kept.
    public func close() async {
        let connections = idle.withLock { idle in
            defer { idle = [] }
            return idle
        }
        for connection in connections { try? await connection.channel.close() }
    }

    // MARK: Exchanges

    private func upload(
        _ length: UInt64, _ kind: UploadKind, _ progress: Progress?,
        _ read: (_ offset: UInt64, _ count: Int) throws -> [UInt8]
    ) async throws -> JSONValue {
        let path: String
        switch kind {
        case .file: path = "/blobs/file"
        case .tensor(let type, let shape):
            path = "/blobs/tensor?type=\(type)&shape=\(shape.map { String($0) }.joined(separator: ","))"
        }
        let connection = try await connect()
        let answer = try await run(connection) { promise in
            try await connection.begin(Exchange(promise: promise, sink: nil))
            let answered = Mutex(false)
            promise.futureResult.whenComplete { _ in answered.withLock { $0 = true } }
            let head = self.head(.PUT, path, length: length, type: "application/octet-stream")
            connection.channel.write(HTTPClientRequestPart.head(head), promise: nil)
            var offset: UInt64 = 0
            // The node may refuse before it has all: then the rest is not sent.
            while offset < length && !answered.withLock({ $0 }) {
                let count = Int(min(UInt64(APILimits.pieceBytes), length - offset))
                let piece = try read(offset, count)
                try await connection.channel.writeAndFlush(
                    HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: piece))))
                offset += UInt64(count)
                progress?(offset, length)
            }
            if offset < length { return false }
            try await connection.channel.writeAndFlush(HTTPClientRequestPart.end(nil))
            return true
        }
        try RPCClient.check(answer)
        return try RPCClient.json(answer)
    }

    private func exchange(
        _ method: HTTPMethod, _ path: String, body: [UInt8],
        sink: (@Sendable (_ piece: [UInt8], _ length: Int?) throws -> Void)? = nil
    ) async throws -> HTTPAnswer {
        if let kept = takeIdle() {
            do {
                return try await send(kept, method, path, body, sink)
            } catch ClientFault.connectionLost where method == .GET && sink == nil {
                // The node closed a kept connection in the meantime; asking again changes nothing there.
            }
        }
        return try await send(try await connect(), method, path, body, sink)
    }

    private func send(
        _ connection: Connection, _ method: HTTPMethod, _ path: String, _ body: [UInt8],
        _ sink: (@Sendable (_ piece: [UInt8], _ length: Int?) throws -> Void)?
    ) async throws -> HTTPAnswer {
        try await run(connection) { promise in
            try await connection.begin(Exchange(promise: promise, sink: sink))
            let head = self.head(method, path, length: UInt64(body.count), type: "application/json")
            connection.channel.write(HTTPClientRequestPart.head(head), promise: nil)
            if !body.isEmpty {
                connection.channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil)
            }
            connection.channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
            return true
        }
    }

    /// Runs one exchange and keeps the connection where its request and answer were whole.
    private func run(
        _ connection: Connection, _ send: (EventLoopPromise<HTTPAnswer>) async throws -> Bool
    ) async throws -> HTTPAnswer {
        let loop = connection.channel.eventLoop
        let promise = loop.makePromise(of: HTTPAnswer.self)
        do {
            let isWhole: Bool
            do { isWhole = try await send(promise) } catch  where error is ChannelError || error is IOError {
                // The peer closed while it was written to; its answer, if one came, says why.
                isWhole = false
                connection.channel.closeFuture.whenComplete { _ in promise.fail(ChannelError.eof) }
                connection.channel.close(promise: nil)
            } catch {
                promise.fail(error)
                throw error
            }
            let alarm = loop.scheduleTask(in: timeout) {
                promise.fail(
                    ClientFault.timedOut(
                        host: self.host, port: self.port, seconds: Double(self.timeout.nanoseconds) / 1e9))
            }
            defer { alarm.cancel() }
            let answer = try await withTaskCancellationHandler {
                try await promise.futureResult.get()
            } onCancel: {
                promise.fail(CancellationError())
            }
            if isWhole && answer.keepsAlive && connection.channel.isActive {
                idle.withLock { $0.append(connection) }
            } else {
                connection.channel.close(promise: nil)
            }
            return answer
        } catch {
            connection.channel.close(promise: nil)
            switch error {
            case is ChannelError, is IOError, is HTTPParserError:
                throw ClientFault.connectionLost(host: host, port: port)
            default: throw error
            }
        }
    }

    private func takeIdle() -> Connection? {
        idle.withLock { idle in
            while let last = idle.popLast() {
                if last.channel.isActive { return last }
            }
            return nil
        }
    }

    private func connect() async throws -> Connection {
        if let kept = takeIdle() { return kept }
        do {
            return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(5))
                .channelOption(.socketOption(.tcp_nodelay), value: 1)
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let handler = AnswerHandler()
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        try channel.pipeline.syncOperations.addHandler(handler)
                        return Connection(
                            channel: channel, handler: NIOLoopBound(handler, eventLoop: channel.eventLoop))
                    }
                }
        } catch { throw ClientFault.noNode(host: host, port: port) }
    }

    private func head(_ method: HTTPMethod, _ path: String, length: UInt64, type: String) -> HTTPRequestHead {
        var headers = HTTPHeaders([("host", "\(host):\(port)")])
        if method != .GET {
            headers.add(name: "content-length", value: String(length))
            headers.add(name: "content-type", value: type)
        }
        return HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: headers)
    }

    private static func json(_ answer: HTTPAnswer) throws -> JSONValue {
        do throws(JSONFault) { return try JSONValue(parsing: answer.body) } catch {
            if answer.status != 200 { throw ClientFault.http(status: answer.status, message: "nothing more") }
            throw ClientFault.malformedAnswer("\(error)")
        }
    }

    private static func check(_ answer: HTTPAnswer) throws {
        if answer.status == 200 { return }
        if let error = (try? JSONValue(parsing: answer.body))?["error"].flatMap({ RPCError(json: $0) }) {
            if answer.status == 400 { throw error }
            throw ClientFault.http(status: answer.status, message: error.message)
        }
        throw ClientFault.http(status: answer.status, message: "nothing more")
    }
}

extension RPCClient.Connection {
    fileprivate func begin(_ exchange: Exchange) async throws {
        let handler = handler
        let channel = channel
        try await channel.eventLoop.submit {
            if !channel.isActive { throw ChannelError.ioOnClosedChannel }
            handler.value.begin(exchange)
        }.get()
    }
}
