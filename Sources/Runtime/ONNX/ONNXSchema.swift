/// The part of ONNX's schema (onnx.proto, IR versions 6 to 12) that an import needs, read in place. Fields that say nothing about the computation
/// (documentation, inferred types, metadata, sharding) are passed over.
enum ONNXLimit {
    /// Nodes of a model, those of nested graphs and functions included.
    static let nodes = 1 << 16
    /// Stored tensors of a model, those in attributes included.
    static let tensors = 1 << 16
    /// Names of a model: inputs and outputs of graphs and nodes.
    static let names = 1 << 20
    /// Graphs within graphs.
    static let depth = 8
    static let attributes = 256
    /// Numbers in one attribute, and in one list that is made at import.
    static let numbers = 1 << 20
    /// Numbers in all attributes of a model.
    static let allNumbers = 1 << 22
    /// Numbers of a setting that is an input: sizes, axes, pads.
    static let settings = 1 << 12
    /// Inputs and outputs of one node.
    static let operands = 1 << 13
    static let functions = 4_096
    static let opsets = 64
    /// Axes of a tensor: what a program's tensors may have.
    static let rank = 8
    /// Bytes of a name.
    static let nameBytes = 1 << 12
}

/// Counts what a file makes the reader allocate, over the whole file.
struct ONNXBudget {
    private(set) var nodes = 0
    private(set) var tensors = 0
    private(set) var names = 0
    private(set) var numbers = 0

    mutating func node() throws(ONNXFault) { try ONNXBudget.count(&nodes, "nodes", ONNXLimit.nodes) }
    mutating func tensor() throws(ONNXFault) { try ONNXBudget.count(&tensors, "tensors", ONNXLimit.tensors) }
    mutating func name() throws(ONNXFault) { try ONNXBudget.count(&names, "names", ONNXLimit.names) }
    mutating func numbers(_ count: Int) throws(ONNXFault) {
        numbers += count
        if numbers > ONNXLimit.allNumbers {
            throw .tooMany("numbers in attributes", found: numbers, limit: ONNXLimit.allNumbers)
        }
    }

    private static func count(_ number: inout Int, _ what: String, _ limit: Int) throws(ONNXFault) {
        number += 1
        if number > limit { throw .tooMany(what, found: number, limit: limit) }
    }
}

/// Reads the fields of one message; every fault names the message.
struct ONNXMessage {
    private var reader: ProtobufReader
    private let what: String

    init(_ bytes: UnsafeRawBufferPointer, _ what: String) {
        reader = ProtobufReader(bytes)
        self.what = what
    }

    var fault: ONNXFault { .malformed("\(what) does not follow the schema") }

    mutating func next() throws(ONNXFault) -> (field: UInt64, wire: ProtobufReader.Wire)? {
        if reader.isAtEnd { return nil }
        do throws(ProtobufReader.Fault) { return try reader.key() } catch { throw fault }
    }

    mutating func skip(_ wire: ProtobufReader.Wire) throws(ONNXFault) {
        do throws(ProtobufReader.Fault) { try reader.skip(wire) } catch { throw fault }
    }

    mutating func block() throws(ONNXFault) -> UnsafeRawBufferPointer {
        do throws(ProtobufReader.Fault) { return try reader.block() } catch { throw fault }
    }

    mutating func integer() throws(ONNXFault) -> Int {
        do throws(ProtobufReader.Fault) { return Int(Int64(bitPattern: try reader.varint())) } catch { throw fault }
    }

    mutating func float() throws(ONNXFault) -> UInt32 {
        do throws(ProtobufReader.Fault) { return try reader.fixed32() } catch { throw fault }
    }

    mutating func string() throws(ONNXFault) -> String {
        do throws(ProtobufReader.Fault) {
            let bytes = try reader.block()
            if let text = String(validating: bytes, as: UTF8.self), bytes.count <= ONNXLimit.nameBytes { return text }
        } catch { throw fault }
        throw fault
    }

