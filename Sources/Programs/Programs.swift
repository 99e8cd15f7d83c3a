/// What a job runs: a tensor program, its cost, and the roots by which its results are bound.
///
/// A program is data, never code. It is a list of *scans* over one carried state; each scan is a step graph in SSA form of five primitives (`map`,
/// `reduce`, `contract`, `gather`, `sort`), run a number of times. Shapes may name *axes*; `specialise` fixes them. The meaning of every
/// primitive, to the last bit, is docs/numerics.md.
public import Primitives

extension Domain {
    static let tensor = Domain("plasma.tensor")
    static let operation = Domain("plasma.op")
    static let program = Domain("plasma.program")
    static let outputs = Domain("plasma.outputs")
    static let dispute = Domain("plasma.dispute")
    static let deviceStep = Domain("plasma.dev.step")
}

/// Why a program cannot be used.
public enum ProgramFault: Error, Equatable, Sendable, CustomStringConvertible {
    case decoding(DecodingFault)
    case invalid(op: Int?, String)
    case unknownAxis(String)
    case missingAxis(String)
    case overflow(String)

    public var description: String {
        switch self {
        case .decoding(let fault): "the program cannot be read: \(fault)"
        case .invalid(let op?, let reason): "operation \(op) of the program is wrong: \(reason)"
        case .invalid(nil, let reason): "the program is wrong: \(reason)"
        case .unknownAxis(let name): "the program has no axis named \"\(name)\""
        case .missingAxis(let name): "the program's axis \"\(name)\" needs a value"
        case .overflow(let what): "\(what) is larger than any machine can hold"
        }
    }
}
