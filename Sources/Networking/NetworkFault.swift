/// Why the network cannot be used.
public enum NetworkFault: Error, Sendable, CustomStringConvertible {
    case portInUse(host: String, port: Int)
    case cannotListen(host: String, port: Int, reason: String)
    case badAddress(String)
    case noExternalAddress(listening: String)
    case tls(String)

    public var description: String {
        switch self {
        case .portInUse(let host, let port):
            "port \(port) on \(host) is in use: stop the program that holds it, or set another port in config.toml"
        case .cannotListen(let host, let port, let reason): "cannot listen on \(host):\(port): \(reason)"
        case .badAddress(let text): "\"\(text)\" is no IP address with a port: write it as 203.0.113.7:27600"
        case .noExternalAddress(let host):
            "listening on \(host) does not say where others reach this node: set external_host in config.toml"
        case .tls(let reason): "TLS cannot be set up: \(reason)"
        }
    }
}

/// Why a request got no answer.
public enum RequestFault: Error, Sendable, Equatable, CustomStringConvertible {
    case notConnected
    case timedOut
    case refused
    case tooManyUnderWay
    /// The question is longer than its channel lets through.
    case tooLong(found: Int, limit: Int)

    public var description: String {
        switch self {
        case .notConnected: "the peer is not connected"
        case .timedOut: "the peer did not answer in time"
        case .refused: "the peer has no answer"
        case .tooManyUnderWay: "too many requests to this peer are under way"
        case .tooLong(let found, let limit): "a request of \(found) bytes is above the limit of \(limit)"
        }
    }
}
