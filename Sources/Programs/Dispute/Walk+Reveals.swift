import Primitives

/// What the defender reveals must combine to what it is bound to: one that does not loses at once.
extension Walk {
    /// Takes what the defender reveals at `point`. Throws where it is another kind of thing than is asked for.
    public mutating func reveal(_ reveal: Reveal, _ subject: DisputeSubject) throws(WalkFault) {
        if turn != .defender { throw .notYourTurn }
        switch (stage, reveal) {
        case (.steps(let node, let before, let claim), .steps(let children)):
            steps(node, before, claim, children, subject)
        case (.operations(let step, let node, let root), .operations(let children, let told)):
            operations(step, node, root, children, told, subject)
        case (.entries(let step, let list, let node, let root), .digests(let children)):
            let count = UInt64(entries(list, of: step, subject).count)
            guard combines(children, node, count: count, to: root, wrap: isTopOfKept(list, node, count)) else { return }
            stage = .chooseEntry(step, list, node, children)
        case (.blocks(let place, let node, let root), .digests(let children)): blocks(place, node, root, children)
        case (.values(let place, let block, let digest), .values(let bytes)): values(place, block, digest, bytes)
        case (.totals(let element, let segments), .totals(let count, let totals)):
            self.totals(element, segments, count, totals)
        default: throw .misplaced("another kind of reveal is due")
        }
        rounds += 1
    }

    private func isTopOfKept(_ list: EntryList, _ node: TreeNode, _ count: UInt64) -> Bool {
        list == .kept && node == TreeNode(topOf: count)
    }

    /// Whether there are as many children as the node has and they make it; if not the defender is convicted.
    private mutating func combines(
        _ children: [Digest], _ node: TreeNode, count: UInt64, to root: Digest, wrap: Bool = false
    ) -> Bool {
        guard children.count == node.childCount(levels: Reveal.levels, of: count) else {
            convict("the reveal has another number of nodes")
            return false
        }
        let combined = node.digest(ofChildren: children, levels: Reveal.levels)
        guard (wrap ? ResultRoots.wrapped(combined) : combined) == root else {
            convict("the reveal does not combine to its node")
            return false
        }
        return true
    }

    private mutating func steps(
        _ node: TreeNode, _ before: Digest, _ claim: StepNode?, _ children: [StepNode], _ subject: DisputeSubject
    ) {
        let all = subject.steps.reduce(0, +)
        guard children.count == node.childCount(levels: Reveal.stepLevels, of: all), let last = children.last else {
            return convict("the reveal has another number of steps")
        }
        let outputs = node.digest(ofChildren: children.map(\.outputs), levels: Reveal.stepLevels)
        if let claim {
            if outputs != claim.outputs || last.state != claim.state {
                return convict("the reveal of steps does not combine to its node")
            }
        } else if ResultRoots.wrapped(outputs) != subject.outputRoot {
            return convict("the reveal of steps does not combine to the outputs of the result")
        }
        stage = .chooseStep(node, before: before, children)
    }

    private mutating func operations(
        _ step: WalkStep, _ node: TreeNode, _ root: Digest?, _ children: [Digest], _ told: StepNode?,
        _ subject: DisputeSubject
    ) {
        let count = UInt64(frame.scans[subject.place(ofStep: step.index).scan].operations)
        guard children.count == node.childCount(levels: Reveal.levels, of: count) else {
            return convict("the reveal has another number of ops")
        }
        let combined = count == 0 ? .zero : node.digest(ofChildren: children, levels: Reveal.levels)
        if let root {
            if combined != root || told != nil { return convict("the reveal of ops does not combine to its node") }
            stage = .chooseOperation(step, node, children)
            return
        }
        // The first reveal binds the defender to the step's ops, and to its ends where no node above has told them.
        guard let ends = step.node ?? told, step.node == nil || told == nil else {
            return convict("the reveal of a step does not say where it ends")
        }
        if step.node == nil && ResultRoots.wrapped(ends.outputs) != subject.outputRoot {
            return convict("the outputs of the step are not those of the result")
        }
        stage = .chooseOperation(
            WalkStep(index: step.index, before: step.before, node: ends, operations: combined), node, children)
    }

    private mutating func blocks(_ place: WalkOperation, _ node: TreeNode, _ root: Digest?, _ children: [Digest]) {
        if let root {
            guard combines(children, node, count: place.blocks, to: root) else { return }
        } else {
            guard children.count == node.childCount(levels: Reveal.levels, of: place.blocks) else {
                return convict("the reveal has another number of blocks")
            }
            let blocks = node.digest(ofChildren: children, levels: Reveal.levels)
            if TensorRoot.of(place.type.element, place.type.shape.map(\.factor), blocks: blocks) != place.root {
                return convict("the reveal of blocks does not combine to the op's tensor")
            }
        }
        stage = .chooseBlock(place, node, children)
    }

    private mutating func values(_ place: WalkOperation, _ block: UInt64, _ digest: Digest?, _ bytes: [UInt8]) {
        let length = UInt64(TensorRoot.blockLength)
        if bytes.count != TensorRoot.blockLength { return convict("a block has 1,024 bytes") }
        let leaf = MerkleTree.leaf(bytes)
        let isRight =
            digest.map { leaf == $0 }
            ?? (TensorRoot.of(place.type.element, place.type.shape.map(\.factor), blocks: leaf) == place.root)
        if !isRight { return convict("the block is not the one that its digest names") }
        let filled = min(length, place.type.byteCount - block * length)
        if bytes[Int(filled)...].contains(where: { $0 != 0 }) { return convict("a tensor's last block ends in zeros") }
        stage = .chooseElement(place, block: block, bytes)
    }

    private mutating func totals(
        _ element: WalkElement, _ segments: WalkSegments, _ count: UInt64, _ totals: [[UInt8]]
    ) {
        let isFirst = segments.to == 0
        if isFirst && count <= 1 {
            if !totals.isEmpty { return convict("an element of one segment has no running totals") }
            stage = .leaf(element, .element(element.element, bits: element.bits), segments: count)
            return
        }
        if !isFirst && count != segments.count { return convict("the element had another number of segments before") }
        let asked = isFirst ? count : segments.to - segments.from
        let stride = Reveal.stride(of: asked)
        let due = asked / stride + (asked % stride == 0 ? 0 : 1)
        if count > SpecialisedProgram.maximumElements || UInt64(totals.count) != due
            || totals.contains(where: { $0.isEmpty || $0.count != totals[0].count })
        {
            return convict("the running totals are not as many as there should be")
        }
        if !isFirst && totals.last != segments.after {
            return convict("the last running total is not the one that was told before")
        }
        stage = .chooseTotal(
            element,
            WalkSegments(
                count: count, from: segments.from, to: isFirst ? count : segments.to, before: segments.before,
                after: segments.after),
            totals)
    }
}
