public import Programs

/// A model of an ONNX file, read and checked; its weights stay mapped from their files. `imported` makes a program of it once the sizes of its axes are known.
public final class ONNXModel: @unchecked Sendable {
    // Unchecked, because all is written in `init` and points into memory that `owner` keeps and nobody writes.

    /// The most bytes that a model's own file may have: what protocol buffers allow.
    public static let byteLimit = 1 << 31
    /// Elements and products of known tensors that an import computes; what is beyond stays in the program.
    public static let foldBudget: UInt64 = 1 << 24
    /// The most elements of an input whose value may be fixed at import.
    public static let boundElements = 4_096

    /// How large an axis of an input is.
    public enum Axis: Sendable, Equatable {
        case size(Int)
        case named(String)
        case unknown
    }

    public struct Input: Sendable, Equatable {
        public let name: String
        public let element: ElementType
        /// nil where the file does not say how many axes there are.
        public let axes: [Axis]?
    }

    public let name: String
    /// The inputs that a run is given, in the file's order.
    public let inputs: [Input]
    public let outputs: [String]
    /// How many nodes of each operator the graph has.
    public let operators: [(name: String, count: Int)]

    /// The operators that are taken, those of other domains with their domain.
    public static var operatorNames: [String] { (ONNXOperators.names + ["If", "Loop"]).sorted() }

    let file: ONNXModelFile
    /// The file's own bytes.
    let bytes: UnsafeRawBufferPointer
    let owner: AnyObject
    let folder: String?

    /// Opens and checks a file; tensors in other files must lie in its folder.
    public convenience init(path: String) throws(ONNXFault) {
        let mapped: MappedFile
        do throws(FileFault) { mapped = try MappedFile(path: path, limit: ONNXModel.byteLimit) } catch {
            throw .file(error)
        }
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let folder = parts.count > 1 ? parts.dropLast().joined(separator: "/") : "."
        try self.init(
            mapped.bytes, owner: mapped, name: String(parts.last ?? ""), folder: folder.isEmpty ? "/" : folder)
    }

    /// Checks bytes that are in no file; no tensor may lie in another file.
    public convenience init(_ bytes: [UInt8], name: String = "model") throws(ONNXFault) {
        let owned = OwnedBytes(bytes)
        try self.init(owned.bytes, owner: owned, name: name, folder: nil)
    }

