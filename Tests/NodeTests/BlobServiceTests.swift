import Foundation
import Gossip
import Logging
import Networking
import Node
import Primitives
import Storage
import Testing
import Worker

/// Blobs between two nodes, over real sockets and files.
@Suite final class BlobServiceTests {
    /// A node that has blobs and nothing else.
    private final class BlobNode: NetworkDelegate, @unchecked Sendable {
        let folder = NSTemporaryDirectory() + "plasma-blobs-\(UUID().uuidString)"
        let key: SecretKey
        let blobs: BlobService
        private let lock = NSLock()
        private var peers: Set<PeerID> = []
        private var chunksAsked = 0
        private var forged: [UInt8]?
        // Set once, before anyone else has the object.
        private(set) var network: NetworkService?
        private(set) var port = 0

        init(_ index: Int, bootstrap: [BlobNode] = []) async throws {
            key = try SecretKey(seed: Digest.of(Domain("test.key"), UInt64(index).canonicalBytes).bytes)
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            blobs = BlobService(store: try BlobStore(directory: folder), logger: logger)
            let network = try NetworkService(
                configuration: NetworkConfiguration(
                    identity: key, network: Digest.of(Domain("test.network"), [1]), roles: .follower,
                    listenHost: "127.0.0.1", externalHost: nil, port: 0,
                    bootstrap: bootstrap.map { "127.0.0.1:\($0.port)" }, savedRecords: []),
                delegate: self, logger: logger)
            port = try await network.start()
            blobs.attach(network)
            self.network = network
        }

        func end() async {
            await network?.shutdown()
            try? FileManager.default.removeItem(atPath: folder)
        }

        var hasPeer: Bool { peerCount > 0 }
        var peerCount: Int { lock.withLock { peers.count } }
        /// From here on it answers everybody with these bytes.
        func lie(_ bytes: [UInt8]) { lock.withLock { forged = bytes } }
        /// Chunks of large blobs that others have asked for.
        var asked: Int { lock.withLock { chunksAsked } }

        func peerConnected(_ peer: PeerID, hello: Hello) { lock.withLock { _ = peers.insert(peer) } }
        func peerDisconnected(_ peer: PeerID, reason: String) { lock.withLock { _ = peers.remove(peer) } }
        func received(_ bytes: [UInt8], on channel: NetworkChannel, from peer: PeerID) {}
        func headHeight() -> UInt64 { 0 }

        func request(
            _ bytes: [UInt8], on channel: NetworkChannel, from peer: PeerID,
            reply: @escaping @Sendable ([UInt8]?) -> Void
        ) {
            guard let request = try? BlobRequest(canonicalBytes: bytes) else { return reply(nil) }
            if case .chunks(_, let indices) = request { lock.withLock { chunksAsked += indices.count } }
            reply(lock.withLock { forged } ?? blobs.answer(request))
        }
    }

    private func withPair(_ body: (_ far: BlobNode, _ near: BlobNode) async throws -> Void) async throws {
        let far = try await BlobNode(1)
        let near = try await BlobNode(2, bootstrap: [far])
        for _ in 0..<3_000 where !near.hasPeer { try await Task.sleep(nanoseconds: 10_000_000) }
        do {
            try #require(near.hasPeer)
            try await body(far, near)
        } catch {
            await near.end()
            await far.end()
            throw error
        }
        await near.end()
        await far.end()
    }

