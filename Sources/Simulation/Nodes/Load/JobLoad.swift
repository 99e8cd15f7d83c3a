import Gossip
import Ledger
import Primitives
import Programs

/// Small jobs over rows of four integers, of three programs:
///
/// - a line, y = x · w + 7, of two models that share it and differ in their weights; x is given, or left by another job;
/// - a sum of what two other jobs leave;
/// - a walk, s ← 3 · s + x, of several steps, which is posted in two parts: the second goes on from the state that the first has kept.
struct JobLoad {
    struct Model {
        let program: Program
        let weights: [Int32]
        let root: [Digest]
        let manifest: Digest
        let blobs: [(kind: BlobManifest.Kind, bytes: [UInt8])]
    }

    let lines: [Model]
    let sum: Model
    let walk: Model

    static let width: UInt64 = 4
    static let addend: Int32 = 7
    static let factor: Int32 = 3
    /// Steps of a walk, and of its first part.
    static let steps: (all: UInt64, first: UInt64) = (4, 2)
    /// Base units for 1,000 CU: about 1 XPL for the smallest job.
    static let price = Amount(baseUnits: 45_000_000_000_000_000_000)

    static let offer = OfferTerms(
        device: 0, pricePer1000CUf32: price, pricePer1000CUi8: price, memory: 1 << 30, capacity: 32,
        expiry: Height(UInt64.max / 2), measuredRate: 1_000_000)

    init() throws {
        let line = try JobLoad.line()
        lines = try [[1, 2, 3, 4], [5, 6, 7, 8]].map { try JobLoad.model(line, weights: $0) }
        sum = try JobLoad.model(try JobLoad.sum())
        walk = try JobLoad.model(try JobLoad.walk())
    }

    private static let rows = Dimension(1, axis: 0)

    private static func tensor(_ name: String, rows: Dimension? = rows) -> TensorDeclaration {
        TensorDeclaration(name: name, type: TensorType(.i32, [rows, Dimension(width)].compactMap { $0 }))
    }

    private static func line() throws -> Program {
        let parameters = [tensor("weight", rows: nil)]
        let inputs = [tensor("x")]
        var graph = GraphBuilder(leading: (parameters + inputs).map(\.type))
        let result = graph.map(.i32, [rows, Dimension(width)], [ValueID(1), ValueID(0)]) { e in
            let (x, w) = (e.input(0), e.input(1))
            let product = e.apply(.multiply, x, w)
            let seven = e.node(.constant(.i32, bits: UInt64(JobLoad.addend)))
            _ = e.apply(.add, product, seven)
        }
        return try Program(
            axes: ["rows"], parameters: parameters, inputs: inputs,
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [result])])
    }

    private static func sum() throws -> Program {
        let inputs = [tensor("a"), tensor("b")]
        var graph = GraphBuilder(leading: inputs.map(\.type))
        let result = graph.map(.i32, [rows, Dimension(width)], [ValueID(0), ValueID(1)]) { e in
            let (a, b) = (e.input(0), e.input(1))
            _ = e.apply(.add, a, b)
        }
        return try Program(
            axes: ["rows"], parameters: [], inputs: inputs,
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [result])])
    }

    private static func walk() throws -> Program {
        let inputs = [tensor("x")]
        let carried = [tensor("s")]
        var graph = GraphBuilder(leading: (inputs + carried).map(\.type))
        let next = graph.map(.i32, [rows, Dimension(width)], [ValueID(0), ValueID(1)]) { e in
            let (x, s) = (e.input(0), e.input(1))
            let three = e.node(.constant(.i32, bits: UInt64(JobLoad.factor)))
            let product = e.apply(.multiply, s, three)
            _ = e.apply(.add, product, x)
        }
        return try Program(
            axes: ["rows"], parameters: [], inputs: inputs, carried: carried, kept: [0],
            scans: [
                Scan(
                    steps: Dimension(JobLoad.steps.all), operations: graph.operations, outputs: [next], carried: [next])
            ])
    }

    private static func model(_ program: Program, weights: [Int32] = []) throws -> Model {
        let file = program.canonicalBytes
        let kind = BlobManifest.Kind.tensor(type: ElementType.i32.rawValue, shape: [width])
        let tensors = weights.isEmpty ? [] : [(kind: kind, bytes: bytes(weights))]
        let roots = tensors.map { id($0.kind, $0.bytes) }
        let manifest = try ModelManifest(
            name: "simulated", programRoot: program.root, programFile: id(.file, file), parameterRoots: roots,
            files: [])
        return Model(
            program: program, weights: weights, root: roots, manifest: id(.file, manifest.canonicalBytes),
            blobs: [(.file, manifest.canonicalBytes), (.file, file)] + tensors)
    }

    /// What a challenge shows of a job's program.
    func opening(of program: Digest) -> DisputeOpening? {
        (lines + [sum, walk]).first { $0.program.root == program }.map { DisputeOpening($0.program) }
    }

    static func id(_ kind: BlobManifest.Kind, _ bytes: [UInt8]) -> Digest {
        bytes.withUnsafeBytes { BlobManifest.make(kind, $0) }.id
    }

    static func bytes(_ values: [Int32]) -> [UInt8] {
        values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    }
}
