import Primitives
import Programs
import Testing

/// The price of each primitive, counted by hand.
struct ComputeCostTests {
    static let five: [Dimension] = [Samples.tokens]

    /// What one op costs beside reading its inputs.
    func cost(_ operation: Programs.Operation, _ result: TensorType, over types: [TensorType]) throws -> UInt64 {
        let fixed = try Samples.fixed(Samples.single(operation, result, over: types))
        let reading = fixed.inputs.reduce(0) { $0 + $1.type.byteCount / 8 }
        return try fixed.cost().weightedOperations - reading
    }

    @Test func aMapCostsItsOperationsAnElement() throws {
        let shape: [Dimension] = [Samples.tokens, 4]
        func map(_ nodes: [MapNode]) throws -> UInt64 {
            try cost(
                .map(MapExpression(nodes), inputs: [ValueID(0)]), TensorType(.f32, shape),
                over: [TensorType(.f32, shape)])
        }
        #expect(try map([.input(0)]) == 20)
        #expect(try map([.input(0), .operation(.add, [0, 0])]) == 20)
        #expect(try map([.input(0), .operation(.add, [0, 0]), .operation(.multiply, [1, 0])]) == 40)
        #expect(try map([.input(0), .operation(.exp, [0])]) == 160)
        #expect(try map([.input(0), .operation(.divide, [0, 0]), .operation(.subtract, [1, 0])]) == 180)
    }

    @Test func theOthersCostWhatTheyRead() throws {
        let rows = TensorType(.f32, [Samples.tokens, 4])
        #expect(
            try cost(
                .reduce(.sum, input: ValueID(0), extent: nil, prefix: false), TensorType(.f32, Self.five), over: [rows])
                == 20)
        // 2·K multiplications and additions for each of 5 × 3.
        #expect(
            try cost(
                .contract(left: ValueID(0), right: ValueID(1), extent: nil, selected: false),
                TensorType(.f32, [Samples.tokens, 3]), over: [rows, TensorType(.f32, [3, 4])]) == 120)
        // 5 elements, ⌈log₂ 5⌉ = 3.
        #expect(
            try cost(
                .sort(input: ValueID(0), descending: false), TensorType(.i32, Self.five),
                over: [TensorType(.f32, Self.five)]) == 60)
        // An output is written: one an element.
        let piece = GatherPiece(start: [0], size: Self.five, source: ValueID(0), coordinates: [.axis(0)])
        #expect(
            try cost(.gather([piece], fill: 0), TensorType(.f32, Self.five), over: [TensorType(.f32, Self.five)]) == 5)
    }

    @Test func stepsMultiplyAndTooMuchIsAFault() throws {
        let counter = try Samples.counter()
        func cost(_ steps: UInt64) throws -> UInt64 {
            try counter.specialise([("tokens", 1), ("sentences", 1), ("steps", steps)]).cost().weightedOperations
        }
        // Twice the axis: an addition, a comparison, and two draws.
        #expect(try cost(1) == 2 * 4)
        #expect(try cost(1_000) == 2_000 * 4)
        #expect(throws: ProgramFault.self) { try cost(1 << 62) }
        #expect(throws: ProgramFault.self) { try cost(1 << 63) }
    }

    @Test func readingCostsAnEighthOfAnOperationAByte() throws {
        let program = try Samples.everyPrimitive()
        let fixed = try Samples.fixed(program, 8)
        let twice = try Samples.fixed(program, 16)
        #expect(fixed.parameterCount == 10 * 4 + 3 * 4)
        #expect(try fixed.cost() < twice.cost())
        let empty = try Program(
            axes: [], parameters: [Samples.declare("p", .f32, [100])], inputs: [Samples.declare("i", .u8, [80])],
            scans: [Scan(steps: 1, operations: [], outputs: [])])
        #expect(try empty.specialise([]).cost().weightedOperations == 50 + 10)
    }
}
