public import Programs

/// A leaf's operands where all of each tensor is at hand, by their place in the op's list.
public struct TensorOperands: LeafOperands {
    private let tensors: [Tensor]

    public init(_ tensors: [Tensor]) { self.tensors = tensors }

    public func bits(operand: Int, element: UInt64) throws(LeafFault) -> UInt64 {
        guard tensors.indices.contains(operand), let bits = tensors[operand].bits(element) else {
            throw .missing(operand: operand, element: element)
        }
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
