import Primitives

/// Rows of finalized blocks on their way from several peers at once, each peer asked for one, so that a node that is behind waits for its processor
/// and not for round trips.
///
/// 1. Rows follow one another from the tip on; up to four are asked for or held. What lies between two of them (an answer may be short) is asked for first.
/// 2. A row that comes out of turn is held. What reaches down to the tip is taken with all that follows it without a gap: the certificate
///    for the last blocks of one row may stand in the next.
/// 3. Whoever does not answer in two seconds, or has nothing, loses its row.
struct RangeFetch: Sendable {
    /// Blocks, and who sent them.
    struct Sent: Sendable {
        let block: FinalizedBlock
        let peer: PublicKey
    }

    private struct Row: Sendable {
        let start: Height
        let count: Int
        let peer: PublicKey
        let askedAt: Instant
        var blocks: [FinalizedBlock]?

        /// The height after its last.
        var end: Height { start.advanced(by: UInt64(blocks?.count ?? count)) }
    }

    static let maximumRows = 4
    static let patience = Interval.seconds(2)

    /// In order, none over another.
    private var rows: [Row] = []

    var isWaiting: Bool { rows.contains { $0.blocks == nil } }

    /// Who has a row to answer.
    func isAsked(_ peer: PublicKey) -> Bool { rows.contains { $0.peer == peer && $0.blocks == nil } }

    /// Forgets what came to nothing or is final by now.
    mutating func expire(tip: Height, at now: Instant) {
        rows.removeAll { row in
            row.end <= tip.next() || (row.blocks == nil && now.interval(since: row.askedAt) >= RangeFetch.patience)
        }
    }

    /// The lowest row that should be asked for now: its first height and how many. Beyond the first nothing above `goal` is.
    func next(above tip: Height, goal: Height) -> (start: Height, count: Int)? {
        if rows.count >= RangeFetch.maximumRows { return nil }
        var height = tip.next()
        for row in rows {
            if row.start > height {
                return (height, min(Synchronization.blocksPerRequest, Int(row.start.value - height.value)))
            }
            height = max(height, row.end)
        }
        if !rows.isEmpty, height > goal { return nil }
        return (height, Synchronization.blocksPerRequest)
    }

    mutating func asked(_ start: Height, _ count: Int, of peer: PublicKey, at now: Instant) {
        rows.append(Row(start: start, count: count, peer: peer, askedAt: now, blocks: nil))
        rows.sort { $0.start < $1.start }
    }

    /// An answer. Returns what can be taken now, in order: a row that nobody asked for any more stands by itself.
    mutating func answered(_ blocks: [FinalizedBlock], by peer: PublicKey, tip: Height) -> [Sent] {
        guard let place = rows.firstIndex(where: { $0.peer == peer && $0.blocks == nil }) else {
            return blocks.map { Sent(block: $0, peer: peer) }
        }
        if blocks.isEmpty {
            rows.remove(at: place)
            return []
        }
        rows[place].blocks = Array(blocks.prefix(rows[place].count))
        var taken: [Sent] = []
        var height = tip.next()
        while let row = rows.first, row.start <= height, let held = row.blocks {
            taken += held.map { Sent(block: $0, peer: row.peer) }
            height = max(height, row.end)
            rows.removeFirst()
        }
        return taken
    }

    /// What is held does not follow what is final: asked for anew.
    mutating func dropHeld() { rows.removeAll { $0.blocks != nil } }
}
