import Primitives
import Programs
import Worker

/// Blobs in memory: tensors by their roots, lists of outputs by theirs, files by a digest.
///
/// Unchecked: a test runs in one thread.
final class MemoryBlobs: BlobKeeper, @unchecked Sendable {
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

    private var held: [Digest: [UInt8]] = [:]
    private var types: [Digest: (type: UInt8, shape: [UInt64])] = [:]
    private(set) var lists: [Digest: [[Digest]]] = [:]

    func file(_ bytes: [UInt8]) -> Digest {
        let id = Digest.of(Domain("test"), bytes)
        held[id] = bytes
        return id
    }

    func tensor(_ element: ElementType, _ shape: [UInt64], _ bytes: [UInt8]) -> Digest {
        let root = TensorRoot.of(element, shape, bytes)
        held[root] = bytes
        types[root] = (element.rawValue, shape)
        return root
    }

    func tensor(_ values: [Int32], _ shape: [UInt64]) -> Digest { tensor(.i32, shape, MemoryBlobs.bytes(values)) }

    static func bytes(_ values: [Int32]) -> [UInt8] {
        values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    }

    func bytes(of id: Digest) -> [UInt8]? { held[id] }

    func mapped(_ id: Digest) throws -> any BlobBytes {
        guard let bytes = held[id] else { throw Missing() }
        return Bytes(bytes)
    }

    func tensorType(of id: Digest) throws -> (type: UInt8, shape: [UInt64])? { types[id] }

    func storeTensor(type: UInt8, shape: [UInt64], bytes: [UInt8]) throws -> Digest {
        guard let element = ElementType(rawValue: type) else { throw Missing() }
        return tensor(element, shape, bytes)
    }

    func storeOutputs(_ steps: [[Digest]]) throws -> Digest {
        let root = ResultRoots.outputRoot(steps)
        lists[root] = steps
        return root
    }

    func outputs(of id: Digest) throws -> [[Digest]]? { lists[id] }

    /// What a hostile peer has given for a list.
    func replace(_ id: Digest, by list: [[Digest]]) { lists[id] = list }
}
