public import Primitives
public import Programs

/// One step of a run with every tensor's bytes.
public struct LeafStep: Sendable {
    public let scan: Int
    public let step: UInt64
    /// Carried tensors before it.
    public let before: [[UInt8]]
    public var operations: [[UInt8]]
    public var outputs: [[UInt8]]
    /// Carried tensors after it.
    public var after: [[UInt8]]
}

/// A run of a small program by its leaves alone: every element of every op as a validator would judge it. Slow, and shares nothing with the executors.
public struct LeafRun: Sendable {
    public let program: Program
    public let axes: [UInt64]
    public let fixed: SpecialisedProgram
    public let parameters: [[UInt8]]
    public let inputs: [[UInt8]]
    public let start: [[UInt8]]
    public let seed: UInt64
    public private(set) var steps: [LeafStep] = []
    /// Steps that each scan took.
    public private(set) var taken: [UInt64] = []

    /// What a liar changes while it runs.
    public struct Faults: Sendable {
        /// Told the step (over all scans), the op and its bytes; what it leaves is what all later ops read.
        public var operation: (@Sendable (Int, Int, inout [UInt8]) -> Void)?
        public var outputs: (@Sendable (Int, inout [[UInt8]]) -> Void)?
        public var carried: (@Sendable (Int, inout [[UInt8]]) -> Void)?
        /// Of a scan that could take `$1` steps and would end after `$2`: where it ends.
        public var length: (@Sendable (Int, UInt64, UInt64?) -> UInt64)?
        public init() {}
    }

    /// Carried tensors start as zeros where `carried` has none.
    public init(
        _ program: Program, axes: [UInt64], parameters: [[UInt8]], inputs: [[UInt8]], carried: [Int: [UInt8]] = [:],
        seed: UInt64, faults: Faults = Faults()
    ) throws {
        self.program = program
        self.axes = axes
        self.parameters = parameters
        self.inputs = inputs
        self.seed = seed
        fixed = try program.specialise(zip(program.axes, axes).map { ($0, $1) })
        start = fixed.carried.enumerated().map { index, declaration in
            carried[index] ?? [UInt8](repeating: 0, count: Int(declaration.type.byteCount))
        }
        var state = start
        var first = 0
        for (number, scan) in fixed.scans.enumerated() {
            let types = fixed.types(of: scan)
            var count: UInt64 = 0
            while count < scan.steps.factor {
                let index = steps.count
                var values = parameters + inputs + state
                for (place, record) in scan.operations.enumerated() {
                    let ids = record.operation.operands
                    let leaf = try Leaf(
                        record, operands: ids.map { types[Int($0.index)] },
                        context: .init(seed: seed, operation: UInt32(first + place), step: count))
                    var bytes = try LeafRun.tensor(
                        leaf, record, BytesOperands(values: ids.map { values[Int($0.index)] }, types: leaf.operandTypes)
                    )
                    faults.operation?(index, place, &bytes)
                    values.append(bytes)
                }
                var after = scan.carried.map { values[Int($0.index)] }
                var outputs = scan.outputs.map { values[Int($0.index)] }
                faults.outputs?(index, &outputs)
                faults.carried?(index, &after)
                steps.append(
                    LeafStep(
                        scan: number, step: count, before: state,
                        operations: Array(values.suffix(scan.operations.count)), outputs: outputs, after: after))
                state = after
                count += 1
                let stops = scan.stop.map { after[Int($0)][0] != 0 } ?? false
                if let length = faults.length {
                    if count >= length(number, scan.steps.factor, stops ? count : nil) { break }
                } else if stops {
                    break
                }
            }
            taken.append(count)
            first += scan.operations.count
        }
    }

    private static func tensor(
        _ leaf: Leaf, _ record: OperationRecord, _ operands: BytesOperands
    ) throws -> [UInt8] {
        var out: [UInt8] = []
        let size = record.result.element.size
        for element in 0..<record.result.count {
            var bits: UInt64 = 0
            if case .sort(_, let descending) = record.operation {
                bits = operands.sorted(element, descending)
            } else {
                guard let value = try leaf.value(of: element, claim: 0, from: operands) else {
                    throw LeafFault.outside("element")
                }
                bits = value
            }
            for byte in 0..<size { out.append(UInt8(truncatingIfNeeded: bits >> UInt64(8 * byte))) }
        }
        return out
    }

    // MARK: Roots

    public static func root(_ type: TensorType, _ bytes: [UInt8]) -> Digest {
        TensorRoot.of(type.element, type.shape.map(\.factor), bytes)
    }

    public func carriedRoots(_ state: [[UInt8]]) -> [Digest] {
        zip(fixed.carried, state).map { LeafRun.root($0.type, $1) }
    }

    public func outputRoots(_ step: LeafStep) -> [Digest] {
        let scan = fixed.scans[step.scan]
        let types = fixed.types(of: scan)
        return zip(scan.outputs, step.outputs).map { LeafRun.root(types[Int($0.index)], $1) }
    }

    public func operationRoots(_ step: LeafStep) -> [Digest] {
        zip(fixed.scans[step.scan].operations, step.operations).map { LeafRun.root($0.result, $1) }
    }

    public func node(_ step: LeafStep) -> StepNode {
        StepNode(outputs: MerkleTree.root(outputRoots(step)), state: MerkleTree.root(carriedRoots(step.after)))
    }

    public var subject: DisputeSubject {
        let last = carriedRoots(steps.last?.after ?? start)
        return DisputeSubject(
            program: program.root, axes: axes, seed: seed,
            parameters: AgreedList(zip(fixed.parameters, parameters).map { LeafRun.root($0.type, $1) }),
            inputs: AgreedList(zip(fixed.inputs, inputs).map { LeafRun.root($0.type, $1) }),
            initialState: MerkleTree.root(carriedRoots(start)), steps: taken,
            outputRoot: ResultRoots.outputRoot(steps.map(outputRoots)),
            stateRoot: ResultRoots.stateRoot(fixed.kept.map { last[Int($0)] }))
    }
}

/// Whole tensors as a leaf asks for them.
public struct BytesOperands: LeafOperands {
    public let values: [[UInt8]]
    public let types: [TensorType]

    public init(values: [[UInt8]], types: [TensorType]) {
        self.values = values
        self.types = types
    }

    public func bits(operand: Int, element: UInt64) throws(LeafFault) -> UInt64 {
        let size = types[operand].element.size
        let start = Int(element) * size
        guard values.indices.contains(operand), start + size <= values[operand].count else {
            throw .missing(operand: operand, element: element)
        }
        return values[operand][start..<start + size].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The index at a place of a stable sort of integers or finite floats.
    func sorted(_ element: UInt64, _ descending: Bool) -> UInt64 {
        let length = types[0].shape.last?.factor ?? 1
        let row = element / length * length
        func key(_ index: UInt64) -> Double {
            let bits = (try? bits(operand: 0, element: row + index)) ?? 0
            switch types[0].element {
            case .f32: return Double(Float(bitPattern: UInt32(bits)))
            case .i32: return Double(Int32(bitPattern: UInt32(bits)))
            default: return Double(Int64(bitPattern: bits))
            }
        }
        let order = (0..<length).sorted { a, b in
            let (x, y) = (key(a), key(b))
            return x == y ? a < b : (x < y) != descending
        }
        return order[Int(element - row)]
    }
}