    private func noise(_ count: Int, _ seed: UInt64) -> [UInt8] {
        var random = SplitMix64(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    @Test func whatIsWithinItsLimitIsFetchedWhole() async throws {
        try await withPair { far, near in
            let small = noise(1_000, 1)
            let large = noise(3 * BlobManifest.chunkLength + 1, 2)
            let ids = [try far.blobs.put(.file, small), try far.blobs.put(.file, large)]
            try await near.blobs.fetch(ids, atMost: UInt64(small.count + large.count), progress: { _, _ in })
            for (id, bytes) in zip(ids, [small, large]) {
                let blob = try near.blobs.mapped(id)
                // Mapped for as long as it lives.
                let found = withExtendedLifetime(blob) { Array($0.bytes) }
                #expect(found == bytes)
            }
            #expect(far.asked >= 4)
        }
    }

    /// A byte more than is allowed, and nothing large is even asked for.
    @Test func whatIsLargerThanItsLimitIsNotTaken() async throws {
        try await withPair { far, near in
            let small = noise(1_000, 1)
            let large = noise(3 * BlobManifest.chunkLength + 1, 2)
            let ids = [try far.blobs.put(.file, small), try far.blobs.put(.file, large)]
            let all = UInt64(small.count + large.count)
            let fault = await #expect(throws: BlobsTooLarge.self) {
                try await near.blobs.fetch(ids, atMost: all - 1, progress: { _, _ in })
            }
            #expect(fault == BlobsTooLarge(count: 2, bytes: all, limit: all - 1))
            #expect(far.asked == 0)
            #expect(near.blobs.length(of: ids[1]) == nil)
        }
    }

    /// Many that come whole with their names are counted as they come.
    @Test func manySmallOnesAreCountedTogether() async throws {
        try await withPair { far, near in
            let ids = try (0..<300).map { try far.blobs.put(.file, noise(1_000, UInt64($0))) }
            let fault = await #expect(throws: BlobsTooLarge.self) {
                try await near.blobs.fetch(ids, atMost: 100_000, progress: { _, _ in })
            }
            #expect(fault?.bytes == 101_000 && fault?.limit == 100_000)
            #expect(ids.count { near.blobs.length(of: $0) != nil } == 100)
            // What is here is not fetched again, and counts no more.
            try await near.blobs.fetch(ids, atMost: 200_000, progress: { _, _ in })
            #expect(ids.allSatisfy { near.blobs.length(of: $0) == 1_000 })
        }
    }

    /// A list whose every entry is a tensor's is taken from whoever gives it; nodes of its tree in their place, or other tensors, cost no more than asking
    /// another peer.
    @Test func aHostilePeersListCostsNoMoreThanARetry() async throws {
        let honest = try await BlobNode(1)
        let hostile = try await BlobNode(2, bootstrap: [honest])
        var near: [BlobNode] = []
        do {
            let steps = try (0..<2).map { step in
                try (0..<2).map { place in
                    try honest.blobs.storeTensor(type: 4, shape: [2], bytes: noise(8, UInt64(2 * step + place)))
                }
            }
            let id = try honest.blobs.storeOutputs(steps)
            let nodes = steps.map { MerkleTree.node($0[0], $0[1]) }
            let others = nodes.map { [ListedTensor(type: 4, shape: [2], tree: $0)] }
            // A list as it was written when it named roots alone.
            var plain = ByteWriter()
            plain.write(UInt32(1))
            plain.write(id)
            plain.write(UInt8(1))
            plain.write(UInt8(2))
            plain.write(UInt32(nodes.count))
            for node in nodes { plain.write(list: [node]) }
            plain.write(UInt64(0))
            plain.write(UInt32(0))
            plain.write(UInt32(0))
            plain.write(bool: true)
            plain.write(bytes: [])
            var other = ByteWriter()
            other.write(list: [
                BlobPart(
                    id: id, manifest: BlobManifest(kind: .outputs(steps: others), length: 0, chunks: []), chunk: 0,
                    bytes: [])
            ])
            for (number, lie) in [plain.bytes, other.bytes].enumerated() {
                hostile.lie(lie)
                let node = try await BlobNode(3 + number, bootstrap: [hostile, honest])
                near.append(node)
                for _ in 0..<3_000 where node.peerCount < 2 { try await Task.sleep(nanoseconds: 10_000_000) }
                try #require(node.peerCount >= 2)
                try await node.blobs.fetch([id], progress: { _, _ in })
                let found = try node.blobs.outputs(of: id)
                #expect(found == steps, "lie \(number)")
            }
        } catch {
            for node in near + [hostile, honest] { await node.end() }
            throw error
        }
        for node in near + [hostile, honest] { await node.end() }
    }
}
