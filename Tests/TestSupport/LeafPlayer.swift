internal import Primitives
public import Programs

/// Plays either side of a dispute from a run by leaves: reveals what the run has, or names the first that differs from it.
public struct LeafPlayer: Sendable {
    public let run: LeafRun

    public init(_ run: LeafRun) { self.run = run }

    // MARK: The defender

    public func reveal(_ point: RevealPoint) throws -> Reveal {
        switch point {
        case .steps(let node):
            return .steps(node.children(levels: Reveal.stepLevels, of: UInt64(run.steps.count)).map(stepNode))
        case .operations(let step, let node):
            let children = children(node, run.operationRoots(run.steps[Int(step)]))
            let isTop = node == TreeNode(topOf: UInt64(run.steps[Int(step)].operations.count))
            return .operations(
                children, node: run.steps.count == 1 && isTop ? run.node(run.steps[Int(step)]) : nil)
        case .entries(let step, let list, let node): return .digests(children(node, entries(list, Int(step))))
        case .blocks(let step, let operation, let node):
            return .digests(children(node, leaves(Int(step), Int(operation))))
        case .values(let step, let operation, let block):
            return .values(LeafPlayer.block(run.steps[Int(step)].operations[Int(operation)], Int(block)))
        case .totals(let step, let operation, let element, let from, let to):
            return try totals(Int(step), Int(operation), element, from, to)
        }
    }

    private func children(_ node: TreeNode, _ leaves: [Digest]) -> [Digest] {
        let count = UInt64(leaves.count)
        return node.children(levels: Reveal.levels, of: count).map { LeafPlayer.digest($0, leaves) }
    }

    static func digest(_ node: TreeNode, _ leaves: [Digest]) -> Digest {
        let range = node.leaves(of: UInt64(leaves.count))
        return node.digest(
            ofChildren: leaves[Int(range.lowerBound)..<Int(range.upperBound)].map { $0 }, levels: node.height)
    }

    private func stepNode(_ node: TreeNode) -> StepNode {
        let nodes = run.steps.map { run.node($0) }
        let last = Int(node.leaves(of: UInt64(nodes.count)).upperBound) - 1
        return StepNode(outputs: LeafPlayer.digest(node, nodes.map(\.outputs)), state: nodes[last].state)
    }

    private func entries(_ list: EntryList, _ step: Int) -> [Digest] {
        switch list {
        case .outputs: return run.outputRoots(run.steps[step])
        case .carried: return run.carriedRoots(run.steps[step].after)
        case .kept:
            let last = run.carriedRoots(run.steps.last?.after ?? run.start)
            return run.fixed.kept.map { last[Int($0)] }
        }
    }

    private func leaves(_ step: Int, _ operation: Int) -> [Digest] {
        run.steps[step].operations[operation].withUnsafeBytes { TensorRoot.leaves($0) }
    }

    static func block(_ bytes: [UInt8], _ index: Int) -> [UInt8] {
        let part = bytes.dropFirst(index * TensorRoot.blockLength).prefix(TensorRoot.blockLength)
        return part + [UInt8](repeating: 0, count: TensorRoot.blockLength - part.count)
    }

    func leaf(_ step: Int, _ operation: Int) throws -> (Leaf, BytesOperands, [ValueID]) {
        let held = run.steps[step]
        let scan = run.fixed.scans[held.scan]
        let types = run.fixed.types(of: scan)
        let record = scan.operations[operation]
        let first = run.fixed.scans[..<held.scan].reduce(0) { $0 + $1.operations.count }
        let ids = record.operation.operands
        let values = run.parameters + run.inputs + held.before + held.operations
        let leaf = try Leaf(
            record, operands: ids.map { types[Int($0.index)] },
            context: .init(seed: run.seed, operation: UInt32(first + operation), step: held.step))
        return (leaf, BytesOperands(values: ids.map { values[Int($0.index)] }, types: leaf.operandTypes), ids)
    }

    private func totals(
        _ step: Int, _ operation: Int, _ element: UInt64, _ from: UInt64, _ to: UInt64
    ) throws -> Reveal {
        let (leaf, operands, _) = try leaf(step, operation)
        let count = leaf.segmentCount(of: element)
        if count <= 1 { return .totals(segments: count, []) }
        let end = to == 0 ? count : to
        let stride = Reveal.stride(of: end - from)
        let size =
            leaf.operandTypes.isEmpty
            ? 0 : run.fixed.scans[run.steps[step].scan].operations[operation].result.element.size
        let bytes = run.steps[step].operations[operation]
        let start = Int(element) * size
        let claim = bytes[start..<start + size].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        var total = leaf.start
        var out: [[UInt8]] = []
        for segment in 0..<end {
            total = try leaf.advanced(total, segment: segment, of: element, claim: claim, from: operands)
            if segment >= from, (segment + 1 - from) % stride == 0 || segment + 1 == end {
                out.append(leaf.bytes(of: total))
            }
        }
        return .totals(segments: count, out)
    }