    /// A repeated number: one, or a packed list of them.
    mutating func integers(_ wire: ProtobufReader.Wire, into list: inout [Int], limit: Int) throws(ONNXFault) {
        if wire == .varint {
            list.append(try integer())
        } else if wire == .bytes {
            var packed = ONNXMessage(try block(), what)
            while !packed.reader.isAtEnd && list.count <= limit { list.append(try packed.integer()) }
        } else {
            throw fault
        }
        if list.count > limit { throw .tooMany("numbers in \(what)", found: list.count, limit: limit) }
    }
}

/// A stored tensor; its elements stay where they are.
struct ONNXTensorProto {
    var name = ""
    var dimensions: [Int] = []
    var type = 0
    var raw: UnsafeRawBufferPointer?
    /// The whole message: lists of numbers in it are read when the tensor is, so that a file full of them takes no memory before.
    let message: UnsafeRawBufferPointer
    var isExternal = false
    var external: [String: String] = [:]

    init(_ bytes: UnsafeRawBufferPointer, _ budget: inout ONNXBudget) throws(ONNXFault) {
        try budget.tensor()
        self.message = bytes
        var message = ONNXMessage(bytes, "a tensor")
        while let (field, wire) = try message.next() {
            switch (field, wire) {
            case (1, _): try message.integers(wire, into: &dimensions, limit: 64)
            case (2, .varint): type = try message.integer()
            case (8, .bytes): name = try message.string()
            case (9, .bytes): raw = try message.block()
            case (14, .varint): isExternal = try message.integer() == 1
            case (13, .bytes):
                let entry = try ONNXEntry(try message.block())
                if external.count >= 16 { throw message.fault }
                external[entry.key] = entry.value
            case (3, .bytes): throw .unsupported("stores a tensor in segments")
            case (4, .bytes), (4, .fixed32), (5, .bytes), (5, .varint), (7, .bytes), (7, .varint), (10, .bytes),
                (10, .fixed64):
                try message.skip(wire)
            case (2, _), (4, _), (5, _), (7, _), (8, _), (9, _), (10, _), (13, _), (14, _): throw message.fault
            default: try message.skip(wire)
            }
        }
    }
}

/// StringStringEntryProto.
private struct ONNXEntry {
    var key = ""
    var value = ""

    init(_ bytes: UnsafeRawBufferPointer) throws(ONNXFault) {
        var message = ONNXMessage(bytes, "an entry of external data")
        while let (field, wire) = try message.next() {
            switch (field, wire) {
            case (1, .bytes): key = try message.string()
            case (2, .bytes): value = try message.string()
            default: try message.skip(wire)
            }
        }
    }
}

/// An attribute of a node.
struct ONNXAttribute {
    var name = ""
    /// In a function: the attribute of the call that gives the value.
    var reference = ""
    var integer: Int?
    var float: UInt32?
    var string: String?
    var integers: [Int] = []
    var floats: [UInt32] = []
    var strings: [String] = []
    var tensor: ONNXTensorProto?
    var graph: ONNXGraph?
    /// A form that no operator that is taken has: sparse tensors, lists of tensors or graphs, types.
    var isOther = false

