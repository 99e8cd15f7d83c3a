internal import HummingbirdCore
internal import NIOCore

/// What an uploaded blob is to become.
public enum UploadKind: Sendable, Equatable {
    case file
    /// Element type and shape as the caller wrote them; what they mean the handler knows.
    case tensor(type: String, shape: [UInt64])
}

/// An upload's bytes as they arrive; reading slowly slows the sender. To be read once.
public struct UploadBody: AsyncSequence, Sendable {
    public typealias Element = [UInt8]
    let body: RequestBody

    public struct AsyncIterator: AsyncIteratorProtocol {
        var inner: RequestBody.AsyncIterator

        public mutating func next() async throws -> [UInt8]? {
            try await inner.next().map { Array($0.readableBytesView) }
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(inner: body.makeAsyncIterator()) }
}

/// A blob to be sent.
public struct BlobDownload: Sendable {
    /// In bytes.
    public let length: UInt64
    /// Reads `count` bytes at an offset, fewer only at the blob's end.
    public let read: @Sendable (_ offset: UInt64, _ count: Int) async throws -> [UInt8]

    public init(length: UInt64, read: @escaping @Sendable (_ offset: UInt64, _ count: Int) async throws -> [UInt8]) {
        self.length = length
        self.read = read
    }
}

/// Whether the node is ready, and what it says about it.
public struct Readiness: Sendable {
    public let isReady: Bool
    public let details: JSONValue

    public init(isReady: Bool, details: JSONValue) {
        self.isReady = isReady
        self.details = details
    }
}

/// What the server carries requests to.
public struct APIHandlers: Sendable {
    public var methods: [String: RPCMethod]
    /// True only when voting or following at the tip.
    public var readiness: @Sendable () async -> Readiness
    /// Prometheus text.
    public var metrics: @Sendable () async -> String
    /// Takes an upload whole and answers with what it became. `length` is what the sender announced, if it did.
    public var upload: @Sendable (_ kind: UploadKind, _ length: UInt64?, _ body: UploadBody) async throws -> JSONValue
    /// Takes encoded transactions as they are. `wait` is how many seconds the answer may take until they are final.
    public var transactions: @Sendable (_ encoded: [UInt8], _ wait: Double?) async throws -> JSONValue
    /// A blob by the text of its id; nil where it is not here.
    public var download: @Sendable (_ id: String) async throws -> BlobDownload?

    public init(
        methods: [String: RPCMethod],
        readiness: @escaping @Sendable () async -> Readiness = { Readiness(isReady: true, details: [:]) },
        metrics: @escaping @Sendable () async -> String = { "" },
        upload: @escaping @Sendable (UploadKind, UInt64?, UploadBody) async throws -> JSONValue = { _, _, _ in
            throw RPCError.refused("this node takes no uploads")
        },
        transactions: @escaping @Sendable ([UInt8], Double?) async throws -> JSONValue = { _, _ in
            throw RPCError.refused("this node takes no transactions")
        },
        download: @escaping @Sendable (String) async throws -> BlobDownload? = { _ in nil }
    ) {
        self.methods = methods
        self.readiness = readiness
        self.metrics = metrics
        self.upload = upload
        self.transactions = transactions
        self.download = download
    }
}
