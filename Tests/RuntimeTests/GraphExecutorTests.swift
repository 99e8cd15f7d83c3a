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
        let weight = TensorType(.f32, [1024])
        var graph = GraphBuilder(leading: [weight])
        var value = ValueID(0)
        var count: UInt64 = 1024
        while count < 1 << 40 {
            count *= 4
            value = graph.gather(
                value, [Dimension(count)],
                [Coordinate(terms: [.init(axis: 0, coefficient: 1)], modulus: Dimension(count / 4))])
            value = graph.map(.f32, [Dimension(count)], [value]) { e in _ = e.apply(.exp, e.input(0)) }
        }
        let sum = graph.reduce(.sum, value)
        let program = try Program(
            axes: [], parameters: [TensorDeclaration(name: "w", type: weight)], inputs: [],
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [sum])])
        let fixed = try program.specialise([])
        try ExecutorTests.withPointers([Tensor([Float](repeating: 1, count: 1024), shape: [1024])]) { weights in
            let executor = try GraphExecutor(program: fixed, parameters: weights, threads: 1)
            #expect(executor.peakMemory > 1 << 40)
        }
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
