internal import Programs

/// The way back through movement: sums over what was repeated, the elements' places otherwise.
extension Differentiation {
    /// The gradient of one piece's source, added to it.
    mutating func propagate(
        _ pieces: [GatherPiece], _ operand: Int, _ gradient: ValueID, _ value: ValueID, _ number: Int
    ) throws(DifferentiationFault) {
        let piece = pieces[operand]
        if pieces[..<operand].contains(where: { meets($0, piece) }) {
            throw .unsupported(op: number, "a gather whose pieces overlap")
        }
        let result = shape(value)
        let form = GatherForm(piece, result: result.map { Int(clamping: $0) }, types: graph.types)
        if form.count == 0 { return }
        if form.places.contains(where: { $0.exact || $0.quotient != 1 || $0.modulus != 0 }) {
            throw .unsupported(op: number, "a gather in uneven steps")
        }
        // The piece's own box of the gradient.
        let start = piece.start.map { Int64(clamping: $0.factor) }
        var box = graph.slice(gradient, starts: start, steps: start.map { _ in 1 }, sizes: piece.size)
        box = graph.reshape(box, form.axes.map { Dimension(UInt64($0.count)) })
        let tables = form.places.indices.filter { form.places[$0].table != nil }
        if tables.isEmpty {
            let (turned, corner, size) = try boxed(form, box, number)
            let isWhole = corner.allSatisfy { $0 == 0 } && size == shape(piece.source)
            add(turned, to: piece.source, reader: number, operand: operand, start: isWhole ? nil : corner)
            return
        }
        guard tables == [0], form.places[0].coefficients.allSatisfy({ $0 == 0 }), form.places[0].offset == 0 else {
            throw .unsupported(op: number, "a gather by a table that is not of whole rows")
        }
        try add(rows: form, box, piece.source, number, operand)
    }

    /// Whether two boxes have a place in common.
    private func meets(_ x: GatherPiece, _ y: GatherPiece) -> Bool {
        x.start.indices.allSatisfy {
            x.start[$0].factor < y.start[$0].factor + y.size[$0].factor
                && y.start[$0].factor < x.start[$0].factor + x.size[$0].factor
        }
    }

    /// A box of the source: the axes that each coordinate goes along in their order, with what was repeated added up.
    private mutating func boxed(
        _ form: GatherForm, _ box: ValueID, _ number: Int
    ) throws(DifferentiationFault) -> (gradient: ValueID, start: [UInt64], size: [UInt64]) {
        var order: [Int] = []
        var size: [UInt64] = []
        var start: [UInt64] = []
        for place in form.places {
            let axes = form.axes.indices.filter { place.coefficients[$0] != 0 }
                .sorted { place.coefficients[$0] > place.coefficients[$1] }
            var unit = 1
            for axis in axes.reversed() {
                guard place.coefficients[axis] == unit else {
                    throw .unsupported(op: number, "a gather that leaves places out")
                }
                unit *= form.axes[axis].count
            }
            guard place.offset >= 0, place.offset + unit <= place.size else {
                throw .unsupported(op: number, "a gather that leaves its source")
            }
            if axes.contains(where: order.contains) { throw .unsupported(op: number, "a gather of a diagonal") }
            order += axes
            size.append(UInt64(unit))
            start.append(UInt64(place.offset))
        }
        let repeated = form.axes.indices.filter { !order.contains($0) }
        var turned = graph.transpose(box, order + repeated)
        if !repeated.isEmpty {
            let kept = order.map { Dimension(UInt64(form.axes[$0].count)) }
            let times = repeated.reduce(1) { $0 * form.axes[$1].count }
            turned = graph.reduce(.sum, graph.reshape(turned, kept + [Dimension(UInt64(times))]))
        }
        return (graph.reshape(turned, size.map { Dimension($0) }), start, size)
    }

    /// Rows of a table by an index tensor: the selected contraction adds each row's gradient where its index says.
    private mutating func add(
        rows form: GatherForm, _ box: ValueID, _ source: ValueID, _ number: Int, _ operand: Int
    ) throws(DifferentiationFault) {
        guard let table = form.places[0].table else { return }
        let strides = form.places[0].tableStrides
        let named = form.axes.indices.filter { strides[$0] != 0 }.sorted { strides[$0] > strides[$1] }
        var unit = 1
        for axis in named.reversed() {
            guard strides[axis] == unit else { throw .unsupported(op: number, "a table that is read in part") }
            unit *= form.axes[axis].count
        }
        guard UInt64(unit) == graph.type(table).count else {
            throw .unsupported(op: number, "a table that is read in part")
        }
        var order = named
        for place in form.places.dropFirst() {
            let axes = form.axes.indices.filter { place.coefficients[$0] != 0 }
                .sorted { place.coefficients[$0] > place.coefficients[$1] }
            var width = 1
            for axis in axes.reversed() {
                guard place.coefficients[axis] == width else {
                    throw .unsupported(op: number, "a gather that leaves places out")
                }
                width *= form.axes[axis].count
            }
            guard place.offset == 0, width == place.size else {
                throw .unsupported(op: number, "a gather of a part of each row")
            }
            order += axes
        }
        guard order.count == form.axes.count, Set(order).count == order.count else {
            throw .unsupported(op: number, "rows that are repeated")
        }
        let own = graph.type(source).shape
        let width = own.dropFirst().reduce(1) { $0 * $1.factor }
        let matrix = graph.reshape(graph.transpose(box, order), [Dimension(UInt64(unit)), Dimension(width)])
        let sums = graph.append(
            .contract(
                left: graph.reshape(table, [Dimension(UInt64(unit))]), right: graph.transpose(matrix, [1, 0]),
                extent: nil,
                selected: true), TensorType(.f32, [own[0], Dimension(width)]))
        add(graph.reshape(sums, own), to: source, reader: number, operand: operand)
    }
}
