import Gossip
import Primitives
import Worker

/// A node's blobs, each of one chunk.
///
/// Unchecked: a simulation runs in one thread.
final class SimulatedBlobs: BlobKeeper, @unchecked Sendable {
    /// Bytes that stay where they are.
    private final class Bytes: BlobBytes, @unchecked Sendable {
        private let memory: UnsafeMutableRawBufferPointer

        init(_ bytes: [UInt8]) {
            memory = .allocate(byteCount: bytes.count, alignment: 64)
            memory.copyBytes(from: bytes)
        }

        deinit { memory.deallocate() }

        var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }
    }

    struct Missing: Error {}

    private var own: [Digest: (manifest: BlobManifest, bytes: [UInt8])] = [:]
    /// Others that it lends from; what is put stays here.
    private let below: SimulatedBlobs?

    init(over below: SimulatedBlobs? = nil) { self.below = below }

    private func held(_ id: Digest) -> (manifest: BlobManifest, bytes: [UInt8])? { own[id] ?? below?.held(id) }

    func contains(_ id: Digest) -> Bool { held(id) != nil }

    func remove(_ id: Digest) { own[id] = nil }

    @discardableResult
    func put(_ kind: BlobManifest.Kind, _ bytes: [UInt8]) -> Digest {
        let manifest = bytes.withUnsafeBytes { BlobManifest.make(kind, $0) }
        let id = manifest.id
        own[id] = (manifest, bytes)
        return id
    }

    /// As the real store answers.
    func answer(_ ids: [Digest]) -> [BlobPart] {
        ids.compactMap { id in
            held(id).map { BlobPart(id: id, manifest: $0.manifest, chunk: 0, bytes: $0.bytes) }
        }
    }

    /// Takes a part as the real service does. Returns false where its bytes are not those of its id.
    func take(_ part: BlobPart, wanted: [Digest]) -> Bool {
        guard let manifest = part.manifest, let bytes = part.bytes, wanted.contains(part.id) else { return true }
        guard manifest.id == part.id, manifest.chunks.isEmpty || manifest.verify(bytes, chunk: 0) else { return false }
        own[part.id] = (manifest, bytes)
        return true
    }

    // MARK: What runs a job

    func mapped(_ id: Digest) throws -> any BlobBytes {
        guard let blob = held(id) else { throw Missing() }
        return Bytes(blob.bytes)
    }

    func storeTensor(type: UInt8, shape: [UInt64], bytes: [UInt8]) throws -> Digest {
        put(.tensor(type: type, shape: shape), bytes)
    }

    func tensorType(of id: Digest) throws -> (type: UInt8, shape: [UInt64])? {
        guard case .tensor(let type, let shape)? = held(id)?.manifest.kind else { return nil }
        return (type, shape)
    }

    func storeOutputs(_ steps: [[Digest]]) throws -> Digest {
        let listed = try steps.map { step in
            try step.map { root in
                guard let tensor = held(root)?.manifest.listed else { throw Missing() }
                return tensor
            }
        }
        return put(.outputs(steps: listed), [])
    }

    func outputs(of id: Digest) throws -> [[Digest]]? {
        guard case .outputs(let steps)? = held(id)?.manifest.kind else { return nil }
        return steps.map { $0.map(\.root) }
    }
}
