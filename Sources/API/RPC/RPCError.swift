/// An error as JSON-RPC 2.0 sends it.
public struct RPCError: Error, Equatable, Sendable, CustomStringConvertible {
    public let code: Int
    /// One sentence for a person, with the next step where there is one.
    public let message: String
    public let data: JSONValue?

    public init(code: Int, message: String, data: JSONValue? = nil) {
        self.code = code
        self.message = message
        self.data = data
    }

    public static func parseError(_ reason: String) -> RPCError { RPCError(code: -32700, message: reason) }
    public static func invalidRequest(_ reason: String) -> RPCError { RPCError(code: -32600, message: reason) }
    public static func methodNotFound(_ method: String) -> RPCError {
        RPCError(code: -32601, message: "there is no method '\(method)'; rpc.methods lists those there are")
    }
    public static func invalidParams(_ reason: String) -> RPCError { RPCError(code: -32602, message: reason) }
    public static func internalError(_ reason: String) -> RPCError { RPCError(code: -32603, message: reason) }
    /// The node understood and refuses: the application's own errors.
    public static func refused(_ reason: String, data: JSONValue? = nil) -> RPCError {
        RPCError(code: -32000, message: reason, data: data)
    }
    /// What was asked for is not here.
    public static func notFound(_ reason: String) -> RPCError { RPCError(code: -32001, message: reason) }

    public var description: String { message }

    public var json: JSONValue {
        var members: [String: JSONValue] = ["code": JSONValue(code), "message": .string(message)]
        if let data { members["data"] = data }
        return .object(members)
    }

    public init?(json: JSONValue) {
        guard let code = json["code"]?.int64, let message = json["message"]?.string else { return nil }
        self.init(code: Int(code), message: message, data: json["data"])
    }
}
