public import Programs

/// Why nothing is trained. One sentence with the next step.
public enum TrainingFault: Error, Equatable, Sendable {
    case setting(String, String)
    case text(bytes: Int, needed: Int)
    case differentiation(DifferentiationFault)
    case program(ProgramFault)
    case execution(ExecutionFault)
    case memory(needed: UInt64, available: UInt64)
    case checkpoint(path: String, String)
    case model(ImportFault)
    case graph(ONNXFault)
    case folder(path: String, String)
}

extension TrainingFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .setting(let name, let what): "\(name) \(what)."
        case .text(let bytes, let needed):
            "The text has \(bytes) bytes, a row of the batch takes \(needed): give a longer text or a shorter context."
        case .differentiation(let fault): "The model cannot be trained: \(fault)."
        case .program(let fault): "The training cannot be written as a program (\(fault)): use a smaller model."
        case .execution(let fault): "The training failed: \(fault)."
        case .memory(let needed, let available):
            "The training needs \(needed) bytes of memory and \(available) are there: use a smaller batch or model."
        case .model(let fault): fault.description
        case .graph(let fault): fault.description
        case .folder(let path, let what): "\(path) \(what): make room, or choose another folder under [output]."
        case .checkpoint(let path, let what): "\(path) \(what): name a checkpoint of this very model, or start anew."
        }
    }
}
