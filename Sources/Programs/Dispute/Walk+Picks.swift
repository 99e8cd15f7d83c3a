import Primitives

/// What the challenger names is the first that it disagrees with; evidence that does not hold loses.
extension Walk {
    /// Takes the challenger's move. Throws where it is another kind of thing than is asked for, or names a place that is not there.
    public mutating func pick(_ pick: Pick, _ subject: DisputeSubject) throws(WalkFault) {
        if turn != .challenger { throw .notYourTurn }
        switch (stage, pick) {
        case (.chooseStep(let node, let before, let children), .child(let place)):
            try chooseStep(node, before, children, place, subject)
        case (.chooseStep(let node, _, let children), .list(.kept)):
            let all = subject.steps.reduce(0, +)
            guard node == TreeNode(topOf: all), let last = children.last else {
                throw .misplaced("the kept state is disputed at the first reveal")
            }
            // Only the state after it is looked at.
            choose(.kept, WalkStep(index: all - 1, before: .zero, node: last, operations: nil), subject)
        case (.chooseOperation(let step, let node, let children), .child(let place)):
            guard let child = self.child(node, place, children), child.node.height > 0 else {
                throw .misplaced("there is no such node over ops")
            }
            let siblings = node.siblings(ofChild: Int(place), among: children, levels: Reveal.levels)
            stage = .operations(step.descended(siblings), child.node, root: child.digest)
        case (.chooseOperation(let step, let node, let children), .operation(let place, let record, let siblings)):
            try chooseOperation(step, node, children, place, record, siblings, subject)
        case (.chooseOperation(let step, let node, _), .list(let list)):
            let all = subject.steps.reduce(0, +)
            guard node == top(of: step, subject), list == .kept ? all <= 1 : all > 0 else {
                throw .misplaced("lists are disputed at a step's first reveal, the kept state at the very first")
            }
            choose(list, step, subject)
        case (.chooseOperation(let step, let node, _), .stopped(let siblings)):
            guard node == top(of: step, subject) else { throw .misplaced("the flag is shown at a step's first reveal") }
            showFlag(siblings, step, before: true, subject)
        case (.chooseOperation(let step, let node, _), .goesOn(let siblings)):
            guard node == top(of: step, subject) else { throw .misplaced("the flag is shown at a step's first reveal") }
            showFlag(siblings, step, before: false, subject)
        case (.chooseEntry(let step, let list, let node, let children), .child(let place)):
            guard let child = self.child(node, place, children) else { throw .misplaced("there is no such entry") }
            stage =
                child.node.height > 0
                ? .entries(step, list, child.node, root: child.digest)
                : .entry(step, list, index: child.node.index, claim: child.digest)
        case (.entry(let step, let list, let index, let claim), .entry(let witness)):
            judge(witness, step, list, index, claim, subject)
        case (.chooseBlock(let operation, let node, let children), .child(let place)):
            guard let child = self.child(node, place, children) else { throw .misplaced("there is no such block") }
            stage =
                child.node.height > 0
                ? .blocks(operation, child.node, root: child.digest)
                : .values(operation, block: child.node.index, digest: child.digest)
        case (.chooseElement(let operation, let block, let bytes), .element(let place)):
            try chooseElement(operation, block, bytes, place)
        case (.chooseTotal(let element, let segments, let totals), .child(let place)):
            try chooseTotal(element, segments, totals, place)
        case (.chooseTotal(let element, let segments, let totals), .finish):
            guard segments.from == 0, segments.to == segments.count, let last = totals.last else {
                throw .misplaced("the last total makes the element at the first reveal of totals")
            }
            stage = .leaf(
                element, .finish(element.element, bits: element.bits, total: last), segments: segments.count)
        case (.leaf(let element, let claim, let segments), .leaf(let witness)):
            judge(witness, element, claim, segments, subject)
        default: throw .misplaced("another kind of pick is due")
        }
    }

    private func top(of step: WalkStep, _ subject: DisputeSubject) -> TreeNode {
        if subject.steps.reduce(0, +) == 0 { return TreeNode(topOf: 0) }
        return TreeNode(topOf: UInt64(frame.scans[subject.place(ofStep: step.index).scan].operations))
    }

