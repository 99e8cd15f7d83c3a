/// Elements of an op's operands, as a leaf asks for them: from whole tensors, or from a witness that holds a few blocks.
///
/// Operands are counted as `Operation.operands` lists them, one that is read twice twice.
public protocol LeafOperands {
    /// The stored bits of an element, the first in the lowest byte, zeros above.
    func bits(operand: Int, element: UInt64) throws(LeafFault) -> UInt64

    /// Told before a gather looks at the shape of a piece's source, which decides though no element of it may be read.
    func consult(operand: Int) throws(LeafFault)
}

extension LeafOperands {
    /// Where every shape is known, nothing.
    public func consult(operand: Int) throws(LeafFault) {}
}

/// Consecutive elements of an operand.
public struct LeafRange: Hashable, Sendable {
    public let operand: Int
    public let first: UInt64
    public let count: UInt64

    public init(operand: Int, first: UInt64, count: UInt64) {
        self.operand = operand
        self.first = first
        self.count = count
    }
}

/// Why a leaf could not be judged.
public enum LeafFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// What the leaf needs is not there.
    case missing(operand: Int, element: UInt64)
    /// The shape of an operand decides, and was not shown.
    case unproven(operand: Int)
    /// There is no such element or segment.
    case outside(String)
    /// No run of the op could hold this value or running total.
    case impossible(String)

    public var description: String {
        switch self {
        case .missing(let operand, let element): "element \(element) of operand \(operand) is needed and was not given"
        case .unproven(let operand): "the shape of operand \(operand) decides and was not shown"
        case .outside(let what): "there is no such \(what)"
        case .impossible(let what): "no run of the op could give this \(what)"
        }
    }
}

/// What is known after some terms of a row: the sum so far, the best so far and its place, or a count.
public struct RunningTotal: Hashable, Sendable {
    /// A sum: f32 bits or the integer. An extreme: the key of the best. A sort: how many come before.
    public let word: Int64
    /// An extreme: where the best stands; `noIndex` before the first term.
    public let index: UInt64

    public static let noIndex = UInt64.max

    public init(word: Int64, index: UInt64 = 0) {
        self.word = word
        self.index = index
    }
}
