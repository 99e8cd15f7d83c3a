import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// What is wrong with a model gets one sentence, in bounded time and memory.
@Suite struct ONNXRefusalTests {
    typealias Build = ONNXBuilder

    static func refusal(
        _ bytes: [UInt8], axes: [String: Int] = [:], arrays: [String: NumpyArray] = [:]
    ) -> String {
        do {
            _ = try ONNXModel(bytes).imported(axes: axes, arrays: arrays)
            return "nothing is wrong"
        } catch {
            let sentence = "\(error)"
            return sentence.hasSuffix(".") ? sentence : "no sentence: \(sentence)"
        }
    }

    static func check(_ bytes: [UInt8], _ words: String, _ place: SourceLocation = #_sourceLocation) {
        let sentence = refusal(bytes)
        #expect(sentence.contains(words), "\(sentence)", sourceLocation: place)
    }

    static let small = Build.model([Build.node("Relu", ["x"], ["y"])])

    @Test func whatIsNoModelIsRefused() {
        Self.check([], "has no graph")
        Self.check(Array("PK\u{3}\u{4}zip".utf8), "does not follow the schema")
        Self.check(Self.small + [0x38, 1], "does not follow the schema")
        Self.check(Self.small + Build.block(7, []), "two graphs")
        #expect(Self.refusal(Self.small) == "nothing is wrong")
        for count in 0..<Self.small.count - 1 {
            #expect(Self.refusal(Array(Self.small.prefix(count))) != "nothing is wrong")
        }
    }

    @Test func versionsThatAreNotKnownAreRefused() {
        for opset in [1, 10, 26, 1 << 40] {
            Self.check(Build.model([Build.node("Relu", ["x"], ["y"])], opset: opset), "export it with opset 11 to 23")
        }
        for opset in [11, 23] {
            #expect(Self.refusal(Build.model([Build.node("Relu", ["x"], ["y"])], opset: opset)) == "nothing is wrong")
        }
    }

    @Test func graphsWhoseNamesDoNotFitAreRefused() {
        Self.check(
            Build.model([
                Build.node("Add", ["x", "b"], ["a"]), Build.node("Relu", ["a"], ["b"]), Build.node("Exp", ["b"], ["y"]),
            ]),
            "depends on its own result")
        Self.check(Build.model([Build.node("Relu", ["y"], ["y"])]), "depends on its own result")
        Self.check(Build.model([Build.node("Relu", ["z"], ["y"])]), "nothing makes \"z\"")
        Self.check(
            Build.model([Build.node("Relu", ["x"], ["y"]), Build.node("Exp", ["x"], ["y"])]), "two nodes make \"y\"")
        Self.check(Build.model(Build.graph(nodes: [], outputs: [])), "no output")
    }

    @Test func nodesMayStandInAnyOrder() {
        let nodes = [Build.node("Relu", ["a"], ["y"]), Build.node("Exp", ["x"], ["a"])]
        #expect(Self.refusal(Build.model(nodes)) == "nothing is wrong")
    }

    @Test func operatorsThatThereAreNotAreNamed() {
        let node = Build.node("NonMaxSuppression", ["x", "x"], ["y"], name: "boxes/7")
        Self.check(
            Build.model([node]), "NonMaxSuppression of node \"boxes/7\" cannot be had (there is no such operator here)")
        Self.check(Build.model([Build.node("Relu", ["x"], ["y"], domain: "mine")]), "mine.Relu")
        Self.check(
            Build.model([Build.node("Pow", ["x", "e"], ["y"])], initializers: [Build.floats("e", [], [1.7])]),
            "the power 1.7")
        Self.check(
            Build.model([Build.node("If", ["c"], ["y"], [])], initializers: [Build.tensor("c", type: 9, [], [1])]),
            "a branch of it is missing")
        Self.check(
            Build.model(
                [
                    Build.node("ReduceSum", ["x"], ["s"], [.integer("keepdims", 0)]),
                    Build.node("Cast", ["s"], ["c"], [.integer("to", 9)]), Build.node("If", ["c"], ["y"]),
                ]),
            "needs a value that is fixed at import")
    }