    init(_ bytes: UnsafeRawBufferPointer, depth: Int, _ budget: inout ONNXBudget) throws(ONNXFault) {
        var message = ONNXMessage(bytes, "an attribute")
        while let (field, wire) = try message.next() {
            switch (field, wire) {
            case (1, .bytes): name = try message.string()
            case (21, .bytes): reference = try message.string()
            case (2, .fixed32): float = try message.float()
            case (3, .varint): integer = try message.integer()
            case (4, .bytes):
                // Bytes that are no text are of no attribute that is read.
                string = String(validating: try message.block(), as: UTF8.self)
            case (5, .bytes): tensor = try ONNXTensorProto(try message.block(), &budget)
            case (6, .bytes):
                if depth >= ONNXLimit.depth {
                    throw .tooMany("graphs within graphs", found: depth + 1, limit: ONNXLimit.depth)
                }
                graph = try ONNXGraph(try message.block(), depth: depth + 1, &budget)
            case (7, .fixed32): floats.append(try message.float())
            case (7, .bytes):
                let block = try message.block()
                if block.count % 4 != 0 { throw message.fault }
                for place in stride(from: 0, to: min(block.count, ONNXLimit.numbers * 4 + 4), by: 4) {
                    floats.append(
                        UInt32(littleEndian: block.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
                }
            case (8, _): try message.integers(wire, into: &integers, limit: ONNXLimit.numbers)
            case (9, .bytes):
                try budget.name()
                strings.append(try message.string())
            case (10, .bytes), (11, .bytes), (14, .bytes), (15, .bytes), (22, .bytes), (23, .bytes):
                _ = try message.block()
                isOther = true
            case (1...11, _), (14, _), (15, _), (21...23, _): throw message.fault
            default: try message.skip(wire)
            }
            if floats.count > ONNXLimit.numbers {
                throw .tooMany("numbers in an attribute", found: floats.count, limit: ONNXLimit.numbers)
            }
        }
        try budget.numbers(floats.count + integers.count)
    }
}

struct ONNXNode {
    var name = ""
    var operation = ""
    var domain = ""
    var inputs: [String] = []
    var outputs: [String] = []
    var attributes: [ONNXAttribute] = []

    init(_ bytes: UnsafeRawBufferPointer, depth: Int, _ budget: inout ONNXBudget) throws(ONNXFault) {
        try budget.node()
        var message = ONNXMessage(bytes, "a node")
        while let (field, wire) = try message.next() {
            switch (field, wire) {
            case (1, .bytes):
                try budget.name()
                inputs.append(try message.string())
            case (2, .bytes):
                try budget.name()
                outputs.append(try message.string())
            case (3, .bytes): name = try message.string()
            case (4, .bytes): operation = try message.string()
            case (7, .bytes): domain = try message.string()
            case (5, .bytes):
                if attributes.count >= ONNXLimit.attributes {
                    throw .tooMany(
                        "attributes of one node", found: attributes.count + 1, limit: ONNXLimit.attributes)
                }
                attributes.append(try ONNXAttribute(try message.block(), depth: depth, &budget))
            case (1...5, _), (7, _): throw message.fault
            default: try message.skip(wire)
            }
            if inputs.count + outputs.count > ONNXLimit.operands {
                throw .tooMany(
                    "inputs and outputs of one node", found: inputs.count + outputs.count, limit: ONNXLimit.operands)
            }
        }
    }

    /// It and the nodes of graphs within it.
    var count: Int { attributes.reduce(1) { $0 + ($1.graph.map(\.nodeCount) ?? 0) } }

    /// What the node is called where something is wrong with it.
    var title: String { name.isEmpty ? outputs.first { !$0.isEmpty } ?? operation : name }
}

/// An input or output of a graph: its name, element type and axes as far as they are said.
struct ONNXValueInfo {
    enum Axis: Equatable {
        case size(Int)
        case named(String)
        case unknown
    }

    var name = ""
    /// TensorProto.DataType; 0 where no tensor type is said.
    var element = 0
    var axes: [Axis]?
    /// A sequence, map, optional or sparse tensor.
    var isOther = false

    init(_ bytes: UnsafeRawBufferPointer) throws(ONNXFault) {
        var message = ONNXMessage(bytes, "an input or output")
        while let (field, wire) = try message.next() {
            switch (field, wire) {
            case (1, .bytes): name = try message.string()
            case (2, .bytes): try readType(try message.block())
            case (1, _), (2, _): throw message.fault
            default: try message.skip(wire)
            }
        }
    }

    private mutating func readType(_ bytes: UnsafeRawBufferPointer) throws(ONNXFault) {
        var message = ONNXMessage(bytes, "a type")
        while let (field, wire) = try message.next() {
            switch (field, wire) {
            case (1, .bytes):
                var tensor = ONNXMessage(try message.block(), "a tensor type")
                while let (field, wire) = try tensor.next() {
                    switch (field, wire) {
                    case (1, .varint): element = try tensor.integer()
                    case (2, .bytes): try readShape(try tensor.block())
                    case (1, _), (2, _): throw tensor.fault
                    default: try tensor.skip(wire)
                    }
                }
            case (6, .bytes): _ = try message.block()
            default:
                isOther = true
                try message.skip(wire)
            }
        }
    }

    private mutating func readShape(_ bytes: UnsafeRawBufferPointer) throws(ONNXFault) {
        var found: [Axis] = []
        var message = ONNXMessage(bytes, "a shape")
        while let (field, wire) = try message.next() {
            guard field == 1, wire == .bytes else {
                try message.skip(wire)
                continue
            }
            var axis = Axis.unknown
            var dimension = ONNXMessage(try message.block(), "a dimension")
            while let (field, wire) = try dimension.next() {
                switch (field, wire) {
                case (1, .varint): axis = .size(try dimension.integer())
                case (2, .bytes):
                    let name = try dimension.string()
                    axis = name.isEmpty ? .unknown : .named(name)
                case (1, _), (2, _): throw dimension.fault
                default: try dimension.skip(wire)
                }
            }
            found.append(axis)
            if found.count > ONNXLimit.rank {
                throw .tooMany("axes of one tensor", found: found.count, limit: ONNXLimit.rank)
            }
        }
        axes = found
    }
}

struct ONNXGraph {
    var nodes: [ONNXNode] = []
    /// Its nodes and those of graphs within it.
    var nodeCount: Int { nodes.reduce(0) { $0 + $1.count } }
    var initializers: [ONNXTensorProto] = []
    var inputs: [ONNXValueInfo] = []
    var outputs: [ONNXValueInfo] = []

    init(_ bytes: UnsafeRawBufferPointer, depth: Int, _ budget: inout ONNXBudget) throws(ONNXFault) {
        var message = ONNXMessage(bytes, "a graph")
        while let (field, wire) = try message.next() {
            switch (field, wire) {
            case (1, .bytes): nodes.append(try ONNXNode(try message.block(), depth: depth, &budget))
            case (5, .bytes): initializers.append(try ONNXTensorProto(try message.block(), &budget))
            case (11, .bytes):
                try budget.name()
                inputs.append(try ONNXValueInfo(try message.block()))
            case (12, .bytes):
                try budget.name()
                outputs.append(try ONNXValueInfo(try message.block()))
            case (15, .bytes): throw .unsupported("has sparse initializers")
            case (1, _), (5, _), (11, _), (12, _), (15, _): throw message.fault
            default: try message.skip(wire)
            }
        }
    }
}

/// A function of the model's own: its nodes stand for a call.
struct ONNXFunction {
    var name = ""
    var domain = ""
    var overload = ""
    var inputs: [String] = []
    var outputs: [String] = []
    var nodes: [ONNXNode] = []
    var opsets: [(domain: String, version: Int)] = []
    /// Attributes that a call may leave out.
    var defaults: [ONNXAttribute] = []

    init(_ bytes: UnsafeRawBufferPointer, _ budget: inout ONNXBudget) throws(ONNXFault) {
        var message = ONNXMessage(bytes, "a function")
        while let (field, wire) = try message.next() {
            switch (field, wire) {
            case (1, .bytes): name = try message.string()
            case (4, .bytes):
                try budget.name()
                inputs.append(try message.string())
            case (5, .bytes):
                try budget.name()
                outputs.append(try message.string())
            case (7, .bytes): nodes.append(try ONNXNode(try message.block(), depth: 1, &budget))
            case (9, .bytes): opsets.append(try ONNXModelFile.opset(try message.block()))
            case (10, .bytes): domain = try message.string()
            case (13, .bytes): overload = try message.string()
            case (11, .bytes): defaults.append(try ONNXAttribute(try message.block(), depth: 1, &budget))
            case (1, _), (4, _), (5, _), (7, _), (9, _), (10, _), (11, _): throw message.fault
            default: try message.skip(wire)
            }
            if opsets.count > ONNXLimit.opsets || defaults.count > ONNXLimit.attributes { throw message.fault }
        }
    }
}
