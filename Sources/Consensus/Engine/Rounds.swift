import Primitives

/// The rounds that are remembered, ascending by view. They lie in a row, so that what is read and changed all the time is so where it lies: a round is
/// large, and a copy of one costs more than a vote.
struct Rounds: Sendable {
    /// For reading and changing in place, by `place(of:)`.
    var list: [Round] = []

    /// Where a view's round lies.
    func place(of view: View) -> Int? {
        let end = list.count
        if end == 0 { return nil }
        let last = list[end - 1].view.value
        if view.value > last { return nil }
        // Nearly always there is one for every view.
        let behind = last - view.value
        if behind < UInt64(end), list[end - 1 - Int(behind)].view == view { return end - 1 - Int(behind) }
        let place = insertionPlace(of: view)
        return list[place].view == view ? place : nil
    }

    /// The first place whose view is not below `view`.
    private func insertionPlace(of view: View) -> Int {
        var (low, high) = (0, list.count)
        while low < high {
            let middle = (low + high) / 2
            if list[middle].view < view { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// A copy of a view's round, for what is seldom asked. What is set must be of that view.
    subscript(view: View) -> Round? {
        get { place(of: view).map { list[$0] } }
        set {
            guard let place = place(of: view), let newValue else { return }
            list[place] = newValue
        }
    }

    /// Where a new view's round lies from now on.
    mutating func insert(_ round: Round) -> Int {
        let place = insertionPlace(of: round.view)
        list.insert(round, at: place)
        return place
    }

    var views: [View] { list.map(\.view) }

    /// Forgets the views below `floor`.
    mutating func drop(below floor: View) {
        let count = insertionPlace(of: floor)
        if count > 0 { list.removeFirst(count) }
    }
}
