internal import Programs

/// A batch whose sentences lie one after the other without gaps, so that each can run by itself.
struct PackedBatch: Sendable {
    /// First token of each sentence, and the end.
    let starts: [Int]
    let length: Int

    var tokens: Int { starts[starts.count - 1] }

    /// Checks that the layout tensors describe consecutive sentences, or gives nil.
    init?(_ program: SpecialisedProgram, _ plan: FusedPlan, _ inputs: [UnsafeRawBufferPointer]) {
        guard let layout = plan.layout, let placesID = layout.places else { return nil }
        func values(_ id: ValueID) -> UnsafeBufferPointer<Int32>? {
            let place = Int(id.index) - program.parameters.count
            return inputs.indices.contains(place) ? inputs[place].bindMemory(to: Int32.self) : nil
        }
        guard let slots = values(layout.slots), let lengths = values(layout.lengths), let places = values(placesID),
            !lengths.isEmpty
        else { return nil }
        let length = slots.count / lengths.count
        var starts = [0]
        var next = 0
        for sentence in lengths.indices {
            let count = Int(lengths[sentence])
            guard count >= 1, count <= length, next + count <= places.count else { return nil }
            for position in 0..<count {
                let place = sentence * length + position
                guard Int(slots[place]) == next + position, Int(places[next + position]) == place else { return nil }
            }
            next += count
            starts.append(next)
        }
        if next != places.count { return nil }
        self.starts = starts
        self.length = length
    }

    struct Group: Sendable {
        let sentences: Range<Int>
        let tokens: Range<Int>
    }

    /// Whole sentences together for so many threads: until a group has `most` tokens or a thread's share of those that are left, so that all end at about
    /// the same time, but at least `least` or a thread's share of all.
    func groups(least: Int, most: Int, threads: Int) -> [Group] {
        var groups: [Group] = []
        var first = 0
        let floor = min(least, (tokens + threads - 1) / threads)
        for sentence in 0..<starts.count - 1 {
            let aim = max(1, floor, min(most, (tokens - starts[first]) / threads))
            guard starts[sentence + 1] - starts[first] >= aim || sentence == starts.count - 2 else { continue }
            groups.append(Group(sentences: first..<sentence + 1, tokens: starts[first]..<starts[sentence + 1]))
            first = sentence + 1
        }
        return groups
    }
}
