public import Primitives

/// Remembers digests for a while: two generations, the older dropped when the newer is full or old. Memory is bounded by twice the capacity.
public struct SeenCache: Sendable {
    private let capacity: Int
    private let lifetime: Interval
    private var young: Set<Digest> = []
    private var old: Set<Digest> = []
    private var turnedAt: Instant?

    public init(capacity: Int, lifetime: Interval = .seconds(60)) {
        self.capacity = max(1, capacity)
        self.lifetime = lifetime
    }

    /// Adds a digest. Returns whether it was new.
    public mutating func insert(_ digest: Digest, at now: Instant) -> Bool {
        let turned = turnedAt ?? now
        if turnedAt == nil { turnedAt = now }
        if young.count >= capacity || now.interval(since: turned) > lifetime {
            // After two lifetimes of silence even the newer generation is out of date.
            old = now.interval(since: turned) > lifetime.scaled(2) ? [] : young
            young = []
            turnedAt = now
        }
        if old.contains(digest) { return false }
        return young.insert(digest).inserted
    }

    public func contains(_ digest: Digest) -> Bool { young.contains(digest) || old.contains(digest) }
}
