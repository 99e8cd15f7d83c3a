package import Ledger
package import Primitives
package import Storage
internal import Synchronization

/// What became of a transaction in a final block.
package struct TransactionOutcome: Hashable, Sendable, CanonicalCodable {
    package let height: Height
    /// Why it failed; nil where it succeeded.
    package let failure: String?
    /// Those moves of a bundle that had no effect; the others had theirs.
    package let failures: [MoveFailure]

    package init(height: Height, failure: String?, failures: [MoveFailure] = []) {
        self.height = height
        self.failure = failure
        self.failures = failures
    }

    package init(_ receipt: TransactionReceipt, at height: Height) {
        self.init(height: height, failure: receipt.succeeded ? nil : receipt.reason, failures: receipt.failures)
    }

    package init(from reader: inout ByteReader) throws(DecodingFault) {
        height = try reader.read(Height.self)
        failure = try reader.readBool() ? try reader.readString(max: 4_096) : nil
        failures = try reader.readList(MoveFailure.self, max: MoveBundle.maximumMoves)
    }

    package func encode(into writer: inout ByteWriter) {
        writer.write(height)
        writer.write(bool: failure != nil)
        if let failure { writer.write(string: failure) }
        writer.write(list: failures)
    }
}

/// The outcomes of all transactions in the blocks that this node keeps, by id, over restarts.
///
/// They lie in the environment of the state and are flushed with it: what a crash took is put again when its block is executed again. A key is the
/// number of a span of 4,096 heights and then the id, so that new entries lie side by side (scattered, each would cost a page of disk) and a span
/// goes as a whole when its blocks are pruned. A question looks into each span in turn, the newest first: some microseconds each.
package final class OutcomeIndex: Sendable {
    private static let space = UInt8(ascii: "o")
    package static let span: UInt64 = 4_096
    /// How many entries go at a time: the state's writer waits meanwhile.
    private static let slice = 8_192

    private let store: LMDBStore
    /// The oldest span that may have entries; nil where there is none.
    private let oldest: Mutex<UInt64?>

    package init(_ store: LMDBStore) throws(StorageFault) {
        self.store = store
        oldest = Mutex(try OutcomeIndex.oldestSpan(in: store))
    }

    private static func key(span: UInt64, _ id: [UInt8]) -> [UInt8] {
        // Big-endian, so that spans in order are keys in order.
        [space] + (0..<8).map { UInt8(truncatingIfNeeded: span >> (56 - 8 * $0)) } + id
    }

    private static func oldestSpan(in store: LMDBStore) throws(StorageFault) -> UInt64? {
        let first = try store.scanIndex(prefix: [space], limit: 1).first?.key.dropFirst().prefix(8)
        return first?.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Takes in what a block has done. Durable with the state after it.
    package func note(_ height: Height, _ receipts: [TransactionReceipt]) throws(StorageFault) {
        if receipts.isEmpty { return }
        let span = height.value / OutcomeIndex.span
        let prefix = OutcomeIndex.key(span: span, [])
        let success = TransactionOutcome(height: height, failure: nil).canonicalBytes
        try store.put(
            index: receipts.map { receipt in
                let value = receipt.succeeded ? success : TransactionOutcome(receipt, at: height).canonicalBytes
                return (prefix + receipt.id.bytes, value)
            })
        oldest.withLock { $0 = min($0 ?? span, span) }
    }

    /// What became of a transaction; nil where no kept block has it.
    package func outcome(of id: Digest) throws -> TransactionOutcome? {
        guard let oldest = oldest.withLock({ $0 }), let newest = store.height else { return nil }
        for span in stride(from: newest.value / OutcomeIndex.span, through: oldest, by: -1) {
            if let found = try store.index(OutcomeIndex.key(span: span, id.bytes)) {
                return try TransactionOutcome(canonicalBytes: found)
            }
        }
        return nil
    }

    /// Forgets the spans that lie wholly below a height. Their pages are used again, not given back.
    package func prune(below height: Height) throws(StorageFault) {
        let bound = height.value / OutcomeIndex.span
        while let span = oldest.withLock({ $0 }), span < bound {
            while true {
                let slice = try store.scanIndex(
                    prefix: OutcomeIndex.key(span: span, []), limit: OutcomeIndex.slice)
                if slice.isEmpty { break }
                try store.remove(index: slice.map(\.key))
            }
            let next = try OutcomeIndex.oldestSpan(in: store)
            oldest.withLock { $0 = next }
        }
    }
}
