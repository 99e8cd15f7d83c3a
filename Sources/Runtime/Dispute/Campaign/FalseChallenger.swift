internal import Primitives
internal import Programs

/// Whoever disputes a result that is right: at random, or with a plan.
enum ChallengerPlan: String, CaseIterable, Sendable {
    /// Any pick that is asked for, with any evidence.
    case anything
    /// Down to one element, there with the true evidence, with that of something else, or with changed evidence.
    case element
    /// At a step that is right: some entry of a list, with the true tensor, another one, or another list's.
    case entry
    /// The flag of a scan, with the path of this or another tensor.
    case flag
    /// An op by another op's record, or by its own with another path.
    case record
    /// A faulty machine of its own: every pick is what that one sees.
    case faultyRun
}

struct FalseChallenger {
    let plan: ChallengerPlan
    let job: DisputeJob
    /// The honest run, which knows all that can be shown.
    let honest: DisputeRun
    /// For `faultyRun`.
    let own: DisputeRun?
    var random: SplitMix64

    private mutating func draw(_ count: Int) -> Int { count <= 0 ? 0 : Int(random.next() % UInt64(count)) }

    /// Its move; nil where it gives up.
    mutating func pick(_ walk: Walk, _ subject: DisputeSubject) throws -> Pick? {
        if plan == .faultyRun, let own {
            // Its own run may have nothing to say against what it is shown now.
            return try? own.pick(for: walk, subject)
        }
        switch walk.stage {
        case .chooseStep(_, _, let children):
            if plan != .element && draw(12) == 0 { return .list(.kept) }
            return .child(place(of: children.count))
        case .chooseOperation(let step, let node, let children):
            return try operation(step, node, children, subject)
        case .chooseEntry(_, _, _, let children): return .child(place(of: children.count))
        case .entry(let step, let list, let index, _): return .entry(try entry(step.index, list, index))
        case .chooseBlock(_, _, let children): return .child(place(of: children.count))
        case .chooseElement(let place, let block, _):
            let size = place.type.element.size
            let first = block * UInt64(TensorRoot.blockLength / size)
            let count = Int(min(UInt64(TensorRoot.blockLength / size), place.type.count - first))
            return .element(self.place(of: count))
        case .chooseTotal(_, _, let totals): return draw(3) == 0 ? .finish : .child(place(of: totals.count))
        case .leaf(let element, let claim, _): return try leaf(element, claim)
        default: return nil
        }
    }

    /// Any place, the ends more often than others, and now and then one that is not there.
    private mutating func place(of count: Int) -> UInt32 {
        switch draw(8) {
        case 0: 0
        case 1: UInt32(max(0, count - 1))
        case 2: plan == .anything ? UInt32(count) : UInt32(draw(count))
        default: UInt32(draw(count))
        }
    }

    private func digest(_ seed: UInt64) -> Digest {
        var writer = ByteWriter()
        writer.write(seed)
        return MerkleTree.leaf(writer.bytes)
    }

    private mutating func operation(
        _ step: WalkStep, _ node: TreeNode, _ children: [Digest], _ subject: DisputeSubject
    ) throws -> Pick? {
        let way = draw(6)
        if plan == .flag || plan == .anything && way == 0 {
            let carried = job.fixed.carried.count
            if carried == 0 { return .stopped([]) }
            let isBefore = draw(2) == 0
            let after = isBefore ? (step.index == 0 ? 0 : step.index - 1) : step.index
            let stops = job.fixed.scans.compactMap { $0.stop.map(Int.init) }
            let place = draw(2) == 0 ? stops.first ?? 0 : draw(carried)
            var siblings = try honest.path(ofCarried: place, after: after)
            if draw(3) == 0, !siblings.isEmpty { siblings[draw(siblings.count)] = digest(random.next()) }
            return isBefore ? .stopped(siblings) : .goesOn(siblings)
        }
        if plan == .entry || plan == .anything && way == 1 {
            return .list(EntryList.allCases[draw(3)])
        }
        if children.isEmpty { return nil }
        let chosen = draw(children.count)
        if node.height > Reveal.levels { return .child(UInt32(chosen)) }
        let levels = min(Reveal.levels, node.height)
        let number = Int(node.index << levels) + chosen
        let (scan, _) = subject.place(ofStep: step.index)
        let first = job.program.scans[..<scan].reduce(0) { $0 + $1.operations.count }
        let all = job.program.scans.flatMap(\.operations)
        var leaf = first + number
        var siblings = honest.programTree.proof(leaf + 1).siblings
        if plan == .record || plan == .anything && way == 2 {
            switch draw(3) {
            case 0: leaf = draw(all.count)
            case 1:
                leaf = draw(all.count)
                siblings = honest.programTree.proof(leaf + 1).siblings
            default: if !siblings.isEmpty { siblings[draw(siblings.count)] = digest(random.next()) }
            }
        }
        return .operation(UInt32(chosen), all[leaf], siblings: siblings)
    }

