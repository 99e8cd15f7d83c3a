/// Why a node cannot start or go on, as one sentence with the next step.
public enum NodeFault: Error, Sendable, CustomStringConvertible {
    case stopping
    case cannotStart(String)

    public var description: String {
        switch self {
        case .stopping: "the node is stopping"
        case .cannotStart(let reason): reason
        }
    }
}
