public import Programs

/// Why an ONNX model is refused. The description is one sentence with the next step.
public enum ONNXFault: Error, Equatable, Sendable {
    case file(FileFault)
    /// What part of the file does not follow ONNX's schema.
    case malformed(String)
    /// Something of which there is more than any model needs.
    case tooMany(String, found: Int, limit: Int)
    /// The file as a whole cannot be taken.
    case unsupported(String)
    case opset(domain: String, found: Int)
    /// The graph's names do not fit together.
    case graph(String)
    /// A stored tensor and what is wrong with it.
    case tensor(String, String)
    /// An operator that there is none of, or not in this form: operator, node, reason.
    case operation(String, node: String, String)
    /// A value that must be known at import depends on these inputs.
    case unknownValue(operation: String, node: String, inputs: [String])
    /// An input and what is wrong with it.
    case input(String, String)
    case missingAxis(String)
    case unknownAxis(String)
    case output(String, String)
    case program(ProgramFault)
}

extension ONNXFault: CustomStringConvertible {
    public var description: String {
        func short(_ name: String) -> String { name.utf8.count > 120 ? "\(name.prefix(40))…" : name }
        switch self {
        case .file(let fault): return fault.description
        case .malformed(let what): return "The file is not a whole ONNX model (\(what)): export or download it again."
        case .tooMany(let what, let found, let limit):
            return "The ONNX model has \(found) \(what), more than \(limit): choose a smaller model."
        case .unsupported(let what): return "The ONNX model \(what), which is not supported: export it without."
        case .opset(let domain, let found):
            return "The ONNX model uses version \(found) of the operators \"\(short(domain))\", which is not known: "
                + "export it with opset 11 to 23."
        case .graph(let what): return "The ONNX graph is wrong (\(what)): export the model again."
        case .tensor(let name, let what): return "The ONNX tensor \"\(short(name))\" \(what): export the model again."
        case .operation(let operation, let node, let what):
            return "The operator \(short(operation)) of node \"\(short(node))\" cannot be had (\(what)): "
                + "export the model without it."
        case .unknownValue(let operation, let node, let inputs):
            let from =
                inputs.isEmpty ? "it is computed by the model" : "it comes from \(inputs.joined(separator: ", "))"
            return "The operator \(short(operation)) of node \"\(short(node))\" needs a value that is fixed at import "
                + "and \(from): give the input as a file, or export the model with fixed shapes."
        case .input(let name, let what): return "The input \"\(short(name))\" \(what)."
        case .missingAxis(let name):
            return "The axis \"\(short(name))\" has no value: give --axis \(short(name))=NUMBER or an input's file."
        case .unknownAxis(let name): return "The model has no axis \"\(short(name))\": name one of its inputs' axes."
        case .output(let name, let what): return "The output \"\(short(name))\" \(what)."
        case .program(let fault): return "The model cannot be expressed as a program (\(fault)): choose a smaller one."
        }
    }
}