    /// The node that a place of a reveal stands for.
    private func child(_ node: TreeNode, _ place: UInt32, _ children: [Digest]) -> (node: TreeNode, digest: Digest)? {
        guard Int(place) < children.count else { return nil }
        let levels = min(Reveal.levels, node.height)
        return (
            TreeNode(height: node.height - levels, index: node.index << levels + UInt64(place)), children[Int(place)]
        )
    }

    private mutating func chooseStep(
        _ node: TreeNode, _ before: Digest, _ children: [StepNode], _ place: UInt32, _ subject: DisputeSubject
    ) throws(WalkFault) {
        guard Int(place) < children.count else { throw .misplaced("there is no such step") }
        let levels = min(Reveal.stepLevels, node.height)
        let child = TreeNode(height: node.height - levels, index: node.index << levels + UInt64(place))
        let state = place == 0 ? before : children[Int(place) - 1].state
        let claim = children[Int(place)]
        if child.height > 0 {
            stage = .steps(child, before: state, claim: claim)
        } else {
            let step = WalkStep(index: child.index, before: state, node: claim, operations: nil)
            stage = Walk.operations(of: step, subject, frame)
        }
    }

    private mutating func chooseOperation(
        _ step: WalkStep, _ node: TreeNode, _ children: [Digest], _ place: UInt32, _ record: OperationRecord,
        _ siblings: [Digest], _ subject: DisputeSubject
    ) throws(WalkFault) {
        guard let child = child(node, place, children), child.node.height == 0 else {
            throw .misplaced("there is no such op")
        }
        let operation = UInt32(child.node.index)
        let first = frame.firstOperation(ofScan: subject.place(ofStep: step.index).scan)
        let leaf = UInt64(first) + UInt64(operation) + 1
        guard siblings.count == MerkleLevels.height(of: UInt64(frame.operationCount) + 1),
            MerkleProof(index: leaf, siblings: siblings).root(of: record.treeLeaf) == subject.program
        else { return acquit("the op that the challenger shows is not the program's") }
        guard let fixed = try? record.fixed(subject.axes), (try? SpecialisedProgram.bound(fixed.result)) != nil else {
            return convict("the program is none that could be run")
        }
        let hasSegments =
            switch fixed.operation {
            case .map, .gather: false
            case .reduce, .contract, .sort: true
            }
        let path = node.siblings(ofChild: Int(place), among: children, levels: Reveal.levels)
        let disputed = WalkOperation(
            step: step.descended(path), operation: operation, type: fixed.result, hasSegments: hasSegments,
            root: child.digest)
        switch disputed.blocks {
        case 0:
            let empty = TensorRoot.of(fixed.result.element, fixed.result.shape.map(\.factor), blocks: .zero)
            if child.digest == empty {
                acquit("the empty tensor is what it should be")
            } else {
                convict("an empty tensor has one root")
            }
        case 1: stage = .values(disputed, block: 0, digest: nil)
        case let blocks: stage = .blocks(disputed, TreeNode(topOf: blocks), root: nil)
        }
    }

    private mutating func choose(_ list: EntryList, _ step: WalkStep, _ subject: DisputeSubject) {
        let count = UInt64(entries(list, of: step, subject).count)
        guard let node = step.node else { return acquit("the step has no ends") }
        let root =
            switch list {
            case .outputs: node.outputs
            case .carried: node.state
            case .kept: subject.stateRoot
            }
        // Of no entries there is one root; that of the kept ones was looked at in the beginning.
        if count == 0 {
            if root == .zero || list == .kept {
                acquit("the list is empty, as it should be")
            } else {
                convict("a list without entries has one root")
            }
        } else if count == 1 && list != .kept {
            stage = .entry(step, list, index: 0, claim: root)
        } else {
            stage = .entries(step, list, TreeNode(topOf: count), root: root)
        }
    }

    private mutating func showFlag(_ siblings: [Digest], _ step: WalkStep, before: Bool, _ subject: DisputeSubject) {
        let place = subject.place(ofStep: step.index)
        let scan = frame.scans[place.scan]
        guard let stop = scan.stop, let node = step.node,
            siblings.count == MerkleLevels.height(of: UInt64(frame.carried.count))
        else { return acquit("the scan has no flag, or its path is of another length") }
        let flag = TensorRoot.of(.bool, [], [before ? 1 : 0])
        let root = MerkleProof(index: UInt64(stop), siblings: siblings).root(of: flag)
        if before {
            if place.step == 0 || root != step.before { return acquit("the flag had not ended the scan before") }
            convict("the scan had ended before step \(place.step)")
        } else {
            let most = subject.mostSteps(ofScan: place.scan, frame) ?? 0
            if place.step + 1 != subject.steps[place.scan] || place.step + 1 >= most || root != node.state {
                return acquit("the flag ends the scan here, or the scan does not end here")
            }
            convict("the scan does not end after step \(place.step)")
        }
    }

