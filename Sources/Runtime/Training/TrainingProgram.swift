public import Programs

/// How weights are moved.
public struct TrainingSettings: Sendable, Hashable {
    public enum Schedule: Sendable, Hashable {
        case constant
        /// Up from 0 in `warmup` steps, then down along a half cosine to `least` times the rate at `end`.
        case cosine(warmup: Int, end: Int, least: Float)
    }

    public var batch = 16
    public var rate: Float = 1e-3
    public var schedule = Schedule.constant
    public var firstDecay: Float = 0.9
    public var secondDecay: Float = 0.95
    public var epsilon: Float = 1e-8
    public var weightDecay: Float = 0.01
    /// The norm to which all gradients together are cut; nil for none.
    public var clip: Float?

    public init() {}
}

/// A program that trains a decoder: one scan whose carried state is the weights, their moments, two powers and the step's number, so that it goes on from where it
/// was left to the same bits. Each step gives its loss.
public struct TrainingProgram: Sendable {
    public let configuration: GPTConfiguration
    public let settings: TrainingSettings
    public let program: Program

    /// Writes the program for a text of so many bytes and so many steps in all. Throws where a gradient cannot be written.
    public init(
        _ configuration: GPTConfiguration, _ settings: TrainingSettings, text: Int, steps: Int
    ) throws(TrainingFault) {
        self.configuration = configuration
        self.settings = settings
        try TrainingProgram.check(configuration, settings, steps: steps)
        let carried = TrainingProgram.state(configuration)
        let inputs = TrainingProgram.data(settings, text: text, steps: steps)
        var graph = GraphBuilder(leading: (inputs + carried).map(\.type))
        let (loss, next) = try TrainingProgram.step(
            &graph, configuration, settings, text: ValueID(0), starts: ValueID(1),
            state: carried.indices.map { ValueID(inputs.count + $0) })
        let scan = Scan(
            steps: Dimension(UInt64(steps)), operations: graph.operations, outputs: [loss], carried: next)
        do throws(ProgramFault) {
            program = try Program(
                axes: [], parameters: [], inputs: inputs, carried: carried,
                kept: carried.indices.map { UInt16($0) }, scans: [scan])
        } catch { throw .program(error) }
    }

    /// What is carried: weights, first moments, second moments, the decays' powers, the step's number.
    static func state(_ configuration: GPTConfiguration) -> [TensorDeclaration] {
        func twin(_ prefix: String) -> [TensorDeclaration] {
            configuration.weights.map { TensorDeclaration(name: prefix + $0.name, type: $0.type) }
        }
        return configuration.weights + twin("m.") + twin("v.") + [
            TensorDeclaration(name: "first_power", type: TensorType(.f32, [])),
            TensorDeclaration(name: "second_power", type: TensorType(.f32, [])),
            TensorDeclaration(name: "step", type: TensorType(.i32, [])),
        ]
    }

    /// The text's bytes, and a row of offsets in it for each step.
    static func data(_ settings: TrainingSettings, text: Int, steps: Int) -> [TensorDeclaration] {
        let batch = Dimension(UInt64(settings.batch))
        return [
            TensorDeclaration(name: "text", type: TensorType(.u8, [Dimension(UInt64(text))])),
            TensorDeclaration(name: "starts", type: TensorType(.i32, [Dimension(UInt64(steps)), batch])),
        ]
    }

