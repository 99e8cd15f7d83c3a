import Programs
import Runtime
import Testing

/// What the reference executor does beside the encoder's ops: carried state, prefix and selected forms, random words.
struct ReferenceExecutorTests {
    /// Runs a program of inputs only, on tensors.
    static func run(
        _ program: Program, _ inputs: [Tensor], carried: [Int: Tensor] = [:], seed: UInt64 = 0,
        axes: [(String, UInt64)] = []
    ) throws -> ProgramResult {
        let fixed = try program.specialise(axes)
        return try ExecutorTests.withPointers(inputs) { pointers in
            let places = carried.keys.sorted()
            return try ExecutorTests.withPointers(places.map { carried[$0]! }) { state in  // the dictionary's own keys
                try ReferenceExecutor(fixed).run(
                    parameters: [], inputs: pointers,
                    carried: Dictionary(uniqueKeysWithValues: zip(places, state)), seed: seed)
            }
        }
    }

    /// Adds 1 to a carried number until it is `limit`, giving it out at each step.
    private static func counting(to limit: UInt64, steps: Dimension) throws -> Program {
        let number = TensorType(.i32, [])
        var graph = GraphBuilder(leading: [number, TensorType(.bool, [])])
        let next = graph.map(.i32, [], [ValueID(0)]) { e in
            let x = e.input(0)
            _ = e.apply(.add, x, e.node(.constant(.i32, bits: 1)))
        }
        let done = graph.map(.bool, [], [next]) { e in
            let x = e.input(0)
            _ = e.apply(.equal, x, e.node(.constant(.i32, bits: limit)))
        }
        let scan = Scan(
            steps: steps, operations: graph.operations, outputs: [next], carried: [next, done], stop: 1)
        return try Program(
            axes: ["steps"], parameters: [], inputs: [],
            carried: [
                TensorDeclaration(name: "number", type: number),
                TensorDeclaration(name: "done", type: TensorType(.bool, [])),
            ], kept: [0], scans: [scan])
    }

    @Test func stateIsCarriedAndTheStopFlagEndsTheScan() throws {
        let program = try Self.counting(to: 4, steps: Dimension(1, axis: 0))
        let whole = try Self.run(program, [], axes: [("steps", 10)])
        #expect(whole.steps == [4])
        #expect(whole.outputs.map { $0[0] } == (1...4).map { Tensor([Int32($0)], shape: []) })
        #expect(whole.carried[0] == Tensor([Int32(4)], shape: []))
        let short = try Self.run(program, [], axes: [("steps", 3)])
        #expect(short.steps == [3])
        // What is given at the start is what the first step reads.
        let later = try Self.run(program, [], carried: [0: Tensor([Int32(2)], shape: [])], axes: [("steps", 10)])
        #expect(later.steps == [2] && later.carried[0] == whole.carried[0])
    }

    @Test func aPrefixSumGivesEveryPartialResultAndStopsAtItsExtent() throws {
        let length = 600
        let row = (0..<length).map { Float($0 % 7) - 2.5 }
        var graph = GraphBuilder(leading: [
            TensorType(.f32, [1, Dimension(UInt64(length))]), TensorType(.i32, [1]),
        ])
        let shape = graph.type(ValueID(0))
        let all = graph.append(.reduce(.sum, input: ValueID(0), extent: nil, prefix: true), shape)
        let cut = graph.append(.reduce(.sum, input: ValueID(0), extent: ValueID(1), prefix: true), shape)
        let most = graph.append(.reduce(.maximum, input: ValueID(0), extent: nil, prefix: true), shape)
        let program = try Program(
            axes: [], parameters: [],
            inputs: [
                TensorDeclaration(name: "x", type: shape),
                TensorDeclaration(name: "n", type: TensorType(.i32, [1])),
            ], scans: [Scan(steps: 1, operations: graph.operations, outputs: [all, cut, most])])
        let out = try Self.run(
            program, [Tensor(row, shape: [1, length]), Tensor([Int32(300)], shape: [1])]
        ).outputs[0]
        // These numbers are halves, so every order of adding gives the same sums.
        var sums: [Float] = []
        for x in row { sums.append((sums.last ?? 0) + x) }
        #expect(out[0].floats == sums)
        let cutSums: [Float] = sums[..<300] + [Float](repeating: sums[299], count: 300)
        #expect(out[1].floats == cutSums)
        let greatest: [Float] = (0..<length).map { row[0...$0].max() ?? 0 }
        #expect(out[2].floats == greatest)
    }

    @Test func aSelectedContractAddsTheColumnsThatNameARow() throws {
        let indices: [Int32] = [2, 0, 2, 5, -1, 2]
        let gradient = (0..<12).map { Float($0) }
        var graph = GraphBuilder(leading: [TensorType(.i32, [6]), TensorType(.f32, [2, 6])])
        let out = graph.append(
            .contract(left: ValueID(0), right: ValueID(1), extent: nil, selected: true), TensorType(.f32, [4, 2]))
        let program = try Program(
            axes: [], parameters: [],
            inputs: [
                TensorDeclaration(name: "ids", type: TensorType(.i32, [6])),
                TensorDeclaration(name: "g", type: TensorType(.f32, [2, 6])),
            ], scans: [Scan(steps: 1, operations: graph.operations, outputs: [out])])
        let found = try Self.run(program, [Tensor(indices, shape: [6]), Tensor(gradient, shape: [2, 6])])
        #expect(found.outputs[0][0].floats == [1, 7, 0, 0, 7, 25, 0, 0])
    }

    @Test func randomWordsDependOnSeedOpAndStepAlone() throws {
        var graph = GraphBuilder(leading: [])
        let words = (0..<2).map { _ in graph.map(.i64, [6], []) { e in _ = e.node(.random(3)) } }
        let program = try Program(
            axes: [], parameters: [], inputs: [], scans: [Scan(steps: 2, operations: graph.operations, outputs: words)])
        let out = try Self.run(program, [], seed: 7).outputs
        for (step, tensors) in out.enumerated() {
            for (operation, tensor) in tensors.enumerated() {
                let expected = (0..<6).map { element in
                    Int64(
                        Philox.word(
                            seed: 7, element: UInt64(element), operation: UInt32(operation), draw: 3,
                            step: UInt32(step)))
                }
                #expect(tensor.bytes == expected.withUnsafeBytes { Array($0) })
            }
        }
        #expect(Set(out.flatMap { $0 }.map(\.bytes)).count == 4)
    }
}
