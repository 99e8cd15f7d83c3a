internal import Programs

/// Where carried tensors and intermediates lie.
extension GraphPlanner {
    /// Where each carried tensor's next value comes from at the end of the step.
    mutating func placeCarried() -> (copied: [(carried: Int, from: Access)], swapped: [Int]) {
        var copied: [(carried: Int, from: Access)] = []
        var swapped: [Int] = []
        for (index, value) in nextCarried.enumerated() where updated[index] == nil {
            let own = ValueID(firstCarried + index)
            let access = access(value)
            if access.root == own && access.isWhole(shape(value)) { continue }
            if access.root == value, storage[value.index] == nil {
                storage[value.index] = .next(index)
                swapped.append(index)
            } else {
                copied.append((index, access))
            }
        }
        return (copied, swapped)
    }

    /// Gives the values that steps make a place, reusing what is no longer read.
    mutating func placeArena() -> (bytes: Int, chains: [ImageChain]) {
        // An output is read after the last step.
        for value in outputs + nextCarried { lastRead[access(value).root.index] = steps.count }
        let (chains, parts) = placeChains()
        var free: [(offset: Int, size: Int)] = []
        var end = 0
        var ending: [Int: [(offset: Int, size: Int)]] = [:]
        let order = made.filter { storage[$0.key] == nil }.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
        var next = order.startIndex
        for step in steps.indices {
            while next < order.endIndex, order[next].value == step {
                let value = order[next].key
                next += 1
                var bytes = Int(types[Int(value)].byteCount)
                if let chain = parts[value] { bytes = bytes / chain.images * chain.together }
                let size = (bytes + 63) / 64 * 64
                let offset: Int
                if let slot = free.firstIndex(where: { $0.size >= size }) {
                    offset = free[slot].offset
                    if free[slot].size == size {
                        free.remove(at: slot)
                    } else {
                        free[slot] = (free[slot].offset + size, free[slot].size - size)
                    }
                } else {
                    offset = end
                    end += size
                }
                storage[value] = .arena(offset)
                ending[max(step, lastRead[value] ?? step), default: []].append((offset, size))
            }
            // Freed only after the step: a kernel may not write over what it reads.
            free += ending.removeValue(forKey: step) ?? []
            free = GraphPlanner.joined(free)
        }
        return (end, chains)
    }

    static func joined(_ pieces: [(offset: Int, size: Int)]) -> [(offset: Int, size: Int)] {
        var out: [(offset: Int, size: Int)] = []
        for piece in pieces.sorted(by: { $0.offset < $1.offset }) {
            if let last = out.last, last.offset + last.size == piece.offset {
                out[out.count - 1].size += piece.size
            } else {
                out.append(piece)
            }
        }
        return out
    }
}
