import Gossip
import Ledger
import Primitives
import Programs

/// A job to be posted, with the blobs that it needs and what comes out of it.
struct JobOrder {
    let spec: JobSpec
    /// Everybody's: the model.
    let model: [(kind: BlobManifest.Kind, bytes: [UInt8])]
    let input: (kind: BlobManifest.Kind, bytes: [UInt8])
    let inputID: Digest
    /// Computed here by plain integers, with nothing of the runtime.
    let truth: ResultCommitment
}

/// Small jobs of two models that share one program and differ in their weights: y = x · w + 7 over rows of four.
struct JobLoad {
    private struct Model {
        let weights: [Int32]
        let root: Digest
        let manifest: Digest
        let blobs: [(kind: BlobManifest.Kind, bytes: [UInt8])]
    }

    private let program: Program
    private let models: [Model]

    static let width: UInt64 = 4
    static let addend: Int32 = 7
    /// Base units for 1,000 CU: about 1 XPL for the smallest job.
    static let price = Amount(baseUnits: 45_000_000_000_000_000_000)

    static let offer = OfferTerms(
        device: 0, pricePer1000CUf32: price, pricePer1000CUi8: price, memory: 1 << 30, capacity: 32,
        expiry: Height(UInt64.max / 2), measuredRate: 1_000_000)

    init() throws {
        let rows = Dimension(1, axis: 0)
        let width = Dimension(JobLoad.width)
        let parameters = [TensorDeclaration(name: "weight", type: TensorType(.i32, [width]))]
        let inputs = [TensorDeclaration(name: "x", type: TensorType(.i32, [rows, width]))]
        var graph = GraphBuilder(leading: (parameters + inputs).map(\.type))
        let result = graph.map(.i32, [rows, width], [ValueID(1), ValueID(0)]) { e in
            let (x, w) = (e.input(0), e.input(1))
            let product = e.apply(.multiply, x, w)
            let seven = e.node(.constant(.i32, bits: UInt64(JobLoad.addend)))
            _ = e.apply(.add, product, seven)
        }
        let program = try Program(
            axes: ["rows"], parameters: parameters, inputs: inputs,
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [result])])
        self.program = program
        models = try [[1, 2, 3, 4], [5, 6, 7, 8]].map { (weights: [Int32]) in
            let file = program.canonicalBytes
            let tensor = BlobManifest.Kind.tensor(type: ElementType.i32.rawValue, shape: [JobLoad.width])
            let bytes = JobLoad.bytes(weights)
            let root = JobLoad.id(tensor, bytes)
            let manifest = try ModelManifest(
                name: "simulated", programRoot: program.root, programFile: JobLoad.id(.file, file),
                parameterRoots: [root], files: [])
            return Model(
                weights: weights, root: root, manifest: JobLoad.id(.file, manifest.canonicalBytes),
                blobs: [(.file, manifest.canonicalBytes), (.file, file), (tensor, bytes)])
        }
    }

    /// What a challenge shows of the program.
    var opening: DisputeOpening { DisputeOpening(program) }

    /// The next job. `hint`: the node that has its input.
    func next(hint: PublicKey, random: inout SplitMix64) throws -> JobOrder {
        let model = models[Int(random.next() % UInt64(models.count))]
        let rows = 2 + random.next() % 3
        let x = (0..<rows * JobLoad.width).map { _ in Int32(random.next() % 10_000) }
        let shape = [rows, JobLoad.width]
        let kind = BlobManifest.Kind.tensor(type: ElementType.i32.rawValue, shape: shape)
        let input = JobLoad.bytes(x)
        let inputID = JobLoad.id(kind, input)
        let policy: AuditPolicy =
            switch random.next() % 6 {
            case 0: .sampled(perMille: 500)
            case 1: .replicated(count: 2)
            default: .audited
            }
        let fixed = try program.specialise([("rows", rows)])
        let spec = JobSpec(
            program: program.root, manifest: model.manifest, axes: [JobAxis(name: "rows", size: rows)],
            parameters: AgreedList([model.root]), inputs: [JobInput(name: "x", root: inputID)],
            scans: try JobScan.all(of: fixed), computeUnits: try fixed.cost(), memory: 1 << 20,
            maximumPricePer1000CU: JobLoad.price, policy: policy, queueMilliseconds: 20_000,
            deadlineMilliseconds: 60_000, storageHint: hint)
        let y = x.enumerated().map { place, value in
            value * model.weights[place % Int(JobLoad.width)] + JobLoad.addend
        }
        let root = TensorRoot.of(.i32, shape, JobLoad.bytes(y))
        return JobOrder(
            spec: spec, model: model.blobs, input: (kind, input), inputID: inputID,
            truth: ResultCommitment(
                steps: [1], outputRoot: ResultRoots.outputRoot([[root]]), stateRoot: ResultRoots.stateRoot([])))
    }

    private static func id(_ kind: BlobManifest.Kind, _ bytes: [UInt8]) -> Digest {
        bytes.withUnsafeBytes { BlobManifest.make(kind, $0) }.id
    }

    private static func bytes(_ values: [Int32]) -> [UInt8] {
        values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    }
}