    private mutating func entry(_ step: UInt64, _ list: EntryList, _ index: UInt64) throws -> EntryWitness {
        let truth = try honest.entry(step: step, list, index)
        let scan = job.fixed.scans[subjectScan(step)]
        let counts = [
            EntryList.outputs: scan.outputs.count, .carried: scan.carried.count, .kept: job.fixed.kept.count,
        ]
        switch draw(6) {
        case 0: return truth
        case 1:
            return EntryWitness(
                value: truth.value, valueSiblings: truth.valueSiblings, root: digest(random.next()),
                siblings: truth.siblings)
        case 2:
            return EntryWitness(
                value: truth.value &+ 1, valueSiblings: truth.valueSiblings, root: truth.root, siblings: truth.siblings)
        case 3:
            // Another entry of the same list, or of another.
            let other = EntryList.allCases[draw(3)]
            let count = counts[other] ?? 0
            if count == 0 { return truth }
            return try honest.entry(step: step, other, UInt64(draw(count)))
        case 4:
            let count = counts[list] ?? 0
            let other = try honest.entry(step: step, list, UInt64(draw(count)))
            return EntryWitness(
                value: truth.value, valueSiblings: truth.valueSiblings, root: other.root, siblings: other.siblings)
        default:
            var siblings = truth.siblings
            if siblings.isEmpty { siblings = [digest(random.next())] } else { siblings.removeLast() }
            return EntryWitness(
                value: truth.value, valueSiblings: truth.valueSiblings, root: truth.root, siblings: siblings)
        }
    }

    private func subjectScan(_ step: UInt64) -> Int {
        let steps = (try? honest.commitment().steps) ?? []
        var before: UInt64 = 0
        for (scan, count) in steps.enumerated() {
            if step < before + count { return scan }
            before += count
        }
        return 0
    }

    private mutating func leaf(_ element: WalkElement, _ claim: LeafClaim) throws -> Pick {
        let step = element.place.step.index
        let operation = Int(element.place.operation)
        let truth = try honest.evidence(step: step, operation: operation, claim)
        switch draw(plan == .element ? 6 : 4) {
        case 0: return .leaf(truth)
        case 1, 2: return .leaf(changed(truth))
        case 3:
            // The evidence of another element, or of another segment.
            let other: LeafClaim
            switch claim {
            case .element(_, let bits):
                other = .element(random.next() % max(1, element.place.type.count), bits: bits)
            case .segment(let number, let of, let bits, let before, let after):
                other = .segment(number ^ 1, of: of, bits: bits, before: before, after: after)
            case .finish: other = claim
            }
            return .leaf((try? honest.evidence(step: step, operation: operation, other)) ?? truth)
        case 4:
            // Another op's, whose record is the program's too.
            let count = job.fixed.scans[subjectScan(step)].operations.count
            let other = draw(count)
            let type = job.fixed.scans[subjectScan(step)].operations[other].result
            let claim = LeafClaim.element(random.next() % max(1, type.count), bits: 0)
            return .leaf((try? honest.evidence(step: step, operation: other, claim)) ?? truth)
        default:
            // The same op's of another step.
            let steps = (try? honest.commitment().steps.reduce(0, +)) ?? 1
            let other = random.next() % max(1, steps)
            if subjectScan(other) != subjectScan(step) { return .leaf(changed(truth)) }
            return .leaf((try? honest.evidence(step: other, operation: operation, claim)) ?? truth)
        }
    }

    /// The same evidence with a byte, a root or a path changed.
    private mutating func changed(_ witness: Witness) -> Witness {
        let bytes = witness.canonicalBytes
        // Most flips leave something that can be read.
        for _ in 0..<24 {
            var trial = bytes
            TamperedSource.flip(&trial, random.next())
            if let found = try? Witness(canonicalBytes: trial) { return found }
        }
        var tensors = witness.tensors
        if !tensors.isEmpty { tensors.remove(at: draw(tensors.count)) }
        return Witness(record: witness.record, recordSiblings: witness.recordSiblings, tensors: tensors)
    }
}
