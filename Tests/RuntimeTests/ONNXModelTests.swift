import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// Whole models as PyTorch exports them, against what PyTorch gave (scripts/fixtures/onnx.sh makes the file).
@Suite struct ONNXModelTests {
    static func models() throws -> [ONNXCases.Case] { try ONNXCases.fixture("models.safetensors").cases }

    @Test func exportsGiveWhatPyTorchGave() throws {
        let cases = try Self.models()
        #expect(Set(cases.map { $0.name.split(separator: " ")[0] }) == ["bert", "gpt2", "llama", "resnet"])
        for item in cases {
            let problem = item.problem()
            #expect(problem == nil, "\(item.name): \(problem ?? "")")
        }
    }

    @Test func twoImportsGiveOneProgram() throws {
        for item in try Self.models() {
            let programs = try (0..<2).map { _ in
                try ONNXModel(item.model).imported(arrays: item.inputs).program
            }
            #expect(programs[0].root == programs[1].root && programs[0] == programs[1], "\(item.name)")
            let bytes = programs[0].canonicalBytes
            let again = try Program(canonicalBytes: bytes)
            #expect(again == programs[0], "\(item.name)")
        }
    }

    @Test func axesFixTheProgram() throws {
        let item = try #require(try Self.models().first { $0.name.hasPrefix("bert legacy") })
        let model = try ONNXModel(item.model)
        #expect(model.axes == ["batch", "length"])
        let small = try model.imported(axes: ["batch": 1, "length": 3])
        #expect(small.specialised.inputs.allSatisfy { $0.type.dimensions == [1, 3] })
        let large = try model.imported(axes: ["batch": 2, "length": 5])
        #expect(small.program.root != large.program.root)
        #expect(throws: ONNXFault.missingAxis("length")) { _ = try model.imported(axes: ["batch": 1]) }
        #expect(throws: ONNXFault.unknownAxis("lenght")) { _ = try model.imported(axes: ["lenght": 1]) }
    }