    private mutating func chooseElement(
        _ operation: WalkOperation, _ block: UInt64, _ bytes: [UInt8], _ place: UInt32
    ) throws(WalkFault) {
        let size = operation.type.element.size
        let element = block * UInt64(TensorRoot.blockLength / size) + UInt64(place)
        guard Int(place) < TensorRoot.blockLength / size, element < operation.type.count else {
            throw .misplaced("there is no such element")
        }
        let start = Int(place) * size
        let bits = bytes[start..<start + size].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let disputed = WalkElement(place: operation, element: element, bits: bits)
        stage =
            operation.hasSegments
            ? .totals(disputed, WalkSegments(count: 0, from: 0, to: 0, before: [], after: []))
            : .leaf(disputed, .element(element, bits: bits), segments: nil)
    }

    private mutating func chooseTotal(
        _ element: WalkElement, _ segments: WalkSegments, _ totals: [[UInt8]], _ place: UInt32
    ) throws(WalkFault) {
        guard Int(place) < totals.count else { throw .misplaced("there is no such running total") }
        let stride = Reveal.stride(of: segments.to - segments.from)
        let from = segments.from + UInt64(place) * stride
        let to = min(from + stride, segments.to)
        let before = place == 0 ? segments.before : totals[Int(place) - 1]
        let after = totals[Int(place)]
        if to - from == 1 {
            stage = .leaf(
                element,
                .segment(from, of: element.element, bits: element.bits, before: before, after: after),
                segments: segments.count)
        } else {
            stage = .totals(
                element, WalkSegments(count: segments.count, from: from, to: to, before: before, after: after))
        }
    }

    // MARK: Evidence

    private mutating func judge(
        _ witness: EntryWitness, _ step: WalkStep, _ list: EntryList, _ index: UInt64, _ claim: Digest,
        _ subject: DisputeSubject
    ) {
        let numbers = entries(list, of: step, subject)
        let isNumber =
            list == .kept && !subject.segment.isEmpty
            ? witness.valueSiblings.isEmpty && UInt64(witness.value) == index
            : witness.valueSiblings.count == MerkleLevels.height(of: UInt64(numbers.count))
                && MerkleProof(index: index, siblings: witness.valueSiblings).root(of: ProgramFrame.leaf(witness.value))
                    == numbers.root
        if !isNumber { return acquit("the program has another number at the entry") }
        let place: (list: AgreedList, index: UInt64)?
        if list == .kept {
            place = (AgreedList(root: step.node?.state ?? .zero, count: frame.carried.count), UInt64(witness.value))
        } else {
            place = disputedStep(step, subject).place(of: ValueID(Int(witness.value)))
        }
        guard let place, place.index < UInt64(place.list.count) else {
            return convict("the program is none that could be run")
        }
        guard witness.siblings.count == MerkleLevels.height(of: UInt64(place.list.count)),
            MerkleProof(index: place.index, siblings: witness.siblings).root(of: witness.root) == place.list.root
        else { return acquit("the tensor that the challenger shows is not the agreed one") }
        if witness.root == claim {
            acquit("the entry is the tensor that it should be")
        } else {
            convict("entry \(index) of the \(list) of step \(step.index) is not the tensor that it should be")
        }
    }

    private mutating func judge(
        _ witness: Witness, _ element: WalkElement, _ claim: LeafClaim, _ segments: UInt64?, _ subject: DisputeSubject
    ) {
        let step = disputedStep(element.place.step, subject)
        do throws(WitnessFault) {
            switch try witness.judge(claim, segments: segments, operation: element.place.operation, in: step) {
            case .upheld: acquit("element \(element.element) of op \(element.place.operation) is right")
            case .refuted: convict("element \(element.element) of op \(element.place.operation) is wrong")
            }
        } catch {
            acquit(String(error.description.prefix(120)))
        }
    }
}
