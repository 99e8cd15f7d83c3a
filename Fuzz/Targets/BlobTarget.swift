import Gossip
import Primitives

/// How blobs are named, asked for and given in parts.
enum BlobTarget: FuzzTarget {
    static let name = "blobs"

    private static func tensor(_ number: Int) -> ListedTensor {
        ListedTensor(type: 1, shape: [UInt64(number), 3], tree: Fixture.digest(number))
    }

    static func forms() throws -> [Form] {
        let manifests = [
            BlobManifest.file([]), BlobManifest.file([1, 2, 3]),
            BlobManifest(kind: .outputs(steps: [[tensor(1)], [tensor(2)]]), length: 0, chunks: []),
            [UInt8](repeating: 1, count: 96).withUnsafeBytes {
                BlobManifest.make(.tensor(type: 1, shape: [2, 3, 4]), $0)
            },
        ]
        return [
            Form(manifests) { _ = $0.id },
            Form([
                BlobRequest.manifest(Fixture.digest(1)), .chunks(Fixture.digest(2), [0, 1, .max]),
                .small([Fixture.digest(1), Fixture.digest(2)]),
            ]),
            Form([
                BlobPart(id: Fixture.digest(1), manifest: nil, chunk: 0, bytes: nil),
                BlobPart(id: Fixture.digest(1), manifest: manifests[1], chunk: 0, bytes: [1, 2, 3]),
            ]),
        ]
    }
}
