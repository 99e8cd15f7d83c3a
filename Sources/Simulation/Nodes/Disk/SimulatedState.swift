import Ledger
import Primitives

/// The state of a node on its disk: reads see every commit, a crash falls back to the last flush.
final class SimulatedState: StateStore {
    private struct Space {
        var values: [[UInt8]: [UInt8]] = [:]
        var keys: [[UInt8]] = []
    }

    private struct Content {
        var spaces: [StateSpace: Space] = [.state: Space(), .tree: Space()]
        var height: Height?
    }

    private var live = Content()
    private var flushed = Content()

    var height: Height? { live.height }

    var flushedHeight: Height? { flushed.height }

    /// What is live now is what a crash leaves.
    func flush() { flushed = live }

    func crash() { live = flushed }

    func value(_ space: StateSpace, _ key: [UInt8]) throws(StateFault) -> [UInt8]? { live.spaces[space]?.values[key] }

    func scan(_ space: StateSpace, prefix: [UInt8], after: [UInt8]?, limit: Int) throws(StateFault)
        -> [(key: [UInt8], value: [UInt8])]
    {
        guard let held = live.spaces[space] else { return [] }
        var place = SimulatedState.place(of: prefix, in: held.keys)
        if let after, !after.lexicographicallyPrecedes(prefix) {
            place = SimulatedState.place(of: after, in: held.keys)
            if place < held.keys.count, held.keys[place] == after { place += 1 }
        }
        var found: [(key: [UInt8], value: [UInt8])] = []
        while place < held.keys.count, found.count < limit, held.keys[place].starts(with: prefix) {
            if let value = held.values[held.keys[place]] { found.append((held.keys[place], value)) }
            place += 1
        }
        return found
    }

    func commit(_ writes: StateWrites, height: Height) throws(StateFault) {
        if let last = live.height, height != last.next() { throw .wrongHeight(expected: last.next(), found: height) }
        for entry in writes.entries {
            let isKnown = live.spaces[entry.space]?.values[entry.key] != nil
            live.spaces[entry.space]?.values[entry.key] = entry.value
            // The tree is never walked in order.
            if entry.space == .tree || isKnown == (entry.value != nil) { continue }
            let place = SimulatedState.place(of: entry.key, in: live.spaces[entry.space]?.keys ?? [])
            if entry.value == nil {
                live.spaces[entry.space]?.keys.remove(at: place)
            } else {
                live.spaces[entry.space]?.keys.insert(entry.key, at: place)
            }
        }
        live.height = height
    }

    /// Everything whose key begins so, in order.
    func all(prefix: [UInt8]) -> [(key: [UInt8], value: [UInt8])] {
        (try? scan(.state, prefix: prefix, after: nil, limit: .max)) ?? []
    }

    /// The first place whose key is not before this one.
    private static func place(of key: [UInt8], in keys: [[UInt8]]) -> Int {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            if keys[middle].lexicographicallyPrecedes(key) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
