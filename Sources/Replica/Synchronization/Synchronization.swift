/// Who may have what we lack, and what we have asked of whom.
///
/// Single blocks are asked for by digest (a proposal's body that did not arrive); rows of finalized blocks by height (we are behind), of several peers
/// at a time (`RangeFetch`).
import Consensus
import Ledger
import Primitives

struct Synchronization: Sendable {
    /// Peers in order of their keys, with the highest height each has told.
    private(set) var peers: [(id: PublicKey, head: Height)] = []
    /// Blocks asked for by digest, and when.
    private var asked: [Digest: (at: Instant, tries: Int)] = [:]
    var ranges = RangeFetch()
    private var turn = 0
    /// Who was heard in an epoch above ours since the last row came: it has what ends ours.
    private(set) var peerInNewerEpoch: PublicKey?
    /// Who was asked for the last row.
    private var lastRangePeer: PublicKey?

    static let retry = Interval.milliseconds(400)
    static let blocksPerRequest = 64
    static let maximumAsked = 256

    var isWaiting: Bool { !asked.isEmpty || ranges.isWaiting }

    mutating func peerConnected(_ peer: PublicKey, head: Height) {
        peerDisconnected(peer)
        peers.append((peer, head))
        peers.sort { $0.id < $1.id }
    }

    mutating func peerDisconnected(_ peer: PublicKey) {
        peers.removeAll { $0.id == peer }
        if peerInNewerEpoch == peer { peerInNewerEpoch = nil }
    }

    mutating func raise(_ peer: PublicKey, to head: Height) {
        if let i = peers.firstIndex(where: { $0.id == peer }), peers[i].head < head { peers[i].head = head }
    }

    /// The next peer in turn, or the preferred one on a first try.
    mutating func pick(preferring peer: PublicKey?) -> PublicKey? {
        if let peer, peers.contains(where: { $0.id == peer }) { return peer }
        if peers.isEmpty { return nil }
        turn = (turn + 1) % peers.count
        return peers[turn].id
    }

    /// A peer known to be above `height` that has no row to answer.
    private mutating func pick(above height: Height) -> PublicKey? {
        let ahead = peers.filter { $0.head > height && !ranges.isAsked($0.id) }
        if ahead.isEmpty { return nil }
        turn += 1
        return ahead[turn % ahead.count].id
    }

    /// The rows to ask for now, and whom. The first goes to who spoke from a newer epoch, or one that is ahead, or any; never to the first of these
    /// twice in a row, since its word may be a lie. The others go to those who say that they have them.
    mutating func rangesToAsk(above tip: Height, now: Instant) -> [(start: Height, count: Int, peer: PublicKey)] {
        ranges.expire(tip: tip, at: now)
        let goal = peers.map(\.head).max() ?? tip
        var found: [(start: Height, count: Int, peer: PublicKey)] = []
        while let (start, count) = ranges.next(above: tip, goal: goal) {
            var peer: PublicKey?
            if start == tip.next() {
                let speaker = peerInNewerEpoch == lastRangePeer ? nil : peerInNewerEpoch
                peer = speaker.flatMap { ranges.isAsked($0) ? nil : $0 } ?? pick(above: tip)
                if peer == nil, !ranges.isWaiting { peer = pick(preferring: nil) }
                if let peer { lastRangePeer = peer }
            } else {
                peer = pick(above: Height(start.value - 1))
            }
            guard let peer else { break }
            ranges.asked(start, count, of: peer, at: now)
            found.append((start, count, peer))
        }
        return found
    }

    func anyAhead(of height: Height) -> Bool { peers.contains { $0.head > height } }

    /// Whether this block may be asked for now; remembers that it was.
    mutating func mayAsk(_ digest: Digest, now: Instant) -> (may: Bool, first: Bool) {
        if let last = asked[digest] {
            if now.interval(since: last.at) < Synchronization.retry { return (false, false) }
            asked[digest] = (now, last.tries + 1)
            return (true, false)
        }
        if asked.count >= Synchronization.maximumAsked { return (false, false) }
        asked[digest] = (now, 1)
        return (true, true)
    }

    mutating func arrived(_ digest: Digest) { asked[digest] = nil }

    /// Lets the next retry go to another peer at once.
    mutating func unavailable(_ digest: Digest, from peer: PublicKey) {
        if let last = asked[digest] { asked[digest] = (Instant(nanoseconds: .min / 2), last.tries) }
    }

    mutating func keepOnly(_ wanted: Set<Digest>) { asked = asked.filter { wanted.contains($0.key) } }

    mutating func rangeArrived(_ blocks: [FinalizedBlock], from peer: PublicKey, tip: Height) -> [RangeFetch.Sent] {
        peerInNewerEpoch = nil
        return ranges.answered(blocks, by: peer, tip: tip)
    }

    mutating func heardNewerEpoch(from peer: PublicKey) { peerInNewerEpoch = peer }

    /// A peer that had nothing to give is not ahead.
    mutating func exhausted(_ peer: PublicKey, at head: Height) {
        if let i = peers.firstIndex(where: { $0.id == peer }) { peers[i].head = head }
    }
}
