import Foundation

/// Writes the wire format of ONNX models, well-formed or not.
enum ONNXBuilder {
    static func varint(_ value: UInt64) -> [UInt8] {
        var (rest, bytes) = (value, [UInt8]())
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    static func number(_ field: UInt64, _ value: Int) -> [UInt8] {
        varint(field << 3) + varint(UInt64(bitPattern: Int64(value)))
    }

    static func block(_ field: UInt64, _ bytes: [UInt8]) -> [UInt8] {
        varint(field << 3 | 2) + varint(UInt64(bytes.count)) + bytes
    }

    static func text(_ field: UInt64, _ value: String) -> [UInt8] { block(field, Array(value.utf8)) }

    static func bytes<T>(_ values: [T]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }

    /// A TensorProto; `type` is 1 for f32, 7 for i64, 9 for bool.
    static func tensor(_ name: String, type: Int, _ dimensions: [Int], _ raw: [UInt8]) -> [UInt8] {
        dimensions.flatMap { number(1, $0) } + number(2, type) + text(8, name) + block(9, raw)
    }

    static func floats(_ name: String, _ dimensions: [Int], _ values: [Float]) -> [UInt8] {
        tensor(name, type: 1, dimensions, bytes(values))
    }

    static func integers(_ name: String, _ values: [Int64]) -> [UInt8] {
        tensor(name, type: 7, [values.count], bytes(values))
    }

    enum Attribute {
        case integer(String, Int)
        case integers(String, [Int])
        case tensor(String, [UInt8])
        case graph(String, [UInt8])
        case reference(String, to: String)

        var bytes: [UInt8] {
            switch self {
            case .integer(let name, let value): text(1, name) + number(3, value) + number(20, 2)
            case .integers(let name, let values):
                text(1, name) + values.flatMap { number(8, $0) } + number(20, 7)
            case .tensor(let name, let tensor): text(1, name) + block(5, tensor) + number(20, 4)
            case .graph(let name, let graph): text(1, name) + block(6, graph) + number(20, 5)
            case .reference(let name, let other): text(1, name) + text(21, other) + number(20, 2)
            }
        }
    }

    static func node(
        _ operation: String, _ inputs: [String], _ outputs: [String], _ attributes: [Attribute] = [],
        domain: String = "", name: String = ""
    ) -> [UInt8] {
        inputs.flatMap { text(1, $0) } + outputs.flatMap { text(2, $0) } + text(3, name) + text(4, operation)
            + attributes.flatMap { block(5, $0.bytes) } + text(7, domain)
    }

    /// A ValueInfoProto; a negative size is an axis called "n".
    static func value(_ name: String, type: Int = 1, _ dimensions: [Int]? = []) -> [UInt8] {
        let shape = dimensions.map { sizes in
            block(2, sizes.flatMap { block(1, $0 < 0 ? text(2, "n") : number(1, $0)) })
        }
        return text(1, name) + block(2, block(1, number(1, type) + (shape ?? [])))
    }

    static func graph(
        nodes: [[UInt8]], initializers: [[UInt8]] = [], inputs: [[UInt8]] = [], outputs: [String]
    ) -> [UInt8] {
        nodes.flatMap { block(1, $0) } + text(2, "g") + initializers.flatMap { block(5, $0) }
            + inputs.flatMap { block(11, $0) } + outputs.flatMap { block(12, text(1, $0)) }
    }

    static func model(_ graph: [UInt8], opset: Int = 18, functions: [[UInt8]] = []) -> [UInt8] {
        number(1, 9) + block(7, graph) + block(8, text(1, "") + number(2, opset)) + functions.flatMap { block(25, $0) }
    }

    /// A model of these nodes that reads x and gives y.
    static func model(
        _ nodes: [[UInt8]], initializers: [[UInt8]] = [], x: [Int] = [2, 3], type: Int = 1, opset: Int = 18,
        functions: [[UInt8]] = []
    ) -> [UInt8] {
        model(
            graph(nodes: nodes, initializers: initializers, inputs: [value("x", type: type, x)], outputs: ["y"]),
            opset: opset, functions: functions)
    }

    static func function(
        _ name: String, inputs: [String], outputs: [String], nodes: [[UInt8]]
    ) -> [UInt8] {
        text(1, name) + inputs.flatMap { text(4, $0) } + outputs.flatMap { text(5, $0) }
            + nodes.flatMap { block(7, $0) } + block(9, text(1, "") + number(2, 18)) + text(10, "own")
    }
}
