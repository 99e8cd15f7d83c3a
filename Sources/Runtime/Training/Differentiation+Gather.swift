internal import Programs

/// The way back through movement. In order of what it costs: boxes whose elements have places of their own; windows and strides, as a gather that divides
/// exactly and a sum over the windows that an element is in; whole rows of a table; and whatever else by each element's place in the source.
extension Differentiation {
    /// The gradient of one piece's source, added to it.
    mutating func propagate(
        _ pieces: [GatherPiece], _ operand: Int, _ gradient: ValueID, _ value: ValueID, _ number: Int
    ) throws(DifferentiationFault) {
        let piece = pieces[operand]
        let form = GatherForm(piece, result: shape(value).map { Int(clamping: $0) }, types: graph.types)
        // Of a coordinate outside its axis at every place nothing was read.
        let isNowhere = form.places.contains { place in
            place.table == nil && place.modulus == 0 && place.quotient == 1 && place.coefficients.allSatisfy { $0 == 0 }
                && !(0..<place.size).contains(place.offset)
        }
        if form.count == 0 || isNowhere { return }
        let isAlone = !pieces[..<operand].contains { meets($0, piece) }
        let isPlain = form.places.allSatisfy { !$0.exact && $0.quotient == 1 && $0.modulus == 0 }
        if isAlone && isPlain && form.axes.count <= TensorType.maximumRank {
            let hasTables = form.places.contains { $0.table != nil }
            if !hasTables, let box = Box(form) {
                let (turned, corner, size) = boxed(form, box, own(piece, form, gradient))
                let isWhole = corner.allSatisfy { $0 == 0 } && size == shape(piece.source)
                add(turned, to: piece.source, reader: number, operand: operand, start: isWhole ? nil : corner)
                return
            }
            if !hasTables, let windows = Windows(form) {
                let sum = summed(windows, form, own(piece, form, gradient), piece.source)
                add(sum, to: piece.source, reader: number, operand: operand)
                return
            }
            if hasTables, let rows = tableRows(form) {
                add(rows: form, rows, own(piece, form, gradient), piece.source, number, operand)
                return
            }
        }
        let scattered = try scattered(pieces, operand, gradient, value, number)
        add(scattered, to: piece.source, reader: number, operand: operand)
    }

    /// The piece's own box of the gradient, with the form's axes.
    private mutating func own(_ piece: GatherPiece, _ form: GatherForm, _ gradient: ValueID) -> ValueID {
        let start = piece.start.map { Int64(clamping: $0.factor) }
        let box = graph.slice(gradient, starts: start, steps: start.map { _ in 1 }, sizes: piece.size)
        return graph.reshape(box, form.axes.map { Dimension(UInt64($0.count)) })
    }

    /// Whether two boxes have a place in common.
    func meets(_ x: GatherPiece, _ y: GatherPiece) -> Bool {
        x.start.indices.allSatisfy {
            x.start[$0].factor < y.start[$0].factor + y.size[$0].factor
                && y.start[$0].factor < x.start[$0].factor + x.size[$0].factor
        }
    }

    // MARK: Boxes

    /// A box of the source each of whose elements is read from one place, or from all places along axes that say nothing.
    private struct Box {
        /// The form's axes that coordinates go along, coordinate by coordinate.
        var order: [Int] = []
        var start: [UInt64] = []
        var size: [UInt64] = []

        /// Nil where steps leave elements out, leave the source, or serve two coordinates.
        init?(_ form: GatherForm) {
            for place in form.places {
                let axes = form.axes.indices.filter { place.coefficients[$0] != 0 }
                    .sorted { place.coefficients[$0] > place.coefficients[$1] }
                var unit = 1
                for axis in axes.reversed() {
                    guard place.coefficients[axis] == unit else { return nil }
                    unit *= form.axes[axis].count
                }
                guard place.offset >= 0, place.offset + unit <= place.size else { return nil }
                if axes.contains(where: order.contains) { return nil }
                order += axes
                size.append(UInt64(unit))
                start.append(UInt64(place.offset))
            }
        }
    }

    /// A box of the source: the axes that each coordinate goes along in their order, with what was repeated added up.
    private mutating func boxed(
        _ form: GatherForm, _ plan: Box, _ box: ValueID
    ) -> (gradient: ValueID, start: [UInt64], size: [UInt64]) {
        let turned = withoutRepeats(box, plan.order, form)
        return (graph.reshape(turned, plan.size.map { Dimension($0) }), plan.start, plan.size)
    }

    /// The axes of a piece's box in this order; those that are not named are added up.
    private mutating func withoutRepeats(_ box: ValueID, _ order: [Int], _ form: GatherForm) -> ValueID {
        let repeated = form.axes.indices.filter { !order.contains($0) }
        let turned = graph.transpose(box, order + repeated)
        if repeated.isEmpty { return turned }
        let kept = order.map { Dimension(UInt64(form.axes[$0].count)) }
        let times = repeated.reduce(1) { $0 * form.axes[$1].count }
        return graph.reduce(.sum, graph.reshape(turned, kept + [Dimension(UInt64(times))]))
    }

    // MARK: Windows

