internal import Glibc

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
        fresh.sort(by: Overlay.precedes)
        if ordered.isEmpty {
            swap(&ordered, &fresh)
            return ordered
        }
        var merged: [[UInt8]] = []
        merged.reserveCapacity(ordered.count + fresh.count)
        var i = 0
        var j = 0
        while i < ordered.count && j < fresh.count {
            if Overlay.precedes(ordered[i], fresh[j]) {
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

    /// Byte order, many bytes at a time: a flush compares keys millions of times.
    private static func precedes(_ x: [UInt8], _ y: [UInt8]) -> Bool {
        let order = x.withUnsafeBytes { x in
            y.withUnsafeBytes { y in
                let count = min(x.count, y.count)
                guard count > 0, let x = x.baseAddress, let y = y.baseAddress else { return Int32(0) }
                return memcmp(x, y, count)
            }
        }
        return order != 0 ? order < 0 : x.count < y.count
    }

    /// The place of the first key that is at or behind `bound` (behind it only, where `excluding`).
    static func position(in keys: [[UInt8]], of bound: [UInt8], excluding: Bool) -> Int {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            let isBefore =
                excluding ? !precedes(bound, keys[middle]) : precedes(keys[middle], bound)
            if isBefore { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
