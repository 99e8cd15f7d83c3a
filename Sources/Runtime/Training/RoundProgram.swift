public import Programs

/// How the parts of a round are put together: the outer step of DiLoCo (Douillard et al., 2023), with Nesterov's momentum.
public struct RoundSettings: Sendable, Hashable {
    public static let maximumWorkers = 64
    /// As many workers' weights can be inputs of the outer step: a job reads so many results of others, so its job can be posted before theirs have ended.
    public static let maximumAwaited = 12

    public var workers = 3
    /// Steps that each worker takes in a round.
    public var steps = 20
    public var outerRate: Float = 0.7
    public var outerMomentum: Float = 0.9

    public init() {}
}

/// The programs of a training in rounds: each worker goes from the round's weights some steps on its own rows, then the mean of where they came to moves the
/// weights. Both are programs like any other, the same for every round and worker, so each part can be run, priced and judged by itself.
public enum RoundProgram {
    /// A worker's part: parameters are the weights and what is not moved, inputs the data set and the rows; it begins with fresh moments and gives out each
    /// step's loss, and in a last step of its own all its weights one after another as one tensor, so that however many there are, whoever reads them names one
    /// result.
    public static func worker(
        _ objective: any TrainingObjective, _ settings: TrainingSettings, steps: Int
    ) throws(TrainingFault) -> Program {
        try objective.check(settings, steps: steps)
        if settings.schedule != .constant {
            throw .setting("schedule", "must be \"constant\" in rounds: each begins anew")
        }
        if settings.dropout != 0 || settings.accumulate != 1 {
            throw .setting("dropout", "and accumulate are not for rounds: leave them out")
        }
        let weights = objective.weights
        let parameters = weights + objective.frozen
        let inputs = TrainingProgram.inputs(objective, settings, steps: steps)
        let carried = TrainingProgram.state(weights)
        let leading = (parameters + inputs + carried).map(\.type)
        let state = carried.indices.map { ValueID(parameters.count + inputs.count + $0) }
        // The first scan has one step: the state begins with the round's weights and no moments.
        var start = GraphBuilder(leading: leading)
        let one = start.map(.f32, [], []) { e in _ = e.constant(bits: Float(1).bitPattern) }
        let moments = state[weights.count..<3 * weights.count]
        let load = Scan(
            steps: 1, operations: start.operations, outputs: [one],
            carried: weights.indices.map { ValueID($0) } + moments + [one, one, state[3 * weights.count + 2]])
        var graph = GraphBuilder(leading: leading)
        let (loss, next) = try TrainingProgram.step(
            &graph, objective, settings, frozen: (weights.count..<parameters.count).map { ValueID($0) },
            inputs: inputs.indices.map { ValueID(parameters.count + $0) }, state: state)
        let train = Scan(
            steps: Dimension(UInt64(steps)), operations: graph.operations, outputs: [loss], carried: next)
        var end = GraphBuilder(leading: leading)
        let flat = weights.indices.map { end.reshape(state[$0], [Dimension(weights[$0].type.count)]) }
        let packed = end.concat(flat, axis: 0)
        let pack = Scan(steps: 1, operations: end.operations, outputs: [packed], carried: state)
        do throws(ProgramFault) {
            return try Program(
                axes: [], parameters: parameters, inputs: inputs, carried: carried, scans: [load, train, pack])
        } catch { throw .program(error) }
    }

    /// The small decoder's, on a text of so many bytes.
    public static func worker(
        _ configuration: GPTConfiguration, _ settings: TrainingSettings, text: Int, steps: Int
    ) throws(TrainingFault) -> Program {
        try worker(ByteObjective(configuration, text: text), settings, steps: steps)
    }

    /// All weights one after another.
    public static func packed(_ weights: [TensorDeclaration]) -> TensorType {
        TensorType(.f32, [Dimension(weights.reduce(UInt64(0)) { $0 + $1.type.count })])
    }

    /// The outer step: parameters are the round's weights and the momentum, inputs what each worker has given out; it gives out the next weights and momentum.
    /// Of more workers than `RoundSettings.maximumAwaited` what they have given out are parameters, too.
    ///
    /// d = w − (w₁ + … + wₖ)·(1/k), m′ = fma(μ, m, d), w′ = fma(−r, fma(μ, m′, d), w).
    public static func aggregation(
        _ weights: [TensorDeclaration], _ settings: RoundSettings, workers: Int
    ) throws(TrainingFault) -> Program {
        if !(1...RoundSettings.maximumWorkers).contains(workers) {
            throw .setting("workers", "must be from 1 to \(RoundSettings.maximumWorkers)")
        }
        func declared(_ prefix: String) -> [TensorDeclaration] {
            weights.map { TensorDeclaration(name: prefix + $0.name, type: $0.type) }
        }
        let moving = weights + declared("momentum.")
        let packed = packed(weights)
        let parts = (0..<workers).map { TensorDeclaration(name: "worker\($0)", type: packed) }
        if moving.count + parts.count > Program.maximumParameters || moving.count > Scan.maximumOutputs {
            throw .setting("workers", "train \(weights.count) tensors, at most \(Scan.maximumOutputs / 2) can be moved")
        }
        var graph = GraphBuilder(leading: (moving + parts).map(\.type))
        var moved: [ValueID] = []
        var momenta: [ValueID] = []
        var all = ValueID(moving.count)
        for worker in 1..<max(1, workers) {
            all = graph.map(.f32, packed.shape, [all, ValueID(moving.count + worker)]) { e in
                let (a, b) = (e.input(0), e.input(1))
                _ = e.apply(.add, a, b)
            }
        }
        var start: UInt64 = 0
        for (number, weight) in weights.enumerated() {
            let shape = weight.type.shape
            let size = weight.type.count
            let sum = graph.reshape(
                graph.slice(all, axis: 0, start: Int64(start), size: Dimension(size)), shape)
            start += size
            let difference = graph.map(.f32, shape, [ValueID(number), sum]) { e in
                let (w, s) = (e.input(0), e.input(1))
                let mean = e.apply(.multiply, s, e.constant(bits: (1 / Float(workers)).bitPattern))
                _ = e.apply(.subtract, w, mean)
            }
            let momentum = graph.map(.f32, shape, [ValueID(weights.count + number), difference]) { e in
                let (m, d) = (e.input(0), e.input(1))
                _ = e.apply(.fma, e.constant(bits: settings.outerMomentum.bitPattern), m, d)
            }
            momenta.append(momentum)
            moved.append(
                graph.map(.f32, shape, [ValueID(number), momentum, difference]) { e in
                    let (w, m, d) = (e.input(0), e.input(1), e.input(2))
                    let step = e.apply(.fma, e.constant(bits: settings.outerMomentum.bitPattern), m, d)
                    _ = e.apply(.fma, e.constant(bits: (-settings.outerRate).bitPattern), step, w)
                })
        }
        do throws(ProgramFault) {
            let isAwaited = workers <= RoundSettings.maximumAwaited
            return try Program(
                axes: [], parameters: isAwaited ? moving : moving + parts, inputs: isAwaited ? parts : [],
                scans: [Scan(steps: 1, operations: graph.operations, outputs: moved + momenta)])
        } catch { throw .program(error) }
    }
}
