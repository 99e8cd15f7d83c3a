public import Programs

/// How the next token is chosen: what ops the program has for it.
public enum SamplingKind: Sendable, Hashable, CaseIterable {
    /// The most likely token.
    case greedy
    /// A draw at a temperature.
    case sampled
    /// A draw at a temperature among the most likely tokens.
    case filtered

    /// What a program that generates has ops for, by the inputs that it takes; nil for another program.
    public init?(of program: Program) {
        guard program.axes == GenerationGraph.axes else { return nil }
        switch program.inputs.count {
        case 4: self = .greedy
        case 5: self = .sampled
        case 7: self = .filtered
        default: return nil
        }
    }
}

/// Writes the program that generates: a prefill scan of one step, then a decode scan of one step a token, over one carried state.
///
/// Carried: for each layer keys and values, both [batch, heads, capacity, width]; `position`, how many tokens of each row are in the cache; `token`, each row's last one; `finished`; `stop`, which ends the scan once all rows are finished. Each step gives out the tokens
/// that it chose, i32 [batch]; a row that is finished gives the padding.
struct GenerationGraph: Sendable {
    static let axes = ["batch", "length", "tokens", "capacity", "stops"]

    let decoder: DecoderGraph
    let sampling: SamplingKind
    /// Whether each step gives out the logits too, f32 [batch, vocabulary].
    let givesLogits: Bool

    private struct Inputs {
        let ids, lengths, stops, padding: ValueID
        var temperature, limit, share: ValueID?
    }

    private struct State {
        let caches: [(keys: ValueID, values: ValueID)]
        let position, token, finished: ValueID
    }

    /// The program; `capacity` must be at least `length` + `tokens`, where `tokens` is the number of decode steps.
    func program(_ parameters: [TensorDeclaration]) throws(ProgramFault) -> Program {
        let axes = (0..<UInt16(GenerationGraph.axes.count)).map { Dimension(1, axis: $0) }
        let (batch, length, tokens, capacity, stops) = (axes[0], axes[1], axes[2], axes[3], axes[4])
        var inputs = [
            TensorDeclaration(name: "input_ids", type: TensorType(.i32, [batch, length])),
            TensorDeclaration(name: "lengths", type: TensorType(.i32, [batch])),
            TensorDeclaration(name: "stops", type: TensorType(.i32, [stops])),
            TensorDeclaration(name: "padding", type: TensorType(.i32, [])),
        ]
        if sampling != .greedy {
            inputs.append(TensorDeclaration(name: "temperature", type: TensorType(.f32, [batch])))
        }
        if sampling == .filtered {
            inputs.append(TensorDeclaration(name: "limit", type: TensorType(.i32, [batch])))
            inputs.append(TensorDeclaration(name: "share", type: TensorType(.f32, [batch])))
        }
        let configuration = decoder.configuration
        let (heads, width) = (UInt64(configuration.keyValueHeads), UInt64(configuration.headSize))
        var carried: [TensorDeclaration] = []
        for layer in 0..<configuration.layers {
            let cache = TensorType(.f32, [batch, Dimension(heads), capacity, Dimension(width)])
            carried.append(TensorDeclaration(name: "keys.\(layer)", type: cache))
            carried.append(TensorDeclaration(name: "values.\(layer)", type: cache))
        }
        carried.append(TensorDeclaration(name: "position", type: TensorType(.i32, [batch])))
        carried.append(TensorDeclaration(name: "token", type: TensorType(.i32, [batch])))
        carried.append(TensorDeclaration(name: "finished", type: TensorType(.bool, [batch])))
        carried.append(TensorDeclaration(name: "stop", type: TensorType(.bool, [])))
        let leading = (parameters + inputs + carried).map(\.type)
        let first = parameters.count
        let named = Inputs(
            ids: ValueID(first), lengths: ValueID(first + 1), stops: ValueID(first + 2), padding: ValueID(first + 3),
            temperature: sampling == .greedy ? nil : ValueID(first + 4),
            limit: sampling == .filtered ? ValueID(first + 5) : nil,
            share: sampling == .filtered ? ValueID(first + 6) : nil)
        let start = first + inputs.count
        let state = State(
            caches: (0..<configuration.layers).map { (ValueID(start + 2 * $0), ValueID(start + 2 * $0 + 1)) },
            position: ValueID(start + 2 * configuration.layers), token: ValueID(start + 2 * configuration.layers + 1),
            finished: ValueID(start + 2 * configuration.layers + 2))
        let stop = UInt16(carried.count - 1)
        let prefill = prefill(GraphBuilder(leading: leading), named, state, steps: 1, stop: stop)
        let decode = decode(GraphBuilder(leading: leading), named, state, steps: tokens, stop: stop)
        return try Program(
            axes: GenerationGraph.axes, parameters: parameters, inputs: inputs, carried: carried,
            scans: [prefill, decode])
    }

