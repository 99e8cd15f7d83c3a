internal import Foundation
internal import Programs

/// The training of an ONNX file's model on examples: what is moved starts from the tensors that the file stores, and at the end there is a file like it.
///
/// The weights are inputs of the import, so nothing is computed from what they hold beforehand, and two that hold the same numbers stay two.
public struct ONNXTraining: ModelTraining {
    /// What each example should give.
    public enum Target: Sendable {
        /// The number of its class, as integers [examples]; the model's output is logits, [batch, classes].
        case classes(NumpyArray)
        /// What the output should be, f32 [examples, …].
        case values(NumpyArray)
    }

    public let model: ONNXModel
    public let objective: ImportedObjective
    public let data: [Tensor]
    /// Examples of the data set.
    public let examples: Int
    /// The tensors of the file that the program takes as weights, in its order: all of `objective.isTrained` behind the program's own parameters.
    let stored: [StoredWeight]
    private let program: ONNXProgram

    /// A tensor of the file that a training may move.
    struct StoredWeight: Sendable {
        let name: String
        let place: StoredPlace
        let tensor: Tensor
        /// Whether it is moved where nothing is said of it: not the statistics of a batch normalisation, nor a single number.
        let isWeight: Bool

        var type: TensorType { TensorType(.f32, tensor.shape.map { Dimension(UInt64($0)) }) }
    }

    /// - Parameters:
    ///   - arrays: By the model's inputs, each [examples, …].
    ///   - output: What the loss is of; the model's first output where it is nil.
    public init(
        _ model: ONNXModel, arrays: [String: NumpyArray], target: Target, output: String? = nil,
        _ settings: TrainingSettings, selection: WeightSelection = WeightSelection()
    ) throws(TrainingFault) {
        self.model = model
        let batch = settings.batch
        if !(1...1 << 24).contains(batch) { throw .setting("batch", "must be from 1 to 2^24") }
        examples = try ONNXTraining.examples(model, arrays, target)
        if examples < batch {
            throw .setting("batch", "is \(batch), and there are \(examples) examples: take a smaller one")
        }
        var first: [String: NumpyArray] = [:]
        for (name, array) in arrays {
            let shape = [batch] + array.shape.dropFirst()
            let size = array.bytes.count / examples * batch
            do throws(NumpyFault) {
                first[name] = try NumpyArray(type: array.type, shape: shape, bytes: Array(array.bytes[..<size]))
            } catch { throw .setting("the input \(name)", "cannot be cut into examples (\(error))") }
        }
        let candidates: [StoredWeight]
        let made: ONNXProgram
        do throws(ONNXFault) {
            candidates = try ONNXTraining.stored(model)
            made = try model.imported(
                arrays: first, weights: candidates.map { ($0.name, $0.type) })
        } catch { throw .graph(error) }
        program = made
        if let name = made.boundInputs.first {
            throw .setting("the input \(name)", "decides the shapes of the model, so that it cannot differ by example")
        }
        let fixed = made.specialised
        let count = fixed.inputs.count - model.inputs.count
        let weights = fixed.inputs[..<count].compactMap { input in candidates.first { $0.name == input.name } }
        stored = weights
        if weights.isEmpty { throw .setting("model.file", "stores no float32 tensor that could be trained") }
        var number = 0
        if let output {
            guard let place = made.outputs.firstIndex(of: output) else {
                throw .setting(
                    "model.output",
                    "is \"\(output)\", which the model does not give: it has \(made.outputs.joined(separator: ", "))")
            }
            number = place
        }
        let result = fixed.scans[0].outputs[number]
        let type = fixed.types(of: fixed.scans[0])[Int(result.index)]
        let (kind, wanted) = try ONNXTraining.target(target, type, batch: batch, examples: examples)
        // Inputs follow parameters, so the weights stand at the parameters' end as they are.
        let forward = ForwardGraph(
            parameters: fixed.parameters + fixed.inputs[..<count], inputs: Array(fixed.inputs[count...]),
            operations: fixed.scans[0].operations, output: result)
        let isRead = ONNXTraining.read(fixed, result)
        let offset = fixed.parameters.count
        var isTrained = [Bool](repeating: false, count: offset)
        let chosen = try selection.isTrained(weights.map(\.name))
        for (place, weight) in weights.enumerated() {
            let isNamed = selection.only.contains { WeightSelection.matches($0, weight.name) }
            isTrained.append(isRead[offset + place] && chosen[place] && (weight.isWeight || isNamed))
        }
        objective = ImportedObjective(forward, target: kind, isTrained: isTrained)
        try ONNXTraining.checkPlaces(
            candidates, trained: Set(zip(weights, isTrained[offset...]).filter(\.1).map(\.0.name)))
        data =
            forward.inputs.map { declaration in
                let array = arrays[declaration.name]
                return Tensor(
                    element: declaration.type.element, shape: array?.shape ?? [], bytes: array?.bytes ?? [])
            } + [wanted]
    }

