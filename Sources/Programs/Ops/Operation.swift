public import Primitives

public enum Reduction: UInt8, Sendable, Hashable, CaseIterable {
    case sum = 0
    case maximum = 1
    case minimum = 2
    case argumentOfMaximum = 3
    case argumentOfMinimum = 4
}

/// A coordinate as a function of the output's coordinates: ((offset + index tensor + Σ coefficient × coordinate) ÷ quotient) mod modulus, in
/// whole numbers. Where `exact`, a remainder of the division means that the piece does not apply.
public struct Coordinate: Hashable, Sendable, CanonicalCodable {
    public struct Term: Hashable, Sendable, CanonicalCodable {
        public let axis: UInt8
        public let coefficient: Int64

        public init(axis: UInt8, coefficient: Int64) {
            self.axis = axis
            self.coefficient = coefficient
        }

        public init(from reader: inout ByteReader) throws(DecodingFault) {
            axis = try reader.readUInt8()
            coefficient = Int64(bitPattern: try reader.readUInt64())
        }

        public func encode(into writer: inout ByteWriter) {
            writer.write(axis)
            writer.write(UInt64(bitPattern: coefficient))
        }
    }

    public let offset: Int64
    public let terms: [Term]
    /// An i32 tensor, read at the output coordinates of these axes.
    public let table: ValueID?
    public let tableAxes: [UInt8]
    public let quotient: Dimension
    /// 0 for none.
    public let modulus: Dimension
    public let exact: Bool

    public init(
        offset: Int64 = 0, terms: [Term] = [], table: ValueID? = nil, tableAxes: [UInt8] = [], quotient: Dimension = 1,
        modulus: Dimension = 0, exact: Bool = false
    ) {
        self.offset = offset
        self.terms = terms
        self.table = table
        self.tableAxes = tableAxes
        self.quotient = quotient
        self.modulus = modulus
        self.exact = exact
    }

    /// The output's own coordinate.
    public static func axis(_ axis: UInt8) -> Coordinate { Coordinate(terms: [Term(axis: axis, coefficient: 1)]) }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        offset = Int64(bitPattern: try reader.readUInt64())
        terms = try reader.readList(Term.self, max: TensorType.maximumRank)
        table = try reader.readOptional(ValueID.self)
        tableAxes = try reader.readBytes(max: TensorType.maximumRank)
        quotient = try reader.read(Dimension.self)
        modulus = try reader.read(Dimension.self)
        exact = try reader.readBool()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(UInt64(bitPattern: offset))
        writer.write(list: terms)
        writer.write(optional: table)
        writer.write(bytes: tableAxes)
        writer.write(quotient)
        writer.write(modulus)
        writer.write(bool: exact)
    }

    func fixed(_ axes: [UInt64]) throws(ProgramFault) -> Coordinate {
        Coordinate(
            offset: offset, terms: terms, table: table, tableAxes: tableAxes,
            quotient: Dimension(try quotient.value(axes)), modulus: Dimension(try modulus.value(axes)), exact: exact)
    }
}

/// A box of the output and where its elements come from, one coordinate an axis of the source.
public struct GatherPiece: Hashable, Sendable, CanonicalCodable {
    public let start: [Dimension]
    public let size: [Dimension]
    public let source: ValueID
    public let coordinates: [Coordinate]

    public init(start: [Dimension], size: [Dimension], source: ValueID, coordinates: [Coordinate]) {
        self.start = start
        self.size = size
        self.source = source
        self.coordinates = coordinates
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        start = try reader.readList(Dimension.self, max: TensorType.maximumRank)
        size = try reader.readList(Dimension.self, max: TensorType.maximumRank)
        source = try reader.read(ValueID.self)
        coordinates = try reader.readList(Coordinate.self, max: TensorType.maximumRank)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(list: start)
        writer.write(list: size)
        writer.write(source)
        writer.write(list: coordinates)
    }

    func fixed(_ axes: [UInt64]) throws(ProgramFault) -> GatherPiece {
        var start: [Dimension] = []
        for dimension in self.start { start.append(Dimension(try dimension.value(axes))) }
        var size: [Dimension] = []
        for dimension in self.size { size.append(Dimension(try dimension.value(axes))) }
        var coordinates: [Coordinate] = []
        for coordinate in self.coordinates { coordinates.append(try coordinate.fixed(axes)) }
        return GatherPiece(start: start, size: size, source: source, coordinates: coordinates)
    }
}

