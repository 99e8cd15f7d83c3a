internal import Foundation
internal import Storage

/// What a home remembers of what its consensus key has signed: the journal, and whether it is missing a part.
///
/// A journal is made by the command that generates the key, which has signed nothing yet. A key that is found without one may have voted: it is
/// amnesiac, which is written down before the new journal is begun, and stays so over restarts until the engine says that it is safe.
public struct SigningMemory: Sendable {
    let journal: Journal
    private let mark: String
    /// The key may have signed what the journal does not know.
    let isAmnesiac: Bool

    /// Begins the memory of a key that was generated a moment ago.
    public static func create(home: String) throws {
        try FileManager.default.createDirectory(atPath: home + "/data", withIntermediateDirectories: true)
        _ = try Journal.create(home + "/data/journal")
    }

    /// Opens the memory in a node's data folder. `hasKey` is whether the node has a consensus key at all.
    init(data: String, hasKey: Bool) throws {
        let path = data + "/journal"
        mark = data + "/journal-lost"
        let found = Journal.exists(path)
        // In this order: a crash between the two leaves the mark.
        if hasKey, !found, !Journal.exists(mark) { _ = try Journal.create(mark) }
        journal = try found ? Journal.open(path) : Journal.create(path)
        isAmnesiac = hasKey && Journal.exists(mark)
    }

    /// The network has moved past all that the key may have signed.
    func forgive() throws { try FileManager.default.removeItem(atPath: mark) }
}
