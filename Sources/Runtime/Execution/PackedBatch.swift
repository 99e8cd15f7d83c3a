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

    /// Whole sentences together until a group has `aim` tokens.
    func groups(aim: Int) -> [Group] {
        var groups: [Group] = []
        var first = 0
        for sentence in 0..<starts.count - 1
        where starts[sentence + 1] - starts[first] >= aim || sentence == starts.count - 2 {
            groups.append(Group(sentences: first..<sentence + 1, tokens: starts[first]..<starts[sentence + 1]))
            first = sentence + 1
        }
        return groups
    }
}
