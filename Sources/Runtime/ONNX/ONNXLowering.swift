internal import CKernels
internal import Programs

/// Writes ONNX operators as ops of a step graph. One lowering holds one graph; nodes whose operands are all known are run while they are lowered, by the
/// reference executor on a graph of their own, so that a folded value has the bits that the program would have given.
final class ONNXLowering {
    /// Elements that a folded node may read or make; larger ones stay in the program.
    static let foldElements: UInt64 = 1 << 18
    /// Elements and products of one folded node.
    static let foldWork: UInt64 = 1 << 20
    /// Elements of a map within an operator that is computed at import.
    static let smallFold = 1 << 12

    var graph: GraphBuilder
    /// Constants that the graph reads as tensors, with their numbers.
    private(set) var parameters: [(id: ValueID, tensor: ConstantTensor)] = []
    private var numbers: [ObjectIdentifier: ValueID] = [:]
    private var contents: [SmallConstant: ValueID] = [:]
    /// The graph's inputs by number.
    let inputNames: [ValueID: String]
    let stored: ONNXStoredTensors
    /// Elements and products that may be computed over the whole import; beyond them nothing more is folded.
    let foldBudget: UInt64
    private var spent: UInt64 = 0

    /// Constants of at most this many bytes are kept once where several are the same.
    private static let sharedBytes = 4_096

    private struct SmallConstant: Hashable {
        let element: ElementType
        let shape: [Int]
        let bytes: [UInt8]
    }

    init(inputs: [(name: String, type: TensorType)], stored: ONNXStoredTensors, foldBudget: UInt64) {
        self.stored = stored
        self.foldBudget = foldBudget
        graph = GraphBuilder(leading: inputs.map(\.type))
        var names: [ValueID: String] = [:]
        for (place, input) in inputs.enumerated() { names[ValueID(place)] = input.name }
        inputNames = names
    }

    // MARK: Operands

    func type(_ operand: Operand) -> TensorType {
        switch operand {
        case .constant(let tensor): tensor.type
        case .value(let id): graph.type(id)
        }
    }

    func element(_ operand: Operand) -> ElementType {
        switch operand {
        case .constant(let tensor): tensor.element
        case .value(let id): graph.type(id).element
        }
    }

    func shape(_ operand: Operand) -> [Int] {
        switch operand {
        case .constant(let tensor): tensor.shape
        case .value(let id): graph.type(id).dimensions
        }
    }

    func count(_ operand: Operand) -> Int { shape(operand).reduce(1, *) }

    /// The operand as a tensor of the graph. A constant becomes a parameter, one number many times over an op.
    func value(_ operand: Operand) -> ValueID {
        switch operand {
        case .value(let id): return id
        case .constant(let tensor):
            if let known = numbers[ObjectIdentifier(tensor)] { return known }
            let id = number(of: tensor)
            numbers[ObjectIdentifier(tensor)] = id
            return id
        }
    }

    private func number(of tensor: ConstantTensor) -> ValueID {
        if case .splat = tensor.storage, tensor.count > 1 {
            let element = tensor.element
            let computed: ElementType = element == .f16 || element == .bf16 ? .f32 : element
            held.append(tensor)
            return graph.map(element, tensor.type.shape, []) { e in
                _ = e.node(.constant(computed, bits: tensor.computedBits(0)))
            }
        }
        let (bytes, owner) = tensor.dense
        let dense = ConstantTensor(tensor.element, tensor.shape, .bytes(bytes, owner: owner), name: tensor.name)
        // The tensor itself is held too: its identity is the key.
        held.append(tensor)
        if bytes.count <= ONNXLowering.sharedBytes {
            let key = SmallConstant(element: tensor.element, shape: tensor.shape, bytes: Array(bytes))
            if let known = contents[key] { return known }
            let id = graph.lateLeading(tensor.type)
            contents[key] = id
            parameters.append((id, dense))
            return id
        }
        let id = graph.lateLeading(tensor.type)
        parameters.append((id, dense))
        return id
    }

    private var held: [ConstantTensor] = []

