import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// Gradients of what moves unevenly, overlaps or looks back: against differences of the loss, and of whole models against PyTorch's.
struct GradientTests {
    typealias Function = TrainingTests.Function

    static func index(_ graph: inout GraphBuilder, _ values: [Int]) -> ValueID {
        graph.map(.i32, [Dimension(UInt64(values.count))], []) { e in
            var found = e.node(.constant(.i32, bits: 0))
            for (place, value) in values.enumerated() {
                let isHere = e.apply(.equal, e.node(.index(0)), e.node(.constant(.i64, bits: UInt64(place))))
                let bits = UInt64(UInt32(bitPattern: Int32(value)))
                found = e.apply(.select, isHere, e.node(.constant(.i32, bits: bits)), found)
            }
        }
    }

    static func product(_ graph: inout GraphBuilder, _ x: ValueID, _ y: ValueID) -> ValueID {
        graph.map(.f32, graph.type(x).shape, [x, y]) { e in
            let (x, y) = (e.input(0), e.input(1))
            _ = e.apply(.multiply, x, y)
        }
    }

    static func prefix(
        _ reduction: Reduction, _ name: String, isCut: Bool = false
    ) -> Function {
        Function(name) { graph, x, y in
            // Rows of 1, 2 and 3 elements.
            let extent = isCut ? index(&graph, [1, 2, 3]) : nil
            let all = graph.append(
                .reduce(reduction, input: x, extent: extent, prefix: true), TensorType(.f32, [3, 4]))
            return product(&graph, all, y)
        }
    }

    /// An image of x, [1, 1, 3, 4].
    static func image(_ graph: inout GraphBuilder, _ x: ValueID) -> ValueID { graph.reshape(x, [1, 1, 3, 4]) }

