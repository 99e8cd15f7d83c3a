internal import Primitives
public import Programs

/// The defender's side.
extension DisputeRun {
    /// What this run shows at a point of a walk over its own commitment. Whoever lied with this run reveals it all the same; an honest one never loses by it.
    public func reveal(at point: RevealPoint) throws(DisputeRunFault) -> Reveal {
        try locked { held throws(DisputeRunFault) in try reveal(at: point, &held) }
    }

    private func reveal(at point: RevealPoint, _ held: inout Held) throws(DisputeRunFault) -> Reveal {
        let whole = try whole(&held)
        switch point {
        case .steps(let node):
            let nodes = node.children(levels: Reveal.stepLevels, of: whole.steps)
            if nodes.isEmpty { throw .outside("node over steps") }
            let states = try states(nodes.map { $0.leaves(of: whole.steps).upperBound }, &held)
            var children: [StepNode] = []
            for (node, state) in zip(nodes, states) {
                guard let outputs = whole.outputs.node(height: Int(node.height), Int(node.index)) else {
                    throw .outside("node over steps")
                }
                children.append(StepNode(outputs: outputs, state: state))
            }
            return .steps(children)
        case .operations(let step, let node):
            let traced = try traced(step, &held)
            let count = UInt64(fixed.scans[traced.trace.scan].operations.count)
            let digests = try DisputeRun.children(node, traced.operations, count)
            let isTold = whole.steps == 1 && node == TreeNode(topOf: count)
            return .operations(digests, node: isTold ? traced.node : nil)
        case .entries(let step, let list, let node):
            let roots = try entries(list, step, whole, &held)
            return .digests(try DisputeRun.children(node, MerkleLevels(roots), UInt64(roots.count)))
        case .blocks(let step, let operation, let node):
            let traced = try traced(step, &held)
            let value = try value(operation, traced)
            let bytes = traced.trace.type(of: value).byteCount
            let blocks = (bytes + UInt64(TensorRoot.blockLength) - 1) / UInt64(TensorRoot.blockLength)
            return .digests(try DisputeRun.children(node, traced.trace.blocks(of: value), blocks))
        case .values(let step, let operation, let block):
            let traced = try traced(step, &held)
            guard let index = Int(exactly: block),
                let bytes = traced.trace.block(index, of: try value(operation, traced))
            else { throw .outside("block") }
            return .values(bytes)
        case .totals(let step, let operation, let element, let from, let to):
            let traced = try traced(step, &held)
            guard let bits = traced.trace.bits(element, of: try value(operation, traced)) else {
                throw .outside("element")
            }
            let leaf: Leaf
            do throws(ProgramFault) { leaf = try traced.trace.leaf(Int(operation)) } catch { throw .program(error) }
            let count = leaf.segmentCount(of: element)
            if to == 0 && count <= 1 { return .totals(segments: count, []) }
            let end = to == 0 ? count : to
            if from >= end || end > count { throw .outside("segment") }
            let places = DisputeRun.totalPlaces(from: from, to: end)
            guard
                let totals = try traced.totals(
                    after: places, operation: Int(operation), element: element, claim: bits)
            else { throw .impossibleElement }
            return .totals(segments: count, totals)
        }
    }

    /// After how many segments each total of a reveal stands.
    static func totalPlaces(from: UInt64, to: UInt64) -> [UInt64] {
        let step = Reveal.stride(of: to - from)
        var places = Array(stride(from: from + step, to: to, by: UInt64.Stride(step)))
        places.append(to)
        return places
    }

    /// An op's value, by its place in its scan.
    func value(_ operation: UInt32, _ traced: TracedStep) throws(DisputeRunFault) -> ValueID {
        if Int(operation) >= fixed.scans[traced.trace.scan].operations.count { throw .outside("op") }
        return traced.trace.value(ofOperation: Int(operation))
    }

    /// A list's entries at a step.
    func entries(
        _ list: EntryList, _ step: UInt64, _ whole: WholeRun, _ held: inout Held
    ) throws(DisputeRunFault) -> [Digest] {
        switch list {
        case .outputs: try traced(step, &held).outputs
        case .carried: try traced(step, &held).carried
        case .kept: fixed.kept.map { whole.state[Int($0)] }
        }
    }

    private static func children(
        _ node: TreeNode, _ levels: MerkleLevels, _ count: UInt64
    ) throws(DisputeRunFault) -> [Digest] {
        var digests: [Digest] = []
        for child in node.children(levels: Reveal.levels, of: count) {
            guard let digest = levels.node(height: Int(child.height), Int(child.index)) else {
                throw .outside("node")
            }
            digests.append(digest)
        }
        return digests
    }
}
