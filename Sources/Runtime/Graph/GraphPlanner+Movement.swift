internal import Programs

/// Gathers: read past, done where they lie, or moved.
extension GraphPlanner {
    /// An op that changes no number as another way to read what is there, where every reader can take it so.
    func view(_ operation: Operation, _ value: ValueID) -> Access? {
        let whole: Access?
        switch operation {
        case .gather(let pieces, _):
            guard pieces.count == 1 else { return nil }
            let form = GatherForm(pieces[0], result: shape(value), types: types)
            whole = form.view(result: shape(value), source: access(form.source))
        case .map(let expression, let inputs):
            // What a sum gives each of its terms as a gradient is such a map.
            guard let number = expression.copiedInput, type(value).element == .f32, type(inputs[number]).element == .f32
            else { return nil }
            let source = access(inputs[number])
            // A parameter may hold any NaN, a map's result but one.
            if Int(source.root.index) < parameters { return nil }
            whole = Access(
                root: source.root, offset: source.offset,
                strides: source.broadcast(from: shape(inputs[number]), to: shape(value)))
        default: return nil
        }
        guard let view = whole else { return nil }
        if view.isRowMajor(shape(value)) { return view }
        if isResult[Int(value.index)] { return nil }
        let accepted = consumers[Int(value.index)].allSatisfy { accepts($0.operation, $0.operand, view, value) }
        return accepted ? view : nil
    }

    /// Whether an op can read its operand by these strides.
    func accepts(_ number: Int, _ operand: Int, _ view: Access, _ value: ValueID) -> Bool {
        let own = shape(value)
        let last = view.strides.last ?? 1
        let count = own.reduce(1, *)
        switch operations[number].operation {
        case .map: return last <= 1 || own.last == 1 || count <= 1024
        case .reduce(let reduction, _, let extent, let prefix):
            if operand > 0 { return true }
            if last == 1 { return true }
            return reduction == .sum && !prefix && extent == nil && type(value).element == .f32 && own.count >= 2
                && last > 1 && (view.strides[own.count - 2] == 1 || own[own.count - 2] == 1)
        case .contract(let left, _, _, let selected):
            if selected { return operand == 1 }
            if operand == 2 { return true }
            if type(left).element == .i8 { return false }
            if operand == 0 { return true }
            let (row, step) = (view.strides[own.count - 2], last)
            return row == 1 || step == 1 || own[own.count - 2] == 1 && step == 1 || own[own.count - 1] == 1
        case .gather(let pieces, _):
            return !pieces.contains { $0.coordinates.contains { $0.table == value } } && !areFilters(value, number)
        case .sort: return false
        }
    }

    /// Whether a weight that is laid out anew is taken as rows of filters next. A convolution packs filters that lie in a row; turned round by a view they would be no
    /// convolution's any more.
    private func areFilters(_ value: ValueID, _ number: Int) -> Bool {
        let readers = consumers[leading + number]
        return hoists && isConstant[Int(value.index)] && type(value).element == .f32 && shape(value).count > 2
            && !readers.isEmpty
            && readers.allSatisfy { reader in
                if case .contract = operations[reader.operation].operation { return reader.operand == 1 }
                return false
            }
    }

    /// How far along its last axis, which is so long, a value is read: all of it, but where only slices of its beginning are.
    func readPlaces(_ value: ValueID, _ length: Int) -> Int {
        if isResult[Int(value.index)] { return length }
        var most = 0
        for (number, _) in consumers[Int(value.index)] {
            guard case .gather(let pieces, _) = operations[number].operation else { return length }
            for piece in pieces {
                if piece.coordinates.contains(where: { $0.table == value }) { return length }
                guard piece.source == value else { continue }
                guard let last = piece.coordinates.last, last.table == nil, last.quotient == 1, last.modulus == 0,
                    last.offset == 0, last.terms.count == 1, last.terms[0].coefficient == 1
                else { return length }
                let axis = Int(last.terms[0].axis)
                most = max(most, Int(clamping: piece.start[axis].factor) + Int(clamping: piece.size[axis].factor))
            }
        }
        return min(length, most)
    }

    mutating func placeGather(_ pieces: [GatherPiece], _ fill: UInt64, _ value: ValueID, _ number: Int) {
        let own = shape(value)
        let moved = pieces.map { piece in
            GatherStep.Piece(
                form: GatherForm(piece, result: own, types: types), source: access(piece.source),
                tables: piece.coordinates.map { $0.table.map(access) })
        }
        var kept = moved
        var changes: ValueID?
        if let carried = updatedInPlace(moved, value, number) {
            kept.removeLast()
            changes = ValueID(firstCarried + carried)
            updated[carried] = value
            storage[value.index] = .leading(firstCarried + carried)
        }
        let step = GatherStep(
            out: value, element: type(value).element, pieces: kept, fill: fill, count: own.reduce(1, *),
            keepsRest: changes != nil,
            isRaw: changes == nil && moved.contains { Int($0.source.root.index) < parameters })
        let reads = kept.flatMap { [$0.source.root] + $0.tables.compactMap { $0?.root } }
        append(.gather(step), makes: value, reads: reads, changes: changes)
    }

    /// The carried tensor that a gather only changes here and there: its last piece is the tensor as it was, it is the tensor's next value, and nothing reads
    /// the tensor as it was afterwards.
    func updatedInPlace(_ pieces: [GatherStep.Piece], _ value: ValueID, _ number: Int) -> Int? {
        guard let last = pieces.last, pieces.count > 1 else { return nil }
        let index = Int(last.source.root.index) - firstCarried
        guard index >= 0, index < nextCarried.count, nextCarried[index] == value, updated[index] == nil,
            nextCarried.filter({ $0 == value }).count == 1,
            last.form.view(result: shape(value), source: last.source)?.isWhole(shape(value)) == true
        else { return nil }
        let root = ValueID(firstCarried + index)
        let others = pieces.dropLast().flatMap { [$0.source.root] + $0.tables.compactMap { $0?.root } }
        if others.contains(root) { return nil }
        // Every reader of the tensor, however it reads it, comes before.
        var held = [Int(root.index)]
        while let next = held.popLast() {
            if isResult[next] { return nil }
            for (operation, _) in consumers[next] where operation != number {
                let reader = leading + operation
                if let access = accesses[reader], access.root == root, reader < Int(value.index) {
                    held.append(reader)
                } else if operation > number {
                    return nil
                }
            }
        }
        return index
    }
}

extension MapExpression {
    /// The input that the expression gives as it is, if it is an f32.
    var copiedInput: Int? {
        var place = nodes.count - 1
        while place >= 0 {
            switch nodes[place] {
            case .input(let number): return Int(number)
            case .operation(.toF32, let arguments): place = Int(arguments[0])
            default: return nil
            }
        }
        return nil
    }
}