    @Test(arguments: [[1 << 62, 4], [-1, 2], [1 << 40, 2], [0, 1 << 62], [1 << 32, 1 << 32]])
    func shapesThatNoTensorHasAreRefused(_ shape: [Int]) {
        let nodes = [Build.node("Add", ["x", "w"], ["y"])]
        Self.check(
            Build.model(nodes, initializers: [Build.tensor("w", type: 1, shape, [])]),
            "has a shape that no tensor can have")
        let sizes = shape.map(Int64.init)
        Self.check(
            Build.model([Build.node("Expand", ["x", "s"], ["y"])], initializers: [Build.integers("s", sizes)], x: [1]),
            "it makes a tensor of the shape")
        Self.check(
            Build.model([Build.node("ConstantOfShape", ["s"], ["y"])], initializers: [Build.integers("s", sizes)]),
            "it makes a tensor of the shape")
        if !shape.contains(-1) {
            Self.check(Build.model([Build.node("Relu", ["x"], ["y"])], x: shape), "which no tensor can have")
        }
    }

    @Test func ranksAboveEightAreRefused() {
        let nine = [Int](repeating: 1, count: 9)
        Self.check(Build.model([Build.node("Relu", ["x"], ["y"])], x: nine), "axes of one tensor")
        Self.check(
            Build.model(
                [Build.node("Reshape", ["x", "s"], ["y"])], initializers: [Build.integers("s", nine.map(Int64.init))],
                x: [1]),
            "9 axes")
        Self.check(
            Build.model([Build.node("Add", ["x", "w"], ["y"])], initializers: [Build.floats("w", nine, [1])]),
            "has 9 axes")
    }

    @Test func tensorsThatAreNotWholeAreRefused() {
        func model(_ tensor: [UInt8]) -> [UInt8] {
            Build.model([Build.node("Add", ["x", "w"], ["y"])], initializers: [tensor])
        }
        Self.check(model(Build.tensor("w", type: 1, [3], [0, 0])), "holds 2 bytes where its shape needs 12")
        Self.check(model(Build.tensor("w", type: 8, [3], [])), "holds string")
        Self.check(model(Build.tensor("w", type: 12, [1], [0, 0, 0, 0])), "holds uint32")
        Self.check(model(Build.floats("w", [3], [1, .nan, 2])), "is not a number at element 1")
        Self.check(model(Build.floats("w", [3], [1, 2, 3]) + Build.floats("w", [3], [1, 2, 3])), "holds")
        Self.check(
            Build.model(
                [Build.node("Add", ["x", "w"], ["y"])],
                initializers: [Build.floats("w", [1], [1]), Build.floats("w", [1], [1])]), "two stored tensors")
    }

    @Test func typesThatDoNotFitAreRefused() {
        Self.check(
            Build.model([Build.node("Add", ["x", "w"], ["y"])], initializers: [Build.integers("w", [1])]),
            "its inputs are f32 and i64")
        Self.check(Build.model([Build.node("Sqrt", ["x"], ["y"])], type: 7), "is i64 where a float is needed")
        Self.check(Build.model([Build.node("Relu", ["x"], ["y"])], type: 11), "is of float64")
        Self.check(Build.model([Build.node("And", ["x", "x"], ["y"])]), "takes truth values")
        Self.check(Build.model([Build.node("Cast", ["x"], ["y"], [.integer("to", 11)])]), "it casts to float64")
        Self.check(
            Build.model(
                [Build.node("Add", ["x", "w"], ["y"])],
                initializers: [Build.tensor("w", type: 11, [], Build.bytes([1.0]))]),
            "it computes in float64")
    }

    @Test func settingsThatAreAbsurdAreRefused() {
        let filters = Build.floats("w", [1, 1, 1, 1], [1])
        for attribute in [
            Build.Attribute.integers("strides", [0, 1]), .integers("strides", [-1, 1]),
            .integers("pads", [-1, 0, 0, 0]),
            .integers("pads", [1 << 31, 0, 0, 0]), .integers("dilations", [1]), .integer("group", 0),
            .integer("group", 7),
            .integers("strides", [1 << 62, 1]),
        ] {
            let model = Build.model(
                [Build.node("Conv", ["x", "w"], ["y"], [attribute])], initializers: [filters], x: [1, 1, 4, 4])
            Self.check(model, "Conv of node \"y\" cannot be had")
        }
        for kernel in [[0, 1], [1 << 20, 1 << 20], [5, 5], [-3, 1]] {
            let model = Build.model(
                [Build.node("MaxPool", ["x"], ["y"], [.integers("kernel_shape", kernel)])], x: [1, 1, 4, 4])
            Self.check(model, "MaxPool of node \"y\" cannot be had")
        }
        Self.check(
            Build.model([Build.node("Transpose", ["x"], ["y"], [.integers("perm", [0, 0])])]), "is none of 2 axes")
        Self.check(Build.model([Build.node("Softmax", ["x"], ["y"], [.integer("axis", 2)])]), "its axis 2")
        Self.check(
            Build.model([Build.node("Softmax", ["x"], ["y"], [.integer("axis", Int.min)])]), "its attribute axis")
    }

