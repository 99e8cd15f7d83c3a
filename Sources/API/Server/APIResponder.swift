internal import HTTPTypes
internal import HummingbirdCore
internal import NIOCore

/// Routes HTTP requests to the handlers.
struct APIResponder: Sendable {
    let handlers: APIHandlers
    let dispatcher: RPCDispatcher

    init(_ handlers: APIHandlers) {
        self.handlers = handlers
        dispatcher = RPCDispatcher(handlers.methods)
    }

    func respond(to request: Request) async -> Response {
        if let origin = request.headers[.origin], !APIResponder.isLocal(origin) {
            // A page of another site in a browser on this machine; loopback alone would not keep it out.
            return APIResponder.problem(.forbidden, "requests from web pages of other sites are refused")
        }
        let path = request.uri.path
        switch (request.method, path) {
        case (.post, "/"): return await call(request)
        case (.get, "/health"): return APIResponder.json(.ok, ["status": "alive"])
        case (.get, "/ready"):
            let readiness = await handlers.readiness()
            return APIResponder.json(readiness.isReady ? .ok : .serviceUnavailable, readiness.details)
        case (.get, "/metrics"):
            return APIResponder.text(await handlers.metrics(), "text/plain; version=0.0.4; charset=utf-8")
        case (.put, "/blobs/file"): return await upload(.file, request)
        case (.put, "/blobs/tensor"):
            guard let kind = APIResponder.tensor(request.uri) else {
                return APIResponder.problem(
                    .badRequest,
                    "say the tensor as ?type=f32&shape=2,3, with at most \(APILimits.tensorDimensions) sizes")
            }
            return await upload(kind, request)
        case (.put, "/transactions"): return await submit(request)
        case (.get, _) where path.hasPrefix("/blobs/"): return await download(String(path.dropFirst(7)))
        case (_, "/"), (_, "/health"), (_, "/ready"), (_, "/metrics"), (_, "/blobs/file"), (_, "/blobs/tensor"),
            (_, "/transactions"):
            return APIResponder.problem(.methodNotAllowed, "\(path) does not take \(request.method.rawValue)")
        default:
            return APIResponder.problem(.notFound, "there is nothing at \(path); JSON-RPC is posted to /")
        }
    }

    /// A request's body, nil where it is longer than may be.
    private func body(_ request: Request) async throws -> [UInt8]? {
        let announced = request.headers[.contentLength].flatMap { UInt64($0) } ?? 0
        if announced > UInt64(APILimits.requestBytes) { return nil }
        var body: [UInt8] = []
        body.reserveCapacity(Int(announced))
        for try await piece in request.body {
            if body.count + piece.readableBytes > APILimits.requestBytes { return nil }
            body += piece.readableBytesView
        }
        return body
    }

    private func call(_ request: Request) async -> Response {
        do {
            guard let body = try await body(request) else {
                let reason = "the request is longer than \(APILimits.requestBytes) bytes"
                return APIResponder.json(
                    .contentTooLarge, RPCDispatcher.failure(.invalidRequest(reason), id: .null))
            }
            guard let answer = await dispatcher.respond(to: body) else { return Response(status: .noContent) }
            return APIResponder.json(.ok, answer)
        } catch {
            return APIResponder.problem(.badRequest, "the request ended early")
        }
    }

    private func submit(_ request: Request) async -> Response {
        var wait: Double?
        if let text = request.uri.queryParameters["wait"] {
            guard let seconds = Double(text), (0...120).contains(seconds) else {
                return APIResponder.problem(.badRequest, "say how long to wait as ?wait=30, up to 120 seconds")
            }
            wait = seconds
        }
        do {
            guard let body = try await body(request) else {
                return APIResponder.problem(
                    .contentTooLarge, "the transactions have more than \(APILimits.requestBytes) bytes together")
            }
            return APIResponder.json(.ok, try await handlers.transactions(body, wait))
        } catch let error as RPCError {
            return APIResponder.json(.badRequest, ["error": error.json])
        } catch {
            return APIResponder.problem(.badRequest, "the request ended early")
        }
    }

    private func upload(_ kind: UploadKind, _ request: Request) async -> Response {
        let length = request.headers[.contentLength].flatMap { UInt64($0) }
        do {
            return APIResponder.json(.ok, try await handlers.upload(kind, length, UploadBody(body: request.body)))
        } catch let error as RPCError {
            return APIResponder.json(.badRequest, ["error": error.json])
        } catch {
            return APIResponder.problem(.internalServerError, "\(error)")
        }
    }

    private func download(_ id: String) async -> Response {
        do {
            guard let blob = try await handlers.download(id) else {
                return APIResponder.problem(.notFound, "blob \(id) is not here")
            }
            var fields = HTTPFields()
            fields[.contentType] = "application/octet-stream"
            return Response(
                status: .ok, headers: fields,
                body: ResponseBody(contentLength: Int(clamping: blob.length)) { writer in
                    var offset: UInt64 = 0
                    while offset < blob.length {
                        let count = Int(min(UInt64(APILimits.pieceBytes), blob.length - offset))
                        let bytes = try await blob.read(offset, count)
                        // The head is sent; all that can be done is to break the connection off.
                        if bytes.count != count { throw RPCError.internalError("the blob is shorter than it was") }
                        try await writer.write(ByteBuffer(bytes: bytes))
                        offset += UInt64(count)
                    }
                    try await writer.finish(nil)
                })
        } catch let error as RPCError {
            return APIResponder.json(.badRequest, ["error": error.json])
        } catch {
            return APIResponder.problem(.internalServerError, "\(error)")
        }
    }

    // MARK: Pieces

    private static func tensor(_ uri: URI) -> UploadKind? {
        guard let type = uri.queryParameters["type"], !type.isEmpty, type.utf8.count <= 16,
            let shape = uri.queryParameters["shape"]
        else { return nil }
        if shape.isEmpty { return .tensor(type: String(type), shape: []) }
        let parts = shape.split(separator: ",", omittingEmptySubsequences: false)
        let sizes = parts.compactMap { UInt64($0) }
        if sizes.count != parts.count || sizes.count > APILimits.tensorDimensions { return nil }
        return .tensor(type: String(type), shape: sizes)
    }

    private static func isLocal(_ origin: String) -> Bool {
        let host = URI(origin).host
        return host == "localhost" || host == "127.0.0.1" || host == "[::1]" || host == "::1"
    }

    private static func problem(_ status: HTTPResponse.Status, _ sentence: String) -> Response {
        json(status, ["error": RPCError(code: -32000 - status.code, message: sentence).json])
    }

    private static func json(_ status: HTTPResponse.Status, _ value: JSONValue) -> Response {
        var fields = HTTPFields()
        fields[.contentType] = "application/json"
        return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(bytes: value.bytes)))
    }

    private static func text(_ text: String, _ type: String) -> Response {
        var fields = HTTPFields()
        fields[.contentType] = type
        return Response(status: .ok, headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}