    static let movement: [Function] = [
        prefix(.sum, "prefix sum"), prefix(.sum, "prefix sum with extents", isCut: true),
        prefix(.maximum, "prefix maximum"), prefix(.minimum, "prefix minimum with extents", isCut: true),
        Function("greatest with extents") { graph, x, y in
            let extent = index(&graph, [1, 2, 4])
            return product(&graph, y, graph.column(graph.reduce(.maximum, x, extent: extent)))
        },
        Function("selected contraction") { graph, x, y in
            // One row twice, one never, one outside.
            let sums = graph.append(
                .contract(left: index(&graph, [1, 0, 1, 7]), right: x, extent: nil, selected: true),
                TensorType(.f32, [3, 3]))
            return graph.contract(graph.transpose(y, [1, 0]), sums)
        },
        Function("windows that overlap") { graph, x, y in
            let window = SlidingWindow(kernel: [3], strides: [2], dilations: [1], before: [1], size: [6])
            let windows = graph.reshape(graph.windows(graph.reshape(x, [1, 1, 12]), window), [6, 3])
            return graph.contract(windows, graph.reshape(y, [4, 3]))
        },
        Function("convolution") { graph, x, y in
            let weight = graph.reshape(graph.slice(y, axis: 0, start: 0, size: 2), [2, 1, 2, 2])
            let window = SlidingWindow(
                kernel: [2, 2], strides: [1, 2], dilations: [2, 1], before: [1, 1], size: [3, 3])
            return graph.convolution(image(&graph, x), weight: weight, bias: nil, window)
        },
        Function("convolution in groups, with a bias") { graph, x, y in
            let input = graph.reshape(x, [1, 2, 6])
            let weight = graph.reshape(graph.slice(y, axis: 0, start: 0, size: 2), [4, 1, 2])
            let bias = graph.row(2, of: y)
            let window = SlidingWindow(kernel: [2], strides: [3], dilations: [2], before: [0], size: [2])
            return graph.convolution(input, weight: weight, bias: bias, groups: 2, window)
        },
        Function("transposed convolution") { graph, x, y in
            let weight = graph.reshape(graph.slice(y, axis: 0, start: 0, size: 2), [2, 1, 2, 2])
            let window = SlidingWindow(
                kernel: [2, 2], strides: [2, 2], dilations: [1, 1], before: [0, 0], size: [6, 8], isTransposed: true)
            return graph.convolution(image(&graph, x), weight: weight, bias: nil, window)
        },
        Function("pool of the greatest") { graph, x, y in
            let window = SlidingWindow(
                kernel: [2, 2], strides: [1, 1], dilations: [1, 1], before: [1, 0], size: [3, 3])
            let fill = UInt64((-Float.infinity).bitPattern)
            let greatest = graph.reduce(.maximum, graph.windows(image(&graph, x), window, fill: fill))
            return graph.contract(graph.reshape(greatest, [3, 3]), graph.reshape(y, [4, 3]))
        },
        Function("steps and steps back") { graph, x, y in
            let odd = graph.slice(x, starts: [2, 3], steps: [-2, -2], sizes: [2, 2])
            let even = graph.slice(y, starts: [0, 0], steps: [2, 3], sizes: [2, 2])
            return graph.contract(odd, product(&graph, even, odd))
        },
        Function("one place of strided rows") { graph, x, y in
            let column = graph.gather(
                x, [2],
                [Coordinate(terms: [.init(axis: 0, coefficient: 2)]), Coordinate(offset: 3)])
            return graph.contract(graph.reshape(column, [1, 2]), graph.reshape(y, [6, 2]))
        },
        Function("a place outside") { graph, x, y in
            let nothing = graph.gather(x, [3, 4], [.axis(0), Coordinate(offset: 9)])
            return product(&graph, graph.sum(nothing, x), y)
        },
        Function("diagonal") { graph, x, y in
            let diagonal = graph.gather(
                x, [3], [.axis(0), Coordinate(offset: 1, terms: [.init(axis: 0, coefficient: 1)])])
            return graph.contract(graph.reshape(diagonal, [1, 3]), graph.reshape(y, [4, 3]))
        },
        Function("tiles that do not fit") { graph, x, y in
            let tiled = graph.gather(
                x, [3, 6], [.axis(0), Coordinate(terms: [.init(axis: 1, coefficient: 1)], modulus: 4)])
            return graph.contract(tiled, graph.reshape(y, [2, 6]))
        },
        Function("nearest neighbours of a larger grid") { graph, x, y in
            let larger = graph.gather(
                x, [5, 6],
                [
                    Coordinate(offset: -2, terms: [.init(axis: 0, coefficient: 3)], quotient: 5),
                    Coordinate(terms: [.init(axis: 1, coefficient: 4)], quotient: 6),
                ])
            return graph.contract(larger, graph.reshape(y, [2, 6]))
        },
        Function("interleaved pieces") { graph, x, y in
            // Even columns of x where the division is exact, y's before and beside them; x's own box ends early.
            let pieces = [
                GatherPiece(
                    start: [0, 0], size: [3, 6], source: x,
                    coordinates: [
                        .axis(0), Coordinate(terms: [.init(axis: 1, coefficient: 1)], quotient: 2, exact: true),
                    ]),
                GatherPiece(
                    start: [0, 1], size: [3, 7], source: y,
                    coordinates: [
                        .axis(0), Coordinate(offset: 1, terms: [.init(axis: 1, coefficient: 1)], quotient: 2),
                    ]
                ),
            ]
            let joined = graph.append(.gather(pieces, fill: 0x3F80_0000), TensorType(.f32, [3, 8]))
            return product(&graph, joined, graph.gather(x, [3, 8], [.axis(0), Coordinate()]))
        },
        Function("elements by an index") { graph, x, y in
            // Sorted, then the two greatest of each row.
            let order = graph.append(.sort(input: x, descending: true), TensorType(.i32, [3, 4]))
            let places = graph.slice(order, axis: 1, start: 0, size: 2)
            let greatest = graph.gather(x, [3, 2], [.axis(0), Coordinate(table: places, tableAxes: [0, 1])])
            return graph.contract(greatest, graph.reshape(y, [6, 2]))
        },
        Function("a part of each row by an index") { graph, x, y in
            let rows = index(&graph, [2, -1, 0, 2])
            let part = graph.gather(
                x, [4, 3],
                [
                    Coordinate(offset: 1, table: rows, tableAxes: [0]),
                    Coordinate(offset: 1, terms: [.init(axis: 1, coefficient: 1)]),
                ])
            return graph.contract(part, graph.reshape(y, [4, 3]))
        },
        Function("rows repeated for every place") { graph, x, y in
            let rows = index(&graph, [1, 1, 2])
            let all = graph.gather(
                x, [2, 3, 4], [Coordinate(table: rows, tableAxes: [1]), .axis(2)])
            return graph.contract(graph.reshape(all, [6, 4]), y)
        },
        Function("product of four") { graph, x, y in
            let more = [graph.gelu(x), graph.gelu(y)]
            return graph.map(.f32, [3, 4], [x, y] + more) { e in
                let (a, b, c, d) = (e.input(0), e.input(1), e.input(2), e.input(3))
                _ = e.apply(.multiply, e.apply(.multiply, a, b), e.apply(.multiply, c, d))
            }
        },
    ]