    private init(
        _ bytes: UnsafeRawBufferPointer, owner: AnyObject, name: String, folder: String?
    ) throws(ONNXFault) {
        self.owner = owner
        self.bytes = bytes
        self.folder = folder
        self.name = name.hasSuffix(".onnx") ? String(name.dropLast(5)) : name
        file = try ONNXModelFile(bytes)
        let stored = Set(file.graph.initializers.map(\.name))
        var inputs: [Input] = []
        for info in file.graph.inputs where !stored.contains(info.name) {
            inputs.append(try ONNXModel.input(info))
        }
        if Set(inputs.map(\.name)).count != inputs.count { throw .graph("an input is named twice") }
        self.inputs = inputs
        outputs = file.graph.outputs.map(\.name)
        if outputs.isEmpty { throw .graph("it has no output") }
        if Set(outputs).count != outputs.count { throw .graph("an output is named twice") }
        if outputs.count > Scan.maximumOutputs {
            throw .tooMany("outputs", found: outputs.count, limit: Scan.maximumOutputs)
        }
        var counts: [String: Int] = [:]
        for node in file.graph.nodes {
            let domain = ["", "ai.onnx"].contains(node.domain) ? "" : "\(node.domain)."
            counts[domain + node.operation, default: 0] += 1
        }
        operators = counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private static func input(_ info: ONNXValueInfo) throws(ONNXFault) -> Input {
        if info.isOther { throw .input(info.name, "is no tensor: export the model with tensors as inputs") }
        guard let element = ONNXStoredTensors.elements[info.element], info.element != 11 else {
            throw .input(
                info.name,
                "is of \(ONNXStoredTensors.name(ofType: info.element)), which is not taken: export the model with float32"
            )
        }
        if info.name.utf8.count > TensorDeclaration.maximumNameBytes || info.name.isEmpty {
            throw .input(info.name, "has a name of \(info.name.utf8.count) bytes: give it one of 1 to 128")
        }
        let axes = info.axes?.map { axis -> Axis in
            switch axis {
            case .size(let size): size < 0 ? .unknown : .size(size)
            case .named(let name): .named(name)
            case .unknown: .unknown
            }
        }
        return Input(name: info.name, element: element, axes: axes)
    }

    /// The names of the inputs' axes, each once.
    public var axes: [String] {
        var names: [String] = []
        for case .named(let name) in inputs.flatMap({ $0.axes ?? [] }) where !names.contains(name) {
            names.append(name)
        }
        return names
    }

    // MARK: Import

    /// The graph as a program for inputs of these sizes. `arrays` give the shapes of inputs; a value of theirs is fixed only where an
    /// operator needs it (a shape, an axis), and then the input is none of the program's.
    public func imported(
        axes given: [String: Int] = [:], arrays: [String: NumpyArray] = [:], foldBudget: UInt64 = foldBudget
    ) throws(ONNXFault) -> ONNXProgram {
        try imported(axes: given, arrays: arrays, weights: [], foldBudget: foldBudget)
    }

    /// The same with stored tensors as inputs before the model's own: nothing is computed from what they hold. One whose value an operator needs is left as it is
    /// stored, and is none of the program's inputs.
    func imported(
        axes given: [String: Int] = [:], arrays: [String: NumpyArray] = [:],
        weights: [(name: String, type: TensorType)],
        foldBudget: UInt64 = foldBudget
    ) throws(ONNXFault) -> ONNXProgram {
        let known = self.axes
        for name in given.keys.sorted() where !known.contains(name) { throw .unknownAxis(name) }
        for name in arrays.keys.sorted() where !inputs.contains(where: { $0.name == name }) {
            throw .input(name, "is none of the model's: it has \(inputs.map(\.name).joined(separator: ", "))")
        }
        let shapes = try shapes(given, arrays)
        var bound: Set<String> = []
        var weights = weights
        while true {
            do throws(ONNXFault) { return try lowered(shapes, arrays, weights, bound, foldBudget) } catch {
                // An operator needs values: fix those that are stored, then those that a file gives, and start again.
                guard case .unknownValue(_, _, let names) = error, !names.isEmpty else { throw error }
                let count = weights.count
                weights.removeAll { names.contains($0.name) }
                if weights.count < count { continue }
                guard
                    names.allSatisfy({ name in
                        !bound.contains(name)
                            && arrays[name].map { $0.shape.reduce(1, *) <= ONNXModel.boundElements } == true
                    })
                else { throw error }
                bound.formUnion(names)
            }
        }
    }

    private func shapes(
        _ given: [String: Int], _ arrays: [String: NumpyArray]
    ) throws(ONNXFault) -> [[Int]] {
        var sizes = given
        for input in inputs {
            guard let array = arrays[input.name] else { continue }
            if array.type.element != input.element {
                throw .input(
                    input.name, "holds \(array.type.rawValue) where the model takes \(input.element): convert it")
            }
            guard let axes = input.axes else { continue }
            if axes.count != array.shape.count {
                throw .input(input.name, "has the shape \(array.shape) where the model takes \(axes.count) axes")
            }
            for (axis, size) in zip(axes, array.shape) {
                switch axis {
                case .size(let expected):
                    if size != expected {
                        throw .input(input.name, "has an axis of \(size) where the model takes \(expected)")
                    }
                case .named(let name):
                    if let other = sizes.updateValue(size, forKey: name), other != size {
                        throw .input(input.name, "has \(size) of the axis \(name), which is \(other) elsewhere")
                    }
                case .unknown: break
                }
            }
        }
        var shapes: [[Int]] = []
        for input in inputs {
            if let array = arrays[input.name] {
                shapes.append(array.shape)
                continue
            }
            guard let axes = input.axes else {
                throw .input(input.name, "has a shape that only a file can give: give one")
            }
            var shape: [Int] = []
            for axis in axes {
                switch axis {
                case .size(let size): shape.append(size)
                case .named(let name):
                    guard let size = sizes[name] else { throw .missingAxis(name) }
                    shape.append(size)
                case .unknown: throw .input(input.name, "has an axis that only a file can give: give one")
                }
            }
            shapes.append(shape)
        }
        for (input, shape) in zip(inputs, shapes) where shape.count > ONNXLimit.rank || ONNXShape.count(shape) == nil {
            throw .input(input.name, "has the shape \(shape), which no tensor can have")
        }
        return shapes
    }

    private func lowered(
        _ shapes: [[Int]], _ arrays: [String: NumpyArray], _ weights: [(name: String, type: TensorType)],
        _ bound: Set<String>, _ foldBudget: UInt64
    ) throws(ONNXFault) -> ONNXProgram {
        var declared = weights
        var constants: [(name: String, tensor: ConstantTensor)] = []
        for (input, shape) in zip(inputs, shapes) {
            if bound.contains(input.name), let array = arrays[input.name] {
                let owned = OwnedBytes(array.bytes)
                constants.append(
                    (input.name, ConstantTensor(input.element, shape, .bytes(owned.bytes, owner: owned))))
            } else {
                declared.append((input.name, TensorType(input.element, shape.map { Dimension(UInt64($0)) })))
            }
        }
        let stored = ONNXStoredTensors(file: owner, folder: folder)
        let lowering = ONNXLowering(inputs: declared, stored: stored, foldBudget: foldBudget)
        var opsets: [String: Int] = [:]
        for (domain, version) in file.opsets { opsets[domain == "ai.onnx" ? "" : domain] = version }
        let scope = try ONNXScope(
            parent: nil, attributes: [:], opsets: opsets, initializers: file.graph.initializers)
        for (place, input) in declared.enumerated() { scope.bind(input.name, to: .value(ValueID(place))) }
        for (name, tensor) in constants { scope.bind(name, to: .constant(tensor)) }
        let results = try ONNXGraphLowering(lowering, functions: file.functions).run(
            file.graph.nodes, in: scope, outputs: outputs, depth: 0)
        for (name, result) in zip(outputs, results) {
            if case .constant(let tensor) = result, tensor.isDouble {
                throw .output(name, "is of float64, which is not taken: export the model with float32")
            }
        }
        return try ONNXProgram(
            lowering, inputs: declared.map(\.name), outputs: Array(zip(outputs, results)), bound: bound.sorted())
    }
}

extension NumpyType {
    /// The program's type of the elements.
    var element: ElementType {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .i32: .i32
        case .i64: .i64
        case .i8: .i8
        case .u8: .u8
        case .bool: .bool
        }
    }

    /// The file type of a program's elements; bf16 has none.
    init?(_ element: ElementType) {
        guard let found = NumpyType.allCases.first(where: { $0.element == element }) else { return nil }
        self = found
    }
}
