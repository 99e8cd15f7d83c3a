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

    /// Gives the values that steps make a place, reusing what is no longer read. Those that only a chain's steps read, image by image, share places in the
    /// chain's lanes, which are one place for all others.
    mutating func placeArena() -> (bytes: Int, chains: [ImageChain]) {
        // An output is read after the last step.
        for value in outputs + nextCarried { lastRead[access(value).root.index] = steps.count }
        var (chains, parts) = placeChains()
        var needs: [PlaceNeed] = []
        for (value, step) in made where storage[value] == nil && parts[value] == nil {
            needs.append(need(value, step, bytes: Int(types[Int(value)].byteCount)))
        }
        var own = [[PlaceNeed]](repeating: [], count: chains.count)
        for (value, index) in parts {
            let bytes = Int(types[Int(value)].byteCount) / chains[index].images
            own[index].append(need(value, made[value] ?? 0, bytes: bytes))
        }
        var inLanes: [[UInt32: Int]] = []
        for index in chains.indices {
            let chain = chains[index]
            let lane = GraphPlanner.placed(own[index])
            chains[index].lane = lane.bytes
            inLanes.append(lane.offsets)
            needs.append(
                PlaceNeed(
                    key: UInt32(types.count + index), steps: chain.steps.lowerBound...(chain.steps.upperBound - 1),
                    bytes: lane.bytes * chain.together))
        }
        let all = GraphPlanner.placed(needs)
        for (key, offset) in all.offsets {
            let chain = Int(key) - types.count
            if chain < 0 {
                storage[key] = .arena(offset)
            } else {
                for (value, within) in inLanes[chain] { storage[value] = .arena(offset + within) }
            }
        }
        return (all.bytes, chains)
    }

    private func need(_ value: UInt32, _ step: Int, bytes: Int) -> PlaceNeed {
        PlaceNeed(key: value, steps: step...max(step, lastRead[value] ?? step), bytes: bytes)
    }

    /// First fit in the order of the steps, by cache lines.
    private static func placed(_ needs: [PlaceNeed]) -> (offsets: [UInt32: Int], bytes: Int) {
        var offsets: [UInt32: Int] = [:]
        var free: [(offset: Int, size: Int)] = []
        var end = 0
        // By the last step: each is looked at once, since of a stranger's graph tens of thousands of values may live at once.
        var ending: [Int: [(offset: Int, size: Int)]] = [:]
        var passed = 0
        for need in needs.sorted(by: { ($0.steps.lowerBound, $0.key) < ($1.steps.lowerBound, $1.key) }) {
            // Freed only after the step: a kernel may not write over what it reads.
            var ended: [(offset: Int, size: Int)] = []
            while passed < need.steps.lowerBound {
                ended += ending.removeValue(forKey: passed) ?? []
                passed += 1
            }
            if !ended.isEmpty { free = joined(free + ended) }
            let size = (need.bytes + 63) / 64 * 64
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
            offsets[need.key] = offset
            ending[need.steps.upperBound, default: []].append((offset, size))
        }
        return (offsets, end)
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

/// Memory for so many bytes from the first to the last of some steps.
private struct PlaceNeed {
    let key: UInt32
    let steps: ClosedRange<Int>
    let bytes: Int
}
