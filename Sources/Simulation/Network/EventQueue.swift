import Primitives

/// What is to happen, by time, then in the order of scheduling: no two events are equal, so a run has one order.
///
/// A binary heap of small keys; the events themselves lie still beside it.
struct EventQueue<Event> {
    private struct Key: Comparable {
        let at: Instant
        let order: UInt64
        let place: Int

        static func < (x: Key, y: Key) -> Bool { x.at != y.at ? x.at < y.at : x.order < y.order }
    }

    private var heap: [Key] = []
    private var events: [Event?] = []
    private var free: [Int] = []
    private var order: UInt64 = 0

    mutating func insert(_ event: Event, at instant: Instant) {
        order += 1
        let place: Int
        if let reused = free.popLast() {
            place = reused
            events[place] = event
        } else {
            place = events.count
            events.append(event)
        }
        heap.append(Key(at: instant, order: order, place: place))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if !(heap[child] < heap[parent]) { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func popFirst() -> (at: Instant, event: Event)? {
        guard let first = heap.first, let event = events[first.place] else { return nil }
        events[first.place] = nil
        free.append(first.place)
        let last = heap.removeLast()
        if heap.isEmpty { return (first.at, event) }
        heap[0] = last
        var parent = 0
        while true {
            let left = 2 * parent + 1
            if left >= heap.count { break }
            let right = left + 1
            let child = right < heap.count && heap[right] < heap[left] ? right : left
            if !(heap[child] < heap[parent]) { break }
            heap.swapAt(child, parent)
            parent = child
        }
        return (first.at, event)
    }
}
