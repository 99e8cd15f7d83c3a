import API
import Foundation
import Ledger
import Primitives
import Programs
import Runtime

/// Brings an imported model to the network: its weights, program and files as blobs, then its name on chain.
struct ModelPublisher {
    let node: NodeClient
    let key: SecretKey

    struct Published {
        let name: String
        let manifest: Digest
        let program: Digest
        let bytes: UInt64
        let finality: NodeClient.Finality
    }

    /// Uploads and publishes. `progress` is told bytes done and bytes in all.
    func publish(
        _ model: ImportedModel, as name: String, royaltyBasisPoints: UInt16 = 0,
        progress: @Sendable (UInt64, UInt64) -> Void
    ) async throws -> Published {
        let program = try model.program()
        let programBytes = program.canonicalBytes
        let fileBytes = model.files.map { $0.contents.bytes.count }.reduce(0, +)
        let weightBytes = model.parameters.map { $0.elementCount * 4 }.reduce(0, +)
        // The manifest, some kilobytes more, is not counted.
        let total = UInt64(programBytes.count + fileBytes + weightBytes)
        var done: UInt64 = 0
        func uploaded(_ answer: JSONValue, _ bytes: Int) throws -> Digest {
            guard let id = answer["id"]?.string.flatMap(Digest.init(hex:)) else {
                throw Failure("the node did not say what it made of an upload: is it of another version?")
            }
            done += UInt64(bytes)
            progress(min(done, total), total)
            return id
        }
        var roots: [Digest] = []
        for parameter in model.parameters {
            let bytes = parameter.withBytes { Array($0) }
            let answer = try await node.rpc.upload(
                bytes, as: .tensor(type: "f32", shape: parameter.shape.map { UInt64($0) }))
            let root = try uploaded(answer, bytes.count)
            if root != TensorRoot.of(.f32, parameter.shape.map { UInt64($0) }, bytes) {
                throw Failure("the node computed another root for \(parameter.name): do not trust it")
            }
            roots.append(root)
        }
        func upload(_ bytes: [UInt8]) async throws -> Digest {
            let id = try uploaded(try await node.rpc.upload(bytes, as: .file), bytes.count)
            if id != FileIdentity.of(bytes) {
                throw Failure("the node computed another id for a file: do not trust it")
            }
            return id
        }
        let programFile = try await upload(programBytes)
        var files: [ModelManifest.File] = []
        for file in model.files {
            let bytes = Array(file.contents.bytes)
            files.append(
                try ModelManifest.File(name: file.name, id: try await upload(bytes), byteCount: UInt64(bytes.count)))
        }
        let manifest = try ModelManifest(
            name: name, programRoot: program.root, programFile: programFile, parameterRoots: roots, files: files)
        let id = try await upload(manifest.canonicalBytes)
        let finality = try await node.submit(
            .publishModel(name: name, manifest: id, program: program.root, royaltyBasisPoints: royaltyBasisPoints),
            as: key)
        return Published(name: name, manifest: id, program: program.root, bytes: total, finality: finality)
    }
}