    /// Coordinates in even steps along axes of their own: windows that overlap, strides that leave elements out, a reversed order, padding outside the source.
    ///
    /// Of the axes that a coordinate goes along one is solved for: element x was read at place (x − offset − Σ c·i)/c' of it for every place i of the others,
    /// where that is a whole number of the axis.
    private struct Windows {
        struct Solved {
            /// The form's axis that is solved for; nil where the coordinate is one number.
            var axis: Int?
            var others: [Int] = []
        }

        var coordinates: [Solved] = []
        /// The form's axes in the order of their use.
        var order: [Int] { coordinates.flatMap { ($0.axis.map { [$0] } ?? []) + $0.others } }
        var others: [Int] { coordinates.flatMap(\.others) }

        init?(_ form: GatherForm) {
            var seen: Set<Int> = []
            for place in form.places {
                let axes = form.axes.indices.filter { place.coefficients[$0] != 0 }
                if axes.contains(where: { !seen.insert($0).inserted }) { return nil }
                // The longest: the others are what is added up for every element.
                let longest = axes.max { form.axes[$0].count < form.axes[$1].count }
                coordinates.append(Solved(axis: longest, others: axes.filter { $0 != longest }))
            }
            if form.places.count + others.count > TensorType.maximumRank { return nil }
        }
    }

    /// The sum of what all windows give each element of the source.
    private mutating func summed(
        _ windows: Windows, _ form: GatherForm, _ box: ValueID, _ source: ValueID
    ) -> ValueID {
        let turned = withoutRepeats(box, windows.order, form)
        let own = graph.type(source).shape
        let extra = windows.others.map { Dimension(UInt64(form.axes[$0].count)) }
        // The result is [source's axes…, the others…], and elements that one number names are a box of it.
        var start = [Dimension](repeating: 0, count: own.count + extra.count)
        var size = own + extra
        var coordinates: [Coordinate] = []
        var next = own.count
        for (axis, (solved, place)) in zip(windows.coordinates, form.places).enumerated() {
            guard let main = solved.axis else {
                (start[axis], size[axis]) = (Dimension(UInt64(place.offset)), 1)
                continue
            }
            // (x − offset − Σ c·i)/c', with its sign where the step is negative.
            let step = place.coefficients[main]
            let sign: Int64 = step > 0 ? 1 : -1
            var terms = [Coordinate.Term(axis: UInt8(axis), coefficient: sign)]
            for (number, other) in solved.others.enumerated() {
                terms.append(
                    .init(axis: UInt8(next + number), coefficient: -sign * Int64(place.coefficients[other])))
            }
            let divisor = step.magnitude
            coordinates.append(
                Coordinate(
                    offset: -sign * Int64(place.offset), terms: terms, quotient: Dimension(UInt64(divisor)),
                    exact: divisor != 1))
            for number in solved.others.indices { coordinates.append(.axis(UInt8(next + number))) }
            next += solved.others.count
        }
        let piece = GatherPiece(start: start, size: size, source: turned, coordinates: coordinates)
        let all = graph.append(.gather([piece], fill: 0), TensorType(.f32, own + extra))
        if extra.isEmpty { return all }
        return graph.reduce(.sum, graph.reshape(all, own + [Dimension(extra.reduce(1) { $0 * $1.factor })]))
    }

    // MARK: Rows of a table

    /// The form's axes in the order (index tensor's, row's), where the first coordinate is an index tensor read as it is and the others are the whole of each
    /// row.
    private func tableRows(_ form: GatherForm) -> (order: [Int], count: Int)? {
        guard form.places.indices.filter({ form.places[$0].table != nil }) == [0], let table = form.places[0].table,
            form.places[0].coefficients.allSatisfy({ $0 == 0 }), form.places[0].offset == 0
        else { return nil }
        let strides = form.places[0].tableStrides
        let named = form.axes.indices.filter { strides[$0] != 0 }.sorted { strides[$0] > strides[$1] }
        var unit = 1
        for axis in named.reversed() {
            guard strides[axis] == unit else { return nil }
            unit *= form.axes[axis].count
        }
        guard UInt64(unit) == graph.type(table).count else { return nil }
        var order = named
        for place in form.places.dropFirst() {
            let axes = form.axes.indices.filter { place.coefficients[$0] != 0 }
                .sorted { place.coefficients[$0] > place.coefficients[$1] }
            var width = 1
            for axis in axes.reversed() {
                guard place.coefficients[axis] == width else { return nil }
                width *= form.axes[axis].count
            }
            guard place.offset == 0, width == place.size else { return nil }
            order += axes
        }
        guard order.count == form.axes.count, Set(order).count == order.count else { return nil }
        return (order, unit)
    }

    /// Rows of a table by an index tensor: the selected contraction adds each row's gradient where its index says.
    private mutating func add(
        rows form: GatherForm, _ rows: (order: [Int], count: Int), _ box: ValueID, _ source: ValueID, _ number: Int,
        _ operand: Int
    ) {
        guard let table = form.places[0].table else { return }
        let count = Dimension(UInt64(rows.count))
        let own = graph.type(source).shape
        let width = own.dropFirst().reduce(1) { $0 * $1.factor }
        let matrix = graph.reshape(graph.transpose(box, rows.order), [count, Dimension(width)])
        let sums = graph.append(
            .contract(
                left: graph.reshape(table, [count]), right: graph.transpose(matrix, [1, 0]), extent: nil,
                selected: true), TensorType(.f32, [own[0], Dimension(width)]))
        add(graph.reshape(sums, own), to: source, reader: number, operand: operand)
    }
}
