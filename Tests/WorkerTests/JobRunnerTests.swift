import Ledger
import Primitives
import Programs
import Testing
import Worker

/// Blobs by their digests.
///
/// Unchecked: a test runs in one thread.
private final class MemoryBlobs: BlobKeeper, @unchecked Sendable {
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

    func put(_ bytes: [UInt8]) -> Digest {
        let id = Digest.of(Domain("test"), bytes)
        held[id] = bytes
        return id
    }

    func mapped(_ id: Digest) throws -> any BlobBytes {
        guard let bytes = held[id] else { throw Missing() }
        return Bytes(bytes)
    }

    func storeTensor(type: UInt8, shape: [UInt64], bytes: [UInt8]) throws -> Digest {
        _ = put(bytes)
        guard let element = ElementType(rawValue: type) else { throw Missing() }
        return TensorRoot.of(element, shape, bytes)
    }

    func storeOutputs(_ steps: [[Digest]]) throws -> Digest { ResultRoots.outputRoot(steps) }
}

@Suite struct JobRunnerTests {
    /// y = x · w over rows of four.
    static func program() throws -> Program {
        let rows = Dimension(1, axis: 0)
        let width = Dimension(4)
        let parameters = [TensorDeclaration(name: "weight", type: TensorType(.i32, [width]))]
        let inputs = [TensorDeclaration(name: "x", type: TensorType(.i32, [rows, width]))]
        var graph = GraphBuilder(leading: (parameters + inputs).map(\.type))
        let result = graph.map(.i32, [rows, width], [ValueID(1), ValueID(0)]) { e in
            _ = e.apply(.multiply, e.input(0), e.input(1))
        }
        return try Program(
            axes: ["rows"], parameters: parameters, inputs: inputs,
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [result])])
    }

    static func bytes(_ values: [Int32]) -> [UInt8] {
        values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    }

    /// Each hostile job names a model of its own; before, each stayed in memory for as long as the process lived.
    @Test func modelsThatAreOnlyNamedOnceDoNotStay() throws {
        let blobs = MemoryBlobs()
        let runner = JobRunner(blobs: blobs, threads: 1, memory: 1 << 20, flipsBit: false)
        let program = try Self.program()
        let file = blobs.put(program.canonicalBytes)
        let input = blobs.put(Self.bytes([1, 2, 3, 4]))
        let key = try SecretKey(seed: [UInt8](repeating: 1, count: 32)).publicKey
        func run(_ model: Int32) throws -> Digest {
            let weight = blobs.put(Self.bytes([Int32](repeating: model, count: 4)))
            let manifest = try ModelManifest(
                name: "test", programRoot: program.root, programFile: file, parameterRoots: [weight], files: [])
            let spec = JobSpec(
                program: program.root, manifest: blobs.put(manifest.canonicalBytes),
                axes: [JobAxis(name: "rows", size: 1)], inputs: [JobInput(name: "x", root: input)],
                computeUnits: try program.specialise([("rows", 1)]).cost(), memory: 1 << 20,
                maximumPricePer1000CU: .xpl(1), policy: .audited, queueMilliseconds: 1, deadlineMilliseconds: 1,
                storageHint: key)
            try runner.check(spec)
            return try runner.run(spec) { _ in }.outputRoot
        }
        for model in 1...Int32(JobRunner.maximumModels + 3) {
            let values = [1, 2, 3, 4].map { $0 * model }
            let root = ResultRoots.outputRoot([[TensorRoot.of(.i32, [1, 4], Self.bytes(values))]])
            // The second time from what is kept.
            for _ in 0..<2 {
                let found = try run(model)
                #expect(found == root)
            }
            #expect(runner.preparedModels == min(Int(model), JobRunner.maximumModels))
        }
    }
}
