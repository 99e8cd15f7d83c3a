/// How programs and people reach a node: JSON-RPC 2.0 and blobs over HTTP, on loopback unless told otherwise.
///
/// - `RPCServer` carries requests to closures and knows nothing of chains; `RPCClient` is its other end, used by the CLI.
/// - `JSONValue` keeps 64-bit integers exact and prints keys in order, so that equal values are equal bytes.
///
/// Every bound has a name in `APILimits`.
public enum APILimits {
    /// The longest body of a JSON-RPC request, in bytes.
    public static let requestBytes = 4 << 20
    /// The most calls in one batch.
    public static let batchCalls = 100
    /// How deep JSON may nest.
    public static let jsonDepth = 64
    /// The longest answer that a client takes into memory, in bytes.
    public static let answerBytes = 256 << 20
    /// The pieces in which blobs travel, in bytes.
    public static let pieceBytes = 256 << 10
    /// The most dimensions in the shape of an uploaded tensor.
    public static let tensorDimensions = 8
}
