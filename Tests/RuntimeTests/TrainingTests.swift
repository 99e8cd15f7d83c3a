import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// Gradients against differences of the loss, and training against PyTorch's losses.
struct TrainingTests {
    static func splitmix64(_ seed: UInt64) -> UInt64 {
        var x = seed &+ 0x9E37_79B9_7F4A_7C15
        x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
        x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
        return x ^ (x >> 31)
    }

    /// Initial weights as shared by both sides: uniform by splitmix64, biases 0, norms 1.
    static func weights(_ configuration: GPTConfiguration) -> [Tensor] {
        let scale = Float(2 * 3.0.squareRoot() * 0.02)
        return configuration.weights.enumerated().map { number, declaration in
            let count = Int(declaration.type.count)
            let shape = declaration.type.dimensions
            let name = declaration.name
            if name.contains("ln") && name.hasSuffix(".w") {
                return Tensor([Float](repeating: 1, count: count), shape: shape)
            }
            if name.hasSuffix(".b") { return Tensor([Float](repeating: 0, count: count), shape: shape) }
            let values = (0..<count).map { i -> Float in
                let u = splitmix64(UInt64(i) + (UInt64(number) << 32)) >> 40
                return (Float(u) * 0x1p-24 - 0.5) * scale
            }
            return Tensor(values, shape: shape)
        }
    }

    static func starts(steps: Int, batch: Int, text: Int, context: Int) -> [Int32] {
        let places = UInt64(text - context - 1)
        return (0..<steps * batch).map { index -> Int32 in
            let draw: UInt64 = splitmix64((1 << 40) + UInt64(index))
            return Int32(draw % places)
        }
    }

    static let tiny = GPTConfiguration(vocabulary: 256, width: 32, layers: 2, heads: 2, context: 16)
    static let text: [UInt8] = (0..<3000).map { (i: Int) -> UInt8 in
        let letter: Int = (i * i * 7 + i / 13) % 96
        return UInt8(letter + 32)
    }

    static func settings(clip: Bool) -> TrainingSettings {
        var settings = TrainingSettings()
        settings.batch = 4
        settings.rate = 3e-3
        if clip {
            settings.clip = 0.5
            settings.schedule = .cosine(warmup: 4, end: 20, least: 0.1)
        }
        return settings
    }

    static func trainer(_ settings: TrainingSettings, threads: Int = 1) throws -> Trainer {
        try Trainer(
            tiny, settings, text: text,
            starts: starts(steps: 20, batch: settings.batch, text: text.count, context: tiny.context),
            weights: weights(tiny), threads: threads)
    }

    /// PyTorch 2.13 (fp32, one thread) on the same weights and batches: constant rate; cosine with warm-up and clipping.
    static let losses: [Bool: [Int: Float]] = [
        false: [1: 5.553679, 2: 5.534121, 5: 5.491164, 10: 5.148108, 15: 4.975965, 20: 4.747055],
        true: [1: 5.553679, 2: 5.554641, 5: 5.519255, 10: 5.21748, 15: 5.087678, 20: 5.001043],
    ]