    /// A shape for a new tensor.
    func dimensions(_ shape: [Int], _ call: ONNXCall) throws(ONNXFault) -> [Dimension] {
        if shape.count > ONNXLimit.rank {
            throw call.fault("it makes a tensor of \(shape.count) axes, at most 8 may be")
        }
        if ONNXShape.count(shape) == nil { throw call.fault("it makes a tensor of the shape \(shape)") }
        return shape.map { Dimension(UInt64($0)) }
    }

    /// The whole numbers of an operand that must be known.
    func integers(_ operand: Operand, _ call: ONNXCall) throws(ONNXFault) -> [Int] {
        let tensor = try known(operand, call)
        if tensor.count > ONNXLimit.settings { throw call.fault("it takes \(tensor.count) numbers as a setting") }
        guard let values = tensor.integers else { throw call.fault("a setting of it is not of whole numbers") }
        return values
    }

    func floats(_ operand: Operand, _ call: ONNXCall) throws(ONNXFault) -> [Float] {
        let tensor = try known(operand, call)
        if tensor.count > ONNXLimit.settings { throw call.fault("it takes \(tensor.count) numbers as a setting") }
        guard let values = tensor.floats else { throw call.fault("a setting of it is not of floats") }
        return values
    }

    /// Counts numbers that are about to be made at import.
    func charge(_ count: Int, _ call: ONNXCall) throws(ONNXFault) {
        spent += UInt64(count)
        if spent > foldBudget + UInt64(ONNXLimit.numbers) || count > ONNXLimit.numbers {
            throw call.fault("it needs \(count) numbers that are computed at import, which has computed too many")
        }
    }

    func known(_ operand: Operand, _ call: ONNXCall) throws(ONNXFault) -> ConstantTensor {
        switch operand {
        case .constant(let tensor): return tensor
        case .value(let id):
            let names = graph.ancestors(of: [id]).compactMap { inputNames[$0] }
            throw .unknownValue(operation: call.operation, node: call.title, inputs: names.sorted())
        }
    }

    // MARK: Ops

    /// An elementwise expression over operands that broadcast; those that are one number are written into it.
    func map(
        _ element: ElementType, _ operands: [Operand], _ call: ONNXCall, shape given: [Int]? = nil,
        _ body: (inout ExpressionBuilder, [UInt8]) -> Void
    ) throws(ONNXFault) -> Operand {
        var shape: [Int] = given ?? []
        if given == nil {
            for operand in operands {
                guard let next = ONNXShape.broadcast(shape, self.shape(operand)) else {
                    throw call.fault("shapes \(operands.map { self.shape($0) }) do not broadcast")
                }
                shape = next
            }
        }
        let dimensions = try dimensions(shape, call)
        var tensors: [ValueID] = []
        var leaves: [MapNode] = []
        for operand in operands {
            if case .constant(let tensor) = operand, tensor.count > 0, let bits = tensor.scalar {
                let type = tensor.element == .f16 || tensor.element == .bf16 ? .f32 : tensor.element
                leaves.append(.constant(type, bits: bits))
            } else {
                let id = value(operand)
                if let place = tensors.firstIndex(of: id) {
                    leaves.append(.input(UInt8(place)))
                } else {
                    leaves.append(.input(UInt8(tensors.count)))
                    tensors.append(id)
                }
            }
        }
        precondition(tensors.count <= MapExpression.maximumInputs, "no operator reads more tensors at once")
        let result = graph.map(element, dimensions, tensors) { e in
            let nodes = leaves.map { e.node($0) }
            body(&e, nodes)
        }
        return try folded(result, operands, shape, call)
    }

    /// The value at once where all operands of a map are known and it is small: settings that an operator computes need not be computed at every run.
    private func folded(
        _ result: ValueID, _ operands: [Operand], _ shape: [Int], _ call: ONNXCall
    ) throws(ONNXFault) -> Operand {
        guard !operands.isEmpty, spent <= foldBudget else { return .value(result) }
        for operand in operands {
            guard case .constant(let tensor) = operand, tensor.count <= ONNXLowering.smallFold else {
                return .value(result)
            }
        }
        let count = shape.reduce(1, *)
        if count > ONNXLowering.smallFold { return .value(result) }
        spent += UInt64(count + 1)
        return .constant(ConstantTensor(try evaluate([result])[0]))
    }

