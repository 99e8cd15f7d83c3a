public import Primitives

/// One move of either side.
public enum DisputeMove: Hashable, Sendable, CanonicalCodable {
    case reveal(Reveal)
    case pick(Pick)

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        self = try reader.readBool() ? .pick(try reader.read(Pick.self)) : .reveal(try reader.read(Reveal.self))
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .reveal(let reveal):
            writer.write(bool: false)
            writer.write(reveal)
        case .pick(let pick):
            writer.write(bool: true)
            writer.write(pick)
        }
    }
}

/// A walk that two sides took between themselves: every move in order. The defender signs its running digest, since nothing that is not on chain binds it
/// otherwise.
public struct DisputeTranscript: Hashable, Sendable, CanonicalCodable {
    /// More than any walk has.
    public static let maximumMoves = 64

    public let opening: DisputeOpening
    public let moves: [DisputeMove]

    public init(opening: DisputeOpening, moves: [DisputeMove]) {
        self.opening = opening
        self.moves = moves
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        opening = try reader.read(DisputeOpening.self)
        moves = try reader.readList(DisputeMove.self, max: DisputeTranscript.maximumMoves)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(opening)
        writer.write(list: moves)
    }

    /// What the defender signs: each move's digest takes in the one before, the first the dispute's own name.
    public static func digest(of moves: some Sequence<DisputeMove>, in dispute: Digest) -> Digest {
        moves.reduce(dispute) { Digest.of(.dispute, $0, Digest.of(.dispute, encoding: $1)) }
    }

    /// The moves up to and with the defender's last: those that it has signed. What the challenger adds needs nobody's word.
    public var signedMoves: ArraySlice<DisputeMove> {
        let last = moves.lastIndex { if case .reveal = $0 { true } else { false } }
        return moves[..<(last.map { $0 + 1 } ?? 0)]
    }

    /// What the defender has signed to stand at which points. An honest one's are those of its run, wherever its challengers led it.
    public func reveals(_ subject: DisputeSubject) throws(WalkFault) -> [SignedReveal] {
        var walk = try Walk(subject, opening)
        var reveals: [SignedReveal] = []
        for move in signedMoves {
            // Where there is no point the walk refuses the reveal.
            if case .reveal(let reveal) = move, let point = walk.point {
                reveals.append(SignedReveal(point: point, reveal: reveal))
            }
            try walk.take(move, subject)
        }
        return reveals
    }

    /// Where the moves lead.
    public func walk(_ subject: DisputeSubject) throws(WalkFault) -> Walk {
        var walk = try Walk(subject, opening)
        for move in moves { try walk.take(move, subject) }
        return walk
    }
}

/// What a defender has said to stand at a point of its result.
public struct SignedReveal: Hashable, Sendable {
    public let point: RevealPoint
    public let reveal: Reveal
}

extension Walk {
    mutating func take(_ move: DisputeMove, _ subject: DisputeSubject) throws(WalkFault) {
        switch move {
        case .reveal(let reveal): try self.reveal(reveal, subject)
        case .pick(let pick): try self.pick(pick, subject)
        }
    }
}
