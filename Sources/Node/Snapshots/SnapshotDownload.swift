internal import Foundation
internal import Gossip
internal import Ledger
internal import Logging
internal import Networking
internal import Primitives
internal import Replica
internal import Storage

/// Carries out a `SnapshotFetch`: a network service of its own, a folder for the chunks, a clock.
///
/// The folder holds the manifest and a file a chunk. Nothing in it is believed after an interruption before it has proven itself again.
final class SnapshotDownload: NetworkDelegate, @unchecked Sendable {
    private let folder: String
    private let logger: Logger
    private let queue = DispatchQueue(label: "snapshot download")
    // Written once, before anything is asked.
    private var service: NetworkService?
    // On `queue` alone.
    private var fetch: SnapshotFetch
    private var end: CheckedContinuation<SnapshotFetch.Result, any Error>?
    private var ended: Result<SnapshotFetch.Result, any Error>?
    private var toldAt: UInt64 = 0

    init(genesis: Genesis, folder: String, checkpoint: Digest?, logger: Logger) throws {
        self.folder = folder
        self.logger = logger
        try Folder.make(folder)
        fetch = try SnapshotFetch(
            genesis: genesis, checkpoint: checkpoint, resumption: SnapshotDownload.resumption(folder),
            at: SnapshotDownload.now)
    }

    static func chunkPath(_ folder: String, _ index: Int) -> String { folder + "/chunk-\(index)" }

    private static var now: Instant { Instant(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) }

    /// What an interrupted download left and still proves itself.
    private static func resumption(_ folder: String) -> SnapshotFetch.Resumption? {
        guard let bytes = FileManager.default.contents(atPath: folder + "/manifest"),
            let manifest = try? SnapshotManifest(canonicalBytes: Array(bytes))
        else { return nil }
        var have: Set<Int> = []
        for index in 0..<manifest.chunkCount {
            let path = chunkPath(folder, index)
            guard let bytes = FileManager.default.contents(atPath: path) else { continue }
            if let chunk = try? SnapshotChunk(canonicalBytes: Array(bytes)), Int(chunk.index) == index,
                chunk.depth == manifest.depth, chunk.verify(root: manifest.root)
            {
                have.insert(index)
            } else {
                try? Folder.remove(path)
            }
        }
        return SnapshotFetch.Resumption(manifest: manifest, have: have)
    }

    /// Fetches everything, or throws a sentence.
    func run(_ configuration: NetworkConfiguration) async throws -> SnapshotFetch.Result {
        let service = try NetworkService(configuration: configuration, delegate: self, logger: logger)
        self.service = service
        _ = try await service.start()
        do {
            let result = try await withCheckedThrowingContinuation { continuation in
                queue.async { [self] in
                    if let ended { return continuation.resume(with: ended) }
                    end = continuation
                    carryOut(fetch.start(at: SnapshotDownload.now))
                }
            }
            await service.shutdown()
            return result
        } catch {
            await service.shutdown()
            throw error
        }
    }

    // MARK: From the network

    func headHeight() -> UInt64 { 0 }

    func peerConnected(_ peer: PeerID, hello: Hello) {
        queue.async { [self] in
            carryOut(fetch.peerConnected(peer, head: Height(hello.headHeight), at: SnapshotDownload.now))
        }
    }

    func peerDisconnected(_ peer: PeerID, reason: String) {
        queue.async { [self] in carryOut(fetch.peerDisconnected(peer, at: SnapshotDownload.now)) }
    }

    func received(_ bytes: [UInt8], on channel: NetworkChannel, from peer: PeerID) {}

    func request(
        _ bytes: [UInt8], on channel: NetworkChannel, from peer: PeerID, reply: @escaping @Sendable ([UInt8]?) -> Void
    ) { reply(nil) }

    // MARK: Outputs

    private func finish(_ result: Result<SnapshotFetch.Result, any Error>) {
        if ended != nil { return }
        ended = result
        end?.resume(with: result)
        end = nil
    }

    private func carryOut(_ outputs: [SnapshotFetch.Output]) {
        for output in outputs {
            do { try carryOut(output) } catch { return finish(.failure(error)) }
        }
    }

    private func carryOut(_ output: SnapshotFetch.Output) throws {
        switch output {
        case .request(let id, let request, let peer):
            Task { [self] in
                // A little more patience than the machine's, whose word it is.
                let answer = try? await service?.request(
                    request.canonicalBytes, on: .blocks, to: peer, timeout: .seconds(8))
                queue.async { [self] in carryOut(fetch.answered(id, answer, at: SnapshotDownload.now)) }
            }
        case .begin(let manifest):
            let path = folder + "/manifest"
            if let bytes = FileManager.default.contents(atPath: path),
                let old = try? SnapshotManifest(canonicalBytes: Array(bytes)), old.height == manifest.height,
                old.root == manifest.root, old.depth == manifest.depth
            {
                return
            }
            try Folder.remove(folder)
            try Folder.make(folder)
            try Data(manifest.canonicalBytes).write(to: URL(fileURLWithPath: path), options: .atomic)
        case .keepChunk(let index, let bytes):
            let path = SnapshotDownload.chunkPath(folder, index)
            try Data(bytes).write(to: URL(fileURLWithPath: path), options: .atomic)
        case .misbehaviour(let peer, let reason):
            logger.warning("peer \(peer.hex.prefix(8)): \(reason)")
            service?.penalize(peer, reason: reason, points: 200)
        case .setTimer(let at):
            let wait = max(0, at.interval(since: SnapshotDownload.now).nanoseconds)
            queue.asyncAfter(deadline: .now() + .nanoseconds(Int(wait))) { [self] in
                carryOut(fetch.timer(at: SnapshotDownload.now))
            }
        case .progress(let progress): tell(progress)
        case .finished(let result): finish(.success(result))
        case .failed(let failure): finish(.failure(failure))
        }
    }

    private func tell(_ progress: SnapshotFetch.Progress) {
        switch progress {
        case .walked(let epoch): logger.notice("snapshot: walked to epoch \(epoch)")
        case .chose(let height, let chunks, let have, let peers):
            logger.notice(
                "snapshot: the state after height \(height), \(chunks) chunks, \(have) of them here already, offered by \(peers) peers"
            )
        case .chunks(let have, let count, let bytes, let peers):
            let now = DispatchTime.now().uptimeNanoseconds
            if have < count, now < toldAt + 1_000_000_000 { return }
            toldAt = now
            logger.notice("snapshot: chunk \(have) of \(count), \(bytes) bytes from \(peers) peers")
        case .blocks(let count): logger.notice("snapshot: \(count) blocks up to a certified one")
        }
    }
}
