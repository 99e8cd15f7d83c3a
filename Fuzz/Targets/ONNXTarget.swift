import Primitives
import Programs
import Runtime

/// Models of ONNX files from strangers: the wire format, the graph, the operators and the folding of what is known.
enum ONNXTarget: FuzzTarget {
    static let name = "onnx"

    static func forms() throws -> [Form] {
        [
            Form(seeds: seeds) { bytes in
                guard let model = try? ONNXModel(bytes) else { return }
                let sizes = Dictionary(uniqueKeysWithValues: model.axes.map { ($0, 2) })
                // Little is folded here: this build is a hundred times slower.
                guard let made = try? model.imported(axes: sizes, foldBudget: 1 << 12) else { return }
                require(made.specialised.parameters.count == made.parameters.count, "a weight has no declaration")
                for (declaration, parameter) in zip(made.specialised.parameters, made.parameters) {
                    let count = parameter.withBytes { $0.count }
                    require(UInt64(count) == declaration.type.byteCount, "a weight is not as long as it is declared")
                }
                let again = try? model.imported(axes: sizes, foldBudget: 1 << 12)
                require(again?.program == made.program, "two imports give two programs")
                let bytes = made.program.canonicalBytes
                require((try? Program(canonicalBytes: bytes)) == made.program, "a program is another when read again")
            },
            Form(seeds: [tensor("w", [2, 3], type: 1, [UInt8](1...24))]) { bytes in
                bytes.withUnsafeBytes { raw in
                    guard let array = try? TensorProtoFile.decode(raw) else { return }
                    require(
                        array.bytes.count == array.shape.reduce(array.type.byteCount, *),
                        "a tensor is not as long as its shape")
                }
            },
        ]
    }

    // MARK: Seeds

    private static func varint(_ value: Int) -> [UInt8] {
        value < 0x80 ? [UInt8(value)] : [UInt8(value & 0x7F) | 0x80] + varint(value >> 7)
    }

    private static func number(_ field: Int, _ value: Int) -> [UInt8] { varint(field << 3) + varint(value) }

    private static func block(_ field: Int, _ bytes: [UInt8]) -> [UInt8] {
        varint(field << 3 | 2) + varint(bytes.count) + bytes
    }

    private static func text(_ field: Int, _ value: String) -> [UInt8] { block(field, Array(value.utf8)) }

    private static func tensor(_ name: String, _ shape: [Int], type: Int, _ bytes: [UInt8]) -> [UInt8] {
        shape.flatMap { number(1, $0) } + number(2, type) + text(8, name) + block(9, bytes)
    }

    private static func numbers(_ name: String, _ values: [Int]) -> [UInt8] {
        tensor(
            name, [values.count], type: 7,
            values.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } })
    }

    private static func weights(_ name: String, _ shape: [Int]) -> [UInt8] {
        tensor(name, shape, type: 1, (0..<shape.reduce(1, *)).flatMap { [0, 0, UInt8($0 % 128), 0x3F] })
    }

    private static func node(
        _ operation: String, _ inputs: [String], _ output: String, _ attributes: [[UInt8]] = []
    ) -> [UInt8] {
        inputs.flatMap { text(1, $0) } + text(2, output) + text(4, operation) + attributes.flatMap { block(5, $0) }
    }

    private static func attribute(_ name: String, _ values: [Int]) -> [UInt8] {
        text(1, name) + (values.count == 1 ? number(3, values[0]) : values.flatMap { number(8, $0) })
    }

    private static func graph(_ nodes: [[UInt8]], _ stored: [[UInt8]], x: [Int]) -> [UInt8] {
        let shape = block(2, x.flatMap { block(1, $0 == 0 ? text(2, "n") : number(1, $0)) })
        let input = text(1, "x") + block(2, block(1, number(1, 1) + shape))
        return nodes.flatMap { block(1, $0) } + stored.flatMap { block(5, $0) } + block(11, input)
            + block(12, text(1, "y"))
    }

    private static func model(
        _ nodes: [[UInt8]], _ stored: [[UInt8]] = [], x: [Int] = [2, 3], functions: [[UInt8]] = []
    ) -> [UInt8] {
        number(1, 8) + block(7, graph(nodes, stored, x: x)) + block(8, number(2, 18))
            + functions.flatMap { block(25, $0) }
    }

    private static var seeds: [[UInt8]] {
        let twice =
            text(1, "Twice") + text(4, "a") + text(5, "b") + block(7, node("Add", ["a", "a"], "b")) + text(10, "own")
            + block(9, number(2, 18))
        let branch = block(1, node("Neg", ["x"], "b")) + block(12, text(1, "b"))
        return [
            model(
                [node("Gemm", ["x", "w", "b"], "h"), node("Softmax", ["h"], "y")],
                [weights("w", [3, 4]), weights("b", [4])], x: [0, 3]),
            model(
                [
                    node("Conv", ["x", "w"], "c", [attribute("pads", [1, 1, 1, 1])]),
                    node("MaxPool", ["c"], "y", [attribute("kernel_shape", [2, 2])]),
                ],
                [weights("w", [2, 1, 3, 3])], x: [1, 1, 4, 4]),
            model(
                [
                    node("Shape", ["x"], "s"), node("Gather", ["s", "one"], "n"),
                    node("Concat", ["n", "open"], "t", [attribute("axis", [0])]),
                    node("Reshape", ["x", "t"], "y"),
                ], [numbers("one", [1]), numbers("open", [-1])]),
            model(
                [node("Slice", ["x", "a", "b"], "p"), node("Pad", ["p", "c"], "y")],
                [numbers("a", [0, 1]), numbers("b", [2, 3]), numbers("c", [1, 0, 0, 1])]),
            model(
                [
                    node("Transpose", ["x"], "t", [attribute("perm", [1, 0])]), node("MatMul", ["x", "t"], "m"),
                    node("LayerNormalization", ["m", "g"], "y"),
                ], [weights("g", [2])]),
            model([node("Twice", ["x"], "y") + text(7, "own")], functions: [twice]),
            model(
                [node("If", ["c"], "y", [text(1, "then_branch") + block(6, branch)])], [tensor("c", [], type: 9, [1])]),
            model(
                [
                    node("TopK", ["x", "k"], "y"),
                    node("Einsum", ["x", "x"], "z", [text(1, "equation") + text(4, "ij,kj->ik")]),
                ], [numbers("k", [2])]),
            model(
                [node("Expand", ["w", "s"], "e"), node("ReduceSum", ["e"], "r"), node("Add", ["x", "r"], "y")],
                [weights("w", [1, 1]), numbers("s", [5, 6])]),
            model([node("ScatterND", ["x", "i", "u"], "y")], [numbers("i", [1]), weights("u", [3])]),
        ]
    }
}
