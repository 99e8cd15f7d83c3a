internal import Foundation
package import Gossip
internal import Ledger
package import Logging
package import Networking
package import Primitives
internal import Programs
package import Storage
package import Worker

/// The node's blobs: kept in the store, served to peers chunk by chunk, fetched from several of them at once and checked as they come.
package final class BlobService: BlobAccess, @unchecked Sendable {
    private let store: BlobStore
    private let logger: Logger
    private let lock = NSLock()
    // Guarded by `lock`.
    private var network: NetworkService?
    private var fetching: Set<Digest> = []
    /// Test only: what was run here, of which nobody gets anything; nil where nothing is withheld.
    private var withheld: Set<Digest>?

    static let requestsPerPeer = 3
    static let timeout = Interval.seconds(5)
    static let rounds = 40

    package init(store: BlobStore, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    package func attach(_ network: NetworkService) { lock.withLock { self.network = network } }

    /// Test only: from here on the outputs of jobs are handed to nobody.
    func withholdOutputs() { lock.withLock { withheld = [] } }

    private func isWithheld(_ id: Digest) -> Bool { lock.withLock { withheld?.contains(id) ?? false } }

    // MARK: Serving

    package func answer(_ request: BlobRequest) -> [UInt8]? {
        var parts: [BlobPart] = []
        switch request {
        case .manifest(let id):
            guard !isWithheld(id), let manifest = manifest(id) else { return nil }
            parts = [BlobPart(id: id, manifest: manifest, chunk: 0, bytes: nil)]
        case .chunks(let id, let indices):
            if isWithheld(id) { return nil }
            for index in indices {
                guard let bytes = try? store.chunk(id, Int(index)) else { continue }
                parts.append(BlobPart(id: id, manifest: nil, chunk: index, bytes: bytes))
            }
        case .small(let ids):
            var budget = BlobRequest.answerBudget
            for id in ids {
                guard !isWithheld(id), let manifest = manifest(id), manifest.chunks.count <= 1, store.isComplete(id)
                else { continue }
                let bytes = manifest.chunks.isEmpty ? [] : ((try? store.chunk(id, 0)) ?? nil)
                guard let bytes else { continue }
                budget -= bytes.count + 256
                if budget < 0 { break }
                parts.append(BlobPart(id: id, manifest: manifest, chunk: 0, bytes: bytes))
            }
        }
        if parts.isEmpty { return nil }
        var writer = ByteWriter(capacity: 1 << 16)
        writer.write(list: parts)
        return writer.bytes
    }

    private func manifest(_ id: Digest) -> BlobManifest? {
        store.manifest(id).flatMap { try? BlobManifest(canonicalBytes: $0) }
    }

    // MARK: Keeping

    /// Keeps bytes that are here already.
    @discardableResult
    package func put(_ kind: BlobManifest.Kind, _ bytes: [UInt8], isOutput: Bool = false) throws -> Digest {
        let manifest = bytes.withUnsafeBytes { BlobManifest.make(kind, $0) }
        let id = manifest.id
        if isOutput { lock.withLock { _ = withheld?.insert(id) } }
        if !store.isComplete(id) { try store.put(id, manifest: manifest.canonicalBytes, bytes) }
        return id
    }

    /// Keeps what a provider has shown to the chain, under the roots that its result names.
    func keep(_ output: PostedOutput) throws {
        for tensor in output.tensors {
            try put(.tensor(type: tensor.element.rawValue, shape: tensor.shape), tensor.bytes)
        }
        try put(list(output.stepRoots), [])
        if !output.keptRoots.isEmpty { try put(list([output.keptRoots]), []) }
    }

    /// The list of tensors that are here.
    private func list(_ steps: [[Digest]]) throws -> BlobManifest.Kind {
        var known: [Digest: ListedTensor] = [:]
        return .outputs(
            steps: try steps.map { step in
                try step.map { root in
                    guard let tensor = known[root] ?? manifest(root)?.listed else {
                        throw NodeFault.cannotStart("the tensor \(root.hex) is to be listed and is not here")
                    }
                    known[root] = tensor
                    return tensor
                }
            })
    }

    /// Keeps an upload that came in pieces.
    func finish(_ draft: BlobDraft, as kind: BlobManifest.Kind) throws -> (Digest, UInt64) {
        let mapped = try draft.mapped()
        let manifest = mapped.withUnsafeBytes { BlobManifest.make(kind, $0) }
        let id = manifest.id
        try store.finish(draft, id: id, manifest: manifest.canonicalBytes)
        return (id, manifest.length)
    }

    func newDraft() throws -> BlobDraft { try store.newDraft() }

    package func storeTensor(type: UInt8, shape: [UInt64], bytes: [UInt8]) throws -> Digest {
        try put(.tensor(type: type, shape: shape), bytes, isOutput: true)
    }

    package func tensorType(of id: Digest) throws -> (type: UInt8, shape: [UInt64])? {
        guard case .tensor(let type, let shape)? = kind(of: id) else { return nil }
        return (type, shape)
    }

    package func storeOutputs(_ steps: [[Digest]]) throws -> Digest {
        try put(list(steps), [], isOutput: true)
    }

    package func outputs(of id: Digest) throws -> [[Digest]]? {
        guard case .outputs(let steps)? = kind(of: id) else { return nil }
        return steps.map { $0.map(\.root) }
    }

    /// What a blob is, where its manifest is here.
    func kind(of id: Digest) -> BlobManifest.Kind? { manifest(id)?.kind }

    final class Mapping: BlobBytes {
        private let blob: MappedBlob

        init(_ blob: MappedBlob) { self.blob = blob }

        var bytes: UnsafeRawBufferPointer { blob.bytes }
    }

    package func mapped(_ id: Digest) throws -> any BlobBytes { Mapping(try store.openMapped(id)) }

    func read(_ id: Digest, at offset: UInt64, count: Int) throws -> [UInt8] {
        try store.read(id, at: offset, count: count)
    }

    package func length(of id: Digest) -> UInt64? { store.isComplete(id) ? store.record(id)?.length : nil }

    // MARK: Fetching

    package func fetch(
        _ ids: [Digest], atMost limit: UInt64, progress: @escaping @Sendable (UInt64, UInt64) -> Void
    ) async throws {
        let wanted = Array(Set(ids)).sorted().filter { !store.isComplete($0) }
        if wanted.isEmpty { return progress(1, 1) }
        for _ in 0..<BlobService.rounds {
            let missing = wanted.filter { !store.isComplete($0) }
            if missing.isEmpty { return }
            try await fetchSmall(missing, atMost: limit)
            let large = missing.filter { !store.isComplete($0) }
            if large.isEmpty { return try checkLength(of: wanted, limit) }
            await fetchManifests(large)
            // Before anything large is asked for.
            try checkLength(of: wanted, limit)
            await fetchChunks(large, progress)
            if large.contains(where: { !store.isComplete($0) }) { try await Task.sleep(nanoseconds: 250_000_000) }
        }
        let left = wanted.filter { !store.isComplete($0) }
        if !left.isEmpty {
            throw NodeFault.cannotStart(
                "\(left.count) blobs could not be fetched from any peer, the first is \(left[0].hex)")
        }
    }

    private func ask(_ request: BlobRequest, _ peer: PeerID) async -> [BlobPart] {
        guard let network = lock.withLock({ network }),
            let bytes = try? await network.request(
                request.canonicalBytes, on: .blobs, to: peer, timeout: BlobService.timeout)
        else { return [] }
        var reader = ByteReader(bytes)
        return (try? reader.readList(BlobPart.self, max: BlobRequest.maximumSmall)) ?? []
    }

    private var peers: [PeerID] { lock.withLock { network }?.connectedPeers ?? [] }

    /// Throws where what is known of these blobs' lengths is more than they may have together.
    private func checkLength(of ids: [Digest], _ limit: UInt64) throws {
        if limit == .max { return }
        var sum: UInt64 = 0
        for id in ids { sum = BlobService.sum(sum, manifest(id)?.length ?? 0) }
        if sum > limit { throw BlobsTooLarge(count: ids.count, bytes: sum, limit: limit) }
    }

    private static func sum(_ x: UInt64, _ y: UInt64) -> UInt64 {
        let (sum, overflow) = x.addingReportingOverflow(y)
        return overflow ? .max : sum
    }

    private func fetchSmall(_ ids: [Digest], atMost limit: UInt64) async throws {
        var taken: UInt64 = 0
        peers: for peer in peers {
            var left = ids.filter { !store.isComplete($0) }
            while !left.isEmpty {
                let batch = Array(left.prefix(BlobRequest.maximumSmall))
                let parts = await ask(.small(batch), peer)
                if parts.isEmpty { break }
                for part in parts {
                    guard let manifest = part.manifest, let bytes = part.bytes, batch.contains(part.id) else {
                        continue
                    }
                    guard manifest.id == part.id, manifest.chunks.isEmpty || manifest.verify(bytes, chunk: 0) else {
                        lock.withLock { network }?.penalize(peer, reason: "sent a blob that does not match its id")
                        // Others may have it.
                        continue peers
                    }
                    taken = BlobService.sum(taken, UInt64(bytes.count))
                    if taken > limit { throw BlobsTooLarge(count: ids.count, bytes: taken, limit: limit) }
                    do { try store.put(part.id, manifest: manifest.canonicalBytes, bytes) } catch {
                        logger.warning("a blob could not be kept: \(error)")
                        return
                    }
                }
                left = left.dropFirst(batch.count).filter { !store.isComplete($0) }
            }
        }
    }

    private func fetchManifests(_ ids: [Digest]) async {
        for id in ids where store.manifest(id) == nil {
            for peer in peers {
                guard let manifest = await ask(.manifest(id), peer).first?.manifest, manifest.id == id else { continue }
                try? store.begin(id, length: manifest.length, manifest: manifest.canonicalBytes)
                break
            }
        }
    }

    /// Chunks of all large blobs, in one queue that several requests a peer draw from: who is faster takes more.
    private func fetchChunks(_ ids: [Digest], _ progress: @escaping @Sendable (UInt64, UInt64) -> Void) async {
        var jobs: [ChunkQueue.Job] = []
        var total: UInt64 = 0
        var have: UInt64 = 0
        for id in ids {
            guard let manifest = manifest(id) else { continue }
            let missing = (try? store.missingChunks(id)) ?? []
            total += UInt64(manifest.chunks.count)
            have += UInt64(manifest.chunks.count - missing.count)
            for start in stride(from: 0, to: missing.count, by: BlobRequest.maximumChunks) {
                let part = missing[start..<min(start + BlobRequest.maximumChunks, missing.count)]
                jobs.append(.init(manifest: manifest, id: id, chunks: part.map { UInt32($0) }))
            }
        }
        let queue = ChunkQueue(jobs, done: have, total: total)
        await withTaskGroup(of: Void.self) { group in
            for peer in peers {
                for _ in 0..<BlobService.requestsPerPeer {
                    group.addTask { await self.work(queue, peer, progress) }
                }
            }
        }
        for id in ids where !store.isComplete(id) { try? store.checkpoint(id) }
    }

    private func work(_ queue: ChunkQueue, _ peer: PeerID, _ progress: @Sendable (UInt64, UInt64) -> Void) async {
        while let job = await queue.next(for: peer) {
            let parts = await ask(.chunks(job.id, job.chunks), peer)
            var missing = Set(job.chunks)
            for part in parts where part.id == job.id && missing.contains(part.chunk) {
                guard let bytes = part.bytes else { continue }
                if !job.manifest.verify(bytes, chunk: Int(part.chunk)) {
                    lock.withLock { network }?.penalize(peer, reason: "sent a chunk that does not match its digest")
                    continue
                }
                do {
                    _ = try store.write(job.id, chunk: Int(part.chunk), bytes, verify: { _ in true })
                    missing.remove(part.chunk)
                } catch {
                    logger.warning("a chunk could not be kept: \(error)")
                    break
                }
            }
            let (done, total) = await queue.finished(job, missing: missing.sorted(), peer)
            progress(done * UInt64(BlobManifest.chunkLength), total * UInt64(BlobManifest.chunkLength))
        }
    }
}
