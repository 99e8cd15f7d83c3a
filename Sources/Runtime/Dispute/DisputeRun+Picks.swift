internal import Primitives
public import Programs

/// The challenger's side.
extension DisputeRun {
    /// The challenger's move in a walk: the first of what was revealed that differs from this run, or the evidence. Made by a run of the true result it
    /// convicts a defender whose commitment differs, whatever that one reveals. Throws `agrees` where the defender's claim is this run's own result.
    public func pick(for walk: Walk, _ subject: DisputeSubject) throws(DisputeRunFault) -> Pick {
        if !isAbout(subject) { throw .otherSubject }
        return try locked { held throws(DisputeRunFault) in try pick(walk, subject, &held) }
    }

    private func pick(_ walk: Walk, _ subject: DisputeSubject, _ held: inout Held) throws(DisputeRunFault) -> Pick {
        let whole = try whole(&held)
        switch walk.stage {
        case .chooseStep(let node, _, let children):
            return try chooseStep(node, children, subject, whole, &held)
        case .chooseOperation(let step, let node, let children):
            return try chooseOperation(step, node, children, subject, whole, &held)
        case .chooseEntry(let step, let list, let node, let children):
            let own = MerkleLevels(try entries(list, step.index, whole, &held))
            return .child(try firstDifference(node, children, own))
        case .entry(let step, let list, let index, _):
            return .entry(try witness(step.index, list, index, whole, &held))
        case .chooseBlock(let place, let node, let children):
            let traced = try traced(place.step.index, &held)
            let own = traced.trace.blocks(of: try value(place.operation, traced))
            return .child(try firstDifference(node, children, own))
        case .chooseElement(let place, let block, let bytes):
            let traced = try traced(place.step.index, &held)
            guard let index = Int(exactly: block),
                let own = traced.trace.block(index, of: try value(place.operation, traced))
            else { throw .outside("block") }
            guard let byte = zip(own, bytes).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset else {
                throw .agrees
            }
            return .element(UInt32(byte / place.type.element.size))
        case .chooseTotal(let element, let segments, let totals):
            return try chooseTotal(element, segments, totals, &held)
        case .leaf(let element, let claim, _):
            let traced = try traced(element.place.step.index, &held)
            do {
                return .leaf(
                    try traced.maker.witness(
                        claim, operation: Int(element.place.operation), walked: element.place))
            } catch { throw .witness("\(error)") }
        case .steps, .operations, .entries, .blocks, .values, .totals, .over: throw .notYourTurn
        }
    }

    /// The evidence of this run for any claim about an op of a step.
    func evidence(step: UInt64, operation: Int, _ claim: LeafClaim) throws(DisputeRunFault) -> Witness {
        try locked { held throws(DisputeRunFault) in
            let traced = try traced(step, &held)
            do { return try traced.maker.witness(claim, operation: operation) } catch { throw .witness("\(error)") }
        }
    }

    /// What stands at an entry by this run.
    func entry(step: UInt64, _ list: EntryList, _ index: UInt64) throws(DisputeRunFault) -> EntryWitness {
        try locked { held throws(DisputeRunFault) in
            try witness(step, list, index, try whole(&held), &held)
        }
    }

    /// The path of any carried tensor in the state after a step.
    func path(ofCarried place: Int, after step: UInt64) throws(DisputeRunFault) -> [Digest] {
        try locked { held throws(DisputeRunFault) in
            MerkleLevels(try traced(step, &held).carried).proof(place).siblings
        }
    }

    // MARK: Steps

    /// Where the claimed numbers of steps first are not those of this run: the first step, counted over all scans, that is wrong for it even if all its numbers
    /// are right. In a scan that went on too long it is the first that should not be; in one that ended early the last, which should not be the last.
    private func firstFalseStep(_ claimed: [UInt64], _ own: [UInt64]) -> (step: UInt64, isTooMany: Bool)? {
        var before: UInt64 = 0
        for (claim, count) in zip(claimed, own) {
            if claim > count { return (before + count, true) }
            // A scan of no steps where some must be is convicted before a walk begins.
            if claim < count { return (before + max(1, claim) - 1, false) }
            before += count
        }
        return nil
    }

    private func chooseStep(
        _ node: TreeNode, _ children: [StepNode], _ subject: DisputeSubject, _ whole: WholeRun, _ held: inout Held
    ) throws(DisputeRunFault) -> Pick {
        let all = subject.steps.reduce(0, +)
        let falseStep = firstFalseStep(subject.steps, whole.commitment.steps)
        let nodes = node.children(levels: Reveal.stepLevels, of: all)
        // All states that are compared at once: the run goes through them in one pass.
        let comparable = nodes.prefix { falseStep.map { $0.step } ?? .max >= $0.leaves(of: all).upperBound }
        let states = try states(comparable.map { $0.leaves(of: all).upperBound }, &held)
        for (place, (node, child)) in zip(nodes, children).enumerated() {
            if place >= states.count { return .child(UInt32(place)) }
            let outputs = whole.outputs.node(height: Int(node.height), Int(node.index))
            if outputs != child.outputs || states[place] != child.state { return .child(UInt32(place)) }
        }
        if node == TreeNode(topOf: all) && subject.stateRoot != whole.commitment.stateRoot { return .list(.kept) }
        throw .agrees
    }