    public func weights() -> [Tensor] { trained.map(\.tensor) }

    /// The moved ones, in the objective's order.
    var trained: [StoredWeight] {
        zip(stored, objective.isTrained.dropFirst(program.parameters.count)).filter(\.1).map(\.0)
    }

    public var frozen: [StoredParameter] {
        let constants = program.parameters.map { parameter in
            StoredParameter(
                name: parameter.name,
                Tensor(
                    element: parameter.type.element, shape: parameter.type.dimensions,
                    bytes: parameter.withBytes { Array($0) }))
        }
        let still = zip(stored, objective.isTrained.dropFirst(constants.count)).filter { !$0.1 }.map(\.0)
        return constants + still.map { StoredParameter(name: $0.name, $0.tensor) }
    }

    // MARK: What is given

    private static func examples(
        _ model: ONNXModel, _ arrays: [String: NumpyArray], _ target: Target
    ) throws(TrainingFault) -> Int {
        for input in model.inputs where arrays[input.name] == nil {
            throw .setting("data.inputs", "has none for the model's \(input.name): give \(input.name)=FILE.npy")
        }
        let array: NumpyArray
        let title: String
        switch target {
        case .classes(let found): (array, title) = (found, "data.classes")
        case .values(let found): (array, title) = (found, "data.values")
        }
        guard let count = array.shape.first, (1...Int(Int32.max) - 2).contains(count) else {
            throw .setting(title, "has the shape \(array.shape): its first axis counts the examples")
        }
        for (name, array) in arrays.sorted(by: { $0.key < $1.key }) where array.shape.first != count {
            throw .setting(
                "the input \(name)",
                "has the shape \(array.shape), and \(title) has \(count) examples: their first axes must agree")
        }
        return count
    }

    /// The tensors of f32 that the file stores, in its order.
    private static func stored(_ model: ONNXModel) throws(ONNXFault) -> [StoredWeight] {
        let reader = ONNXStoredTensors(file: model.owner, folder: model.folder)
        var statistics: Set<String> = []
        for node in model.file.graph.nodes where node.operation == "BatchNormalization" {
            statistics.formUnion(node.inputs.dropFirst(3))
        }
        let taken = Set(model.inputs.map(\.name))
        var found: [StoredWeight] = []
        for proto in model.file.graph.initializers {
            guard !proto.name.isEmpty, proto.name.utf8.count <= TensorDeclaration.maximumNameBytes,
                !taken.contains(proto.name), let place = try reader.place(proto, in: model.bytes), place.count > 0
            else { continue }
            let (bytes, owner) = try reader.constant(proto, refusesNaN: true).dense
            let copy = withExtendedLifetime(owner) { Array(bytes) }
            found.append(
                StoredWeight(
                    name: proto.name, place: place,
                    tensor: Tensor(element: .f32, shape: proto.dimensions, bytes: copy),
                    isWeight: !statistics.contains(proto.name) && !proto.dimensions.isEmpty))
        }
        return found
    }

    /// The loss and the data set's last tensor.
    private static func target(
        _ target: Target, _ type: TensorType, batch: Int, examples: Int
    ) throws(TrainingFault) -> (ImportedObjective.Target, Tensor) {
        let shape = type.dimensions
        if type.element != .f32 || shape.first != batch {
            throw .setting(
                "model.output",
                "is of \(type.element) \(shape), and a loss is of float32 with the \(batch) examples first")
        }
        switch target {
        case .classes(let array):
            guard shape.count == 2 else {
                throw .setting("data.classes", "need an output [batch, classes], and the model's is \(shape)")
            }
            guard array.shape.count == 1, let numbers = array.integers else {
                throw .setting("data.classes", "must be whole numbers, one an example")
            }
            if let other = numbers.first(where: { !(0..<Int64(shape[1])).contains($0) }) {
                throw .setting("data.classes", "has the class \(other), and the model tells \(shape[1]) from 0 apart")
            }
            return (.classes(examples: examples), Tensor(numbers.map { Int32($0) }, shape: [examples]))
        case .values(let array):
            guard array.type == .f32, array.shape.dropFirst() == shape.dropFirst() else {
                throw .setting(
                    "data.values",
                    "must be float32 \([examples] + shape.dropFirst()), as the model's output is, and is \(array.shape)"
                )
            }
            return (
                .values(examples: examples), Tensor(element: .f32, shape: array.shape, bytes: array.bytes)
            )
        }
    }

    /// Which values the output is made of.
    private static func read(_ program: SpecialisedProgram, _ output: ValueID) -> [Bool] {
        let leading = program.parameters.count + program.inputs.count
        let operations = program.scans[0].operations
        var isRead = [Bool](repeating: false, count: leading + operations.count)
        isRead[Int(output.index)] = true
        for (number, record) in operations.enumerated().reversed() where isRead[leading + number] {
            for operand in record.operation.operands { isRead[Int(operand.index)] = true }
        }
        return isRead
    }
}
