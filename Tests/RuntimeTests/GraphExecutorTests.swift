import Foundation
import Programs
import Runtime
import Testing

/// The general executor against the reference, bit for bit.
struct GraphExecutorTests {
    /// `PLASMA_GRAPHS` says how many programs, `PLASMA_GRAPH_SEED` which is the first.
    static var seeds: Range<UInt64> {
        let environment = ProcessInfo.processInfo.environment
        let first = environment["PLASMA_GRAPH_SEED"].flatMap(UInt64.init) ?? 1
        return first..<first + (environment["PLASMA_GRAPHS"].flatMap(UInt64.init) ?? 600)
    }

    @Test func everyProgramHasTheBitsOfTheReference() throws {
        var compared = 0
        for seed in Self.seeds {
            var graph = try RandomGraph(seed: seed, operations: 4 + Int(seed % 17))
            let fixed = graph.fixed
            let parameters = fixed.parameters.map { graph.tensor($0.type) }
            let inputs = fixed.inputs.map { graph.tensor($0.type) }
            let carried = fixed.carried.map { graph.tensor($0.type) }
            try ExecutorTests.withPointers(parameters) { parameters in
                try ExecutorTests.withPointers(inputs) { inputs in
                    try ExecutorTests.withPointers(carried) { carried in
                        let state = Dictionary(uniqueKeysWithValues: zip(carried.indices, carried))
                        let expected = try ReferenceExecutor(fixed).run(
                            parameters: parameters, inputs: inputs, carried: state, seed: seed)
                        for variant in KernelVariant.allCases where variant.isSupported {
                            for threads in [1, 3] {
                                let executor = try GraphExecutor(
                                    program: fixed, parameters: parameters, threads: threads, variant: variant)
                                let found = try executor.run(inputs: inputs, carried: state, seed: seed)
                                compared += 1
                                if found == expected { continue }
                                let place = try Self.firstDifference(
                                    graph, parameters, inputs, state, seed, variant, threads)
                                Issue.record("PLASMA_GRAPH_SEED=\(seed) \(variant) \(threads) threads: \(place)")
                            }
                        }
                    }
                }
            }
        }
        #expect(compared >= Self.seeds.count * 2)
    }

