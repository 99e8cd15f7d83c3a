public import Primitives

/// Several moves of one provider under one signature, each as good as alone: it is paid by its own job's allowance, and has its effect or none whatever becomes
/// of the others.
public struct MoveBundle: Hashable, Sendable, CanonicalCodable {
    public static let maximumMoves = 32
    /// Canonical bytes of the moves that `bundles` puts together: with its terms a bundle stays below what a transaction may have.
    static let maximumBytes = Transaction.maximumBytes - 1_024

    /// Two or more: one move has one form, its own.
    public let moves: [Payload]

    /// Nil where there are too few or too many, or one that may not travel so.
    public init?(_ moves: [Payload]) {
        if moves.count < 2 || moves.count > MoveBundle.maximumMoves { return nil }
        for move in moves where !move.isBundled { return nil }
        self.moves = moves
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        let count = Int(try reader.readUInt8())
        if count < 2 || count > MoveBundle.maximumMoves { throw .invalid("a bundle has 2 to 32 moves, not \(count)") }
        var moves: [Payload] = []
        moves.reserveCapacity(count)
        for _ in 0..<count {
            // Before what follows is read: a bundle within a bundle has no end.
            let tag = try reader.readUInt8()
            if !Payload.bundledTags.contains(tag) { throw .invalid("a payload with the tag \(tag) is in no bundle") }
            moves.append(try Payload(tag: tag, from: &reader))
        }
        self.moves = moves
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(UInt8(moves.count))
        for move in moves { move.encode(into: &writer) }
    }

    /// What each move weighs: its own bytes and kind, and an equal part of what the transaction around them does. Together they are the transaction's weight.
    public func weights(of transaction: Transaction, _ parameters: ChainParameters) -> [UInt64] {
        weights(bytes: transaction.summary.count, parameters)
    }

    /// The same by the canonical bytes of the transaction without its signature.
    func weights(bytes: Int, _ parameters: ChainParameters) -> [UInt64] {
        let sizes = moves.map(\.byteCount)
        let around = max(0, bytes - sizes.reduce(0, +)) + 64
        let count = UInt64(moves.count)
        let shared = parameters.weightPerTransaction + UInt64(around) * parameters.weightPerByte
        return zip(moves, sizes).map { move, size in
            Fees.kindWeight(move, bytes: size, parameters) + UInt64(size) * parameters.weightPerByte
                + (shared + count - 1) / count
        }
    }
}

extension Payload {
    /// Declines, starts, heartbeats, commitments, openings, audits, words on deliveries, and on inputs that are here and runs that are slow. Not what disputes
    /// reveal, which has a lane of its own.
    static let bundledTags: Set<UInt8> = [9, 10, 11, 12, 13, 14, 15, 31, 33, 44, 45]

    /// Whether it may travel with others.
    var isBundled: Bool { Payload.bundledTags.contains(tag) }

    /// Canonical bytes.
    var byteCount: Int {
        var writer = ByteWriter(capacity: 256)
        encode(into: &writer)
        return writer.bytes.count
    }

    /// The market moves in it: those of a bundle, or itself. Empty where it is something else.
    public var moves: [Payload] {
        if case .moves(let bundle) = self { return bundle.moves }
        return isMarketMove ? [self] : []
    }

    /// How many market moves are in it.
    var moveCount: UInt64 {
        if case .moves(let bundle) = self { return UInt64(bundle.moves.count) }
        return isMarketMove ? 1 : 0
    }

    /// Puts neighbours that may travel together into bundles. Gives each payload with the places of what is in it.
    public static func bundles(of payloads: [Payload]) -> [(payload: Payload, places: Range<Int>)] {
        var found: [(payload: Payload, places: Range<Int>)] = []
        var (begin, bytes) = (0, 0)
        func flush(_ end: Int) {
            if begin == end { return }
            if let bundle = MoveBundle(Array(payloads[begin..<end])) {
                found.append((.moves(bundle), begin..<end))
            } else {
                for place in begin..<end { found.append((payloads[place], place..<(place + 1))) }
            }
            (begin, bytes) = (end, 0)
        }
        for (place, payload) in payloads.enumerated() {
            let size = payload.isBundled ? payload.byteCount : MoveBundle.maximumBytes
            if bytes + size > MoveBundle.maximumBytes || place - begin == MoveBundle.maximumMoves { flush(place) }
            bytes += size
        }
        flush(payloads.count)
        return found
    }
}

/// A move of a bundle that had no effect.
public struct MoveFailure: Hashable, Sendable, CanonicalCodable {
    /// Its place in the bundle.
    public let place: UInt8
    public let reason: String

    public init(place: UInt8, reason: String) {
        self.place = place
        self.reason = reason
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        place = try reader.readUInt8()
        reason = try reader.readString(max: TransactionReceipt.maximumReasonBytes)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(place)
        writer.write(string: reason)
    }
}