    // MARK: The challenger

    /// The first step that should not be, or should not be its scan's last, where the defender says that the scans took so many.
    private func firstFalseStep(_ claimed: [UInt64]) -> (index: UInt64, isPastEnd: Bool)? {
        var before: UInt64 = 0
        for (own, said) in zip(run.taken, claimed) {
            if said > own { return (before + own, true) }
            if said < own { return (before + said - 1, false) }
            before += own
        }
        return nil
    }

    /// What to say now; nil where nothing differs.
    public func pick(_ walk: Walk, _ subject: DisputeSubject) throws -> Pick? {
        let wrong = firstFalseStep(subject.steps)
        let all = subject.steps.reduce(0, +)
        switch walk.stage {
        case .chooseStep(let node, _, let children):
            for (place, child) in node.children(levels: Reveal.stepLevels, of: all).enumerated() {
                let range = child.leaves(of: all)
                if let wrong, wrong.index < range.upperBound { return .child(UInt32(place)) }
                let nodes = run.steps[Int(range.lowerBound)..<Int(range.upperBound)].map { run.node($0) }
                let outputs = child.digest(ofChildren: nodes.map(\.outputs), levels: child.height)
                if children[place] != StepNode(outputs: outputs, state: nodes[nodes.count - 1].state) {
                    return .child(UInt32(place))
                }
            }
            return .list(.kept)
        case .chooseOperation(let step, let node, let children):
            if all == 0 { return .list(.kept) }
            if let wrong, wrong.isPastEnd, wrong.index == step.index {
                let last = run.steps[Int(step.index) - 1]
                return .stopped(flag(last.scan, last.after))
            }
            let held = run.steps[Int(step.index)]
            let roots = run.operationRoots(held)
            for (place, child) in node.children(levels: Reveal.levels, of: UInt64(roots.count)).enumerated()
            where children[place] != LeafPlayer.digest(child, roots) {
                if child.height > 0 { return .child(UInt32(place)) }
                let first = run.fixed.scans[..<held.scan].reduce(0) { $0 + $1.operations.count }
                let tree = MerkleLevels(run.program.treeLeaves)
                return .operation(
                    UInt32(place), run.program.scans[held.scan].operations[Int(child.index)],
                    siblings: tree.proof(first + Int(child.index) + 1).siblings)
            }
            let own = run.node(held)
            if step.node?.outputs != own.outputs { return .list(.outputs) }
            if step.node?.state != own.state { return .list(.carried) }
            if let wrong, !wrong.isPastEnd, wrong.index == step.index { return .goesOn(flag(held.scan, held.after)) }
            return all == 1 ? .list(.kept) : nil
        case .chooseEntry(let step, let list, let node, let children):
            let own = entries(list, Int(step.index))
            for (place, child) in node.children(levels: Reveal.levels, of: UInt64(own.count)).enumerated()
            where children[place] != LeafPlayer.digest(child, own) {
                return .child(UInt32(place))
            }
            return nil
        case .entry(let step, let list, let index, _): return .entry(entry(step, list, Int(index)))
        case .chooseBlock(let place, let node, let children):
            let own = leaves(Int(place.step.index), Int(place.operation))
            for (number, child) in node.children(levels: Reveal.levels, of: UInt64(own.count)).enumerated()
            where children[number] != LeafPlayer.digest(child, own) {
                return .child(UInt32(number))
            }
            return nil
        case .chooseElement(let place, let block, let bytes):
            let own = LeafPlayer.block(run.steps[Int(place.step.index)].operations[Int(place.operation)], Int(block))
            return zip(own, bytes).enumerated().first { $0.element.0 != $0.element.1 }
                .map { .element(UInt32($0.offset / place.type.element.size)) }
        case .chooseTotal(let element, let segments, let totals): return try chooseTotal(element, segments, totals)
        case .leaf(let element, let claim, _):
            return .leaf(try witness(Int(element.place.step.index), Int(element.place.operation), claim, element.place))
        default: return nil
        }
    }

    private func flag(_ scan: Int, _ state: [[UInt8]]) -> [Digest] {
        MerkleTree.proof(run.carriedRoots(state), Int(run.fixed.scans[scan].stop ?? 0)).siblings
    }

    private func chooseTotal(_ element: WalkElement, _ segments: WalkSegments, _ totals: [[UInt8]]) throws -> Pick? {
        let (leaf, operands, _) = try leaf(Int(element.place.step.index), Int(element.place.operation))
        if leaf.segmentCount(of: element.element) != segments.count { return .finish }
        let stride = Reveal.stride(of: segments.to - segments.from)
        var total = segments.from == 0 ? leaf.start : leaf.total(segments.before)
        for segment in segments.from..<segments.to {
            guard let held = total else { return nil }
            total = try leaf.advanced(
                held, segment: segment, of: element.element, claim: element.bits, from: operands)
            let place = Int((segment - segments.from) / stride)
            guard (segment + 1 - segments.from) % stride == 0 || segment + 1 == segments.to, let total else { continue }
            if leaf.bytes(of: total) != totals[place] { return .child(UInt32(place)) }
        }
        return .finish
    }

