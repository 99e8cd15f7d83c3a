import Ledger
import Primitives
import Programs
import Testing

/// A job of one map over four numbers, y = x · w, with all that its parties may say of it: small enough that a dispute takes two reveals.
struct TestDispute {
    static let w: [Int32] = [2, 3, 5, 7]
    static let x: [Int32] = [10, 20, 30, 40]
    static let truth: [Int32] = [20, 60, 150, 280]

    let program: Program
    let opening: DisputeOpening

    init(addend: UInt64? = nil) throws {
        let width = Dimension(4)
        let parameters = [TensorDeclaration(name: "w", type: TensorType(.i32, [width]))]
        let inputs = [TensorDeclaration(name: "x", type: TensorType(.i32, [width]))]
        var graph = GraphBuilder(leading: (parameters + inputs).map(\.type))
        let result = graph.map(.i32, [width], [ValueID(0), ValueID(1)]) { e in
            let product = e.apply(.multiply, e.input(0), e.input(1))
            if let addend { _ = e.apply(.add, product, e.node(.constant(.i32, bits: addend))) }
        }
        program = try Program(
            axes: [], parameters: parameters, inputs: inputs,
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [result])])
        opening = DisputeOpening(program)
    }

    static func bytes(_ values: [Int32]) -> [UInt8] {
        values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    }

    static func root(_ values: [Int32]) -> Digest { TensorRoot.of(.i32, [4], bytes(values)) }

    static func result(_ values: [Int32]) -> ResultCommitment {
        ResultCommitment(
            steps: [1], outputRoot: ResultRoots.outputRoot([[root(values)]]), stateRoot: ResultRoots.stateRoot([]))
    }

    /// A lie in its third number.
    static let lie: [Int32] = [20, 60, 151, 280]
    /// What a trap holds beside the result.
    static let decoy: [Int32] = [20, 60, 152, 280]

    func spec(_ net: TestNet, _ policy: AuditPolicy) -> JobSpec {
        var spec = net.spec(policy)
        spec.program = program.root
        spec.parameters = AgreedList([TestDispute.root(TestDispute.w)])
        spec.inputs = [JobInput(name: "x", root: TestDispute.root(TestDispute.x))]
        return spec
    }

    // MARK: Moves

    static func block(_ values: [Int32]) -> [UInt8] {
        bytes(values) + [UInt8](repeating: 0, count: TensorRoot.blockLength - values.count * 4)
    }

    /// What a provider reveals that stands by these numbers.
    func reveal(_ point: RevealPoint, _ values: [Int32]) -> Reveal {
        let root = TestDispute.root(values)
        if case .values = point { return .values(TestDispute.block(values)) }
        return .operations([root], node: StepNode(outputs: root, state: .zero))
    }

    var operation: Pick {
        .operation(
            0, program.scans[0].operations[0], siblings: MerkleLevels(program.treeLeaves).proof(1).siblings)
    }

    var witness: Pick {
        func operand(_ number: Int, _ values: [Int32]) -> WitnessTensor {
            let bytes = TestDispute.block(values)
            return WitnessTensor(
                value: ValueID(number), type: TensorType(.i32, [4]),
                proof: WitnessTensor.Proof(
                    blocks: MerkleTree.leaf(bytes), siblings: [],
                    ranges: [BlockRange(first: 0, bytes: bytes, siblings: [])]))
        }
        return .leaf(
            Witness(
                record: program.scans[0].operations[0],
                recordSiblings: MerkleLevels(program.treeLeaves).proof(1).siblings,
                tensors: [operand(0, TestDispute.w), operand(1, TestDispute.x)]))
    }

    /// The challenger's moves about the third number.
    var picks: [Pick] { [operation, .element(2), witness] }
}

/// A network with such a job whose result lies open.
final class DisputeNet {
    let net: TestNet
    let script: TestDispute
    private(set) var id: Digest
    private(set) var provider: SecretKey
    private(set) var auditors: [SecretKey] = []
    /// What the provider has said.
    let said: [Int32]

    /// `prepare`: what comes before the job. `audits`: what each drawn auditor says; without any the job is drawn by chance, which is small. `decoy`: what the
    /// mask holds where a trap is set.
    init(
        _ said: [Int32] = TestDispute.lie, decoy: [Int32] = TestDispute.decoy, audits: [[Int32]] = [],
        reveals: Bool = true, parameters: ChainParameters = TestNet.parameters,
        prepare: (TestNet) throws -> Void = { _ in }
    ) throws {
        net = try TestNet(parameters: parameters)
        script = try TestDispute()
        self.said = said
        try net.openMarket()
        try prepare(net)
        let policy: AuditPolicy =
            audits.isEmpty ? .sampled(perMille: 5) : .replicated(count: UInt8(audits.count))
        id = try net.submit(script.spec(net, policy))
        provider = try net.run(id, to: TestDispute.result(said), decoy: TestDispute.result(decoy))
        for (place, audit) in try net.job(id).audits.enumerated() {
            let auditor = try net.key(audit.auditor)
            let mask = try net.masked(auditor, id, TestDispute.result(audits[place]))
            try net.act(auditor, .commitAudit(job: id, attempt: 1, masked: mask))
            auditors.append(auditor)
        }
        try net.open(id, provider, TestDispute.result(said), decoy: TestDispute.result(decoy))
        if !reveals { return }
        for (place, auditor) in auditors.enumerated() {
            try net.revealAudit(id, auditor, TestDispute.result(audits[place]))
        }
    }

    var job: Job { get throws { try net.job(id) } }

    func strangers(_ count: Int) -> [SecretKey] { Array(net.people[5..<5 + count]) }
    var stranger: SecretKey { net.people[5] }

    func dispute(_ challenger: SecretKey) throws -> Dispute {
        try #require(try Query.dispute(job: id, attempt: 1, challenger: net.address(challenger), in: net.store))
    }

    // MARK: Moves

    static let bond = Amount.xpl(2)

    func challenge(_ deposit: Amount = DisputeNet.bond) -> Payload {
        .challenge(job: id, attempt: 1, opening: script.opening, deposit: deposit)
    }

    /// The provider's next move in a challenger's dispute, standing by `values` or what it has said.
    func reveal(to challenger: SecretKey, _ values: [Int32]? = nil) throws -> Payload {
        let point = try #require(try dispute(challenger).walk.point)
        return .revealDispute(
            job: id, attempt: 1, challenger: net.address(challenger), point: point,
            reveal: script.reveal(point, values ?? said))
    }

    func pick(_ challenger: SecretKey) throws -> Payload {
        let round = try dispute(challenger).round
        return .pickDispute(job: id, attempt: 1, round: round, pick: script.picks[Int(round)])
    }

    /// Both play to the end, or for so many moves.
    func play(_ challenger: SecretKey, moves: Int = .max) throws {
        var left = moves
        while left > 0, try dispute(challenger).state == .open, let turn = try dispute(challenger).walk.turn {
            switch turn {
            case .defender: try net.act(provider, try reveal(to: challenger))
            case .challenger: try net.act(challenger, try pick(challenger))
            }
            left -= 1
        }
    }
}
