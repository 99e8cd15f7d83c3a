public import Programs

/// Reverse-mode differentiation from step graph to step graph: the gradients are ops like all others, so they are priced, traced and judged like them.
///
/// Gradients that a value gets from several readers are added left to right by the readers' places in the graph (docs/numerics.md).
public struct Differentiation {
    var graph: GraphBuilder
    private let leading: Int
    private let operations: [OperationRecord]
    private let constants: Set<ValueID>
    /// Values that some wanted value reaches.
    private var reached: [Bool]
    private var contributions: [UInt32: [Contribution]] = [:]

    /// One reader's share of a value's gradient.
    private struct Contribution {
        let reader: Int
        let operand: Int
        /// Broadcasts to the value's shape; or, for a piece, fills a box of it.
        let gradient: ValueID
        var start: [UInt64]?
    }

    private init(
        _ graph: GraphBuilder, of loss: ValueID, by wanted: [ValueID], _ constants: Set<ValueID>
    ) throws(DifferentiationFault) {
        self.graph = graph
        self.constants = constants
        operations = graph.operations
        leading = graph.types.count - graph.operations.count
        reached = [Bool](repeating: false, count: graph.types.count)
        for value in wanted { reached[Int(value.index)] = true }
        let needed = graph.ancestors(of: [loss])
        for (number, record) in operations.enumerated() {
            let value = ValueID(leading + number)
            if constants.contains(value) || !record.operation.operands.contains(where: { reached[Int($0.index)] }) {
                continue
            }
            switch record.result.element {
            case .f32: reached[Int(value.index)] = true
            case .bf16, .f16:
                if needed.contains(value) {
                    throw .unsupported(op: number, "its result is stored in fewer bits, which moves in steps")
                }
            default: continue
            }
        }
    }

    /// Appends the gradients of `loss`, an f32 of one element, by `wanted` to a graph of plain extents. Through `constants` nothing flows: a maximum
    /// that is only subtracted and added again, as in a softmax, moves nothing.
    public static func gradients(
        of loss: ValueID, by wanted: [ValueID], constants: Set<ValueID> = [], in graph: inout GraphBuilder
    ) throws(DifferentiationFault) -> [ValueID] {
        if graph.types.contains(where: { $0.shape.contains { $0.axis != nil } }) { throw .namedAxis }
        if graph.type(loss).count != 1 || graph.type(loss).element != .f32 { throw .notAScalar }
        var machine = try Differentiation(graph, of: loss, by: wanted, constants)
        let one = machine.graph.map(.f32, graph.type(loss).shape, []) { e in
            _ = e.constant(bits: Float(1).bitPattern)
        }
        machine.add(one, to: loss, reader: Int.max, operand: 0)
        for (number, record) in machine.operations.enumerated().reversed() {
            let value = ValueID(machine.leading + number)
            guard machine.reached[Int(value.index)], machine.contributions[value.index] != nil else { continue }
            // One that is wanted itself is asked for once more below.
            let gradient = machine.gradient(of: value, isLast: !wanted.contains(value))
            try machine.propagate(record, number, gradient)
        }
        let found = wanted.map { machine.full($0, machine.gradient(of: $0, isLast: false)) }
        graph = machine.graph
        return found
    }

    // MARK: Sums

    func shape(_ id: ValueID) -> [UInt64] { graph.type(id).shape.map(\.factor) }

    mutating func add(_ gradient: ValueID, to value: ValueID, reader: Int, operand: Int, start: [UInt64]? = nil) {
        contributions[value.index, default: []].append(
            Contribution(reader: reader, operand: operand, gradient: gradient, start: start))
    }

    /// The sum of what a value's readers gave; it broadcasts to the value's shape.
    private mutating func gradient(of value: ValueID, isLast: Bool) -> ValueID {
        let own = graph.type(value).shape
        var parts = (contributions[value.index] ?? []).sorted { ($0.reader, $0.operand) < ($1.reader, $1.operand) }
        let total: ValueID
        if parts.isEmpty {
            total = graph.map(.f32, own, []) { e in _ = e.constant(bits: 0) }
        } else if parts.count > 1 && areDisjoint(parts) {
            total = placed(parts, own)
        } else {
            for index in parts.indices where parts[index].start != nil {
                let whole = placed([parts[index]], own)
                parts[index] = Contribution(reader: 0, operand: 0, gradient: whole, start: nil)
            }
            if parts.count == 1 {
                total = parts[0].gradient
            } else {
                var sum = parts[0].gradient
                for from in stride(from: 1, to: parts.count, by: 3) {
                    let next = parts[from..<min(from + 3, parts.count)].map(\.gradient)
                    sum = graph.map(.f32, own, [sum] + next) { e in
                        var sum = e.input(0)
                        for number in 1...next.count { sum = e.apply(.add, sum, e.input(number)) }
                    }
                }
                total = sum
            }
        }
        if isLast {
            contributions[value.index] = nil
        } else {
            contributions[value.index] = [Contribution(reader: 0, operand: 0, gradient: total, start: nil)]
        }
        return total
    }

    /// Whether all are boxes, none of which meets another.
    private func areDisjoint(_ parts: [Contribution]) -> Bool {
        for (index, part) in parts.enumerated() {
            guard let start = part.start else { return false }
            let size = shape(part.gradient)
            for other in parts[..<index] {
                guard let otherStart = other.start else { return false }
                let otherSize = shape(other.gradient)
                let meets = start.indices.allSatisfy {
                    start[$0] < otherStart[$0] + otherSize[$0] && otherStart[$0] < start[$0] + size[$0]
                }
                if meets { return false }
            }
        }
        return true
    }

