/// Why a node could not be asked.
public enum ClientFault: Error, Equatable, Sendable, CustomStringConvertible {
    case noNode(host: String, port: Int)
    case timedOut(host: String, port: Int, seconds: Double)
    case connectionLost(host: String, port: Int)
    case http(status: Int, message: String)
    case malformedAnswer(String)
    case answerTooLong(limit: Int)
    /// A local file could not be read or written.
    case file(path: String, reason: String)

    public var description: String {
        switch self {
        case .noNode(let host, let port): "no node answers at \(host):\(port): start it with `plasma start`"
        case .timedOut(let host, let port, let seconds):
            "the node at \(host):\(port) did not answer within \(seconds) s"
        case .connectionLost(let host, let port):
            "the node at \(host):\(port) broke the connection off; is it stopping?"
        case .http(let status, let message): "the node answered \(status): \(message)"
        case .malformedAnswer(let reason): "what answers is no Plasma node, or of another version: \(reason)"
        case .answerTooLong(let limit): "the answer is longer than \(limit) bytes"
        case .file(let path, let reason): "\(path): \(reason)"
        }
    }
}