    @Test func theSameSizesByAxesAndByArraysGiveOneProgram() throws {
        let item = try #require(try Self.models().first { $0.name.hasPrefix("gpt2 dynamo") })
        let model = try ONNXModel(item.model)
        let shape = try #require(item.inputs["input_ids"]?.shape)
        let sizes = Dictionary(uniqueKeysWithValues: zip(model.axes, shape))
        #expect(
            try model.imported(axes: sizes).program.root == model.imported(arrays: item.inputs).program.root)
    }

    @Test func unusedNodesAreDropped() throws {
        let model = try ONNXModel(
            ONNXBuilder.model([
                ONNXBuilder.node("Telepathy", ["x"], ["z"]), ONNXBuilder.node("Relu", ["x"], ["y"]),
                ONNXBuilder.node("Exp", ["x"], ["w"]),
            ]))
        #expect(try model.imported().program.scans[0].operations.count == 1)
    }

    @Test func shapeArithmeticIsFoldedAway() throws {
        // y = reshape(x, [shape(x)[1] · 2, −1]).
        let nodes = [
            ONNXBuilder.node("Shape", ["x"], ["s"]), ONNXBuilder.node("Gather", ["s", "one"], ["w"]),
            ONNXBuilder.node("Mul", ["w", "two"], ["d"]),
            ONNXBuilder.node("Concat", ["d", "open"], ["t"], [.integer("axis", 0)]),
            ONNXBuilder.node("Reshape", ["x", "t"], ["y"]),
        ]
        let model = try ONNXModel(
            ONNXBuilder.model(
                nodes,
                initializers: [
                    ONNXBuilder.integers("one", [1]), ONNXBuilder.integers("two", [2]),
                    ONNXBuilder.integers("open", [-1]),
                ], x: [4, 3]))
        let program = try model.imported()
        #expect(program.program.scans[0].operations.count == 1 && program.parameters.isEmpty)
        #expect(program.specialised.scans[0].operations[0].result.dimensions == [6, 2])
    }

    @Test func branchesAndLoopsThatAreKnownAreWrittenOut() throws {
        let condition = ONNXBuilder.tensor("c", type: 9, [], [1])
        let branch = { (operation: String) in
            ONNXBuilder.graph(nodes: [ONNXBuilder.node(operation, ["x"], ["b"])], outputs: ["b"])
        }
        let body = ONNXBuilder.graph(
            nodes: [
                ONNXBuilder.node("Add", ["v", "v"], ["w"]), ONNXBuilder.node("Identity", ["k"], ["l"]),
                ONNXBuilder.node("Identity", ["w"], ["each"]),
            ], inputs: ["i", "k", "v"].map { ONNXBuilder.value($0) }, outputs: ["l", "w", "each"])
        let model = try ONNXModel(
            ONNXBuilder.model(
                [
                    ONNXBuilder.node(
                        "If", ["c"], ["z"],
                        [.graph("then_branch", branch("Neg")), .graph("else_branch", branch("Exp"))]),
                    ONNXBuilder.node("Loop", ["m", "", "z"], ["u", "y"], [.graph("body", body)]),
                ], initializers: [condition, ONNXBuilder.tensor("m", type: 7, [], ONNXBuilder.bytes([Int64(3)]))],
                x: [2]))
        let run = try GraphRun(LocalGraph(model), ["x": NumpyArray([1, 5], shape: [2])], threads: 1)
        #expect(run.outputs[0].array.shape == [3, 2])
        #expect(run.outputs[0].array.floats == [-2, -10, -4, -20, -8, -40])
    }

    @Test func functionsAreWrittenInPlace() throws {
        let function = ONNXBuilder.function(
            "Twice", inputs: ["a"], outputs: ["c"],
            nodes: [
                ONNXBuilder.node("Constant", [], ["f"], [.reference("value_int", to: "factor")]),
                ONNXBuilder.node("Cast", ["f"], ["g"], [.integer("to", 1)]),
                ONNXBuilder.node("Mul", ["a", "g"], ["c"]),
            ])
        let model = try ONNXModel(
            ONNXBuilder.model(
                [
                    ONNXBuilder.node("Twice", ["x"], ["z"], [.integer("factor", 2)], domain: "own"),
                    ONNXBuilder.node("Twice", ["z"], ["y"], [.integer("factor", 5)], domain: "own"),
                ], x: [2], functions: [function]))
        let run = try GraphRun(LocalGraph(model), ["x": NumpyArray([1, 3], shape: [2])], threads: 1)
        #expect(run.outputs[0].array.floats == [10, 30])
    }

    @Test func anInputThatDecidesAShapeIsFixedByItsFile() throws {
        let bytes = ONNXBuilder.model(
            ONNXBuilder.graph(
                nodes: [ONNXBuilder.node("Reshape", ["x", "t"], ["y"])],
                inputs: [ONNXBuilder.value("x", [2, 3]), ONNXBuilder.value("t", type: 7, [1])], outputs: ["y"]))
        let model = try ONNXModel(bytes)
        let x = try NumpyArray([1, 2, 3, 4, 5, 6], shape: [2, 3])
        let t = try NumpyArray(type: .i64, shape: [1], bytes: ONNXBuilder.bytes([Int64(6)]))
        let run = try GraphRun(LocalGraph(model), ["x": x, "t": t], threads: 1)
        #expect(run.program.boundInputs == ["t"] && run.outputs[0].array.shape == [6])
        let fault = #expect(throws: ONNXFault.self) { _ = try model.imported(arrays: ["x": x]) }
        #expect("\(try #require(fault))".contains("comes from t"))
    }

    @Test func halfPrecisionWeightsStayHalf() throws {
        let half = ONNXBuilder.tensor("w", type: 10, [2], [0, 0x3C, 0, 0x40])
        let model = try ONNXModel(
            ONNXBuilder.model(
                [
                    ONNXBuilder.node("Cast", ["w"], ["v"], [.integer("to", 1)]),
                    ONNXBuilder.node("Unsqueeze", ["x", "zero"], ["u"]), ONNXBuilder.node("MatMul", ["u", "v"], ["y"]),
                ], initializers: [half, ONNXBuilder.integers("zero", [0])], x: [2]))
        let run = try GraphRun(LocalGraph(model), ["x": NumpyArray([3, 5], shape: [2])], threads: 1)
        #expect(run.outputs[0].array.floats == [13])
    }
}

extension ONNXModelTests {
    /// What anyone's executor must give: the bits of the ops' definitions, whatever the threads.
    @Test func runsHaveTheBitsOfTheDefinition() throws {
        var cases = try Self.models()
        cases += try ONNXCases.fixture("operators.safetensors").cases
        for item in cases {
            let graph = LocalGraph(try ONNXModel(item.model))
            let made = try graph.imported(arrays: item.inputs)
            let held = made.specialised.inputs.map { item.inputs[$0.name]?.bytes ?? [] }
            let expected = try Self.reference(made, held)
            for threads in [1, 3] {
                let run = try GraphRun(graph, item.inputs, threads: threads)
                for (output, tensor) in zip(run.outputs, expected) {
                    #expect(output.array.bytes == tensor.bytes, "\(item.name) \(output.name) on \(threads) threads")
                }
            }
        }
    }

    /// The outputs by the reference executor, the arrays' memory held while it runs.
    static func reference(_ made: ONNXProgram, _ inputs: [[UInt8]]) throws -> [Tensor] {
        let memory = inputs.map { bytes in
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 64)
            bytes.withUnsafeBytes { copy.copyMemory(from: $0) }
            return UnsafeRawBufferPointer(rebasing: copy[0..<bytes.count])
        }
        defer { for bytes in memory { bytes.deallocate() } }
        return try withExtendedLifetime(made) {
            try ReferenceExecutor(made.specialised).run(
                parameters: made.parameters.map { parameter in parameter.withBytes { $0 } }, inputs: memory
            ).outputs[0]
        }
    }
}
