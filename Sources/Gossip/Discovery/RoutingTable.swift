public import Primitives

/// Kademlia's table: 256 buckets of 16 by distance from us. A full bucket keeps what it has; a newcomer gets a place only when an old entry has
/// failed to answer. Outside loopback, at most 2 records of an IPv4 /24 stand in a bucket and 10 in the table.
public struct RoutingTable: Sendable {
    public static let bucketSize = 16
    public static let prefixPerBucket = 2
    public static let prefixPerTable = 10

    public struct Entry: Sendable {
        public var record: NodeRecord
        public var lastSeen: Instant
        /// Pings without an answer since then.
        public var failures: Int
    }

    private let own: Digest
    private var buckets: [[Entry]] = [[Entry]](repeating: [], count: 256)

    public init(own: PublicKey) { self.own = RoutingTable.place(of: own) }

    /// A node's place in the key space.
    public static func place(of key: PublicKey) -> Digest { Digest.of(Domain("plasma.place"), key.bytes) }

    private static func distance(_ x: Digest, _ y: Digest) -> [UInt8] { zip(x.bytes, y.bytes).map { $0 ^ $1 } }

    private func bucket(of place: Digest) -> Int? {
        for bit in 0..<256 where own[bit: bit] != place[bit: bit] { return bit }
        return nil
    }

    public var count: Int { buckets.reduce(0) { $0 + $1.count } }

    /// Every entry, nearest bucket last.
    public var entries: [Entry] { buckets.flatMap { $0 } }

    public func record(of identity: PublicKey) -> NodeRecord? {
        guard let index = bucket(of: RoutingTable.place(of: identity)) else { return nil }
        return buckets[index].first { $0.record.identity == identity }?.record
    }

    /// Whether the limits on an IPv4 /24 let a record in, besides what the table has of other nodes.
    private func hasRoom(_ record: NodeRecord, _ index: Int) -> Bool {
        if record.endpoint.isLoopback || record.endpoint.address.count != 4 { return true }
        let prefix = record.endpoint.address.prefix(3)
        let same: (Entry) -> Bool = {
            $0.record.identity != record.identity && $0.record.endpoint.address.count == 4
                && $0.record.endpoint.address.prefix(3) == prefix
        }
        return buckets[index].count(where: same) < RoutingTable.prefixPerBucket
            && entries.count(where: same) < RoutingTable.prefixPerTable
    }

    /// Notes a node that has just answered. Returns whether it is in the table. A node that moved to a prefix without room is not taken there:
    /// its old record stands until it fails.
    @discardableResult
    public mutating func seen(_ record: NodeRecord, at now: Instant) -> Bool {
        guard let index = bucket(of: RoutingTable.place(of: record.identity)) else { return false }
        if let held = buckets[index].firstIndex(where: { $0.record.identity == record.identity }) {
            let old = buckets[index][held].record
            if record.sequence >= old.sequence {
                if record.endpoint != old.endpoint, !hasRoom(record, index) { return false }
                buckets[index][held].record = record
            }
            buckets[index][held].lastSeen = now
            buckets[index][held].failures = 0
            return true
        }
        if !hasRoom(record, index) { return false }
        if buckets[index].count >= RoutingTable.bucketSize {
            guard let failed = buckets[index].firstIndex(where: { $0.failures > 0 }) else { return false }
            buckets[index].remove(at: failed)
        }
        buckets[index].append(Entry(record: record, lastSeen: now, failures: 0))
        return true
    }

    /// Notes a ping without an answer; the third in a row removes the node.
    public mutating func failed(_ identity: PublicKey) {
        guard let index = bucket(of: RoutingTable.place(of: identity)),
            let held = buckets[index].firstIndex(where: { $0.record.identity == identity })
        else { return }
        buckets[index][held].failures += 1
        if buckets[index][held].failures >= 3 { buckets[index].remove(at: held) }
    }

    /// The records nearest to a place.
    public func nearest(to place: Digest, count: Int) -> [NodeRecord] {
        let sorted = entries.map {
            (RoutingTable.distance(RoutingTable.place(of: $0.record.identity), place), $0.record)
        }
        .sorted { $0.0.lexicographicallyPrecedes($1.0) }
        return sorted.prefix(count).map(\.1)
    }
}
