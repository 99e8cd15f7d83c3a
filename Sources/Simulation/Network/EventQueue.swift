import Primitives

/// What is to happen, by time, then in the order of scheduling: a run has one order.
///
/// Events of one instant stand in a row, since most messages of a simulated network are as long under way as others that left with them; a binary heap
/// holds the instants.
struct EventQueue<Event> {
    private struct Batch {
        var events: [Event] = []
        /// The first that has not been taken.
        var next = 0
    }

    private struct Key {
        let at: Instant
        /// Of its batch.
        let place: Int
    }

    /// Each instant that has events, once.
    private var heap: [Key] = []
    private var batches: [Batch] = []
    /// Batches without events, whose memory is used again.
    private var free: [Int] = []
    private var places: [Instant: Int] = [:]
    /// Where the last event went: the next one often goes there too.
    private var last: Key?

    mutating func insert(_ event: Event, at instant: Instant) {
        if let last, last.at == instant {
            batches[last.place].events.append(event)
            return
        }
        let key: Key
        if let place = places[instant] {
            key = Key(at: instant, place: place)
        } else {
            let place = free.popLast() ?? batches.count
            if place == batches.count { batches.append(Batch()) }
            key = Key(at: instant, place: place)
            places[instant] = place
            push(key)
        }
        last = key
        batches[key.place].events.append(event)
    }

    mutating func popFirst() -> (at: Instant, event: Event)? {
        if heap.isEmpty { return nil }
        let key = heap[0]
        let event = batches[key.place].events[batches[key.place].next]
        batches[key.place].next += 1
        if batches[key.place].next == batches[key.place].events.count {
            batches[key.place].events.removeAll(keepingCapacity: true)
            batches[key.place].next = 0
            free.append(key.place)
            places[key.at] = nil
            if last?.at == key.at { last = nil }
            removeFirst()
        }
        return (key.at, event)
    }

    private mutating func push(_ key: Key) {
        heap.append(key)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if heap[parent].at <= heap[child].at { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func removeFirst() {
        let last = heap.removeLast()
        if heap.isEmpty { return }
        heap[0] = last
        var parent = 0
        while true {
            let left = 2 * parent + 1
            if left >= heap.count { break }
            let right = left + 1
            let child = right < heap.count && heap[right].at < heap[left].at ? right : left
            if heap[parent].at <= heap[child].at { break }
            heap.swapAt(child, parent)
            parent = child
        }
    }
}
