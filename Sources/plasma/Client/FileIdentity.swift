import Gossip
import Primitives

/// The id that bytes have as a blob.
enum FileIdentity {
    static func of(_ bytes: [UInt8]) -> Digest { BlobManifest.file(bytes).id }
}
