internal import Consensus
internal import Foundation
internal import Ledger
internal import Logging
internal import Primitives
internal import Replica
internal import Storage
internal import Synchronization

/// Writes the state at each epoch's snapshot height beside the running node, and gives new nodes what they ask for.
final class SnapshotService: Sendable {
    private let folder: SnapshotFolder
    private let blocks: BlockStore
    private let epochs: EpochArchive
    private let logger: Logger
    private let queue = DispatchQueue(label: "snapshots", qos: .utility)
    private let state = Mutex(State())

    private struct State {
        var isExporting = false
        var isStopped = false
        var manifests: [Height: SnapshotManifest] = [:]
    }

    init(path: String, blocks: BlockStore, epochs: EpochArchive, logger: Logger) throws {
        folder = try SnapshotFolder(path: path)
        self.blocks = blocks
        self.epochs = epochs
        self.logger = logger
    }

    /// Writes a snapshot in the background. One at a time: a node that catches up passes more than anybody will ask for.
    func export(_ view: StateView, root: Digest) {
        let begins = state.withLock { state in
            if state.isExporting || state.isStopped { return false }
            state.isExporting = true
            return true
        }
        if !begins { return view.end() }
        queue.async { [self] in
            defer {
                view.end()
                state.withLock { $0.isExporting = false }
            }
            do {
                let about = try folder.export(view, root: root) { state.withLock { $0.isStopped } }
                logger.info(
                    "snapshot of height \(about.height): \(about.entryCount) entries in \(about.chunkCount) chunks, \(about.byteCount) bytes"
                )
            } catch SnapshotFault.stopped {
                // The next epoch brings another.
            } catch { logger.warning("no snapshot of height \(view.height) was made: \(error)") }
        }
    }

    func stop() { state.withLock { $0.isStopped = true } }

    /// What is offered: snapshots whose root a final header attests, newest first.
    var offers: [SnapshotManifest] {
        folder.snapshots.compactMap(manifest).prefix(SnapshotOffers.maximumOffers).map { $0 }
    }

    private func manifest(_ stored: StoredSnapshot) -> SnapshotManifest? {
        if let known = state.withLock({ $0.manifests[stored.height] }) { return known }
        var headers: [Header] = []
        var height = stored.height.next()
        while let found = StoredBlocks.finalized(at: height, in: blocks),
            let header = try? Block(canonicalBytes: found.block).header,
            headers.count < SnapshotManifest.maximumHeaders
        {
            height = height.next()
            if header.executedHeight < stored.height { continue }
            headers.append(header)
            guard let certificate = found.certificate else { continue }
            // A header of the next epoch would be judged by another set.
            guard headers[0].executedHeight == stored.height, headers[0].stateRoot == stored.root,
                header.epoch == headers[0].epoch
            else { return nil }
            let made = SnapshotManifest(
                height: stored.height, depth: stored.depth, entryCount: stored.entryCount,
                byteCount: stored.byteCount, headers: headers, certificate: certificate)
            state.withLock { state in
                state.manifests[stored.height] = made
                if state.manifests.count > 16, let oldest = state.manifests.keys.min() {
                    state.manifests[oldest] = nil
                }
            }
            return made
        }
        return nil
    }

    /// The canonical bytes of an answer; nil where there is none.
    func answer(_ request: SnapshotRequest) -> [UInt8]? {
        switch request {
        case .epochs(let from):
            return EpochAnswer(steps: epochs.steps(from: from, limit: EpochAnswer.maximumSteps)).canonicalBytes
        case .offers: return SnapshotOffers(manifests: offers).canonicalBytes
        case .chunk(let height, let index): return folder.chunk(height: height, index: Int(index))
        case .block(let digest): return BlockServer.answer(.byDigest(digest), from: blocks)?.canonicalBytes
        }
    }
}