    /// Boxes at their places, zero elsewhere.
    private mutating func placed(_ parts: [Contribution], _ shape: [Dimension]) -> ValueID {
        let pieces = parts.map { part -> GatherPiece in
            let start = part.start ?? []
            return GatherPiece(
                start: start.map { Dimension($0) }, size: graph.type(part.gradient).shape, source: part.gradient,
                coordinates: start.indices.map {
                    Coordinate(
                        offset: -Int64(clamping: start[$0]), terms: [.init(axis: UInt8($0), coefficient: 1)])
                })
        }
        return graph.append(.gather(pieces, fill: 0), TensorType(.f32, shape))
    }

    /// A gradient with its value's whole shape.
    mutating func full(_ value: ValueID, _ gradient: ValueID) -> ValueID {
        graph.broadcast(gradient, to: graph.type(value).shape)
    }

    // MARK: Ops

    private mutating func propagate(
        _ record: OperationRecord, _ number: Int, _ gradient: ValueID
    ) throws(DifferentiationFault) {
        let value = ValueID(leading + number)
        switch record.operation {
        case .map(let expression, let inputs):
            for (operand, input) in inputs.enumerated() where flows(input) {
                let types = inputs.map { graph.type($0).element }
                let isFloat = record.result.element == .f32
                let product: ValueID
                do throws(DifferentiationFault) {
                    guard
                        let part = try ExpressionDerivative(expression, by: operand, types: types, readsResult: isFloat)
                    else { continue }
                    let read = [gradient] + part.inputs.map { $0 == inputs.count ? value : inputs[$0] }
                    product = graph.append(.map(part.expression, inputs: read), TensorType(.f32, record.result.shape))
                } catch {
                    guard case .tooManyInputs = error else { throw error }
                    product = try inTwo(expression, by: operand, inputs, types, gradient, record.result.shape)
                }
                add(summed(product, to: shape(input)), to: input, reader: number, operand: operand)
            }
        case .reduce(let reduction, let input, let extent, let prefix):
            if !flows(input) { return }
            let whole = full(value, gradient)
            let part =
                prefix
                ? try prefixed(reduction, input, extent, whole, number) : reduced(reduction, input, extent, whole)
            if let part { add(part, to: input, reader: number, operand: 0) }
        case .contract(let left, let right, let extent, let selected):
            if selected {
                if flows(right) { add(selected: left, right, full(value, gradient), number) }
            } else {
                propagate(left, right, extent, full(value, gradient), number)
            }
        case .gather(let pieces, _):
            for (operand, piece) in pieces.enumerated() where flows(piece.source) {
                try propagate(pieces, operand, full(value, gradient), value, number)
            }
        case .sort: return
        }
    }

    func flows(_ id: ValueID) -> Bool {
        reached[Int(id.index)] && graph.type(id).element == .f32 && !constants.contains(id)
    }

    /// Adds up over what an operand of this shape was repeated along.
    private mutating func summed(_ gradient: ValueID, to own: [UInt64]) -> ValueID {
        let wide = shape(gradient)
        let skip = wide.count - own.count
        let repeated = wide.indices.filter { wide[$0] != 1 && ($0 < skip || own[$0 - skip] == 1) }
        if repeated.isEmpty { return graph.reshape(gradient, own.map { Dimension($0) }) }
        let kept = wide.indices.filter { !repeated.contains($0) }
        let turned = graph.transpose(gradient, kept + repeated)
        let rows = kept.map { Dimension(wide[$0]) }
        let flat = graph.reshape(turned, rows + [Dimension(repeated.reduce(1) { $0 * wide[$1] })])
        return graph.reshape(graph.reduce(.sum, flat), own.map { Dimension($0) })
    }

    /// Of a map that reads as many tensors as one may: the derivative as a map of its own, then its product with the gradient.
    private mutating func inTwo(
        _ expression: MapExpression, by operand: Int, _ inputs: [ValueID], _ types: [ElementType], _ gradient: ValueID,
        _ shape: [Dimension]
    ) throws(DifferentiationFault) -> ValueID {
        guard
            let part = try ExpressionDerivative(
                expression, by: operand, types: types, readsResult: false, readsGradient: false)
        else { preconditionFailure("an input without influence has no derivative of too many inputs") }
        let slope = graph.append(
            .map(part.expression, inputs: part.inputs.map { inputs[$0] }), TensorType(.f32, shape))
        return graph.map(.f32, shape, [gradient, slope]) { e in
            let (g, s) = (e.input(0), e.input(1))
            _ = e.apply(.multiply, g, s)
        }
    }

    /// dA = g·B, dB = gᵀ·A; terms past an extent took no part.
    private mutating func propagate(
        _ left: ValueID, _ right: ValueID, _ extent: ValueID?, _ gradient: ValueID, _ number: Int
    ) {
        let (a, b) = (graph.type(left).shape, graph.type(right).shape)
        func swapped(_ id: ValueID) -> ValueID {
            let rank = graph.type(id).shape.count
            return graph.transpose(id, Array(0..<rank - 2) + [rank - 1, rank - 2])
        }
        if flows(left) {
            let part = graph.contract(gradient, swapped(right))
            add(extent.map { masked(part, $0, a) } ?? part, to: left, reader: number, operand: 0)
        }
        if flows(right) {
            var (g, x) = (gradient, extent.map { masked(left, $0, a) } ?? left)
            if b.count == 2 && a.count > 2 {
                // One right side for all: the batch is more terms.
                let rows = Dimension(a.dropLast().reduce(1) { $0 * $1.factor })
                g = graph.reshape(g, [rows, b[0]])
                x = graph.reshape(x, [rows, b[1]])
            }
            add(graph.contract(swapped(g), swapped(x)), to: right, reader: number, operand: 1)
        }
    }
}
