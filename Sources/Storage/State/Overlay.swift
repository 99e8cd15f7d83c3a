/// Writes that are not in the database yet, in key order where order is asked for. Nil stands for a deletion.
struct Overlay {
    private(set) var values: [[UInt8]: [UInt8]?] = [:]
    private var ordered: [[UInt8]] = []
    private var fresh: [[UInt8]] = []

    var isEmpty: Bool { values.isEmpty }

    mutating func set(_ key: [UInt8], _ value: [UInt8]?) {
        if values.updateValue(value, forKey: key) == nil { fresh.append(key) }
    }

    mutating func removeAll() { self = Overlay() }

    /// All keys in byte order.
    mutating func keys() -> [[UInt8]] {
        if fresh.isEmpty { return ordered }
        fresh.sort { $0.lexicographicallyPrecedes($1) }
        if ordered.isEmpty {
            swap(&ordered, &fresh)
            return ordered
        }
        var merged: [[UInt8]] = []
        merged.reserveCapacity(ordered.count + fresh.count)
        var i = 0
        var j = 0
        while i < ordered.count && j < fresh.count {
            if ordered[i].lexicographicallyPrecedes(fresh[j]) {
                merged.append(ordered[i])
                i += 1
            } else {
                merged.append(fresh[j])
                j += 1
            }
        }
        merged += ordered[i...]
        merged += fresh[j...]
        ordered = merged
        fresh = []
        return ordered
    }

    /// The place of the first key that is at or behind `bound` (behind it only, where `excluding`).
    static func position(in keys: [[UInt8]], of bound: [UInt8], excluding: Bool) -> Int {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            let isBefore =
                excluding
                ? !bound.lexicographicallyPrecedes(keys[middle]) : keys[middle].lexicographicallyPrecedes(bound)
            if isBefore { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