    func reshape(_ operand: Operand, _ shape: [Int], _ call: ONNXCall) throws(ONNXFault) -> Operand {
        let dimensions = try dimensions(shape, call)
        let from = self.shape(operand)
        if from == shape { return operand }
        if ONNXShape.count(from) != ONNXShape.count(shape) {
            throw call.fault("\(from) cannot be taken as \(shape)")
        }
        // A small constant, or one number, has its new shape at once.
        if case .constant(let tensor) = operand {
            if case .splat = tensor.storage { return .constant(tensor.reshaped(shape)) }
            if tensor.count <= 1 << 16 { return .constant(tensor.reshaped(shape)) }
        }
        return .value(graph.reshape(value(operand), dimensions))
    }

    func transpose(_ operand: Operand, _ order: [Int]) -> Operand {
        if order == Array(order.indices) { return operand }
        return .value(graph.transpose(value(operand), order))
    }

    func broadcast(_ operand: Operand, to shape: [Int], _ call: ONNXCall) throws(ONNXFault) -> Operand {
        let dimensions = try dimensions(shape, call)
        let from = self.shape(operand)
        if from == shape { return operand }
        guard ONNXShape.broadcast(from, shape) == shape else {
            throw call.fault("\(from) does not broadcast to \(shape)")
        }
        if case .constant(let tensor) = operand, tensor.count > 0, case .splat(let bits) = tensor.storage {
            return .constant(ConstantTensor(tensor.element, shape, .splat(bits)))
        }
        return .value(graph.broadcast(value(operand), to: dimensions))
    }

    /// One gather over the whole result.
    func gather(
        _ source: Operand, _ shape: [Int], _ coordinates: [Coordinate], _ call: ONNXCall, fill: UInt64 = 0
    ) throws(ONNXFault) -> Operand {
        let dimensions = try dimensions(shape, call)
        let source = value(source)
        let piece = GatherPiece(
            start: dimensions.map { _ in 0 }, size: dimensions, source: source, coordinates: coordinates)
        return .value(
            graph.append(.gather([piece], fill: fill), TensorType(graph.type(source).element, dimensions)))
    }

    /// Another type by the rules of docs/numerics.md: toward zero from a float to a whole number, wrapping among whole numbers.
    func cast(_ operand: Operand, to element: ElementType, _ call: ONNXCall) throws(ONNXFault) -> Operand {
        let from = self.element(operand)
        if from == element { return operand }
        let isFloat = [.f32, .f16, .bf16].contains(from)
        return try map(element, [operand], call, shape: shape(operand)) { e, x in
            var value = x[0]
            switch element {
            case .f32, .f16, .bf16:
                if !isFloat { _ = e.apply(.toF32, value) }
            case .i32, .i64, .i8, .u8:
                if isFloat { value = e.apply(.truncate, value) }
                _ = e.apply(ONNXLowering.conversion(to: element), value)
            case .bool: _ = e.apply(.toBool, value)
            }
        }
    }

    static func conversion(to element: ElementType) -> ScalarOperation {
        switch element {
        case .i32: .toI32
        case .i64: .toI64
        case .i8: .toI8
        case .u8: .toU8
        case .bool: .toBool
        case .f32, .f16, .bf16: .toF32
        }
    }

    // MARK: Calls

    /// Lowers one call: folded where all is known, f16 and bf16 widened and narrowed around it.
    func lower(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        guard let lowered = ONNXOperators.table[call.domain]?[call.operation] else {
            let domain = call.domain.isEmpty ? "" : "\(call.domain)."
            throw .operation(domain + call.operation, node: call.title, "there is no such operator here")
        }
        for case .constant(let tensor)? in call.inputs where tensor.isDouble {
            if !["Cast", "Identity", "Shape", "Size", "Constant"].contains(call.operation) {
                throw call.fault("it computes in float64")
            }
        }
        if let folded = try fold(call, lowered) { return folded }
        let results = try lower(call, lowered)
        for result in results {
            _ = try dimensions(shape(result), call)
        }
        if graph.operations.count > Scan.maximumOperations {
            throw .tooMany("operations", found: graph.operations.count, limit: Scan.maximumOperations)
        }
        if parameters.count > Program.maximumParameters {
            throw .tooMany("weights", found: parameters.count, limit: Program.maximumParameters)
        }
        return results
    }