    /// Such a table of rows was asked of memory before anything was said.
    @Test func moreRowsThanCanBeDrawnAreRefused() {
        var settings = Self.settings(clip: false)
        settings.batch = 1 << 10
        #expect(
            throws: TrainingFault.setting(
                "steps", "times the batch are 1073741824 rows, at most 268435456 can be drawn")
        ) { try ByteObjective(Self.tiny, text: 3000).check(settings, steps: 1 << 20, memory: .max) }
    }

    @Test(arguments: [false, true]) func lossesAreThoseOfPyTorch(_ clip: Bool) throws {
        let trainer = try Self.trainer(Self.settings(clip: clip))
        var found: [Float] = []
        try trainer.run(steps: 20) { found.append($0) }
        for (step, loss) in Self.losses[clip] ?? [:] {
            #expect(abs(found[step - 1] - loss) < 2e-4, "step \(step): \(found[step - 1]), PyTorch \(loss)")
        }
        #expect(found.count == 20 && trainer.step == 20)
    }

    @Test func aTrainingThatGoesOnHasTheBitsOfOneThatWasNeverLeft() throws {
        let settings = Self.settings(clip: true)
        let whole = try Self.trainer(settings)
        try whole.run(steps: 6)
        let parts = try Self.trainer(settings, threads: 3)
        try parts.run(steps: 2)
        let folder = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("plasma-training-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("checkpoint.safetensors").path
        try Checkpoint.write(parts, to: path)
        let later = try Self.trainer(settings)
        try later.restore(path)
        #expect(later.step == 2)
        try later.run(steps: 4)
        #expect(later.state == whole.state)
        #expect(throws: TrainingFault.self) { try later.run(steps: 15) }
        // A checkpoint of another model is refused.
        let other = try Trainer(
            GPTConfiguration(vocabulary: 256, width: 64, layers: 2, heads: 2, context: 16), settings, text: Self.text,
            starts: Self.starts(steps: 20, batch: 4, text: Self.text.count, context: 16),
            weights: TrainingDraws.weights(
                GPTConfiguration(vocabulary: 256, width: 64, layers: 2, heads: 2, context: 16), seed: 1), threads: 1)
        #expect(throws: TrainingFault.self) { try other.restore(path) }
        // So is one that is past the end of the training: the step it names would be looked up in what this one has.
        let shorter = try Trainer(
            Self.tiny, settings, text: Self.text,
            starts: Self.starts(steps: 1, batch: 4, text: Self.text.count, context: Self.tiny.context),
            weights: Self.weights(Self.tiny), threads: 1)
        #expect(throws: TrainingFault.checkpoint(path: path, "is at step 2 of a training of 1")) {
            try shorter.restore(path)
        }
        #expect(shorter.step == 0)
    }

    @Test func aTrainingStepHasTheBitsOfTheReference() throws {
        let trainer = try Self.trainer(Self.settings(clip: true), threads: 2)
        let starts = Self.starts(steps: 20, batch: 4, text: Self.text.count, context: Self.tiny.context)
        let fixed = try TrainingProgram(Self.tiny, Self.settings(clip: true), text: Self.text.count, steps: 1)
            .program.specialise([])
        let before = trainer.state
        try trainer.run(steps: 1)
        try ExecutorTests.withPointers(before) { state in
            let inputs = [
                Tensor(element: .u8, shape: [Self.text.count], bytes: Self.text),
                Tensor(Array(starts[..<4]), shape: [1, 4]),
            ]
            try ExecutorTests.withPointers(inputs) { inputs in
                let expected = try ReferenceExecutor(fixed).run(
                    parameters: [], inputs: inputs,
                    carried: Dictionary(uniqueKeysWithValues: zip(state.indices, state)))
                #expect(expected.carried == trainer.state)
            }
        }
    }

    @Test func whatIsDrawnIsWhatTheReferenceDraws() throws {
        #expect(TrainingDraws.weights(Self.tiny, seed: 0) == Self.weights(Self.tiny))
        #expect(
            try TrainingDraws.starts(steps: 20, batch: 4, text: 3000, context: 16, seed: 0)
                == Self.starts(steps: 20, batch: 4, text: 3000, context: 16))
        #expect(throws: TrainingFault.text(bytes: 17, needed: 17)) {
            try TrainingDraws.starts(steps: 1, batch: 1, text: 17, context: 16, seed: 0)
        }
    }

    // MARK: Gradients

    /// A function of x [3, 4] and y [3, 4], made by ops.
    struct Function: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let body: @Sendable (inout GraphBuilder, ValueID, ValueID) -> ValueID

        init(_ name: String, _ body: @escaping @Sendable (inout GraphBuilder, ValueID, ValueID) -> ValueID) {
            testDescription = name
            self.body = body
        }

        /// A map of both.
        init(_ name: String, expression: @escaping @Sendable (inout ExpressionBuilder, UInt8, UInt8) -> Void) {
            self.init(name) { graph, x, y in
                graph.map(.f32, [3, 4], [x, y]) { e in
                    let (x, y) = (e.input(0), e.input(1))
                    expression(&e, x, y)
                }
            }
        }
    }

    static let functions: [Function] = [
        Function("sum") { e, x, y in _ = e.apply(.add, x, y) },
        Function("difference") { e, x, y in _ = e.apply(.subtract, y, x) },
        Function("product") { e, x, y in _ = e.apply(.multiply, x, y) },
        Function("quotient") { e, x, y in _ = e.apply(.divide, y, e.apply(.fma, x, x, e.constant(bits: 0x3F80_0000))) },
        Function("fma") { e, x, y in _ = e.apply(.fma, x, y, x) },
        Function("least and greatest") { e, x, y in
            _ = e.apply(.subtract, e.apply(.maximum, x, y), e.apply(.minimum, y, x))
        },
        Function("square root") { e, x, y in
            _ = e.apply(.squareRoot, e.apply(.fma, x, x, e.apply(.fma, y, y, e.constant(bits: 0x3F80_0000))))
        },
        Function("exp and log") { e, x, y in
            _ = e.apply(.log, e.apply(.add, e.apply(.exp, x), e.apply(.exp, y)))
        },
        Function("tanh and erf") { e, x, y in _ = e.apply(.multiply, e.apply(.tanh, x), e.apply(.erf, y)) },
        Function("sin and cos") { e, x, y in _ = e.apply(.add, e.apply(.sin, x), e.apply(.cos, y)) },
        Function("select") { e, x, y in
            _ = e.apply(.select, e.apply(.less, x, e.constant(bits: 0)), e.apply(.multiply, x, x), y)
        },
        Function("broadcast column") { graph, x, y in
            let total = graph.column(graph.reduce(.sum, y))
            return graph.map(.f32, [3, 4], [x, total]) { e in
                let (x, t) = (e.input(0), e.input(1))
                _ = e.apply(.multiply, x, t)
            }
        },
        Function("broadcast row") { graph, x, y in
            let row = graph.row(1, of: y)
            return graph.map(.f32, [3, 4], [x, row]) { e in
                let (x, r) = (e.input(0), e.input(1))
                _ = e.apply(.multiply, x, r)
            }
        },
        Function("extremes of rows") { graph, x, y in
            let most = graph.column(graph.reduce(.maximum, x))
            let least = graph.column(graph.reduce(.minimum, y))
            return graph.map(.f32, [3, 4], [most, least, x]) { e in
                let (m, l, x) = (e.input(0), e.input(1), e.input(2))
                _ = e.apply(.fma, m, l, x)
            }
        },
        Function("sum with extents") { graph, x, y in
            let extent = graph.map(.i32, [3], []) { e in _ = e.apply(.toI32, e.node(.index(0))) }
            let total = graph.column(graph.reduce(.sum, x, extent: extent))
            return graph.map(.f32, [3, 4], [total, y]) { e in
                let (t, y) = (e.input(0), e.input(1))
                _ = e.apply(.multiply, t, y)
            }
        },
        Function("product of matrices") { graph, x, y in graph.contract(x, y) },
        Function("product with extents") { graph, x, y in
            let extent = graph.map(.i32, [3], []) { e in
                _ = e.apply(.toI32, e.apply(.add, e.node(.index(0)), e.node(.constant(.i64, bits: 1))))
            }
            return graph.contract(x, y, extent: extent)
        },
        Function("batches with one right side") { graph, x, y in
            let batch = graph.reshape(x, [3, 2, 2])
            return graph.contract(batch, graph.reshape(graph.slice(y, axis: 0, start: 0, size: 2), [4, 2]))
        },
        Function("transpose, reshape, slice") { graph, x, y in
            let turned = graph.reshape(graph.transpose(x, [1, 0]), [2, 6])
            let part = graph.slice(turned, axis: 1, start: 1, size: 4)
            let other = graph.slice(turned, axis: 1, start: 0, size: 4)
            let both = graph.sum(part, other)
            return graph.contract(both, y)
        },
        Function("disjoint slices") { graph, x, y in
            let parts = (0..<2).map { graph.slice(x, axis: 1, start: Int64($0 * 2), size: 2) }
            let product = graph.map(.f32, [3, 2], parts) { e in
                let (a, b) = (e.input(0), e.input(1))
                _ = e.apply(.multiply, a, e.apply(.exp, b))
            }
            return graph.concat([product, graph.slice(y, axis: 1, start: 0, size: 2)], axis: 1)
        },
        Function("rows of a table") { graph, x, y in
            // Rows 2, 0, 2: one twice, one never.
            let place = graph.map(.i32, [3], []) { e in
                let i = e.node(.index(0))
                let isOne = e.apply(.equal, i, e.node(.constant(.i64, bits: 1)))
                let row = e.apply(.select, isOne, e.node(.constant(.i64, bits: 0)), e.node(.constant(.i64, bits: 2)))
                _ = e.apply(.toI32, row)
            }
            let rows = graph.rows(of: x, at: place)
            return graph.map(.f32, [3, 4], [rows, y]) { e in
                let (r, y) = (e.input(0), e.input(1))
                _ = e.apply(.multiply, r, e.apply(.multiply, r, y))
            }
        },
        Function("softmax") { graph, x, y in
            graph.sum(graph.attentionWeights(x, scale: 0x3F00_0000, extent: nil), y)
        },
        Function("layer norm") { graph, x, y in
            let gain = graph.row(0, of: y)
            let bias = graph.row(1, of: y)
            return graph.layerNorm(x, gain: gain, bias: bias, width: Float(4).bitPattern, epsilon: 0x3727_C5AC)
        },
        Function("gelu") { graph, x, y in graph.sum(graph.gelu(x), y) },
        Function("dropout") { graph, x, y in
            let product = graph.map(.f32, [3, 4], [x, y]) { e in
                let (x, y) = (e.input(0), e.input(1))
                _ = e.apply(.multiply, x, y)
            }
            return graph.sum(
                graph.dropout(product, Dropout(threshold: 1 << 31, scale: Float(2).bitPattern)),
                graph.dropout(x, Dropout(threshold: 1 << 30, scale: Float(4.0 / 3).bitPattern)))
        },
    ]

    /// The loss is a sum with weights of its own, so that no symmetry hides a fault.
    static func loss(_ graph: inout GraphBuilder, _ value: ValueID) -> ValueID {
        let count = graph.type(value).count
        let flat = graph.reshape(value, [Dimension(count)])
        let weighted = graph.map(.f32, [Dimension(count)], [flat]) { e in
            let x = e.input(0)
            let i = e.apply(.toF32, e.node(.index(0)))
            _ = e.apply(.multiply, x, e.apply(.sin, e.apply(.add, i, e.constant(bits: 0x3F80_0000))))
        }
        return graph.reduce(.sum, weighted)
    }

    @Test(arguments: functions) func gradientsAreDifferencesOfTheLoss(_ function: Function) throws {
        try Self.hold(function)
    }

    static func hold(_ function: Function) throws {
        let type = TensorType(.f32, [3, 4])
        var graph = GraphBuilder(leading: [type, type])
        let loss = loss(&graph, function.body(&graph, ValueID(0), ValueID(1)))
        let gradients = try Differentiation.gradients(of: loss, by: [ValueID(0), ValueID(1)], in: &graph)
        let program = try Program(
            axes: [], parameters: [],
            inputs: [TensorDeclaration(name: "x", type: type), TensorDeclaration(name: "y", type: type)],
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [loss] + gradients)])
        func run(_ x: [Float], _ y: [Float]) throws -> [Tensor] {
            try ReferenceExecutorTests.run(program, [Tensor(x, shape: [3, 4]), Tensor(y, shape: [3, 4])]).outputs[0]
        }
        let values = (0..<24).map { i in Float(splitmix64(UInt64(i) + 77) >> 40) * 0x1p-23 - 1 }
        let (x, y) = (Array(values[..<12]), Array(values[12...]))
        let found = try run(x, y)
        let step: Float = 1.0 / 256
        for side in 0..<2 {
            let gradient = found[1 + side].floats
            #expect(found[1 + side].shape == [3, 4])
            for place in 0..<12 {
                var (up, down) = ([x, y], [x, y])
                up[side][place] += step
                down[side][place] -= step
                let rise = try run(up[0], up[1])[0].floats[0] - run(down[0], down[1])[0].floats[0]
                let slope = rise / (2 * step)
                #expect(
                    abs(slope - gradient[place]) < 2e-3 * max(1, abs(slope)),
                    "\(function.testDescription), side \(side), element \(place): \(gradient[place]), differences \(slope)"
                )
            }
        }
    }

    @Test func onlyALossOfOneNumberIsDifferentiated() throws {
        let type = TensorType(.f32, [3, 4])
        var graph = GraphBuilder(leading: [type])
        let doubled = graph.sum(ValueID(0), ValueID(0))
        #expect(throws: DifferentiationFault.notAScalar) {
            _ = try Differentiation.gradients(of: doubled, by: [ValueID(0)], in: &graph)
        }
    }

    // MARK: Dropout and accumulation

    /// A step leaves out a share of the elements, another one in each op and step, and makes the others larger.
    @Test func dropoutLeavesOutItsShare() throws {
        let type = TensorType(.f32, [100, 100])
        var graph = GraphBuilder(leading: [type])
        let dropout = Dropout(threshold: UInt64(0.25 * 0x1p32), scale: Float(4.0 / 3).bitPattern)
        let out = (0..<2).map { _ in graph.dropout(ValueID(0), dropout) }
        let program = try Program(
            axes: [], parameters: [], inputs: [TensorDeclaration(name: "x", type: type)],
            scans: [Scan(steps: 2, operations: graph.operations, outputs: out)])
        let x = Tensor([Float](repeating: 3, count: 10_000), shape: [100, 100])
        func run(_ seed: UInt64) throws -> [Tensor] {
            try ExecutorTests.withPointers([x]) { inputs in
                try GraphExecutor(program: program.specialise([]), parameters: [], threads: 2)
                    .run(inputs: inputs, seed: seed).outputs.flatMap { $0 }
            }
        }
        let found = try run(5) + run(6)
        for tensor in found {
            let kept = tensor.floats.count { $0 != 0 }
            #expect(abs(kept - 7500) < 250, "\(kept) of 10,000 were kept")
            #expect(tensor.floats.allSatisfy { $0 == 0 || $0 == Float(3) * Float(4.0 / 3) })
        }
        #expect(Set(found.map(\.bytes)).count == 8)
        #expect(try run(5) == Array(found[..<4]))
    }

    static func thinned(accumulate: Int = 1) -> TrainingSettings {
        var settings = settings(clip: true)
        settings.dropout = 0.1
        settings.accumulate = accumulate
        settings.batch = 4 / accumulate
        return settings
    }

    static func trainer(_ settings: TrainingSettings, steps: Int, threads: Int, seed: UInt64) throws -> Trainer {
        try Trainer(
            tiny, settings, text: text,
            starts: starts(steps: steps, batch: settings.rows, text: text.count, context: tiny.context),
            weights: weights(tiny), threads: threads, seed: seed)
    }

    @Test(arguments: [1, 2]) func aThinnedTrainingHasTheBitsOfTheReferenceAndGoesOn(_ accumulate: Int) throws {
        let settings = Self.thinned(accumulate: accumulate)
        let whole = try Self.trainer(settings, steps: 3, threads: 1, seed: 9)
        let before = whole.state
        var losses: [Float] = []
        try whole.run(steps: 3) { losses.append($0) }
        // In parts, on other threads: what is left out depends on the training's step, not on where a run began.
        let parts = try Self.trainer(settings, steps: 3, threads: 3, seed: 9)
        for _ in 0..<3 { try parts.run(steps: 1) }
        #expect(parts.state == whole.state)
        let other = try Self.trainer(settings, steps: 3, threads: 1, seed: 10)
        try other.run(steps: 3)
        #expect(other.state != whole.state)
        let fixed = try TrainingProgram(Self.tiny, settings, text: Self.text.count, steps: 3).program.specialise([])
        let starts = Self.starts(steps: 3, batch: 4, text: Self.text.count, context: Self.tiny.context)
        try ExecutorTests.withPointers(before) { state in
            let inputs = [
                Tensor(element: .u8, shape: [Self.text.count], bytes: Self.text), Tensor(starts, shape: [3, 4]),
            ]
            try ExecutorTests.withPointers(inputs) { inputs in
                let expected = try ReferenceExecutor(fixed).run(
                    parameters: [], inputs: inputs,
                    carried: Dictionary(uniqueKeysWithValues: zip(state.indices, state)), seed: 9)
                #expect(expected.carried == whole.state)
                #expect(expected.outputs.map { $0[0].floats[0] } == losses)
            }
        }
    }

    /// Every op of a thinned step can be disputed: sampled elements are what the leaf gives.
    @Test func sampledElementsOfAThinnedStepAreWhatTheLeafGives() throws {
        let settings = Self.thinned(accumulate: 2)
        let program = try TrainingProgram(Self.tiny, settings, text: Self.text.count, steps: 2).program.specialise([])
        let trainer = try Self.trainer(settings, steps: 2, threads: 1, seed: 3)
        let starts = Self.starts(steps: 2, batch: 4, text: Self.text.count, context: Self.tiny.context)
        let inputs = [
            Tensor(element: .u8, shape: [Self.text.count], bytes: Self.text), Tensor(starts, shape: [2, 4]),
        ]
        let state = trainer.state
        try trainer.run(steps: 2)
        let (held, carried) = try LeafTests.hold(program, firstSteps: 2, inputs: inputs, carried: state, seed: 3)
        #expect(carried == trainer.state.map(\.root))
        #expect(held > 2_000)
    }

    /// Without decay of the first moment that moment is the gradient: the average of two batches is the sum of theirs, left to right, halved.
    @Test func gradientsOfBatchesAreAddedInOrderAndAveraged() throws {
        var settings = Self.settings(clip: false)
        settings.firstDecay = 0
        settings.batch = 2
        settings.accumulate = 3
        let all = Self.starts(steps: 1, batch: 6, text: Self.text.count, context: Self.tiny.context)
        func moments(_ settings: TrainingSettings, _ starts: [Int32]) throws -> (gradients: [[Float]], loss: Float) {
            let trainer = try Trainer(
                Self.tiny, settings, text: Self.text, starts: starts, weights: Self.weights(Self.tiny), threads: 2)
            var loss: Float = 0
            try trainer.run(steps: 1) { loss = $0 }
            let count = Self.tiny.weights.count
            return (trainer.state[count..<2 * count].map(\.floats), loss)
        }
        let found = try moments(settings, all)
        var single = settings
        single.accumulate = 1
        let parts = try (0..<3).map { try moments(single, Array(all[2 * $0..<2 * $0 + 2])) }
        for (number, gradient) in found.gradients.enumerated() {
            let expected = gradient.indices.map { place -> Float in
                let sum = parts[0].gradients[number][place] + parts[1].gradients[number][place]
                return (sum + parts[2].gradients[number][place]) / 3 + 0
            }
            #expect(gradient.map { ($0 + 0).bitPattern } == expected.map(\.bitPattern), "weight \(number)")
        }
        #expect(found.loss == (parts[0].loss + parts[1].loss + parts[2].loss) / 3)
        // One batch of as many rows gives the same but for rounding.
        var whole = single
        whole.batch = 6
        let one = try moments(whole, all)
        #expect(abs(one.loss - found.loss) < 1e-5)
        for (x, y) in zip(one.gradients, found.gradients) {
            let largest = x.map(\.magnitude).max() ?? 0
            #expect(zip(x, y).allSatisfy { abs($0 - $1) <= 2e-5 * max(largest, 1e-3) })
        }
    }

    @Test func withoutThemTheProgramKeepsItsDigest() throws {
        var settings = Self.settings(clip: false)
        func root() throws -> String {
            try TrainingProgram(Self.tiny, settings, text: 3000, steps: 20).program.root.hex
        }
        #expect(try root() == "f4217f57fd97606b26b98a8d07d7f42f8d5d20baf9dcbfe82759f4b054b0d8b3")
        settings = Self.settings(clip: true)
        #expect(try root() == "2634d48309585998b544cc7fd7359f3090042f05859a6029b2942f333a3982e3")
        settings.dropout = 0.1
        #expect(try root() != "2634d48309585998b544cc7fd7359f3090042f05859a6029b2942f333a3982e3")
        for dropout in [-0.1, 1, .nan] as [Float] {
            settings.dropout = dropout
            #expect(throws: TrainingFault.setting("dropout", "must be from 0 to below 1")) { try root() }
        }
        settings.dropout = 0
        for accumulate in [0, TrainingSettings.mostBatches + 1] {
            settings.accumulate = accumulate
            #expect(throws: TrainingFault.setting("accumulate", "must be from 1 to 64")) { try root() }
        }
        settings = Self.settings(clip: false)
        settings.accumulate = 2
        #expect(throws: TrainingFault.setting("dropout", "and accumulate are not for rounds: leave them out")) {
            try RoundProgram.worker(Self.tiny, settings, text: 3000, steps: 2)
        }
    }
}
