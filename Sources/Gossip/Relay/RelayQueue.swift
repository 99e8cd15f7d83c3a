public import Primitives

/// How far the chain is: a view of an epoch.
public struct ChainPlace: Hashable, Comparable, Sendable {
    public let epoch: Epoch
    public let view: View

    public init(epoch: Epoch, view: View) {
        self.epoch = epoch
        self.view = view
    }

    public static func < (x: ChainPlace, y: ChainPlace) -> Bool { (x.epoch, x.view) < (y.epoch, y.view) }
}

/// What a follower will pass on, as a machine. Whoever says something says it to all its peers, and what followers add to that is of use only where links are
/// cut. So it waits for a while, and of what waited only that leaves which the chain has not left behind by then: where all are connected next to nothing.
public struct RelayQueue<Message: Sendable>: Sendable {
    /// Half of the shortest time that a network gives a message: a view that needs it still succeeds.
    public static var pause: Interval { .milliseconds(100) }
    public static var maximumBytes: Int { 16 << 20 }

    private struct Held: Sendable {
        let message: Message
        let bytes: Int
        let end: ChainPlace
        let due: Instant
    }

    private var held: [Held] = []
    private var bytes = 0

    public init() {}

    /// Keeps a message that is of use until a block of this place, or one after it, is final. What would take more memory than `maximumBytes` is not kept.
    public mutating func hold(_ message: Message, bytes count: Int, until end: ChainPlace, at now: Instant) {
        if bytes + count > Self.maximumBytes { return }
        bytes += count
        held.append(Held(message: message, bytes: count, end: end, due: now.adding(Self.pause)))
    }

    /// When `take` has something to look at.
    public var due: Instant? { held.first?.due }

    /// The messages that have waited long enough and are still of use where the newest final block is at `final`, in the order in which they came.
    public mutating func take(at now: Instant, final: ChainPlace) -> [Message] {
        let ready = held.prefix { $0.due <= now }
        let messages = ready.filter { final < $0.end }.map(\.message)
        bytes -= ready.reduce(0) { $0 + $1.bytes }
        held.removeFirst(ready.count)
        return messages
    }
}
