import Primitives

extension GraphBuilder {
    /// The ops that the outputs need, numbered behind the given leading tensors, and the outputs' numbers: what a scan takes.
    ///
    /// `leading` are this graph's leading tensors in the program's order; one that is not named must be needed by no output.
    public func assembled(leading: [ValueID], outputs: [ValueID]) -> (operations: [OperationRecord], outputs: [ValueID])
    {
        let isLate = Set(late)
        // The number of leading tensors that were there before the first op.
        let early = types.count - operations.count - late.count
        var owners = [Int?](repeating: nil, count: types.count)
        var next = 0
        for number in early..<types.count where !isLate.contains(ValueID(number)) {
            owners[number] = next
            next += 1
        }
        var isNeeded = [Bool](repeating: false, count: types.count)
        for output in outputs { isNeeded[Int(output.index)] = true }
        for number in (0..<types.count).reversed() where isNeeded[number] {
            guard let owner = owners[number] else { continue }
            for operand in operations[owner].operation.operands { isNeeded[Int(operand.index)] = true }
        }
        var numbers = [ValueID?](repeating: nil, count: types.count)
        for (place, id) in leading.enumerated() { numbers[Int(id.index)] = ValueID(place) }
        var kept: [OperationRecord] = []
        func number(_ id: ValueID) -> ValueID {
            guard let found = numbers[Int(id.index)] else {
                preconditionFailure("a tensor that an output needs is neither an op's result nor a leading tensor")
            }
            return found
        }
        for place in early..<types.count where isNeeded[place] {
            guard let owner = owners[place] else { continue }
            let record = operations[owner]
            kept.append(OperationRecord(record.operation.renumbered(number), record.result))
            numbers[place] = ValueID(leading.count + kept.count - 1)
        }
        return (kept, outputs.map(number))
    }

    /// The tensors that these are computed from, themselves included.
    public func ancestors(of ids: [ValueID]) -> Set<ValueID> {
        let isLate = Set(late)
        let early = types.count - operations.count - late.count
        var seen = Set(ids)
        var owner = operations.count
        for number in (early..<max(early, types.count)).reversed() where !isLate.contains(ValueID(number)) {
            owner -= 1
            if seen.contains(ValueID(number)) { seen.formUnion(operations[owner].operation.operands) }
        }
        return seen
    }
}

extension Operation {
    /// The same op on other tensors.
    package func renumbered(_ number: (ValueID) -> ValueID) -> Operation {
        switch self {
        case .map(let expression, let inputs): .map(expression, inputs: inputs.map(number))
        case .reduce(let reduction, let input, let extent, let prefix):
            .reduce(reduction, input: number(input), extent: extent.map(number), prefix: prefix)
        case .contract(let left, let right, let extent, let selected):
            .contract(left: number(left), right: number(right), extent: extent.map(number), selected: selected)
        case .gather(let pieces, let fill):
            .gather(
                pieces.map { piece in
                    GatherPiece(
                        start: piece.start, size: piece.size, source: number(piece.source),
                        coordinates: piece.coordinates.map { coordinate in
                            Coordinate(
                                offset: coordinate.offset, terms: coordinate.terms,
                                table: coordinate.table.map(number), tableAxes: coordinate.tableAxes,
                                quotient: coordinate.quotient, modulus: coordinate.modulus, exact: coordinate.exact)
                        })
                }, fill: fill)
        case .sort(let input, let descending): .sort(input: number(input), descending: descending)
        }
    }
}
