public import Programs

/// A leaf's operands where all of each tensor is at hand, by their place in the op's list.
public struct TensorOperands: LeafOperands {
    private enum Source {
        case tensors([Tensor])
        case trace(StepTrace, [ValueID])
    }

    private let source: Source

    public init(_ tensors: [Tensor]) { source = .tensors(tensors) }

    /// Tensors of a traced step.
    public init(_ trace: StepTrace, _ values: [ValueID]) { source = .trace(trace, values) }

    public func bits(operand: Int, element: UInt64) throws(LeafFault) -> UInt64 {
        let bits: UInt64? =
            switch source {
            case .tensors(let tensors): tensors.indices.contains(operand) ? tensors[operand].bits(element) : nil
            case .trace(let trace, let values):
                values.indices.contains(operand) ? trace.bits(element, of: values[operand]) : nil
            }
        guard let bits else { throw .missing(operand: operand, element: element) }
        return bits
    }
}

extension Tensor {
    /// An element's stored bits, or nil where there is none.
    public func bits(_ index: UInt64) -> UInt64? {
        guard index < UInt64(bytes.count / element.size) else { return nil }
        let start = Int(index) * element.size
        return bytes[start..<start + element.size].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
