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
    /// The share of elements that are left out in a step, less than 1; 0 for none.
    public var dropout: Float = 0
    /// Batches whose gradients are averaged in a step.
    public var accumulate = 1

    public init() {}

    /// Batches of a step at most.
    public static let mostBatches = 64

    /// Rows of the text in a step.
    public var rows: Int { batch * accumulate }

    /// What is left out, as ops have it.
    var thinning: Dropout? {
        if dropout == 0 { return nil }
        return Dropout(
            threshold: UInt64((Double(dropout) * 0x1p32).rounded()), scale: (1 / (1 - dropout)).bitPattern)
    }
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
        let batch = Dimension(UInt64(settings.rows))
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
        var losses: [ValueID] = []
        var gradients: [ValueID] = []
        for part in 0..<settings.accumulate {
            let (ids, targets) = TrainingProgram.batch(
                &graph, text: text, starts: starts, step: step, from: part * settings.batch,
                batch: Dimension(UInt64(settings.batch)), length: Dimension(UInt64(configuration.context)))
            let loss = configuration.loss(
                &graph, weights: own, ids: ids, targets: targets, dropout: settings.thinning)
            let found: [ValueID]
            do throws(DifferentiationFault) {
                found = try Differentiation.gradients(of: loss, by: own, constants: graph.extremes, in: &graph)
            } catch { throw .differentiation(error) }
            losses.append(loss)
            // Left to right: a batch's gradients are added before the next is begun, so that its memory is free.
            gradients = part == 0 ? found : zip(gradients, found).map { graph.sum($0, $1) }
        }
        var loss = losses[0]
        if settings.accumulate > 1 {
            for other in losses.dropFirst() { loss = graph.sum(loss, other) }
            let count = Float(settings.accumulate)
            loss = graph.quotient(loss, by: count)
            gradients = gradients.map { graph.quotient($0, by: count) }
        }
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
        // Each batch is ops of its own.
        if !(1...TrainingSettings.mostBatches).contains(settings.accumulate) {
            throw .setting("accumulate", "must be from 1 to \(TrainingSettings.mostBatches)")
        }
        if !(settings.dropout >= 0 && settings.dropout < 1) { throw .setting("dropout", "must be from 0 to below 1") }
        if steps * settings.rows > 1 << 28 {
            throw .setting(
                "steps", "times the batch are \(steps * settings.rows) rows, at most \(1 << 28) can be drawn")
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

    /// ids and targets, i32 [batch, length]: bytes of the text from the step's starts on, `first` the first of them, and the same one further.
    private static func batch(
        _ graph: inout GraphBuilder, text: ValueID, starts: ValueID, step: ValueID, from first: Int, batch: Dimension,
        length: Dimension
    ) -> (ValueID, ValueID) {
        let row = graph.gather(
            starts, [batch],
            [
                Coordinate(table: step, tableAxes: []),
                Coordinate(offset: Int64(first), terms: [.init(axis: 0, coefficient: 1)]),
            ])
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

extension GraphBuilder {
    /// x divided by a number.
    fileprivate mutating func quotient(_ x: ValueID, by divisor: Float) -> ValueID {
        map(.f32, type(x).shape, [x]) { e in
            let x = e.input(0)
            _ = e.apply(.divide, x, e.constant(bits: divisor.bitPattern))
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