/// One of the five primitives with its operands.
public enum Operation: Hashable, Sendable, CanonicalCodable {
    /// Elementwise over inputs broadcast from the right.
    case map(MapExpression, inputs: [ValueID])
    /// Over the last axis; `extent` (i32, one a row, broadcast) cuts it short. `prefix` gives every partial result.
    case reduce(Reduction, input: ValueID, extent: ValueID?, prefix: Bool)
    /// C[…,m,n] = Σₖ A[…,m,k]·B[…,n,k]; a B of rank 2 serves every batch. `selected`: A is an i32 vector of N's partners.
    case contract(left: ValueID, right: ValueID, extent: ValueID?, selected: Bool)
    /// First piece that applies wins, else the fill.
    case gather([GatherPiece], fill: UInt64)
    /// Stable argsort of the last axis.
    case sort(input: ValueID, descending: Bool)

    public static let maximumPieces = 64
    /// Index tensors of all of a gather's pieces: each is a block of evidence where one element of the gather is judged.
    public static let maximumTables = 8
    /// Pieces with an exact division, which may send an element on to the next piece: each is a tensor of evidence.
    public static let maximumExactPieces = 8

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0:
            self = .map(
                try reader.read(MapExpression.self),
                inputs: try reader.readList(ValueID.self, max: MapExpression.maximumInputs))
        case 1:
            let tag = try reader.readUInt8()
            guard let reduction = Reduction(rawValue: tag) else { throw .invalid("a reduce has no kind \(tag)") }
            self = .reduce(
                reduction, input: try reader.read(ValueID.self), extent: try reader.readOptional(ValueID.self),
                prefix: try reader.readBool())
        case 2:
            self = .contract(
                left: try reader.read(ValueID.self), right: try reader.read(ValueID.self),
                extent: try reader.readOptional(ValueID.self), selected: try reader.readBool())
        case 3:
            self = .gather(
                try reader.readList(GatherPiece.self, max: Operation.maximumPieces), fill: try reader.readUInt64())
        case 4: self = .sort(input: try reader.read(ValueID.self), descending: try reader.readBool())
        case let tag: throw .invalid("a program has no primitive \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .map(let expression, let inputs):
            writer.write(UInt8(0))
            writer.write(expression)
            writer.write(list: inputs)
        case .reduce(let reduction, let input, let extent, let prefix):
            writer.write(UInt8(1))
            writer.write(reduction.rawValue)
            writer.write(input)
            writer.write(optional: extent)
            writer.write(bool: prefix)
        case .contract(let left, let right, let extent, let selected):
            writer.write(UInt8(2))
            writer.write(left)
            writer.write(right)
            writer.write(optional: extent)
            writer.write(bool: selected)
        case .gather(let pieces, let fill):
            writer.write(UInt8(3))
            writer.write(list: pieces)
            writer.write(fill)
        case .sort(let input, let descending):
            writer.write(UInt8(4))
            writer.write(input)
            writer.write(bool: descending)
        }
    }

    /// Every tensor it reads, in order.
    public var operands: [ValueID] {
        switch self {
        case .map(_, let inputs): inputs
        case .reduce(_, let input, let extent, _): [input] + (extent.map { [$0] } ?? [])
        case .contract(let left, let right, let extent, _): [left, right] + (extent.map { [$0] } ?? [])
        case .gather(let pieces, _): pieces.flatMap { [$0.source] + $0.coordinates.compactMap(\.table) }
        case .sort(let input, _): [input]
        }
    }

    func fixed(_ axes: [UInt64]) throws(ProgramFault) -> Operation {
        guard case .gather(let pieces, let fill) = self else { return self }
        var fixed: [GatherPiece] = []
        for piece in pieces { fixed.append(try piece.fixed(axes)) }
        return .gather(fixed, fill: fill)
    }
}

/// An operation and the tensor it makes.
public struct OperationRecord: Hashable, Sendable, CanonicalCodable {
    public let operation: Operation
    public let result: TensorType

    public init(_ operation: Operation, _ result: TensorType) {
        self.operation = operation
        self.result = result
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        operation = try reader.read(Operation.self)
        result = try reader.read(TensorType.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(operation)
        writer.write(result)
    }

    /// Its leaf in its program's tree.
    public var treeLeaf: Digest { Digest.of(.operation, encoding: self) }

    /// The same with its axes fixed.
    func fixed(_ axes: [UInt64]) throws(ProgramFault) -> OperationRecord {
        OperationRecord(try operation.fixed(axes), try result.fixed(axes))
    }
}
