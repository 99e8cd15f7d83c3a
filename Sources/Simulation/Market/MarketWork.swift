import Ledger
import Primitives
import Programs
import Runtime

/// What somebody claims of a job.
enum MarketClaim: Hashable {
    /// What the program gives.
    case truth
    /// A run of it with one bit turned, which can be stood by in a dispute down to that bit.
    case turned
    /// Anything else, which cannot.
    case guess(ResultCommitment)
}

/// The jobs' one program and all runs of it: a product of bytes over two steps, added to a carried sum. Its prices are scaled, so that a job of microseconds
/// stands for one that costs about 1 XPL.
final class MarketWork {
    private static let terms: UInt64 = 512
    private static let columns: UInt64 = 8
    static let largest: UInt64 = 4

    let program: Program
    let opening: DisputeOpening
    private let root: Digest
    private let weights: [UInt8]
    private let weightRoot: Digest
    /// By how many rows.
    private let fixed: [UInt64: SpecialisedProgram]
    private let initialStates: [UInt64: Digest]
    /// What there is to compute, by the root of the inputs.
    private var bodies: [Digest: (rows: UInt64, bytes: [UInt8])] = [:]
    private var runs: [Digest: DisputeRun] = [:]
    private var lies: [Digest: DisputeRun] = [:]
    private var truths: [Digest: ResultCommitment] = [:]
    private var random: SplitMix64

    init(seed: UInt64) throws {
        random = SplitMix64(seed: seed)
        let rows = Dimension(1, axis: 0)
        let (terms, columns) = (Dimension(MarketWork.terms), Dimension(MarketWork.columns))
        let weight = TensorDeclaration(name: "w", type: TensorType(.i8, [columns, terms]))
        let input = TensorDeclaration(name: "x", type: TensorType(.i8, [rows, terms]))
        let sum = TensorDeclaration(name: "sum", type: TensorType(.i32, [rows, columns]))
        var graph = GraphBuilder(leading: [weight, input, sum].map(\.type))
        let product = graph.contract(ValueID(1), ValueID(0))
        let next = graph.map(.i32, [rows, columns], [product, ValueID(2)]) { e in
            let (product, sum) = (e.input(0), e.input(1))
            _ = e.apply(.add, product, sum)
        }
        program = try Program(
            axes: ["rows"], parameters: [weight], inputs: [input], carried: [sum],
            scans: [Scan(steps: 2, operations: graph.operations, outputs: [next], carried: [next])])
        root = program.root
        opening = DisputeOpening(program)
        var bytes: [UInt8] = []
        for _ in 0..<MarketWork.terms * MarketWork.columns { bytes.append(UInt8(truncatingIfNeeded: random.next())) }
        weights = bytes
        weightRoot = TensorRoot.of(.i8, [MarketWork.columns, MarketWork.terms], weights)
        var fixed: [UInt64: SpecialisedProgram] = [:]
        var states: [UInt64: Digest] = [:]
        for rows in 1...MarketWork.largest {
            fixed[rows] = try program.specialise([("rows", rows)])
            states[rows] = try MarketWork.run(program, rows, weights, [UInt8](repeating: 0, count: 512 * Int(rows)))
                .initialState
        }
        self.fixed = fixed
        initialStates = states
    }

    private static func run(
        _ program: Program, _ rows: UInt64, _ weights: [UInt8], _ input: [UInt8]
    ) throws -> DisputeRun {
        // The weights' memory is read where it lies, so it goes with the run.
        let held = HeldBytes(weights)
        return try input.withUnsafeBytes { input in
            try DisputeRun(
                program, axes: [rows], parameters: [held.bytes], inputs: [input], seed: 0, owners: [held])
        }
    }

    // MARK: Jobs

    /// What a job of so many rows costs in weighted operations.
    func operations(rows: UInt64) throws -> UInt64 {
        guard let fixed = fixed[rows] else { throw MarketFault(description: "no job has \(rows) rows") }
        return try fixed.cost().weightedOperations
    }

    /// Inputs that nobody has had before. Those of a job that cannot be run are kept from everybody.
    func makeInputs(canBeRun: Bool = true) -> (root: Digest, rows: UInt64) {
        let rows = 1 + random.next() % MarketWork.largest
        let bytes = (0..<MarketWork.terms * rows).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let root = TensorRoot.of(.i8, [rows, MarketWork.terms], bytes)
        if canBeRun { bodies[root] = (rows, bytes) }
        return (root, rows)
    }

    func spec(
        _ inputs: (root: Digest, rows: UInt64), policy: AuditPolicy, ceiling: Amount, memory: UInt64,
        hint: PublicKey
    ) throws -> JobSpec {
        guard let fixed = fixed[inputs.rows], let state = initialStates[inputs.rows] else {
            throw MarketFault(description: "no job has \(inputs.rows) rows")
        }
        return JobSpec(
            program: root, manifest: root, axes: [JobAxis(name: "rows", size: inputs.rows)],
            parameters: AgreedList([weightRoot]), inputs: [JobInput(name: "x", root: inputs.root)],
            initialState: state, scans: try JobScan.all(of: fixed), computeUnits: try fixed.cost(), memory: memory,
            maximumPricePer1000CU: ceiling, policy: policy, queueMilliseconds: 120_000, deadlineMilliseconds: 600_000,
            storageHint: hint)
    }

    private func name(_ job: JobSpec) -> Digest { job.inputs.first?.root ?? .zero }

    /// Whether its inputs can be had.
    func canRun(_ job: JobSpec) -> Bool { bodies[name(job)] != nil }

    func rows(of job: JobSpec) -> UInt64 { job.axes.first?.size ?? 1 }

    // MARK: Results

    /// An honest machine's run. All of them would give the same bits, so it is made once.
    func run(_ job: JobSpec) throws -> DisputeRun {
        let name = name(job)
        if let known = runs[name] { return known }
        guard let body = bodies[name] else { throw MarketFault(description: "a job without inputs was run") }
        let run = try MarketWork.run(program, body.rows, weights, body.bytes)
        runs[name] = run
        return run
    }

    func truth(_ job: JobSpec) throws -> ResultCommitment {
        let name = name(job)
        if let known = truths[name] { return known }
        let truth = MarketWork.commitment(try run(job).commitment())
        truths[name] = truth
        return truth
    }

    /// A liar's run.
    func lie(_ job: JobSpec) throws -> DisputeRun {
        let name = name(job)
        if let known = lies[name] { return known }
        let lie = try run(job).lying()
        lies[name] = lie
        return lie
    }

    func commitment(of claim: MarketClaim, _ job: JobSpec) throws -> ResultCommitment {
        switch claim {
        case .truth: try truth(job)
        case .turned: MarketWork.commitment(try lie(job).commitment())
        case .guess(let guess): guess
        }
    }

    private static func commitment(_ run: RunCommitment) -> ResultCommitment {
        ResultCommitment(steps: run.steps, outputRoot: run.outputRoot, stateRoot: run.stateRoot)
    }

    /// What has the form of a result, and is none.
    static func noise(_ about: Digest) -> ResultCommitment {
        ResultCommitment(
            steps: [2], outputRoot: Digest.of(Domain("sim.guess"), about.bytes), stateRoot: ResultRoots.stateRoot([]))
    }
}

/// Bytes that stay where they are.
///
/// Unchecked: nothing ever writes to them.
private final class HeldBytes: @unchecked Sendable {
    private let memory: UnsafeMutableRawBufferPointer

    init(_ bytes: [UInt8]) {
        memory = .allocate(byteCount: bytes.count, alignment: 64)
        memory.copyBytes(from: bytes)
    }

    deinit { memory.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }
}