    @Test(arguments: movement) func gradientsAreDifferencesOfTheLoss(_ function: Function) throws {
        try TrainingTests.hold(function)
    }

    /// Convolutions and pools go back as sums over windows, which all processors take part in, not element by element.
    @Test(arguments: ["windows that overlap", "convolution", "pool of the greatest", "steps and steps back"])
    func windowsGoBackWithoutASelectedContraction(_ name: String) throws {
        let function = try #require(Self.movement.first { $0.testDescription == name })
        let type = TensorType(.f32, [3, 4])
        var graph = GraphBuilder(leading: [type, type])
        let loss = TrainingTests.loss(&graph, function.body(&graph, ValueID(0), ValueID(1)))
        _ = try Differentiation.gradients(of: loss, by: [ValueID(0), ValueID(1)], in: &graph)
        let selected = graph.operations.count {
            if case .contract(_, _, _, let selected) = $0.operation { selected } else { false }
        }
        #expect(selected == 0)
    }

    @Test func whatIsStoredInFewerBitsIsRefusedByName() throws {
        let type = TensorType(.f32, [3, 4])
        var graph = GraphBuilder(leading: [type])
        let half = graph.append(
            .map(MapExpression([.input(0)]), inputs: [ValueID(0)]), TensorType(.bf16, [3, 4]))
        let loss = TrainingTests.loss(&graph, graph.widened(half))
        #expect(
            throws: DifferentiationFault.unsupported(
                op: 0, "its result is stored in fewer bits, which moves in steps")
        ) { _ = try Differentiation.gradients(of: loss, by: [ValueID(0)], in: &graph) }
    }

    // MARK: Whole models

    /// What scripts/fixtures/training.py wrote of a model: the loss, and gradients by the weights' names.
    static func expected(_ model: String) throws -> (loss: Float, gradients: [String: [Float]]) {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures/training/gradients.safetensors").path
        let file = try SafetensorsFile(path: path)
        var gradients: [String: [Float]] = [:]
        for tensor in file.tensors where tensor.name.hasPrefix(model + "/") {
            gradients[String(tensor.name.dropFirst(model.count + 1))] = file.withBytes(of: tensor) { raw in
                (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
            }
        }
        let loss = try #require(gradients.removeValue(forKey: "loss")?.first)
        return (loss, gradients)
    }

    /// Gradients of the mean square of a pass's first output against sin(0), sin(1), …, by all its parameters, run with the executor.
    static func hold(
        _ forward: ForwardGraph, parameters: [Tensor], inputs: [Tensor], output: [Int], against model: String
    ) throws {
        let (expectedLoss, expectedGradients) = try expected(model)
        let values = Tensor((0..<output.reduce(1, *)).map { Float(sin(Double($0))) }, shape: output)
        let objective = ImportedObjective(
            forward, target: .values(examples: output[0]), isTrained: forward.parameters.map { _ in true })
        let data = objective.data
        let rows = TensorDeclaration(name: "rows", type: TensorType(.i32, [Dimension(UInt64(output[0]))]))
        let leading = objective.weights + objective.frozen + data + [rows]
        var graph = GraphBuilder(leading: leading.map(\.type))
        let count = objective.weights.count
        let first = count + objective.frozen.count
        let weights = (0..<count).map { ValueID($0) }
        let (loss, constants) = try objective.loss(
            &graph, weights: weights, frozen: (count..<first).map { ValueID($0) },
            data: data.indices.map { ValueID(first + $0) }, rows: ValueID(first + data.count), dropout: nil)
        let gradients = try Differentiation.gradients(of: loss, by: weights, constants: constants, in: &graph)
        let program = try Program(
            axes: [], parameters: [], inputs: leading,
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [loss] + gradients)])
        let moved = zip(parameters, objective.isTrained).filter(\.1).map(\.0)
        let still = zip(parameters, objective.isTrained).filter { !$0.1 }.map(\.0)
        let given =
            moved + still + inputs + [values, Tensor((0..<Int32(output[0])).map { $0 }, shape: [output[0]])]
        let found = try ExecutorTests.withPointers(given) { pointers in
            try GraphExecutor(program: program.specialise([]), parameters: [], threads: 2).run(inputs: pointers)
                .outputs[0]
        }
        #expect(abs(found[0].floats[0] - expectedLoss) <= 1e-5 * abs(expectedLoss))
        let names = objective.weights.map(\.name)
        #expect(Set(expectedGradients.keys).isSubset(of: names), "\(names)")
        func largest(_ values: [Float]) -> Float { values.map(\.magnitude).max() ?? 0 }
        let all = expectedGradients.values.map(largest).max() ?? 0
        for (name, gradient) in zip(names, found.dropFirst()) {
            // What the import added (a table of constants) has no gradient there.
            guard let expected = expectedGradients[name] else { continue }
            // A softmax is moved by no bias of its keys: that gradient is rounding and nothing else, on both sides.
            let scale = max(largest(expected), 1e-3 * all)
            let difference = largest(zip(gradient.floats, expected).map { $0 - $1 })
            #expect(gradient.floats.count == expected.count)
            #expect(difference <= 1e-4 * scale, "\(model), \(name): \(difference) of \(scale)")
        }
    }

    @Test func aVisionTransformersGradientsAreThoseOfPyTorch() throws {
        let fixture = try TransformerFixture("vit")
        let model = try fixture.model()
        let fixed = try model.program().specialise([("batch", 2)])
        let logits = try #require(model.outputNames.firstIndex(of: "logits"))
        let forward = try ForwardGraph(fixed, output: logits)
        try Self.hold(
            forward, parameters: model.parameters.map(\.tensor),
            inputs: [Tensor(try fixture.floats("pixel_values"), shape: [2, 3, 12, 8])], output: [2, 5], against: "vit")
    }

    @Test func anExportedResNetsGradientsAreThoseOfPyTorch() throws {
        let item = try #require(try ONNXModelTests.models().first { $0.name == "resnet legacy 17" })
        let model = try ONNXModel(item.model).imported(arrays: item.inputs)
        let parameters = model.parameters.map { parameter in
            Tensor(
                element: parameter.type.element, shape: parameter.type.dimensions,
                bytes: parameter.withBytes { Array($0) })
        }
        let image = try #require(item.inputs["image"])
        try Self.hold(
            ForwardGraph(model.specialised), parameters: parameters,
            inputs: [Tensor(element: .f32, shape: image.shape, bytes: image.bytes)], output: [2, 10],
            against: "resnet")
    }
}
