public import Programs

/// A program that trains a model: one scan whose carried state is the weights, their moments, two powers and the step's number, so that it goes on from where
/// it was left to the same bits. What is read and not moved is its parameters. Each step gives its loss.
public struct TrainingProgram: Sendable {
    public let objective: any TrainingObjective
    public let settings: TrainingSettings
    public let program: Program

    /// Writes the program for so many steps in all. Throws where a gradient cannot be written.
    public init(
        _ objective: any TrainingObjective, _ settings: TrainingSettings, steps: Int
    ) throws(TrainingFault) {
        self.objective = objective
        self.settings = settings
        try objective.check(settings, steps: steps)
        let carried = TrainingProgram.state(objective.weights)
        let inputs = TrainingProgram.inputs(objective, settings, steps: steps)
        let frozen = objective.frozen
        var graph = GraphBuilder(leading: (frozen + inputs + carried).map(\.type))
        let data = inputs.indices.map { ValueID(frozen.count + $0) }
        let (loss, next) = try TrainingProgram.step(
            &graph, objective, settings, frozen: frozen.indices.map { ValueID($0) }, inputs: data,
            state: carried.indices.map { ValueID(frozen.count + inputs.count + $0) })
        let scan = Scan(
            steps: Dimension(UInt64(steps)), operations: graph.operations, outputs: [loss], carried: next)
        do throws(ProgramFault) {
            program = try Program(
                axes: [], parameters: frozen, inputs: inputs, carried: carried,
                kept: carried.indices.map { UInt16($0) }, scans: [scan])
        } catch { throw .program(error) }
    }

    /// The program of the small decoder on a text of so many bytes.
    public init(
        _ configuration: GPTConfiguration, _ settings: TrainingSettings, text: Int, steps: Int
    ) throws(TrainingFault) {
        try self.init(ByteObjective(configuration, text: text), settings, steps: steps)
    }

    /// What is carried: weights, first moments, second moments, the decays' powers, the step's number.
    static func state(_ weights: [TensorDeclaration]) -> [TensorDeclaration] {
        func twin(_ prefix: String) -> [TensorDeclaration] {
            weights.map { TensorDeclaration(name: prefix + $0.name, type: $0.type) }
        }
        return weights + twin("m.") + twin("v.") + [
            TensorDeclaration(name: "first_power", type: TensorType(.f32, [])),
            TensorDeclaration(name: "second_power", type: TensorType(.f32, [])),
            TensorDeclaration(name: "step", type: TensorType(.i32, [])),
        ]
    }

    /// The data set, and for each step the numbers of its rows.
    static func inputs(
        _ objective: any TrainingObjective, _ settings: TrainingSettings, steps: Int
    ) -> [TensorDeclaration] {
        let rows = TensorType(.i32, [Dimension(UInt64(steps)), Dimension(UInt64(settings.rows))])
        return objective.data + [TensorDeclaration(name: "starts", type: rows)]
    }

    /// The ops of a step over tensors as `inputs` and `state` declare them: its loss, and what the state becomes.
    static func step(
        _ graph: inout GraphBuilder, _ objective: any TrainingObjective, _ settings: TrainingSettings,
        frozen: [ValueID], inputs: [ValueID], state: [ValueID]
    ) throws(TrainingFault) -> (loss: ValueID, next: [ValueID]) {
        let count = objective.weights.count
        let own = Array(state[..<count])
        let step = state[3 * count + 2]
        let data = Array(inputs.dropLast())
        let table = inputs[data.count]
        var losses: [ValueID] = []
        var gradients: [ValueID] = []
        for part in 0..<settings.accumulate {
            let rows = graph.gather(
                table, [Dimension(UInt64(settings.batch))],
                [
                    Coordinate(table: step, tableAxes: []),
                    Coordinate(
                        offset: Int64(part * settings.batch), terms: [.init(axis: 0, coefficient: 1)]),
                ])
            let (loss, constants) = try objective.loss(
                &graph, weights: own, frozen: frozen, data: data, rows: rows, dropout: settings.thinning)
            let found: [ValueID]
            do throws(DifferentiationFault) {
                found = try Differentiation.gradients(of: loss, by: own, constants: constants, in: &graph)
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
