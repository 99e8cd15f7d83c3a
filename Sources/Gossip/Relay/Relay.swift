public import Primitives

/// What a node passes on of what it hears: a machine over three caches.
///
/// 1. Who relays (a follower) passes each message on at most once (`RelayQueue`), to all but whom it came from. Validators speak to everyone they are connected
///    to, and relay nothing.
/// 2. What a node says itself is not news when it comes back.
/// 3. A transaction is looked at once in two seconds: told again later it is looked at again, for it may have had to be refused before.
/// 4. A signature that holds is checked once.
public struct Relay: Sendable {
    public static let capacity = 65_536
    public static let repetition = Interval.seconds(2)

    private let relays: Bool
    private var seen = SeenCache(capacity: Relay.capacity)
    /// By the signature too: else who spoils it first would keep the true one out.
    private var heard = SeenCache(capacity: Relay.capacity, lifetime: Relay.repetition)
    private var verified = SeenCache(capacity: Relay.capacity)

    public init(relays: Bool) { self.relays = relays }

    /// Whether a message that came in is to be passed on.
    public mutating func passesOn(_ message: Digest, at now: Instant) -> Bool {
        relays && seen.insert(message, at: now)
    }

    /// We say this ourselves.
    public mutating func said(_ message: Digest, at now: Instant) { _ = seen.insert(message, at: now) }

    /// Whether a transaction, with its signature, is to be looked at. Ours count as heard when they leave.
    public mutating func hears(transaction: Digest, at now: Instant) -> Bool { heard.insert(transaction, at: now) }

    public func isVerified(_ transaction: Digest) -> Bool { verified.contains(transaction) }

    public mutating func verified(_ transaction: Digest, at now: Instant) {
        _ = verified.insert(transaction, at: now)
    }
}
