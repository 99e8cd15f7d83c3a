internal import CKernels
internal import Programs

/// Products, with weights packed once.
extension GraphPlanner {
    mutating func placeContract(
        _ left: ValueID, _ right: ValueID, _ extent: ValueID?, _ value: ValueID
    ) {
        let (a, b) = (shape(left), shape(right))
        let k = a[a.count - 1]
        let n = b[b.count - 2]
        let batchShape = Array(a.dropLast(2))
        var m = a[a.count - 2]
        var batch = batchShape.reduce(1, *)
        let (x, y) = (access(left), access(right))
        let rightHasBatch = b.count > 2
        let extents = extent.map { RowExtents(access($0), own: shape($0), rows: Array(a.dropLast()), length: k) }
        let reads = [x.root, y.root] + (extent.map { [access($0).root] } ?? [])
        if type(left).element == .i8 {
            let wanted = WeightAccess(access: y, element: .i8, n: n, k: k, row: k, step: 1)
            let isWeight = hoists && !rightHasBatch && isPackedOnce(wanted)
            let step = WholeContractStep(
                out: value, batch: rightHasBatch ? batch : 1, m: rightHasBatch ? m : batch * m, n: n, k: k, left: x,
                right: y, extents: extents, isWeight: isWeight, packed: nil, variant: variant)
            append(.wholeContract(step), makes: value, reads: isWeight ? [x.root] + reads.dropFirst(2) : reads)
            if isWeight { weights.append((steps.count - 1, wanted)) }
            return
        }
        var row = x.strides[a.count - 2]
        var leftBatch = JoinedAxes(batchShape, [Array(x.strides.dropLast(2))])
        var rightBatch = JoinedAxes(
            batchShape, [rightHasBatch ? Array(y.strides.dropLast(2)) : batchShape.map { _ in 0 }])
        if !rightHasBatch {
            // One matrix for all: the batch is more rows, where rows go on evenly.
            let joined = JoinedAxes(Array(a.dropLast()), [Array(x.strides.dropLast())])
            if joined.shape.count <= 1 {
                m = batch * m
                batch = 1
                row = joined.strides[0].first ?? k
                leftBatch = JoinedAxes([], [[]])
                rightBatch = JoinedAxes([], [[]])
            }
        }
        if m == 1 { row = k }
        let rightRow = n == 1 ? k : y.strides[b.count - 2]
        let rightStep = k == 1 ? 1 : y.strides[b.count - 1]
        let wanted = WeightAccess(access: y, element: .f32, n: n, k: k, row: rightRow, step: rightStep)
        let isWeight = hoists && !rightHasBatch && isPackedOnce(wanted)
        let step = ContractStep(
            out: value, batch: batch, m: m, n: n, k: k,
            left: .init(access: x, batch: leftBatch, row: row, step: x.strides[a.count - 1]),
            right: .init(access: y, batch: rightBatch, row: rightRow, step: rightStep), extents: extents,
            isWeight: isWeight, packed: nil, variant: variant)
        append(.contract(step), makes: value, reads: isWeight ? [x.root] + reads.dropFirst(2) : reads)
        if isWeight { weights.append((steps.count - 1, wanted)) }
    }

    /// Lets a product add the bias that this map adds, where nothing else reads the product: then it is added while the sums are in registers.
    mutating func addsBias(_ expression: MapExpression, _ inputs: [ValueID], _ value: ValueID) -> Bool {
        let nodes = expression.nodes
        guard inputs.count == 2, case .operation(.add, let arguments)? = nodes.last, arguments.count == 2,
            case .input(let first) = nodes[Int(arguments[0])], case .input(let second) = nodes[Int(arguments[1])]
        else { return false }
        let own = shape(value)
        for (product, bias) in [(inputs[Int(first)], inputs[Int(second)]), (inputs[Int(second)], inputs[Int(first)])] {
            let (x, y) = (access(product), access(bias))
            guard shape(product) == own, x.isWhole(own), let index = made[x.root.index],
                case .contract(var step) = steps[index], step.out == x.root, step.takesBias, own.last == step.n,
                types[Int(x.root.index)].count == type(value).count, !isReadOutside(x.root, [value])
            else { continue }
            // There before the product, and one number a column.
            let strides = y.broadcast(from: shape(bias), to: own)
            guard type(bias).element == .f32, strides.last == 1 || step.n == 1,
                zip(own, strides).dropLast().allSatisfy({ $0 == 1 || $1 == 0 }),
                Int(y.root.index) < leading || storage[y.root.index] == .constant
                    || made[y.root.index].map({ $0 < index }) == true
            else { continue }
            step.out = value
            step.bias = y
            steps[index] = .contract(step)
            made[x.root.index] = nil
            made[value.index] = index
            lastRead[y.root.index] = max(index, lastRead[y.root.index] ?? index)
            return true
        }
        return false
    }

    /// Whether a right side is packed once. Packing pads narrow matrices and writes repeated rows out, before anyone has asked how much memory a run takes: all
    /// packed forms together stay within four times the parameters, and what is beyond is packed in each step.
    mutating func isPackedOnce(_ weight: WeightAccess) -> Bool {
        guard weight.n > 0, weight.k > 0,
            Int(weight.access.root.index) < parameters || storage[weight.access.root.index] == .constant
        else { return false }
        if packed.contains(weight) { return true }
        let (n, k) = (Int32(weight.n), Int32(weight.k))
        let bytes =
            weight.element == .i8
            ? UInt64(pk_pack_size_i8(variant.code, n, k))
            : UInt64(
                weight.isFilters
                    ? weight.groups * pk_pack_filters_size(variant.code, n / Int32(weight.groups), k)
                    : pk_pack_size(variant.code, n, k)) * 4
        if bytes > packingBudget { return false }
        packingBudget -= bytes
        packed.insert(weight)
        return true
    }

    mutating func placeSelected(_ left: ValueID, _ right: ValueID, _ value: ValueID) {
        let step = SelectedContractStep(
            out: value, m: shape(value)[0], n: shape(right)[0], k: shape(right)[1], indices: access(left),
            right: access(right))
        append(.selected(step), makes: value, reads: [access(left).root, access(right).root])
    }
}