    /// The ops of a step over tensors as `state` and `data` declare them: its loss, and what the state becomes.
    static func step(
        _ graph: inout GraphBuilder, _ configuration: GPTConfiguration, _ settings: TrainingSettings, text: ValueID,
        starts: ValueID, state: [ValueID]
    ) throws(TrainingFault) -> (loss: ValueID, next: [ValueID]) {
        let count = configuration.weights.count
        let own = Array(state[..<count])
        let step = state[3 * count + 2]
        let (ids, targets) = TrainingProgram.batch(
            &graph, text: text, starts: starts, step: step, batch: Dimension(UInt64(settings.batch)),
            length: Dimension(UInt64(configuration.context)))
        let loss = configuration.loss(&graph, weights: own, ids: ids, targets: targets)
        var gradients: [ValueID]
        do throws(DifferentiationFault) {
            gradients = try Differentiation.gradients(of: loss, by: own, constants: graph.extremes, in: &graph)
        } catch { throw .differentiation(error) }
        if let clip = settings.clip { gradients = TrainingProgram.clipped(&graph, gradients, to: clip) }
        let adam = AdamW(
            firstDecay: settings.firstDecay.bitPattern, firstRest: (1 - settings.firstDecay).bitPattern,
            secondDecay: settings.secondDecay.bitPattern, secondRest: (1 - settings.secondDecay).bitPattern,
            epsilon: settings.epsilon.bitPattern, weightDecay: settings.weightDecay.bitPattern)
        let first = graph.product(state[3 * count], bits: adam.firstDecay)
        let second = graph.product(state[3 * count + 1], bits: adam.secondDecay)
        let rate = TrainingProgram.rate(&graph, settings, step: step)
        let updated = (0..<count).map { number in
            graph.adamW(
                adam, weight: own[number], gradient: gradients[number], first: state[count + number],
                second: state[2 * count + number], firstPower: first, secondPower: second, rate: rate)
        }
        let nextStep = graph.map(.i32, [], [step]) { e in
            let s = e.input(0)
            _ = e.apply(.add, s, e.node(.constant(.i32, bits: 1)))
        }
        return (
            loss, updated.map(\.weight) + updated.map(\.first) + updated.map(\.second) + [first, second, nextStep]
        )
    }

    /// Whether there is such a training, before anything is drawn for it; `memory` is what the weights and their moments may take.
    public static func check(
        _ configuration: GPTConfiguration, _ settings: TrainingSettings, steps: Int, memory: UInt64 = .max
    ) throws(TrainingFault) {
        let sizes = [
            ("vocabulary", configuration.vocabulary), ("width", configuration.width), ("layers", configuration.layers),
            ("heads", configuration.heads), ("context", configuration.context), ("batch", settings.batch),
            ("steps", steps),
        ]
        for (name, size) in sizes where !(1...1 << 24).contains(size) { throw .setting(name, "must be from 1 to 2^24") }
        if steps * settings.batch > 1 << 28 {
            throw .setting(
                "steps", "times the batch are \(steps * settings.batch) rows, at most \(1 << 28) can be drawn")
        }
        if configuration.width % configuration.heads != 0 {
            throw .setting(
                "width", "must be a multiple of the heads: \(configuration.width) is none of \(configuration.heads)")
        }
        if configuration.vocabulary < 256 { throw .setting("vocabulary", "must be at least 256: tokens are bytes") }
        // A weight and its two moments in 32 bits, held twice while a run starts. No size is above 2^24, so that all but the last product fit.
        let blocks = UInt64(configuration.layers) * 12 * UInt64(configuration.width)
        let needed = (UInt64(configuration.vocabulary) + UInt64(configuration.context) + blocks)
            .multipliedReportingOverflow(by: UInt64(configuration.width) * 24)
        if needed.overflow || needed.partialValue > memory {
            throw .memory(needed: needed.overflow ? .max : needed.partialValue, available: memory)
        }
        // Three tensors a weight are carried, and a program carries so many at most.
        let most = (Scan.maximumOutputs - 3) / 3
        if configuration.weights.count > most {
            throw .setting("layers", "make \(configuration.weights.count) weights, at most \(most) can be trained")
        }
    }

    /// ids and targets, i32 [batch, length]: bytes of the text from the step's starts on, and the same one further.
    private static func batch(
        _ graph: inout GraphBuilder, text: ValueID, starts: ValueID, step: ValueID, batch: Dimension, length: Dimension
    ) -> (ValueID, ValueID) {
        let row = graph.gather(starts, [batch], [Coordinate(table: step, tableAxes: []), .axis(0)])
        func bytes(_ offset: Int64) -> ValueID {
            let bytes = graph.gather(
                text, [batch, length],
                [Coordinate(offset: offset, terms: [.init(axis: 1, coefficient: 1)], table: row, tableAxes: [0])])
            return graph.map(.i32, [batch, length], [bytes]) { e in _ = e.apply(.toI32, e.input(0)) }
        }
        return (bytes(0), bytes(1))
    }

