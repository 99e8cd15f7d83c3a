public import Primitives

/// The price of a program in weighted operations: a pure function of its shapes, so that nobody has to trust a clock.
///
/// An element of `map` costs its operations (transcendental ones eight), of `reduce` one, of `contract` 2·K (*selected*: one, and two for each
/// of the right side's), of `sort` 4·⌈log₂ n⌉; a `gather` costs one an
/// element where it is an output or reads an index tensor, else nothing. Bytes of parameters and inputs are read once, an eighth of an operation each.
public enum ComputeCost {
    /// What a named function costs beside an addition.
    static let functionWeight: UInt64 = 8

    static func weight(_ expression: MapExpression) -> UInt64 {
        expression.nodes.reduce(0) { total, node in
            guard case .operation(let operation, _) = node else { return total }
            switch operation {
            case .exp, .log, .tanh, .erf, .sin, .cos, .squareRoot, .divide: return total + functionWeight
            default: return total + 1
            }
        }
    }

    static func cost(_ record: OperationRecord, _ types: [TensorType], isOutput: Bool) -> UInt128 {
        let count = UInt128(record.result.count)
        switch record.operation {
        case .map(let expression, _): return count * UInt128(max(1, weight(expression)))
        case .reduce(_, let input, _, _): return UInt128(types[Int(input.index)].count)
        case .contract(let left, let right, _, let selected):
            // Each of the right side's numbers is added once, and each of the result's written.
            if selected { return count + 2 * UInt128(types[Int(right.index)].count) }
            return 2 * count * UInt128(types[Int(left.index)].shape.last?.factor ?? 1)
        case .gather(let pieces, _):
            let indexed = pieces.contains { $0.coordinates.contains { $0.table != nil } }
            return isOutput || indexed ? count : 0
        case .sort(let input, _):
            let length = types[Int(input.index)].shape.last?.factor ?? 1
            return count * 4 * UInt128(UInt64(64 - max(1, length - 1).leadingZeroBitCount))
        }
    }
}

extension SpecialisedProgram {
    /// What one step of each scan costs.
    public func stepCosts() throws(ProgramFault) -> [ComputeUnits] {
        let leading = parameters.count + inputs.count + carried.count
        var costs: [ComputeUnits] = []
        for scan in scans {
            let types = types(of: scan)
            let outputs = Set(scan.outputs)
            var step: UInt128 = 0
            for (number, record) in scan.operations.enumerated() {
                // At most 2^16 ops of at most 2^40 elements and weight 2^42: below 2^100.
                step += ComputeCost.cost(record, types, isOutput: outputs.contains(ValueID(leading + number)))
            }
            guard let operations = UInt64(exactly: step) else { throw .overflow("the program's cost") }
            costs.append(ComputeUnits(weightedOperations: operations))
        }
        return costs
    }

    /// The cost of running all steps: those of each scan, and reading parameters and inputs once.
    public func cost() throws(ProgramFault) -> ComputeUnits {
        var total: UInt128 = 0
        for (scan, step) in zip(scans, try stepCosts()) {
            let (product, overflow) = UInt128(step.weightedOperations).multipliedReportingOverflow(
                by: UInt128(scan.steps.factor))
            let (sum, carry) = total.addingReportingOverflow(product)
            // Held far below the top of UInt128 at every step, so that nothing added below can trap.
            if overflow || carry || sum > UInt128(UInt64.max) { throw .overflow("the program's cost") }
            total = sum
        }
        for declaration in parameters + inputs { total += UInt128(declaration.type.byteCount / 8) }
        guard let operations = UInt64(exactly: total) else { throw .overflow("the program's cost") }
        return ComputeUnits(weightedOperations: operations)
    }

    /// How many numbers the parameters hold.
    public var parameterCount: UInt64 { parameters.reduce(0) { $0 + $1.type.count } }

    /// Bytes of all that a run leaves which takes every step: what each step gives out, and what is kept.
    public var resultBytes: UInt64 {
        var all = kept.reduce(UInt128(0)) { $0 + UInt128(carried[Int($1)].type.byteCount) }
        for scan in scans {
            let types = types(of: scan)
            // At most 2^12 outputs of at most 2^43 bytes, 2^20 times.
            let step = scan.outputs.reduce(UInt128(0)) { $0 + UInt128(types[Int($1.index)].byteCount) }
            all += step * UInt128(scan.steps.factor)
        }
        return UInt64(clamping: all)
    }

    /// Bytes of parameters, inputs and the widest step of a plain execution, and at least of what it leaves: what an offer's memory is held against, and what a
    /// result may take to be handed out.
    public var memoryEstimate: UInt64 {
        let fixed = (parameters + inputs + carried).reduce(UInt64(0)) { $0 &+ $1.type.byteCount }
        let widest = scans.flatMap(\.operations).map(\.result.byteCount).max() ?? 0
        return max(fixed &+ 4 &* widest, resultBytes)
    }
}
