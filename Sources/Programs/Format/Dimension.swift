public import Primitives

/// The extent of one axis: a number, or a number times a named axis.
public struct Dimension: Hashable, Sendable, CanonicalCodable, ExpressibleByIntegerLiteral {
    public let factor: UInt64
    /// Place in the program's list of axes; nil for a plain number.
    public let axis: UInt16?

    public init(_ factor: UInt64, axis: UInt16? = nil) {
        self.factor = factor
        self.axis = axis
    }

    public init(integerLiteral value: UInt64) { self.init(value) }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        factor = try reader.readUInt64()
        axis = try reader.readOptional(UInt16.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(factor)
        writer.write(optional: axis)
    }

    /// Its value once the axes have theirs.
    func value(_ axes: [UInt64]) throws(ProgramFault) -> UInt64 {
        guard let axis else { return factor }
        if Int(axis) >= axes.count {
            throw .invalid(op: nil, "a shape names axis \(axis), and there are \(axes.count)")
        }
        let (product, overflow) = factor.multipliedReportingOverflow(by: axes[Int(axis)])
        if overflow { throw .overflow("a dimension") }
        return product
    }
}

/// A tensor's type and shape, outermost axis first. At most eight axes.
public struct TensorType: Hashable, Sendable, CanonicalCodable {
    public static let maximumRank = 8

    public let element: ElementType
    public let shape: [Dimension]

    public init(_ element: ElementType, _ shape: [Dimension]) {
        self.element = element
        self.shape = shape
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        element = try reader.read(ElementType.self)
        shape = try reader.readList(Dimension.self, max: TensorType.maximumRank)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(element)
        writer.write(list: shape)
    }

    func fixed(_ axes: [UInt64]) throws(ProgramFault) -> TensorType {
        var out: [Dimension] = []
        for dimension in shape { out.append(Dimension(try dimension.value(axes))) }
        return TensorType(element, out)
    }

    /// The number of elements of a fixed shape.
    public var count: UInt64 { shape.reduce(1) { $0 &* $1.factor } }

    /// Bytes of a fixed shape.
    public var byteCount: UInt64 { count &* UInt64(element.size) }

    /// The dimensions of a fixed shape.
    public var dimensions: [Int] { shape.map { Int(clamping: $0.factor) } }
}

/// A named tensor that enters a program.
public struct TensorDeclaration: Hashable, Sendable, CanonicalCodable {
    public static let maximumNameBytes = 128

    public let name: String
    public let type: TensorType

    public init(name: String, type: TensorType) {
        self.name = name
        self.type = type
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        name = try reader.readString(max: TensorDeclaration.maximumNameBytes)
        type = try reader.read(TensorType.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(string: name)
        writer.write(type)
    }
}

/// A tensor of a step graph, by number: parameters, then inputs, then carried tensors, then the results of the ops in order.
public struct ValueID: Hashable, Sendable, Comparable, CanonicalCodable {
    public let index: UInt32

    public init(_ index: Int) { self.index = UInt32(clamping: index) }

    public init(from reader: inout ByteReader) throws(DecodingFault) { index = try reader.readUInt32() }

    public func encode(into writer: inout ByteWriter) { writer.write(index) }

    public static func < (x: ValueID, y: ValueID) -> Bool { x.index < y.index }
}