    /// The step's rate, f32 [].
    private static func rate(_ graph: inout GraphBuilder, _ settings: TrainingSettings, step: ValueID) -> ValueID {
        graph.map(.f32, [], [step]) { e in
            let rate = settings.rate
            switch settings.schedule {
            case .constant: _ = e.constant(bits: rate.bitPattern)
            case .cosine(let warmup, let end, let least):
                let s = e.apply(.toF32, e.input(0))
                func constant(_ value: Float) -> UInt8 { e.constant(bits: value.bitPattern) }
                // (s + 1)·rate/warmup until the warm-up is over.
                let rising = e.apply(.multiply, e.apply(.add, s, constant(1)), constant(rate / Float(max(1, warmup))))
                let span = Float(max(1, end - warmup))
                let progress = e.apply(
                    .minimum, constant(1),
                    e.apply(.divide, e.apply(.subtract, s, constant(Float(warmup))), constant(span)))
                let turn = e.apply(.cos, e.apply(.multiply, progress, constant(.pi)))
                let half = e.apply(.multiply, constant(0.5), e.apply(.add, constant(1), turn))
                let falling = e.apply(.fma, half, constant(rate - rate * least), constant(rate * least))
                _ = e.apply(.select, e.apply(.less, s, constant(Float(warmup))), rising, falling)
            }
        }
    }

    /// All gradients times min(1, clip/‖all‖), the norm being ROW per tensor, then ROW over those.
    private static func clipped(_ graph: inout GraphBuilder, _ gradients: [ValueID], to clip: Float) -> [ValueID] {
        let squares = gradients.map { gradient -> ValueID in
            let square = graph.map(.f32, graph.type(gradient).shape, [gradient]) { e in
                let g = e.input(0)
                _ = e.apply(.multiply, g, g)
            }
            return graph.reshape(graph.reduce(.sum, graph.reshape(square, [Dimension(graph.type(square).count)])), [1])
        }
        let total = graph.reduce(.sum, graph.concat(squares, axis: 0))
        let factor = graph.map(.f32, [], [total]) { e in
            let norm = e.apply(.squareRoot, e.input(0))
            let ratio = e.apply(.divide, e.constant(bits: clip.bitPattern), norm)
            _ = e.apply(.minimum, e.constant(bits: Float(1).bitPattern), ratio)
        }
        return gradients.map { gradient in
            graph.map(.f32, graph.type(gradient).shape, [gradient, factor]) { e in
                let (g, f) = (e.input(0), e.input(1))
                _ = e.apply(.multiply, g, f)
            }
        }
    }
}

/// Why nothing is trained. One sentence with the next step.
public enum TrainingFault: Error, Equatable, Sendable {
    case setting(String, String)
    case text(bytes: Int, needed: Int)
    case differentiation(DifferentiationFault)
    case program(ProgramFault)
    case execution(ExecutionFault)
    case memory(needed: UInt64, available: UInt64)
    case checkpoint(path: String, String)
}

extension TrainingFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .setting(let name, let what): "\(name) \(what)."
        case .text(let bytes, let needed):
            "The text has \(bytes) bytes, a row of the batch takes \(needed): give a longer text or a shorter context."
        case .differentiation(let fault): "The model cannot be trained: \(fault)."
        case .program(let fault): "The training cannot be written as a program (\(fault)): use a smaller model."
        case .execution(let fault): "The training failed: \(fault)."
        case .memory(let needed, let available):
            "The training needs \(needed) bytes of memory and \(available) are there: use a smaller batch or model."
        case .checkpoint(let path, let what): "\(path) \(what): name a checkpoint of this very model, or start anew."
        }
    }
}
