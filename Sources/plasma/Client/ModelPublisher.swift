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

    /// What is uploaded of a model: one weight, its bytes taken when their turn comes.
    private struct Weight {
        let name: String
        let element: ElementType
        let shape: [UInt64]
        let byteCount: Int
        let bytes: () -> [UInt8]
    }

    /// Uploads and publishes an encoder. `progress` is told bytes done and bytes in all.
    func publish(
        _ model: ImportedModel, as name: String, royaltyBasisPoints: UInt16 = 0,
        progress: @Sendable (UInt64, UInt64) -> Void
    ) async throws -> Published {
        let weights = model.parameters.map { parameter in
            Weight(
                name: parameter.name, element: .f32, shape: parameter.shape.map { UInt64($0) },
                byteCount: parameter.elementCount * 4, bytes: { parameter.withBytes { Array($0) } })
        }
        return try await publish(
            weights, try model.program(), model.files.map { ($0.name, Array($0.contents.bytes)) }, as: name,
            royaltyBasisPoints: royaltyBasisPoints, progress: progress)
    }

    /// Uploads and publishes a decoder of a folder, with the program that chooses tokens in one way.
    func publish(
        _ model: TransformerModel, folder: String, sampling: SamplingKind, as name: String,
        royaltyBasisPoints: UInt16 = 0, progress: @Sendable (UInt64, UInt64) -> Void
    ) async throws -> Published {
        let weights = model.parameters.map { parameter in
            Weight(
                name: parameter.name, element: parameter.element, shape: parameter.shape.map { UInt64($0) },
                byteCount: parameter.elementCount * parameter.element.size, bytes: { parameter.withBytes { Array($0) } }
            )
        }
        let files = ModelImporter.decoderFiles.compactMap { file in
            FileManager.default.contents(atPath: folder + "/" + file).map { (file, Array($0)) }
        }
        return try await publish(
            weights, try Generator(model, threads: 1).program(sampling), files, as: name,
            royaltyBasisPoints: royaltyBasisPoints, progress: progress)
    }

    private func publish(
        _ weights: [Weight], _ program: Program, _ contents: [(name: String, bytes: [UInt8])], as name: String,
        royaltyBasisPoints: UInt16, progress: @Sendable (UInt64, UInt64) -> Void
    ) async throws -> Published {
        let programBytes = program.canonicalBytes
        // The manifest, some kilobytes more, is not counted.
        let total = UInt64(
            programBytes.count + contents.map(\.bytes.count).reduce(0, +) + weights.map(\.byteCount).reduce(0, +))
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
        for weight in weights {
            let bytes = weight.bytes()
            let answer = try await node.rpc.upload(
                bytes, as: .tensor(type: weight.element.name, shape: weight.shape))
            let root = try uploaded(answer, bytes.count)
            if root != TensorRoot.of(weight.element, weight.shape, bytes) {
                throw Failure("the node computed another root for \(weight.name): do not trust it")
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
        for (name, bytes) in contents {
            files.append(
                try ModelManifest.File(name: name, id: try await upload(bytes), byteCount: UInt64(bytes.count)))
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
