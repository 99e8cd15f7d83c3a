/// The states that were met: 8 bytes for what each is, 4 for where it came from, 2 for its depth, and a table of numbers to find it by.
struct StateSet: Sendable {
    private(set) var keys: [UInt64] = []
    private var parents: [UInt32] = []
    private var depths: [UInt16] = []
    /// Numbers of states plus one, or zero; a power of two, at most five eighths full.
    private var table = [UInt32](repeating: 0, count: 1 << 12)

    /// As many as a number of 32 bits can name.
    static let capacity = Int(UInt32.max) - 1

    var count: Int { keys.count }

    /// Whether it is new; then it has the next number.
    mutating func insert(_ key: UInt64, parent: Int?, depth: Int) -> Bool {
        var slot = StateSet.slot(key, table.count)
        while table[slot] != 0 {
            if keys[Int(table[slot]) - 1] == key { return false }
            slot = (slot + 1) & (table.count - 1)
        }
        keys.append(key)
        parents.append(parent.map { UInt32($0) } ?? UInt32.max)
        depths.append(UInt16(clamping: depth))
        table[slot] = UInt32(keys.count)
        if keys.count * 8 > table.count * 5 { grow() }
        return true
    }

    func depth(of state: Int) -> Int { Int(depths[state]) }

    /// From the first state to this one.
    func path(to state: Int) -> [UInt64] {
        var path = [keys[state]]
        var current = parents[state]
        while current != UInt32.max {
            path.append(keys[Int(current)])
            current = parents[Int(current)]
        }
        return path.reversed()
    }

    private static func slot(_ key: UInt64, _ size: Int) -> Int {
        var mixed = key
        mixed = (mixed ^ (mixed >> 31)) &* 0x7FB5_D329_728E_A185
        mixed = (mixed ^ (mixed >> 27)) &* 0x81DA_DEF4_BC2D_D44D
        return Int(truncatingIfNeeded: mixed ^ (mixed >> 33)) & (size - 1)
    }

    private mutating func grow() {
        var larger = [UInt32](repeating: 0, count: table.count * 2)
        for (place, key) in keys.enumerated() {
            var slot = StateSet.slot(key, larger.count)
            while larger[slot] != 0 { slot = (slot + 1) & (larger.count - 1) }
            larger[slot] = UInt32(place + 1)
        }
        table = larger
    }
}