    /// What grows by repetition: no tensor of it is made, and where it would be, the run is refused.
    @Test func bombsDoNotGoOff() throws {
        // 2^39 elements of one number: an op, not a tensor; the run's memory is refused.
        let wide = Build.model(
            [Build.node("ConstantOfShape", ["s"], ["c"]), Build.node("Add", ["x", "c"], ["y"])],
            initializers: [Build.integers("s", [1 << 20, 1 << 19])], x: [1])
        let model = try ONNXModel(wide)
        #expect(try model.imported().parameters.isEmpty)
        let fault = #expect(throws: RunFault.self) {
            _ = try GraphRun(LocalGraph(model), ["x": NumpyArray([1], shape: [1])], threads: 1, memory: 1 << 34)
        }
        #expect("\(try #require(fault))".contains("bytes of memory"))
        // Each node doubles its operand.
        var nodes = [Build.node("Concat", ["x", "x"], ["v1"], [.integer("axis", 0)])]
        for place in 1..<60 {
            nodes.append(Build.node("Concat", ["v\(place)", "v\(place)"], ["v\(place + 1)"], [.integer("axis", 0)]))
        }
        nodes.append(Build.node("Relu", ["v60"], ["y"]))
        Self.check(Build.model(nodes), "it makes a tensor of the shape")
        // The same of known tensors: folding stops, the shape does not.
        nodes[0] = Build.node("Concat", ["w", "w"], ["v1"], [.integer("axis", 0)])
        Self.check(
            Build.model(nodes, initializers: [Build.floats("w", [2], [1, 2])]), "it makes a tensor of the shape")
        // Much work of known tensors: only so much is done at import.
        let table = Build.floats("w", [1024], [Float](repeating: 1, count: 1024))
        var many: [[UInt8]] = []
        for place in 0..<2_000 { many.append(Build.node("Tile", ["w", "s"], ["t\(place)"])) }
        many.append(Build.node("Sum", (0..<2_000).map { "t\($0)" }, ["y"]))
        #expect(
            Self.refusal(Build.model(many, initializers: [table, Build.integers("s", [1024])])) == "nothing is wrong")
    }

    @Test func callsWithoutEndAreRefused() {
        let own = Build.function(
            "Own", inputs: ["a"], outputs: ["b"], nodes: [Build.node("Own", ["a"], ["b"], domain: "own")])
        Self.check(
            Build.model([Build.node("Own", ["x"], ["y"], domain: "own")], functions: [own]), "calls within calls")
        // Each function calls the next twice.
        var functions: [[UInt8]] = []
        for place in 0..<30 {
            functions.append(
                Build.function(
                    "F\(place)", inputs: ["a"], outputs: ["c"],
                    nodes: [
                        Build.node("F\(place + 1)", ["a"], ["b"], domain: "own"),
                        Build.node("F\(place + 1)", ["b"], ["c"], domain: "own"),
                    ]))
        }
        functions.append(
            Build.function("F30", inputs: ["a"], outputs: ["b"], nodes: [Build.node("Identity", ["a"], ["b"])]))
        Self.check(
            Build.model([Build.node("F0", ["x"], ["y"], domain: "own")], functions: functions), "counted at each call")
        var graph = Build.graph(nodes: [Build.node("Relu", ["x"], ["b"])], outputs: ["b"])
        for _ in 0..<200 {
            graph = Build.graph(nodes: [Build.node("If", ["c"], ["b"], [.graph("then_branch", graph)])], outputs: ["b"])
        }
        Self.check(Build.model(graph), "graphs within graphs")
        let body = Build.graph(
            nodes: [Build.node("Identity", ["k"], ["l"]), Build.node("Identity", ["v"], ["w"])],
            inputs: ["i", "k", "v"].map { Build.value($0) }, outputs: ["l", "w"])
        Self.check(
            Build.model(
                [Build.node("Loop", ["m", "", "x"], ["y"], [.graph("body", body)])],
                initializers: [Build.tensor("m", type: 7, [], Build.bytes([Int64.max]))]),
            "rounds")
    }

    @Test func inputsThatDoNotFitAreRefused() throws {
        let bytes = Build.model([Build.node("Relu", ["x"], ["y"])], x: [-1, 3])
        Self.check(bytes, "The axis \"n\" has no value")
        let fits = try NumpyArray([1, 2, 3], shape: [1, 3])
        #expect(Self.refusal(bytes, arrays: ["x": fits]) == "nothing is wrong")
        #expect(Self.refusal(bytes, axes: ["n": 2], arrays: ["x": fits]).contains("which is 2 elsewhere"))
        #expect(
            Self.refusal(bytes, arrays: ["x": try NumpyArray([1, 2], shape: [1, 2])]).contains(
                "has an axis of 2 where the model takes 3"))
        #expect(Self.refusal(bytes, arrays: ["x": try NumpyArray([1], shape: [1])]).contains("takes 2 axes"))
        #expect(Self.refusal(bytes, arrays: ["z": fits]).contains("is none of the model's"))
        let whole = try NumpyArray(type: .i64, shape: [1, 3], bytes: [UInt8](repeating: 0, count: 24))
        #expect(Self.refusal(bytes, arrays: ["x": whole]).contains("holds <i8 where the model takes f32"))
        #expect(throws: RunFault.missingInput("x")) {
            _ = try GraphRun(LocalGraph(try ONNXModel(bytes)), [:], axes: ["n": 1], threads: 1)
        }
    }

    @Test func externalTensorsStayInTheirFolder() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("onnx-\(UUID().uuidString)")
        let inner = folder.appendingPathComponent("model/weights")
        try FileManager.default.createDirectory(at: inner, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let numbers: [Float] = [9, 1, 2, 3]
        try Data(Build.bytes(numbers)).write(to: inner.appendingPathComponent("w.bin"))
        try Data(Build.bytes(numbers)).write(to: folder.appendingPathComponent("outside.bin"))
        try FileManager.default.createSymbolicLink(
            at: inner.appendingPathComponent("link.bin"),
            withDestinationURL: folder.appendingPathComponent("outside.bin"))
        func refusal(_ location: String, offset: String = "4", length: String = "12") throws -> String {
            let entries = [("location", location), ("offset", offset), ("length", length)].flatMap { key, value in
                Build.block(13, Build.text(1, key) + Build.text(2, value))
            }
            let tensor = Build.number(1, 3) + Build.number(2, 1) + Build.text(8, "w") + entries + Build.number(14, 1)
            let path = folder.appendingPathComponent("model/m.onnx")
            try Data(Build.model([Build.node("Add", ["x", "w"], ["y"])], initializers: [tensor])).write(to: path)
            do {
                let model = try ONNXModel(path: path.path)
                let run = try GraphRun(
                    LocalGraph(model), ["x": NumpyArray([0, 0, 0, 1, 1, 1], shape: [2, 3])], threads: 1)
                return "\(run.outputs[0].array.floats ?? [])"
            } catch { return "\(error)" }
        }
        #expect(try refusal("weights/w.bin") == "[1.0, 2.0, 3.0, 2.0, 3.0, 4.0]")
        for location in [
            "../outside.bin", "weights/../../outside.bin", folder.path + "/outside.bin", "weights/link.bin",
        ] {
            #expect(try refusal(location).contains("outside the model's folder"), "\(location)")
        }
        #expect(try refusal("weights/none.bin").contains("does not exist"))
        #expect(try refusal("weights/w.bin", offset: "8").contains("ends behind the end"))
        #expect(try refusal("weights/w.bin", offset: "9223372036854775807").contains("ends behind the end"))
        #expect(try refusal("weights/w.bin", offset: "-4").contains("no number"))
        #expect(try refusal("weights/w.bin", length: "16").contains("has 16 bytes"))
        #expect(try refusal("weights").contains("not a regular file"))
    }

    @Test func mutatedModelsNeverTrap() throws {
        var seeds = [Self.small]
        for item in try ONNXCases.fixture("operators.safetensors").cases { seeds.append(item.model) }
        var random = SplitMix64(seed: 77)
        for round in 0..<6_000 {
            let bytes = Mutation.of(seeds[round % seeds.count], &random)
            guard let model = try? ONNXModel(bytes) else { continue }
            let axes = Dictionary(uniqueKeysWithValues: model.axes.map { ($0, 2) })
            guard let program = try? model.imported(axes: axes) else { continue }
            #expect(program.specialised.parameters.count == program.parameters.count)
        }
    }
}
