import Primitives
import Programs
import Runtime
import Testing

/// `transpose`, `reshape`, `slice`, `concat`, `pad` and `broadcast` against what they say, on numbered elements.
@Suite struct MovementTests {
    /// What a graph over one numbered i32 tensor gives.
    static func run(_ shape: [Int], _ body: (inout GraphBuilder, ValueID) -> ValueID) throws -> Tensor {
        let program = try SpecialisedProgram.over(.i32, shape, body)
        let numbers = (0..<Int32(shape.reduce(1, *))).map { $0 }
        let steps = try numbers.withUnsafeBytes {
            try ReferenceExecutor(program).run(parameters: [], inputs: [$0])
        }
        return steps.outputs[0][0]
    }

    static func numbers(_ tensor: Tensor) -> [Int32] {
        tensor.bytes.withUnsafeBytes { raw in
            (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self) }
        }
    }

    /// A random way to write a count as a product of at most five extents.
    static func factors(_ count: Int, _ random: inout SplitMix64) -> [Int] {
        var rest = count
        var shape: [Int] = []
        while shape.count < 4 {
            let divisors = (1...rest).filter { rest % $0 == 0 }
            let next = divisors[Int(random.next() % UInt64(divisors.count))]
            shape.append(next)
            rest /= next
        }
        return shape + [rest]
    }

    @Test func reshapeKeepsTheOrder() throws {
        var random = SplitMix64(seed: 5)
        for _ in 0..<400 {
            let count = [1, 6, 12, 24, 30, 36, 60][Int(random.next() % 7)]
            let (from, to) = (Self.factors(count, &random), Self.factors(count, &random))
            let result = try Self.run(from) { graph, x in
                graph.reshape(x, to.map { Dimension(UInt64($0)) })
            }
            #expect(result.shape == to && Self.numbers(result) == Array(0..<Int32(count)), "\(from) to \(to)")
        }
    }

    @Test func reshapesThatModelsNeedAreAffine() {
        var graph = GraphBuilder(leading: [TensorType(.f32, [Dimension(1, axis: 0), 12])])
        let split = graph.reshape(ValueID(0), [Dimension(1, axis: 0), 3, 4])
        let merged = graph.reshape(split, [Dimension(3, axis: 0), 4])
        _ = graph.reshape(merged, [Dimension(1, axis: 0), 1, 12])
        guard case .gather(let pieces, _) = graph.operations[0].operation else { return #expect(Bool(false)) }
        let heads = Coordinate(terms: [.init(axis: 1, coefficient: 4), .init(axis: 2, coefficient: 1)])
        #expect(pieces[0].coordinates == [.axis(0), heads])
        guard case .gather(let joined, _) = graph.operations[1].operation else { return #expect(Bool(false)) }
        #expect(
            joined[0].coordinates == [
                Coordinate(terms: [.init(axis: 0, coefficient: 1)], quotient: 3),
                Coordinate(terms: [.init(axis: 0, coefficient: 1)], modulus: 3), .axis(1),
            ])
    }

    @Test func transposeMovesAxes() throws {
        let result = try Self.run([2, 3, 4]) { graph, x in graph.transpose(x, [2, 0, 1]) }
        var expected: [Int32] = []
        for k in 0..<4 { for i in 0..<2 { for j in 0..<3 { expected.append(Int32(i * 12 + j * 4 + k)) } } }
        #expect(result.shape == [4, 2, 3] && Self.numbers(result) == expected)
    }

    @Test func sliceConcatPadAndBroadcast() throws {
        let backwards = try Self.run([2, 4]) { graph, x in
            graph.slice(x, starts: [1, 3], steps: [-1, -2], sizes: [2, 2])
        }
        #expect(Self.numbers(backwards) == [7, 5, 3, 1])
        let joined = try Self.run([2, 2]) { graph, x in
            graph.concat([x, graph.slice(x, axis: 1, start: 1, size: 1), x], axis: 1)
        }
        #expect(joined.shape == [2, 5] && Self.numbers(joined) == [0, 1, 1, 0, 1, 2, 3, 3, 2, 3])
        let many = try Self.run([1, 2]) { graph, x in graph.concat([ValueID](repeating: x, count: 130), axis: 0) }
        #expect(many.shape == [130, 2] && Self.numbers(many).enumerated().allSatisfy { $1 == Int32($0 % 2) })
        let padded = try Self.run([2, 2]) { graph, x in graph.pad(x, before: [1, -1], after: [0, 2], fill: 9) }
        #expect(padded.shape == [3, 3] && Self.numbers(padded) == [9, 9, 9, 1, 9, 9, 3, 9, 9])
        let wide = try Self.run([2, 1]) { graph, x in graph.broadcast(x, to: [2, 2, 3]) }
        #expect(Self.numbers(wide) == [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1])
    }
}
