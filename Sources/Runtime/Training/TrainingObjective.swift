public import Programs

/// What a training makes smaller: the loss of a model on rows of a data set.
public protocol TrainingObjective: Sendable {
    /// The weights that are moved, f32, by their names.
    var weights: [TensorDeclaration] { get }
    /// What the model reads beside them and is not moved.
    var frozen: [TensorDeclaration] { get }
    /// The data set.
    var data: [TensorDeclaration] { get }

    /// Writes the mean loss, f32 of one element, over the rows that `rows`, i32 [batch], names in `data`; tensors are as declared above. Gives it and the
    /// values through which nothing flows back.
    func loss(
        _ graph: inout GraphBuilder, weights: [ValueID], frozen: [ValueID], data: [ValueID], rows: ValueID,
        dropout: Dropout?
    ) throws(TrainingFault) -> (loss: ValueID, constants: Set<ValueID>)

    /// Whether there is such a training, before anything is written for it; `memory` is what its state may take.
    func check(_ settings: TrainingSettings, steps: Int, memory: UInt64) throws(TrainingFault)
}

extension TrainingObjective {
    /// The same without a bound on memory.
    func check(_ settings: TrainingSettings, steps: Int) throws(TrainingFault) {
        try check(settings, steps: steps, memory: .max)
    }

    /// How many numbers are moved.
    public var weightCount: Int { weights.reduce(0) { $0 + Int($1.type.count) } }

    /// Checks what any model's training must keep: rows that can be drawn, a state that fits, and no name twice.
    func checkAny(_ settings: TrainingSettings, steps: Int, memory: UInt64) throws(TrainingFault) {
        for (name, size) in [("batch", settings.batch), ("steps", steps)] where !(1...1 << 24).contains(size) {
            throw .setting(name, "must be from 1 to 2^24")
        }
        try settings.check(steps: steps)
        // A weight and its two moments in 32 bits, held twice while a run starts.
        var needed: UInt64 = 0
        for type in weights.map(\.type) { needed = needed.addingSaturated(type.count, times: 24) }
        for type in frozen.map(\.type) { needed = needed.addingSaturated(type.count, times: UInt64(type.element.size)) }
        if needed > memory { throw .memory(needed: needed, available: memory) }
        try TrainingProgram.check(weights: weights.count)
        let names = TrainingProgram.state(weights).map(\.name)
        if let twice = Dictionary(grouping: names, by: { $0 }).first(where: { $0.value.count > 1 })?.key {
            throw .setting("the weight \(twice)", "has the name of another or of its moments: rename it in the model")
        }
    }
}

extension UInt64 {
    fileprivate func addingSaturated(_ count: UInt64, times size: UInt64) -> UInt64 {
        let (product, isLong) = count.multipliedReportingOverflow(by: size)
        let (sum, isLarge) = addingReportingOverflow(product)
        return isLong || isLarge ? .max : sum
    }
}

extension TrainingSettings {
    /// Whether a training of so many steps can be drawn.
    func check(steps: Int) throws(TrainingFault) {
        // Each batch is ops of its own.
        if !(1...TrainingSettings.mostBatches).contains(accumulate) {
            throw .setting("accumulate", "must be from 1 to \(TrainingSettings.mostBatches)")
        }
        if !(dropout >= 0 && dropout < 1) { throw .setting("dropout", "must be from 0 to below 1") }
        if steps * rows > 1 << 28 {
            throw .setting("steps", "times the batch are \(steps * rows) rows, at most \(1 << 28) can be drawn")
        }
    }
}

extension TrainingProgram {
    /// Three tensors a weight are carried, and a program carries so many at most.
    static func check(weights count: Int) throws(TrainingFault) {
        let most = (Scan.maximumOutputs - 3) / 3
        if count > most { throw .setting("layers", "make \(count) weights, at most \(most) can be trained") }
    }
}

extension GraphBuilder {
    /// `length` neighbours of a vector from each row's start and `offset` further: [batch, length].
    mutating func stretches(of text: ValueID, from rows: ValueID, offset: Int64, length: Dimension) -> ValueID {
        gather(
            text, type(rows).shape + [length],
            [Coordinate(offset: offset, terms: [.init(axis: 1, coefficient: 1)], table: rows, tableAxes: [0])])
    }
}
