public import Primitives

/// Whom a node dials, which of two connections to one peer stays, and who is sent away: what sessions decide, as a machine. The shell (sockets, or the
/// simulator's links) dials and ends connections, and tells what came of it.
///
/// 1. Everyone known is dialled who is not connected, being dialled, banned, or to be left alone for a while, as long as there are places. Known is
///    whom discovery has proven, and whose greeting was heard once.
/// 2. After each dial its peer is left alone, longer each time, until a session with it stands.
/// 3. Bans and pauses are forgotten once they are over; of too many, the one that ends first.
/// 4. Of crossed dials the one by the lower identity stays; of two alike the newer, since the older may be half dead.
public struct PeerBook: Sendable {
    /// What becomes of a connection that has greeted.
    public enum Verdict: Sendable, Equatable {
        case accepted
        /// It takes the place of the one that stands.
        case replaces
        case refused(String)
    }

    public static let maximumHints = 1_024
    public static let banTime = Interval.seconds(60)
    /// Bans and pauses that are remembered, each; of more the one that ends first is forgotten.
    public static let maximumMarks = 4_096
    /// Who was not tried again so long after its pause is tried as if for the first time.
    static let memory = Interval.seconds(60)

    private let own: PublicKey
    private let maximumPeers: Int
    /// Peers with a session, and whether we dialled it.
    private var sessions: [PublicKey: Bool] = [:]
    private var dialling: Set<PublicKey> = []
    private var retryAt: [PublicKey: (at: Instant, tries: Int)] = [:]
    private var banned: [PublicKey: Instant] = [:]
    /// Records from greetings.
    private var hints: [PublicKey: NodeRecord] = [:]

    public init(own: PublicKey, maximumPeers: Int) {
        self.own = own
        self.maximumPeers = maximumPeers
    }

    /// Bans and pauses that are remembered.
    public var marks: Int { banned.count + retryAt.count }

    /// Everyone that may be dialled. `proven`: what discovery's table has.
    public func known(_ proven: [NodeRecord]) -> [NodeRecord] {
        let there = Set(proven.map(\.identity))
        return proven + hints.values.filter { !there.contains($0.identity) }
    }

    /// Rule 1: whom to dial now, in order of their identities. Each counts as being dialled until `dialEnded`.
    public mutating func targets(_ proven: [NodeRecord], at now: Instant) -> [NodeRecord] {
        var targets: [NodeRecord] = []
        forget(at: now)
        for record in known(proven).sorted(by: { $0.identity < $1.identity }) {
            let id = record.identity
            if sessions[id] != nil || dialling.contains(id) { continue }
            if sessions.count + dialling.count >= maximumPeers { break }
            if isBanned(id, at: now) { continue }
            if let retry = retryAt[id], retry.at > now { continue }
            dialling.insert(id)
            targets.append(record)
        }
        return targets
    }

    /// A dial came to its end, well or not.
    public mutating func dialEnded(_ peer: PublicKey, at now: Instant) {
        dialling.remove(peer)
        // A session that stands needs no pause.
        if sessions[peer] != nil { return }
        let tries = (retryAt[peer]?.tries ?? 0) + 1
        let pause = Interval.milliseconds(250).scaled(min(30, 1 << Int64(min(tries, 5))))
        retryAt[peer] = (now.adding(pause), tries)
        if retryAt.count > PeerBook.maximumMarks,
            let first = retryAt.min(by: { ($0.value.at, $0.key) < ($1.value.at, $1.key) })
        {
            retryAt[first.key] = nil
        }
    }

    /// A connection has greeted with this record.
    public mutating func greeted(_ record: NodeRecord, dialled: Bool, at now: Instant) -> Verdict {
        let peer = record.identity
        if peer == own { return .refused("this is ourselves") }
        if isBanned(peer, at: now) { return .refused("banned") }
        var verdict = Verdict.accepted
        if let other = sessions[peer] {
            if dialled != other, dialled != (own < peer) { return .refused("another connection to this peer stands") }
            verdict = .replaces
        } else if sessions.count >= maximumPeers {
            return .refused("all places are taken")
        }
        sessions[peer] = dialled
        retryAt[peer] = nil
        if hints.count < PeerBook.maximumHints || hints[peer] != nil { hints[peer] = record }
        return verdict
    }

    /// The session that stood is over.
    public mutating func ended(_ peer: PublicKey) { sessions[peer] = nil }

    /// Sends a peer away for a while.
    public mutating func ban(_ peer: PublicKey, at now: Instant) {
        banned[peer] = now.adding(PeerBook.banTime)
        if banned.count > PeerBook.maximumMarks, let first = banned.min(by: { ($0.value, $0.key) < ($1.value, $1.key) })
        {
            banned[first.key] = nil
        }
    }

    /// Rule 3: identities cost nothing, so they come without end.
    private mutating func forget(at now: Instant) {
        if banned.contains(where: { $0.value <= now }) { banned = banned.filter { $0.value > now } }
        if retryAt.contains(where: { now.interval(since: $0.value.at) > PeerBook.memory }) {
            retryAt = retryAt.filter { now.interval(since: $0.value.at) <= PeerBook.memory }
        }
    }

    private func isBanned(_ peer: PublicKey, at now: Instant) -> Bool { banned[peer].map { $0 > now } ?? false }
}
