import API
import Foundation
import Ledger
import Primitives
import Programs
import Runtime

/// An encoder on the network, with what a requester needs of it: the program, and the files that make its inputs. The weights stay where they are.
struct PublishedModel {
    let published: PublishedFiles
    let tokenizer: WordPieceTokenizer

    static func fetch(named name: String, from node: NodeClient, cache: String) async throws -> PublishedModel {
        let published = try await PublishedFiles.fetch(named: name, from: node, cache: cache)
        if SamplingKind(of: published.program) != nil {
            throw Failure("\(name) continues texts: give it prompts with plasma job run \(name) --prompt TEXT")
        }
        return PublishedModel(published: published, tokenizer: try ModelImporter.tokenizer(path: published.folder))
    }
}

/// A decoder on the network, in the same way.
struct PublishedDecoder {
    let published: PublishedFiles
    let configuration: DecoderConfiguration
    let tokenizer: BPETokenizer
    let sampling: SamplingKind

    static func fetch(named name: String, from node: NodeClient, cache: String) async throws -> PublishedDecoder {
        let published = try await PublishedFiles.fetch(named: name, from: node, cache: cache)
        guard let sampling = SamplingKind(of: published.program) else {
            throw Failure(
                "\(name) does not continue texts: give it sentences with plasma job submit FILE --model \(name)")
        }
        return PublishedDecoder(
            published: published, configuration: try ModelImporter.decoderConfiguration(path: published.folder),
            tokenizer: try ModelImporter.textTokenizer(path: published.folder), sampling: sampling)
    }
}

/// A published model's program and files, in a folder here.
struct PublishedFiles {
    let name: String
    let manifestID: Digest
    let manifest: ModelManifest
    let program: Program
    let folder: String

    /// Takes the model from the network. Everything is checked against the ids on chain; files are cached by the manifest's id.
    static func fetch(named name: String, from node: NodeClient, cache: String) async throws -> PublishedFiles {
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
        return PublishedFiles(
            name: name, manifestID: manifestID, manifest: manifest, program: program, folder: folder)
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