    private func entry(_ step: WalkStep, _ list: EntryList, _ index: Int) -> EntryWitness {
        let held = run.steps.isEmpty ? nil : run.steps[Int(step.index)]
        let numbers: [UInt32]
        switch list {
        case .outputs: numbers = run.program.scans[held?.scan ?? 0].outputs.map(\.index)
        case .carried: numbers = run.program.scans[held?.scan ?? 0].carried.map(\.index)
        case .kept: numbers = run.program.kept.map { UInt32($0) }
        }
        let lists: [[Digest]]
        if list == .kept {
            lists = [run.carriedRoots(run.steps.last?.after ?? run.start)]
        } else {
            lists = [
                zip(run.fixed.parameters, run.parameters).map { LeafRun.root($0.type, $1) },
                zip(run.fixed.inputs, run.inputs).map { LeafRun.root($0.type, $1) },
                run.carriedRoots(held?.before ?? []), held.map(run.operationRoots) ?? [],
            ]
        }
        var place = Int(numbers[index])
        var number = 0
        while place >= lists[number].count {
            place -= lists[number].count
            number += 1
        }
        return EntryWitness(
            value: numbers[index],
            valueSiblings: MerkleTree.proof(numbers.map { LeafPlayer.numberLeaf($0) }, index).siblings,
            root: lists[number][place], siblings: MerkleTree.proof(lists[number], place).siblings)
    }

    private static func numberLeaf(_ number: UInt32) -> Digest {
        var writer = ByteWriter(capacity: 4)
        writer.write(number)
        return MerkleTree.leaf(writer.bytes)
    }

    /// The evidence about a claim, of what the run has. Of the other side's tree of ops (`walked`) it takes what it was shown.
    public func witness(
        _ step: Int, _ operation: Int, _ claim: LeafClaim, _ walked: WalkOperation? = nil
    ) throws -> Witness {
        let (leaf, operands, ids) = try leaf(step, operation)
        let held = run.steps[step]
        let scan = run.fixed.scans[held.scan]
        var wanted: [ValueID: Set<Int>] = [:]
        for operand in try leaf.consulted(of: claim.element, from: operands) { wanted[ids[operand]] = [] }
        var segment: UInt64 = 0
        if case .segment(let number, _, _, _, _) = claim { segment = number }
        var ranges: [LeafRange] = []
        if case .finish = claim {
        } else if leaf.isPossible(claim.bits) {
            ranges = try leaf.reads(segment: segment, of: claim.element, claim: claim.bits, from: operands)
        }
        for range in ranges {
            let size = UInt64(leaf.operandTypes[range.operand].element.size)
            let (low, high) = (range.first * size / 1024, ((range.first + range.count) * size - 1) / 1024)
            wanted[ids[range.operand], default: []].formUnion(Int(low)...Int(high))
        }
        let types = run.fixed.types(of: scan)
        let values = run.parameters + run.inputs + held.before + held.operations
        let counts = [run.parameters.count, run.inputs.count, held.before.count, held.operations.count]
        let tensors = Set(ids).sorted().map { id -> WitnessTensor in
            guard let blocks = wanted[id] else {
                return WitnessTensor(value: id, type: types[Int(id.index)], proof: nil)
            }
            let tree = MerkleLevels(values[Int(id.index)].withUnsafeBytes { TensorRoot.leaves($0) })
            var (list, place, start) = (0, Int(id.index), 0)
            while place >= counts[list] {
                place -= counts[list]
                start += counts[list]
                list += 1
            }
            let roots = (start..<start + counts[list]).map { LeafRun.root(types[$0], values[$0]) }
            let siblings =
                list == 3
                ? walked?.siblings(ofEarlier: place, agreed: Array(roots[..<operation])) : nil
            return WitnessTensor(
                value: id, type: types[Int(id.index)],
                proof: .init(
                    blocks: tree.root, siblings: siblings ?? MerkleTree.proof(roots, place).siblings,
                    ranges: blocks.sorted().map { block in
                        BlockRange(
                            first: UInt64(block), bytes: LeafPlayer.block(values[Int(id.index)], block),
                            siblings: tree.siblings(first: block, count: 1))
                    }))
        }
        let first = run.fixed.scans[..<held.scan].reduce(0) { $0 + $1.operations.count }
        return Witness(
            record: run.program.scans[held.scan].operations[operation],
            recordSiblings: MerkleLevels(run.program.treeLeaves).proof(first + operation + 1).siblings,
            tensors: tensors)
    }
}
