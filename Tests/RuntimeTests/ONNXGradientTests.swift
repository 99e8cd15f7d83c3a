import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// Every operator and every exported model of the fixtures has gradients: along a random direction they are the differences of the loss.
@Suite struct ONNXGradientTests {
    /// A case's f32 parameters and inputs, which are moved, and a loss of all its f32 outputs with its gradients.
    private struct Differentiated {
        let program: SpecialisedProgram
        /// By the program's inputs; those that are f32 are moved.
        let start: [Tensor]

        /// Nil where nothing of the model is f32, so that there is nothing to move.
        init?(_ item: ONNXCases.Case) throws {
            let made = try ONNXModel(item.model, name: item.name).imported(arrays: item.inputs)
            let fixed = made.specialised
            let scan = fixed.scans[0]
            let types = fixed.types(of: scan)
            let outputs = scan.outputs.indices.filter { types[Int(scan.outputs[$0].index)].element == .f32 }
            let leading = fixed.parameters + fixed.inputs
            let moved = leading.indices.filter { leading[$0].type.element == .f32 }
            if outputs.isEmpty || moved.isEmpty { return nil }
            var graph = GraphBuilder(leading: leading.map(\.type))
            let ids = leading.indices.map { ValueID($0) }
            let count = fixed.parameters.count
            var losses: [ValueID] = []
            for output in outputs {
                let value = try ForwardGraph(fixed, output: output)
                    .append(to: &graph, parameters: Array(ids[..<count]), inputs: Array(ids[count...]))
                losses.append(graph.reshape(TrainingTests.loss(&graph, value), [1]))
            }
            let loss = graph.reduce(.sum, graph.concat(losses, axis: 0))
            let gradients = try Differentiation.gradients(of: loss, by: moved.map { ids[$0] }, in: &graph)
            program = try Program(
                axes: [], parameters: [], inputs: leading,
                scans: [Scan(steps: 1, operations: graph.operations, outputs: [loss] + gradients)]
            ).specialise([])
            start =
                made.parameters.map { parameter in
                    Tensor(
                        element: parameter.type.element, shape: parameter.type.dimensions,
                        bytes: parameter.withBytes { Array($0) })
                }
                + fixed.inputs.map { declaration in
                    Tensor(
                        element: declaration.type.element, shape: declaration.type.dimensions,
                        bytes: item.inputs[declaration.name]?.bytes ?? [])
                }
        }

        func run(_ tensors: [Tensor]) throws -> [Tensor] {
            try ExecutorTests.withPointers(tensors) { pointers in
                try GraphExecutor(program: program, parameters: [], threads: 1).run(inputs: pointers).outputs[0]
            }
        }
    }

    private enum Finding {
        case held
        /// The loss has an edge there, or nothing of it moves.
        case edge
        case wrong(String)
    }

    private static func hold(_ item: Differentiated, seed: UInt64) throws -> Finding {
        var random = SplitMix64(seed: seed)
        let directions = item.start.map { tensor -> [Float] in
            if tensor.element != .f32 { return [] }
            let size = max(1e-2, tensor.floats.map(\.magnitude).filter(\.isFinite).max() ?? 1)
            return tensor.floats.map { _ in
                size * (Float(random.next() >> 40) * 0x1p-23 - 1)
            }
        }
        func moved(_ step: Float) -> [Tensor] {
            zip(item.start, directions).map { tensor, direction in
                if tensor.element != .f32 { return tensor }
                return Tensor(zip(tensor.floats, direction).map { $0 + step * $1 }, shape: tensor.shape)
            }
        }
        let found = try item.run(item.start)
        let loss = Double(found[0].floats[0])
        let gradients = found.dropFirst().map(\.floats)
        var (slope, size) = (0.0, 0.0)
        for (gradient, direction) in zip(gradients, directions.filter { !$0.isEmpty }) {
            for (g, d) in zip(gradient, direction) {
                slope += Double(g) * Double(d)
                size += abs(Double(g) * Double(d))
            }
        }
        func difference(_ step: Float) throws -> Double {
            let rise = try item.run(moved(step))[0].floats[0] - item.run(moved(-step))[0].floats[0]
            return Double(rise) / Double(2 * step)
        }
        let step: Float = 1.0 / 256
        let (wide, near) = (try difference(step), try difference(step / 2))
        let noise = 4e-6 * (abs(loss) + 1) / Double(step)
        if !wide.isFinite || !near.isFinite || abs(wide - near) > 0.01 * max(abs(wide), abs(near)) + noise {
            return .edge
        }
        if size == 0 && abs(near) <= noise { return .edge }
        if abs(slope - near) <= 0.02 * max(abs(near), 0.1 * size) + noise { return .held }
        return .wrong("the gradients give \(slope), differences \(near) (\(wide) of twice the step)")
    }

    @Test func allOperatorsHaveGradients() throws {
        var (held, edges, wrong) = (0, 0, [String]())
        // Differences see nothing of a gradient where the inputs lie on the edges themselves.
        for item in try ONNXCases.fixture("operators.safetensors").cases where !item.name.hasSuffix("-edges") {
            do {
                guard let differentiated = try Differentiated(item) else { continue }
                switch try Self.hold(differentiated, seed: 5) {
                case .held: held += 1
                case .edge: edges += 1
                case .wrong(let what): wrong.append("\(item.name): \(what)")
                }
            } catch { wrong.append("\(item.name): \(error)") }
        }
        #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
        #expect(held > 200, "\(held) held, \(edges) at an edge")
    }

    @Test func allExportedModelsHaveGradients() throws {
        for item in try ONNXModelTests.models() {
            let differentiated = try #require(try Differentiated(item))
            let finding = try Self.hold(differentiated, seed: 7)
            if case .wrong(let what) = finding { Issue.record("\(item.name): \(what)") }
        }
    }
}
