public import Programs

/// Why a model is not run on these files, or not held against this reference. One sentence with the next step.
public enum RunFault: Error, Equatable, Sendable {
    case model(ImportFault)
    case file(NumpyFileFault)
    case proto(path: String, TensorProtoFault)
    /// An argument that is not `NAME=FILE.npy`.
    case argument(String)
    case unknownInput(String, known: [String] = EncoderArrays.names)
    case repeatedInput(String)
    case missingInput(String)
    case inputType(String, found: NumpyType, allowed: [NumpyType])
    case inputRank(String, shape: [Int])
    case inputShape(String, found: [Int], expected: [Int])
    /// The images' shape, and what follows the batch of it.
    case imageShape(found: [Int], expected: [Int])
    case inputNotFinite(String, element: Int)
    case tooManyRows(Int, limit: Int)
    case tooLong(length: Int, limit: Int)
    /// A value outside what its input may hold, with its place.
    case value(String, Int64, row: Int, column: Int, bound: Int)
    /// A row of the mask with a 1 behind a 0.
    case gap(row: Int)
    case emptyRow(Int)
    case batch(EncoderInputsFault)
    case memory(needed: UInt64, available: UInt64)
    case program(ProgramFault)
    case execution(ExecutionFault)
    /// The reference file cannot be used: path, what is wrong with it.
    case reference(String, String)
    /// The reference expects an output of another shape, or one that there is not.
    case unknownOutput(String, known: [String] = LocalRun.outputNames)
    case outputShape(String, found: [Int], expected: [Int])
    case outputType(String, found: NumpyType)
    case notFinite(String, element: Int)
}

extension RunFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .model(let fault): return fault.description
        case .file(let fault): return fault.description
        case .proto(let path, let fault): return "\(path): \(fault)"
        case .argument(let text):
            return "\"\(text.prefix(80))\" does not name an input: write it as input_ids=FILE.npy."
        case .unknownInput(let name, let known):
            return "The model has no input \"\(name.prefix(60))\": it takes \(known.joined(separator: ", "))."
        case .repeatedInput(let name): return "The input \(name) is given twice: give each input once."
        case .missingInput(let name): return "The input \(name) is missing: give it as \(name)=FILE.npy."
        case .inputType(let name, let found, let allowed):
            return "The input \(name) holds \(found.rawValue): "
                + "convert it to \(allowed.map(\.rawValue).joined(separator: " or "))."
        case .imageShape(let found, let expected):
            return "The input pixel_values has the shape \(found): "
                + "it must be [batch, \(expected.map(String.init).joined(separator: ", "))], batch at least 1."
        case .inputNotFinite(let name, let element):
            return "The input \(name) is not a finite number at element \(element): make it again."
        case .inputRank(let name, let shape):
            return "The input \(name) has the shape \(shape): it must be [batch, length], both at least 1."
        case .inputShape(let name, let found, let expected):
            return "The input \(name) has the shape \(found) where input_ids has \(expected): make them the same."
        case .tooManyRows(let count, let limit):
            return "\(count) rows are more than the \(limit) of one run: split the batch."
        case .tooLong(let length, let limit):
            return "The rows have \(length) tokens, the model takes at most \(limit): cut them."
        case .value(let name, let value, let row, let column, let bound):
            return "The input \(name) holds \(value) at row \(row), column \(column): "
                + "it must lie from 0 to \(bound - 1)."
        case .gap(let row):
            return "Row \(row) of attention_mask has a 1 after a 0: padding may only be at the end of a row."
        case .emptyRow(let row): return "Row \(row) of attention_mask has no 1: each row needs at least one token."
        case .batch(let fault): return fault.description
        case .memory(let needed, let available):
            return "The run needs \(needed) bytes of memory and \(available) are there: split the batch."
        case .program(let fault): return "The model cannot be run on this batch (\(fault)): use a smaller one."
        case .execution(let fault): return "The run failed: \(fault)."
        case .reference(let path, let what): return "\(path): \(what)."
        case .unknownOutput(let name, let known):
            return "The model has no output \"\(name.prefix(60))\": it gives \(known.joined(separator: ", "))."
        case .outputShape(let name, let found, let expected):
            return "The output \(name) has the shape \(found), the reference has \(expected): "
                + "check that both come from the same inputs."
        case .outputType(let name, let found):
            return "The reference of \(name) holds \(found.rawValue): save it as float32."
        case .notFinite(let name, let element):
            return "The reference of \(name) is not a finite number at element \(element): make it again."
        }
    }
}