    private func lower(_ call: ONNXCall, _ lowered: ONNXOperators.Lowered) throws(ONNXFault) -> [Operand] {
        if ONNXOperators.keepsStorage.contains(call.operation) {
            return try ONNXOperators.run(lowered, self, call)
        }
        // Half precision is storage: the operator runs in f32 and its results are rounded once.
        var storage: ElementType?
        var widened: [Operand?] = []
        for operand in call.inputs {
            guard let operand, [.f16, .bf16].contains(element(operand)) else {
                widened.append(operand)
                continue
            }
            storage = element(operand)
            widened.append(try cast(operand, to: .f32, call))
        }
        guard let storage else {
            return try ONNXOperators.run(lowered, self, call)
        }
        var results: [Operand] = []
        for result in try ONNXOperators.run(lowered, self, call.with(widened)) {
            results.append(element(result) == .f32 ? try cast(result, to: storage, call) : result)
        }
        return results
    }

    /// Runs a call whose operands are all known; nil where it is too large, or where an operand is not known.
    private func fold(_ call: ONNXCall, _ lowered: ONNXOperators.Lowered) throws(ONNXFault) -> [Operand]? {
        var read: UInt64 = 0
        for operand in call.inputs {
            guard let operand else { continue }
            guard case .constant(let tensor) = operand else { return nil }
            if case .splat = tensor.storage { continue }
            read += UInt64(tensor.count)
        }
        if read > ONNXLowering.foldElements || spent > foldBudget { return nil }
        let alone = ONNXLowering(inputs: [], stored: stored, foldBudget: foldBudget - min(foldBudget, spent))
        let results = try alone.lower(call, lowered)
        var work = read
        var needed: [ValueID] = []
        for result in results { if case .value(let id) = result { needed.append(id) } }
        if needed.isEmpty { return results }
        for result in results { _ = try alone.dimensions(alone.shape(result), call) }
        for record in alone.graph.operations {
            guard let count = ONNXShape.count(record.result.dimensions), count <= ONNXLowering.foldElements else {
                return nil
            }
            var factor: UInt64 = 1
            switch record.operation {
            case .contract(let left, _, _, _): factor = alone.graph.type(left).shape.last?.factor ?? 1
            case .reduce(_, let input, _, _): factor = alone.graph.type(input).shape.last?.factor ?? 1
            case .map(let expression, _): factor = UInt64(max(1, expression.operationCount))
            case .gather, .sort: break
            }
            work += UInt64(count) * max(1, factor)
            if work > min(ONNXLowering.foldWork, foldBudget - spent) { return nil }
        }
        spent += work
        let values = try alone.evaluate(needed)
        var next = 0
        return results.map { result in
            guard case .value = result else { return result }
            next += 1
            return .constant(ConstantTensor(values[next - 1]))
        }
    }

    /// Runs the graph, which has no inputs, by the definition of each op.
    private func evaluate(_ outputs: [ValueID]) throws(ONNXFault) -> [Tensor] {
        let needed = graph.ancestors(of: outputs)
        let leading = parameters.filter { needed.contains($0.id) }
        let (operations, results) = graph.assembled(leading: leading.map(\.id), outputs: outputs)
        do {
            let program = try Program(
                axes: [],
                parameters: leading.enumerated().map { place, parameter in
                    TensorDeclaration(name: "\(place)", type: parameter.tensor.type)
                }, inputs: [], scans: [Scan(steps: 1, operations: operations, outputs: results)]
            ).specialise([])
            return try ReferenceExecutor(program).run(
                parameters: leading.map { $0.tensor.dense.bytes }, inputs: []
            ).outputs[0]
        } catch let fault as ProgramFault {
            throw .program(fault)
        } catch {
            throw .unsupported("folds what cannot run here (\(error))")
        }
    }
}