    private func chooseOperation(
        _ step: WalkStep, _ node: TreeNode, _ children: [Digest], _ subject: DisputeSubject, _ whole: WholeRun,
        _ held: inout Held
    ) throws(DisputeRunFault) -> Pick {
        let all = subject.steps.reduce(0, +)
        if all == 0 {
            if subject.stateRoot != whole.commitment.stateRoot { return .list(.kept) }
            throw .agrees
        }
        let falseStep = firstFalseStep(subject.steps, whole.commitment.steps)
        if let falseStep, falseStep.step == step.index, falseStep.isTooMany {
            // The flag is in the state that this run ended its scan with.
            let scan = subject.place(ofStep: step.index).scan
            guard step.index > 0 else { throw .outside("flag") }
            return .stopped(try flag(scan, after: step.index - 1, &held))
        }
        let traced = try traced(step.index, &held)
        let scan = fixed.scans[traced.trace.scan]
        let count = UInt64(scan.operations.count)
        for (place, (child, digest)) in zip(node.children(levels: Reveal.levels, of: count), children).enumerated() {
            if traced.operations.node(height: Int(child.height), Int(child.index)) == digest { continue }
            if child.height > 0 { return .child(UInt32(place)) }
            let leaf = traced.trace.firstOperation + Int(child.index) + 1
            return .operation(
                UInt32(place), program.scans[traced.trace.scan].operations[Int(child.index)],
                siblings: programTree.proof(leaf).siblings)
        }
        // The ops are right, so some end of the step is not what they made.
        let own = traced.node
        if step.node?.outputs != own.outputs { return .list(.outputs) }
        if step.node?.state != own.state { return .list(.carried) }
        if let falseStep, falseStep.step == step.index {
            return .goesOn(try flag(traced.trace.scan, after: step.index, &held))
        }
        if all == 1 && subject.stateRoot != whole.commitment.stateRoot { return .list(.kept) }
        throw .agrees
    }

    /// The path of a scan's flag in the state after a step.
    private func flag(_ scan: Int, after step: UInt64, _ held: inout Held) throws(DisputeRunFault) -> [Digest] {
        guard let stop = fixed.scans[scan].stop else { throw .outside("flag") }
        return MerkleLevels(try traced(step, &held).carried).proof(Int(stop)).siblings
    }

    // MARK: Below a step

    private func firstDifference(
        _ node: TreeNode, _ children: [Digest], _ own: MerkleLevels
    ) throws(DisputeRunFault) -> UInt32 {
        let levels = min(Reveal.levels, node.height)
        for (place, digest) in children.enumerated()
        where own.node(height: Int(node.height - levels), Int(node.index << levels) + place) != digest {
            return UInt32(place)
        }
        throw .agrees
    }

    private func chooseTotal(
        _ element: WalkElement, _ segments: WalkSegments, _ totals: [[UInt8]], _ held: inout Held
    ) throws(DisputeRunFault) -> Pick {
        let traced = try traced(element.place.step.index, &held)
        let leaf: Leaf
        do throws(ProgramFault) { leaf = try traced.trace.leaf(Int(element.place.operation)) } catch {
            throw .program(error)
        }
        // Another number of segments, totals of another size, or a value that no run leaves are refuted whatever the totals are; to walk on would only
        // let the defender fill the chain.
        if segments.count != leaf.segmentCount(of: element.element) || totals.first?.count != leaf.totalSize {
            return .finish
        }
        let places = DisputeRun.totalPlaces(from: segments.from, to: segments.to)
        guard
            let own = try traced.totals(
                after: places, operation: Int(element.place.operation), element: element.element, claim: element.bits)
        else { return .finish }
        for (place, (mine, told)) in zip(own, totals).enumerated() where mine != told { return .child(UInt32(place)) }
        return .finish
    }

    /// What the program says stands at an entry.
    private func witness(
        _ step: UInt64, _ list: EntryList, _ index: UInt64, _ whole: WholeRun, _ held: inout Held
    ) throws(DisputeRunFault) -> EntryWitness {
        func path(_ numbers: [UInt32]) -> [Digest] {
            MerkleLevels(numbers.map { ProgramFrame.leaf($0) }).proof(Int(index)).siblings
        }
        if list == .kept {
            let number = fixed.kept[Int(index)]
            return EntryWitness(
                value: UInt32(number), valueSiblings: segment.isEmpty ? path(fixed.kept.map { UInt32($0) }) : [],
                root: whole.state[Int(number)], siblings: MerkleLevels(whole.state).proof(Int(number)).siblings)
        }
        let traced = try traced(step, &held)
        let scan = fixed.scans[traced.trace.scan]
        let values = list == .outputs ? scan.outputs : scan.carried
        let shown = traced.maker.entry(values[Int(index)])
        return EntryWitness(
            value: values[Int(index)].index, valueSiblings: path(values.map(\.index)), root: shown.root,
            siblings: shown.siblings)
    }
}