    /// All tokens of the prompts at once; the logits are those of each row's last one.
    private func prefill(
        _ start: GraphBuilder, _ inputs: Inputs, _ state: State, steps: Dimension, stop: UInt16
    ) -> Scan {
        var builder = start
        let configuration = decoder.configuration
        let shape = builder.type(inputs.ids).shape
        let positions = DecoderGraph.places(&builder, shape)
        let group = UInt64(configuration.heads / configuration.keyValueHeads)
        let extent = builder.causalExtent(length: shape[1], group: group)
        var caches: [ValueID] = []
        let hidden = decoder.hidden(&builder, ids: inputs.ids, positions: positions, extent: extent) {
            builder, layer, key, value in
            let (keys, values) = (builder.keyRows(key), builder.keyRows(value))
            caches.append(builder.cache(state.caches[layer].keys, startingWith: keys))
            caches.append(builder.cache(state.caches[layer].values, startingWith: values))
            return (keys, builder.valueColumns(value))
        }
        let last = builder.map(.i32, [shape[0]], [inputs.lengths]) { e in
            _ = e.apply(.subtract, e.input(0), e.node(.constant(.i32, bits: 1)))
        }
        let ends = builder.gather(
            hidden, [shape[0], Dimension(UInt64(configuration.hiddenSize))],
            [.axis(0), Coordinate(table: last, tableAxes: [0]), .axis(1)])
        // Whole prompts are in the cache now, so each row's position is its length.
        return scan(
            &builder, inputs, state, hidden: ends, caches: caches, position: inputs.lengths, steps: steps, stop: stop)
    }

    /// One token of each row, at its position.
    private func decode(
        _ start: GraphBuilder, _ inputs: Inputs, _ state: State, steps: Dimension, stop: UInt16
    ) -> Scan {
        var builder = start
        let batch = builder.type(inputs.lengths).shape[0]
        let ids = builder.column(state.token)
        let positions = builder.column(state.position)
        let next = builder.map(.i32, [batch], [state.position]) { e in
            _ = e.apply(.add, e.input(0), e.node(.constant(.i32, bits: 1)))
        }
        let negative = builder.map(.i32, [batch], [state.position]) { e in
            _ = e.apply(.subtract, e.node(.constant(.i32, bits: 0)), e.input(0))
        }
        let extent = builder.gather(next, [batch, 1, 1], [.axis(0)])
        var caches: [ValueID] = []
        let hidden = decoder.hidden(&builder, ids: ids, positions: positions, extent: extent) {
            builder, layer, key, value in
            let keys = builder.cache(
                state.caches[layer].keys, with: builder.keyRows(key), negativePositions: negative)
            let values = builder.cache(
                state.caches[layer].values, with: builder.keyRows(value), negativePositions: negative)
            caches += [keys, values]
            return (keys, builder.transpose(values, [0, 1, 3, 2]))
        }
        let width = Dimension(UInt64(decoder.configuration.hiddenSize))
        let rows = builder.reshape(hidden, [batch, width])
        return scan(
            &builder, inputs, state, hidden: rows, caches: caches, position: next, steps: steps, stop: stop)
    }

    /// Logits, the next token, and what is carried.
    private func scan(
        _ builder: inout GraphBuilder, _ inputs: Inputs, _ state: State, hidden: ValueID, caches: [ValueID],
        position: ValueID, steps: Dimension, stop: UInt16
    ) -> Scan {
        let batch = builder.type(hidden).shape[0]
        let logits = decoder.logits(&builder, hidden)
        let chosen: ValueID
        if let temperature = inputs.temperature, let limit = inputs.limit, let share = inputs.share {
            chosen = builder.sampledToken(logits, temperature: temperature, limit: limit, share: share)
        } else if let temperature = inputs.temperature {
            chosen = builder.sampledToken(logits, temperature: temperature)
        } else {
            chosen = builder.greedyToken(logits)
        }
        let token = builder.map(.i32, [batch], [state.finished, inputs.padding, chosen]) { e in
            _ = e.apply(.select, e.input(0), e.input(1), e.input(2))
        }
        let stops = builder.type(inputs.stops).shape[0]
        let column = builder.column(chosen)
        let matches = builder.map(.i32, [batch, stops], [column, inputs.stops]) { e in
            _ = e.apply(.toI32, e.apply(.equal, e.input(0), e.input(1)))
        }
        let isStop = builder.reduce(.maximum, matches)
        let finished = builder.map(.bool, [batch], [state.finished, isStop]) { e in
            _ = e.apply(.or, e.input(0), e.apply(.toBool, e.input(1)))
        }
        let numbers = builder.map(.i32, [batch], [finished]) { e in _ = e.apply(.toI32, e.input(0)) }
        let least = builder.reduce(.minimum, numbers)
        let ends = builder.map(.bool, [], [least]) { e in _ = e.apply(.toBool, e.input(0)) }
        return Scan(
            steps: steps, operations: builder.operations, outputs: givesLogits ? [token, logits] : [token],
            carried: caches + [position, token, finished, ends], stop: stop)
    }
}
