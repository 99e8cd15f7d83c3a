/// A method: named parameters in, a value or an error out. An error that is no `RPCError` is sent as an internal error with
/// its own sentence.
public typealias RPCMethod = @Sendable ([String: JSONValue]) async throws -> JSONValue

/// JSON-RPC 2.0: bytes in, bytes out. Parameters are by name. The calls of a batch run one after the other.
public struct RPCDispatcher: Sendable {
    private let methods: [String: RPCMethod]

    /// - Parameter methods: by name; `rpc.methods`, which lists them, is added.
    public init(_ methods: [String: RPCMethod]) {
        var all = methods
        let names = (methods.keys + ["rpc.methods"]).sorted()
        all["rpc.methods"] = { _ in .array(names.map { .string($0) }) }
        self.methods = all
    }

    /// The answer to a request or batch; nil where it holds notifications alone.
    public func respond(to body: [UInt8]) async -> JSONValue? {
        let request: JSONValue
        do throws(JSONFault) { request = try JSONValue(parsing: body) } catch {
            return RPCDispatcher.failure(.parseError("the request is \(error)"), id: .null)
        }
        guard case .array(let calls) = request else { return await call(request) }
        if calls.isEmpty { return RPCDispatcher.failure(.invalidRequest("the batch is empty"), id: .null) }
        if calls.count > APILimits.batchCalls {
            let reason = "the batch has \(calls.count) calls, at most \(APILimits.batchCalls) are taken"
            return RPCDispatcher.failure(.invalidRequest(reason), id: .null)
        }
        var answers: [JSONValue] = []
        for one in calls {
            if let answer = await call(one) { answers.append(answer) }
        }
        return answers.isEmpty ? nil : .array(answers)
    }

    private func call(_ request: JSONValue) async -> JSONValue? {
        guard case .object(let members) = request else {
            return RPCDispatcher.failure(.invalidRequest("a request must be an object"), id: .null)
        }
        let id = members["id"]
        switch id {
        case nil, .null, .string, .integer, .unsigned, .number: break
        default: return RPCDispatcher.failure(.invalidRequest("'id' must be a string, a number or null"), id: .null)
        }
        let result: Result<JSONValue, RPCError>
        do throws(RPCError) { result = .success(try await run(members)) } catch { result = .failure(error) }
        switch result {
        case .success(let value):
            guard let id else { return nil }
            return ["jsonrpc": "2.0", "id": id, "result": value]
        case .failure(let error):
            // A notification is answered only where it is no request at all.
            if id == nil && error.code != -32600 { return nil }
            return RPCDispatcher.failure(error, id: id ?? .null)
        }
    }

    private func run(_ members: [String: JSONValue]) async throws(RPCError) -> JSONValue {
        if members["jsonrpc"] != "2.0" { throw .invalidRequest("'jsonrpc' must be \"2.0\"") }
        guard let name = members["method"]?.string else { throw .invalidRequest("'method' must be a string") }
        guard let method = methods[name] else { throw .methodNotFound(name) }
        let parameters: [String: JSONValue]
        switch members["params"] {
        case nil: parameters = [:]
        case .object(let named): parameters = named
        case .array(let values) where values.isEmpty: parameters = [:]
        default: throw .invalidParams("'params' must be an object of named parameters")
        }
        do { return try await method(parameters) } catch let error as RPCError { throw error } catch {
            throw .internalError("\(error)")
        }
    }

    static func failure(_ error: RPCError, id: JSONValue) -> JSONValue {
        ["jsonrpc": "2.0", "id": id, "error": error.json]
    }
}
