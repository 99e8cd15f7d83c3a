import API
import Foundation
import Ledger
import Primitives
import Programs
import Runtime

/// A model on the network, with what a requester needs of it: the program, and the files that make its inputs. The weights stay where they are.
struct PublishedModel {
    let name: String
    let manifestID: Digest
    let manifest: ModelManifest
    let program: Program
    let tokenizer: WordPieceTokenizer

    /// Takes the model from the network. Everything is checked against the ids on chain; files are cached by the manifest's id.
    static func fetch(named name: String, from node: NodeClient, cache: String) async throws -> PublishedModel {
        let entry = try await node.call("model.get", ["name": .string(name)])
        guard let manifestID = entry["manifest"]?.string.flatMap(Digest.init(hex:)),
            let programRoot = entry["program"]?.string.flatMap(Digest.init(hex:))
        else { throw Failure("the node's answer about \"\(name)\" cannot be read: is it of another version?") }
        let manifest = try ModelManifest(canonicalBytes: try await file(manifestID, node, cache: cache))
        let program = try Program(canonicalBytes: try await file(manifest.programFile, node, cache: cache))
        if manifest.programRoot != programRoot || program.root != programRoot {
            throw Failure("the model \"\(name)\" names one program on chain and another in its manifest: do not use it")
        }
        let folder = cache + "/" + manifestID.hex
        for entry in manifest.files {
            let path = folder + "/" + entry.name
            if FileManager.default.fileExists(atPath: path) { continue }
            let bytes = try await file(entry.id, node, cache: cache)
            try FileManager.default.createDirectory(
                atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            try Data(bytes).write(to: URL(fileURLWithPath: path), options: .atomic)
        }
        let tokenizer = try ModelImporter.tokenizer(path: folder)
        return PublishedModel(
            name: name, manifestID: manifestID, manifest: manifest, program: program, tokenizer: tokenizer)
    }

    /// A file by its id, from the cache or the network; its digest is checked either way.
    private static func file(_ id: Digest, _ node: NodeClient, cache: String) async throws -> [UInt8] {
        let path = cache + "/files/" + id.hex
        if let kept = FileManager.default.contents(atPath: path), FileIdentity.of(Array(kept)) == id {
            return Array(kept)
        }
        let bytes = try await node.download(id)
        if FileIdentity.of(bytes) != id {
            throw Failure("the node sent other bytes than the file \(id.hex): ask another node with --rpc")
        }
        try FileManager.default.createDirectory(atPath: cache + "/files", withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: path), options: .atomic)
        return bytes
    }
}