    /// A stranger's program whose weights grow and grow is planned without the memory that it would take, so that it can be refused with the number.
    @Test func whatGrowsFromWeightsIsNotMadeBeforeItCanBeRefused() throws {
        let weight = TensorType(.f32, [1, 1024])
        var graph = GraphBuilder(leading: [weight])
        var value = ValueID(0)
        var rows: UInt64 = 1
        while rows < 1 << 30 {
            rows *= 4
            let shape = [Dimension(rows), 1024]
            value = graph.gather(
                value, shape,
                [
                    Coordinate(terms: [.init(axis: 0, coefficient: 1)], modulus: Dimension(rows / 4)), .axis(1),
                ])
            value = graph.map(.f32, shape, [value]) { e in _ = e.apply(.exp, e.input(0)) }
        }
        let sum = graph.reduce(.sum, value)
        let program = try Program(
            axes: [], parameters: [TensorDeclaration(name: "w", type: weight)], inputs: [],
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [sum])])
        let fixed = try program.specialise([])
        try ExecutorTests.withPointers([Tensor([Float](repeating: 1, count: 1024), shape: [1, 1024])]) { weights in
            let executor = try GraphExecutor(program: fixed, parameters: weights, threads: 1)
            #expect(executor.peakMemory > 1 << 40)
        }
    }

    /// Packing pads a narrow matrix to whole panels, and a program may name as many right sides as it likes.
    @Test func packedWeightsStayInProportionToTheParameters() throws {
        let weight = TensorType(.f32, [64, 256])
        var graph = GraphBuilder(leading: [weight, TensorType(.f32, [1, 256])])
        var outputs: [ValueID] = []
        for row in 0..<64 {
            let narrow = graph.gather(ValueID(0), [1, 256], [Coordinate(offset: Int64(row)), .axis(1)])
            outputs.append(graph.contract(ValueID(1), narrow))
        }
        let program = try Program(
            axes: [], parameters: [TensorDeclaration(name: "w", type: weight)],
            inputs: [TensorDeclaration(name: "x", type: TensorType(.f32, [1, 256]))],
            scans: [Scan(steps: 1, operations: graph.operations, outputs: outputs)])
        let fixed = try program.specialise([])
        let values = (0..<64 * 256).map { Float($0 % 251) - 100 }
        let input = Tensor((0..<256).map { Float($0 % 17) - 8 }, shape: [1, 256])
        try ExecutorTests.withPointers([Tensor(values, shape: [64, 256])]) { weights in
            let executor = try GraphExecutor(program: fixed, parameters: weights, threads: 1)
            let parameters = UInt64(64 * 256 * 4)
            #expect(executor.packedBytes > 0)
            #expect(executor.packedBytes <= 4 * parameters + 1 << 20)
            try ExecutorTests.withPointers([input]) { inputs in
                let expected = try ReferenceExecutor(fixed).run(parameters: weights, inputs: inputs)
                #expect(try executor.run(inputs: inputs) == expected)
            }
        }
    }

    /// A coefficient of an axis with one place says nothing and may be any number: once the smallest trapped, and others were left in the form that kernels
    /// walk.
    @Test(arguments: [Int64.min, .max, 1 << 50, -(1 << 50)])
    func aCoefficientOfAnAxisOfOnePlaceSaysNothing(coefficient: Int64) throws {
        let type = TensorType(.f32, [8])
        var graph = GraphBuilder(leading: [type])
        let moved = graph.gather(
            ValueID(0), [1, 8],
            [Coordinate(terms: [.init(axis: 0, coefficient: coefficient), .init(axis: 1, coefficient: 1)])])
        let program = try Program(
            axes: [], parameters: [], inputs: [TensorDeclaration(name: "x", type: type)],
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [moved])])
        let fixed = try program.specialise([])
        try ExecutorTests.withPointers([Tensor((0..<8).map { Float($0) }, shape: [8])]) { inputs in
            let expected = try ReferenceExecutor(fixed).run(parameters: [], inputs: inputs)
            let executor = try GraphExecutor(program: fixed, parameters: [], threads: 1)
            #expect(try executor.run(inputs: inputs) == expected)
        }
    }

    @Test func whatTheKernelsCannotCountIsRefused() throws {
        var graph = GraphBuilder(leading: [TensorType(.f32, [1])])
        let long = graph.gather(ValueID(0), [Dimension(1 << 31)], [Coordinate(offset: 0)])
        let sum = graph.reduce(.sum, long)
        let program = try Program(
            axes: [], parameters: [], inputs: [TensorDeclaration(name: "x", type: TensorType(.f32, [1]))],
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [sum])])
        let fixed = try program.specialise([])
        #expect(throws: ExecutionFault.unsupported("a tensor of 1 rows of 2147483648")) {
            try GraphExecutor(program: fixed, parameters: [], threads: 1)
        }
    }

    /// A gather's fill may be any NaN: what is filled and carried on has the one form, as what is given out has.
    @Test(arguments: [
        (ElementType.f32, UInt64(0xFFC0_0001)), (.bf16, 0xFFFF), (.f16, 0xFC7A), (.f32, 0x7F80_0001),
    ]) func aFillThatIsAnOddNaNIsCarriedInTheOneForm(element: ElementType, fill: UInt64) throws {
        let type = TensorType(element, [8])
        var graph = GraphBuilder(leading: [type])
        let piece = GatherPiece(
            start: [0], size: [3], source: ValueID(0), coordinates: [Coordinate(offset: 1)])
        let filled = graph.append(.gather([piece], fill: fill), type)
        let program = try Program(
            axes: [], parameters: [], inputs: [], carried: [TensorDeclaration(name: "s", type: type)], kept: [0],
            scans: [Scan(steps: 2, operations: graph.operations, outputs: [], carried: [filled])])
        let fixed = try program.specialise([])
        let expected = try ReferenceExecutor(fixed).run(parameters: [], inputs: [])
        #expect(try GraphExecutor(program: fixed, parameters: [], threads: 1).run(inputs: []) == expected)
    }

    /// Any number of steps may be written; what their outputs take does not wrap to something small.
    @Test func memoryOfVeryManyStepsIsNotSmall() throws {
        let type = TensorType(.f32, [1024])
        var graph = GraphBuilder(leading: [type])
        let twice = graph.map(.f32, [1024], [ValueID(0)]) { e in _ = e.apply(.add, e.input(0), e.input(0)) }
        let program = try Program(
            axes: [], parameters: [], inputs: [TensorDeclaration(name: "x", type: type)],
            scans: [Scan(steps: Dimension(1 << 52), operations: graph.operations, outputs: [twice])])
        let fixed = try program.specialise([])
        let executor = try GraphExecutor(program: fixed, parameters: [], threads: 1)
        #expect(executor.peakMemory > 1 << 60)
    }

    /// The first op that comes out otherwise when it is the program's only output.
    static func firstDifference(
        _ graph: RandomGraph, _ parameters: [UnsafeRawBufferPointer], _ inputs: [UnsafeRawBufferPointer],
        _ state: [Int: UnsafeRawBufferPointer], _ seed: UInt64, _ variant: KernelVariant, _ threads: Int
    ) throws -> String {
        let whole = graph.program
        let operations = whole.scans[0].operations
        let leading = graph.graph.types.count - operations.count
        for (number, record) in operations.enumerated() {
            let scan = Scan(
                steps: 3, operations: operations, outputs: [ValueID(leading + number)], carried: whole.scans[0].carried)
            let fixed = try Program(
                axes: [], parameters: whole.parameters, inputs: whole.inputs, carried: whole.carried, scans: [scan]
            ).specialise([])
            let expected = try ReferenceExecutor(fixed).run(
                parameters: parameters, inputs: inputs, carried: state, seed: seed)
            let found = try GraphExecutor(program: fixed, parameters: parameters, threads: threads, variant: variant)
                .run(inputs: inputs, carried: state, seed: seed)
            if found == expected { continue }
            let operands = record.operation.operands.map { "\($0.index): \(graph.graph.type($0))" }
            let step = zip(found.outputs, expected.outputs).enumerated().first { $1.0 != $1.1 }
            if step == nil {
                return
                    "carried \(whole.scans[0].carried.map(\.index)) \(zip(found.carried, expected.carried).map { $0 == $1 }) "
                    + operations.enumerated().map { "\n\(leading + $0.offset): \($0.element)" }.joined()
            }
            return
                "op \(number) of \(operations.count), step \(step.map { String($0.offset) } ?? "state"), reads \(operands): \(record)\n"
                + "found \(step.map { "\($1.0[0].bytes.prefix(64))" } ?? "")\nwanted \(step.map { "\($1.1[0].bytes.prefix(64))" } ?? "")"
        }
        return "only the whole program differs: \(operations)"
    }
}
