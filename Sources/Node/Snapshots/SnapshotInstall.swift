internal import Consensus
internal import Foundation
internal import Ledger
internal import Primitives
internal import Replica
internal import Storage

/// Makes a home's data out of a fetched snapshot.
///
/// Everything is built in `snapshot-install`, made durable, and renamed to `snapshot-ready`: from that instant on it counts. What is ready is
/// then moved to its places, file by file, and whoever finds it at a start goes on moving: a crash leaves nothing or all of it.
enum SnapshotInstall {
    private static let parts = ["epochs", "state", "blocks", "journal"]

    /// Bytes of entries that go into the state at once.
    private static let batchBytes = 8 << 20

    /// Whether there is nothing in a home's data that a snapshot would replace.
    static func isFresh(_ data: String) throws -> Bool {
        if Folder.exists(data + "/snapshot-ready") { return false }
        if !Folder.exists(data + "/blocks") { return true }
        return try BlockStore(directory: data + "/blocks").finalizedTip == nil
    }

    /// Moves what is ready to its places. Called before anything in the data is opened.
    static func finish(_ data: String) throws {
        let ready = data + "/snapshot-ready"
        if !Folder.exists(ready) { return }
        for part in parts where Folder.exists(ready + "/" + part) {
            try Folder.remove(data + "/" + part)
            try Folder.move(ready + "/" + part, to: data + "/" + part)
        }
        try Folder.remove(ready)
        try Folder.remove(data + "/snapshot-download")
    }

    /// Builds everything and makes it count.
    static func install(
        _ result: SnapshotFetch.Result, chunks folder: String, consensusKey: PublicKey?, data: String
    ) throws {
        let building = data + "/snapshot-install"
        try Folder.remove(building)
        try Folder.make(building)
        try build(result, chunks: folder, consensusKey: consensusKey, data: data, in: building)
        try Folder.move(building, to: data + "/snapshot-ready")
        try finish(data)
    }

    private static func build(
        _ result: SnapshotFetch.Result, chunks folder: String, consensusKey: PublicKey?, data: String,
        in building: String
    ) throws {
        let manifest = result.manifest
        let state = try LMDBStore(directory: building + "/state")
        var batch: [SnapshotChunk.Entry] = []
        var size = 0
        func flush() throws {
            try state.build(try StateTree.writes(adding: batch, to: state))
            batch = []
            size = 0
        }
        for index in 0..<manifest.chunkCount {
            let path = SnapshotDownload.chunkPath(folder, index)
            guard let bytes = FileManager.default.contents(atPath: path),
                let chunk = try? SnapshotChunk(canonicalBytes: Array(bytes))
            else { throw NodeFault.cannotStart("\(path) cannot be read: start again to fetch it anew") }
            batch += chunk.entries
            size += bytes.count
            if size >= batchBytes { try flush() }
        }
        try flush()
        let root = try StateTree.root(of: state)
        if root != manifest.root {
            try Folder.remove(folder)
            throw NodeFault.cannotStart(
                "the chunks make the state \(root.hex.prefix(8)) and not \(manifest.root.hex.prefix(8)): the disk has lost something; start again"
            )
        }
        try state.commit(StateTree.writes(noting: root, at: manifest.height), height: manifest.height)
        try state.flush()

        let blocks = try BlockStore(directory: building + "/blocks")
        for bytes in result.blocks {
            let header = try Block(canonicalBytes: bytes).header
            try blocks.put(header.digest, bytes)
            let isCertified = header.digest == manifest.headers.last?.digest
            try blocks.markFinalized(
                header.height, header.digest,
                certificate: isCertified ? manifest.certificate.canonicalBytes : nil)
        }
        try blocks.sync()
        let epochs = try Journal.create(building + "/epochs")
        for step in result.steps { try epochs.append([step.canonicalBytes]) }

        // A key that is in no set of this state cannot have voted in its epochs: it gets its journal, as a new home does. Any other may have,
        // and keeps silent like one that lost its journal.
        if let consensusKey, !Journal.exists(data + "/journal") {
            let records = [
                try Query.epochRecord(manifest.epoch, in: state),
                try Query.epochRecord(manifest.epoch.next(), in: state), result.record,
            ]
            let isKnown = records.contains { $0?.members.contains { $0.consensusKey == consensusKey } ?? false }
            if !isKnown { _ = try Journal.create(building + "/journal") }
        }
    }
}
