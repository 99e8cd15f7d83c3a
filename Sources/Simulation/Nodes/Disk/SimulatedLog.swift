/// An append-only file as a crash knows it: what was synced stays, of the rest a beginning does, and the record through which the cut goes is
/// torn, hence gone.
struct SimulatedLog<Record> {
    private(set) var records: [Record] = []
    /// Where each record ends, in bytes.
    private var ends: [Int] = []
    private var synced = 0

    /// What a frame's head takes beside its record.
    private static var headBytes: Int { 16 }

    var bytes: Int { ends.last ?? 0 }

    var unsynced: ArraySlice<Record> { records[synced...] }

    mutating func append(_ record: Record, bytes count: Int) {
        records.append(record)
        ends.append(bytes + count + SimulatedLog.headBytes)
    }

    mutating func sync() { synced = records.count }

    /// Cuts at a byte of the unsynced tail: `share` is a place in it, of a million. Returns whether a record was torn.
    mutating func crash(keeping share: UInt64) -> Bool {
        let safe = synced > 0 ? ends[synced - 1] : 0
        let cut = safe + Int(UInt64(bytes - safe) * min(share, 1_000_000) / 1_000_000)
        var isTorn = false
        while let end = ends.last, end > cut {
            ends.removeLast()
            records.removeLast()
            isTorn = (ends.last ?? 0) < cut
        }
        synced = records.count
        return isTorn
    }
}
