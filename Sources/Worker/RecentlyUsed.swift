/// Keeps the few values that were used last, within bounds of number and bytes: jobs name models at will, and each costs memory.
package struct RecentlyUsed<Key: Hashable, Value> {
    private let maximumCount: Int
    private let maximumBytes: UInt64
    /// By use, the last one last. There are few.
    private var entries: [(key: Key, value: Value, bytes: UInt64)] = []

    package init(maximumCount: Int, maximumBytes: UInt64) {
        self.maximumCount = maximumCount
        self.maximumBytes = maximumBytes
    }

    package var count: Int { entries.count }

    package var bytes: UInt64 { entries.reduce(0) { $0 + $1.bytes } }

    /// What is kept under a key, which counts as a use.
    package mutating func value(for key: Key) -> Value? {
        guard let place = entries.firstIndex(where: { $0.key == key }) else { return nil }
        let entry = entries.remove(at: place)
        entries.append(entry)
        return entry.value
    }

    /// Keeps a value in place of those that were used longest ago. One that is above the bound alone is not kept.
    package mutating func keep(_ value: Value, for key: Key, bytes: UInt64) {
        entries.removeAll { $0.key == key }
        if maximumCount == 0 || bytes > maximumBytes { return }
        // No sum here overflows: what is kept is within the bound.
        while entries.count >= maximumCount || self.bytes > maximumBytes - bytes { entries.removeFirst() }
        entries.append((key, value, bytes))
    }
}
