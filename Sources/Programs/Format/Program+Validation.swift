import Primitives

extension Program {
    /// Checks what does not depend on the axes' values; shapes are checked by `SpecialisedProgram`.
    func validate() throws(ProgramFault) {
        try checkCounts()
        if Set(axes).count != axes.count { throw .invalid(op: nil, "an axis is named twice") }
        if scans.isEmpty { throw .invalid(op: nil, "there is no scan") }
        if Set(inputs.map(\.name)).count != inputs.count { throw .invalid(op: nil, "an input is named twice") }
        for index in kept where Int(index) >= carried.count {
            throw .invalid(op: nil, "a kept tensor has no number \(index)")
        }
        var types: [ElementType] = []
        for declaration in parameters + inputs + carried {
            try check(declaration.type, nil)
            types.append(declaration.type.element)
        }
        for scan in scans { try validate(scan, types) }
    }

    /// What is made here must be what others can read: the decoder has the same bounds.
    private func checkCounts() throws(ProgramFault) {
        func check(_ count: Int, most: Int, _ what: String) throws(ProgramFault) {
            if count > most { throw .invalid(op: nil, "\(count) \(what), at most \(most) may be") }
        }
        try check(axes.count, most: Program.maximumAxes, "axes")
        try check(parameters.count, most: Program.maximumParameters, "parameters")
        try check(inputs.count, most: Program.maximumParameters, "inputs")
        try check(carried.count, most: Program.maximumParameters, "carried tensors")
        try check(kept.count, most: Program.maximumParameters, "kept tensors")
        try check(scans.count, most: Program.maximumScans, "scans")
        for scan in scans {
            try check(scan.operations.count, most: Scan.maximumOperations, "ops in a scan")
            try check(scan.outputs.count, most: Scan.maximumOutputs, "outputs of a step")
            try check(scan.carried.count, most: Scan.maximumOutputs, "tensors that a scan carries")
        }
        for name in axes + (parameters + inputs + carried).map(\.name) {
            try check(name.utf8.count, most: TensorDeclaration.maximumNameBytes, "bytes in a name")
        }
    }

    private func check(_ type: TensorType, _ op: Int?) throws(ProgramFault) {
        if type.shape.count > TensorType.maximumRank { throw .invalid(op: op, "a tensor has \(type.shape.count) axes") }
        for dimension in type.shape {
            if let axis = dimension.axis, Int(axis) >= axes.count {
                throw .invalid(op: op, "a shape names axis \(axis)")
            }
        }
    }

    private func validate(_ scan: Scan, _ leading: [ElementType]) throws(ProgramFault) {
        var types = leading
        for (number, record) in scan.operations.enumerated() {
            for operand in record.operation.operands where Int(operand.index) >= types.count {
                throw .invalid(op: number, "it reads tensor \(operand.index), which is not there yet")
            }
            try check(record.result, number)
            let type: ElementType
            do throws(ProgramFault) { type = try Program.elementType(record, types) } catch {
                if case .invalid(nil, let reason) = error { throw .invalid(op: number, reason) }
                throw error
            }
            if !Program.mayMake(record, type) {
                throw .invalid(op: number, "it makes \(type) and says \(record.result.element)")
            }
            types.append(record.result.element)
        }
        for output in scan.outputs + scan.carried where Int(output.index) >= types.count {
            throw .invalid(op: nil, "an output names tensor \(output.index), which is not there")
        }
        if scan.carried.count != carried.count {
            throw .invalid(op: nil, "a scan carries \(scan.carried.count) tensors, the program has \(carried.count)")
        }
        if let stop = scan.stop {
            guard Int(stop) < carried.count, carried[Int(stop)].type == TensorType(.bool, []) else {
                throw .invalid(op: nil, "the stop flag is not a carried bool without axes")
            }
        }
    }

    /// Whether an op that makes elements of a type may say that its tensor is of its record's. Only a map stores f32 in fewer bits, so that sums and moved
    /// memory need no form that rounds.
    static func mayMake(_ record: OperationRecord, _ type: ElementType) -> Bool {
        if type == record.result.element { return true }
        guard case .map = record.operation, type == .f32 else { return false }
        return record.result.element == .bf16 || record.result.element == .f16
    }

    /// What an op over tensors of these types makes, or why it makes nothing.
    static func elementType(_ record: OperationRecord, _ types: [ElementType]) throws(ProgramFault) -> ElementType {
        func type(_ id: ValueID) -> ElementType { types[Int(id.index)] }
        func checkExtent(_ extent: ValueID?) throws(ProgramFault) {
            if let extent, type(extent) != .i32 { throw .invalid(op: nil, "an extent is i32, found \(type(extent))") }
        }
        switch record.operation {
        case .map(let expression, let inputs):
            return try expression.check(inputs: inputs.map(type), rank: record.result.shape.count)
        case .reduce(let reduction, let input, let extent, _):
            try checkExtent(extent)
            guard [.f32, .i32, .i64].contains(type(input)) else {
                throw .invalid(op: nil, "a reduce of \(type(input)) has no meaning")
            }
            return reduction == .argumentOfMaximum || reduction == .argumentOfMinimum ? .i32 : type(input)
        case .contract(let left, let right, let extent, let selected):
            try checkExtent(extent)
            if selected {
                guard type(left) == .i32, type(right) == .f32 else {
                    throw .invalid(op: nil, "a selected contract takes i32 and f32")
                }
                return .f32
            }
            if type(left) == .f32 && type(right) == .f32 { return .f32 }
            if type(left) == .i8 && type(right) == .i8 { return .i32 }
            throw .invalid(op: nil, "a contract of \(type(left)) and \(type(right)) has no meaning")
        case .gather(let pieces, let fill):
            let element = record.result.element
            if element.size < 8 && fill >> UInt64(element.size * 8) != 0 {
                throw .invalid(op: nil, "a fill has more bits than its type")
            }
            if element == .bool && fill > 1 { throw .invalid(op: nil, "a bool fill is 0 or 1") }
            let tables = pieces.reduce(0) { $0 + $1.coordinates.count { $0.table != nil } }
            if tables > Operation.maximumTables {
                throw .invalid(
                    op: nil, "a gather reads \(tables) index tensors, at most \(Operation.maximumTables) may be")
            }
            let exact = pieces.count { $0.coordinates.contains(where: \.exact) }
            if exact > Operation.maximumExactPieces {
                throw .invalid(
                    op: nil,
                    "a gather has \(exact) pieces that divide exactly, at most \(Operation.maximumExactPieces) may be")
            }
            for piece in pieces {
                if type(piece.source) != element { throw .invalid(op: nil, "a gather changes the element type") }
                if piece.start.count != record.result.shape.count || piece.size.count != record.result.shape.count {
                    throw .invalid(op: nil, "a gather's box has another rank than its result")
                }
                for coordinate in piece.coordinates {
                    if let table = coordinate.table, type(table) != .i32 {
                        throw .invalid(op: nil, "an index tensor is i32, found \(type(table))")
                    }
                    let rank = record.result.shape.count
                    if coordinate.terms.contains(where: { Int($0.axis) >= rank })
                        || coordinate.tableAxes.contains(where: { Int($0) >= rank })
                    {
                        throw .invalid(op: nil, "a coordinate reads an axis that is not there")
                    }
                }
            }
            return element
        case .sort(let input, _):
            guard [.f32, .i32, .i64].contains(type(input)) else {
                throw .invalid(op: nil, "a sort of \(type(input)) has no meaning")
            }
            return .i32
        }
    }
}
