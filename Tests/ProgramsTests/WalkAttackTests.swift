import Primitives
import Programs
import TestSupport
import Testing

/// Attacks on a walk, by the names that the table in docs/verification.md gives them.
struct WalkAttackTests {
    /// A run in which one bit of one op's tensor is wrong, and the honest one.
    private func runs(
        _ sample: DisputeSample, step: Int = 0, operation: Int = 0,
        _ change: @escaping @Sendable (inout [UInt8]) -> Void = { $0[0] ^= 1 }
    ) throws -> (liar: LeafPlayer, honest: LeafPlayer) {
        var faults = LeafRun.Faults()
        faults.operation = { at, number, bytes in if at == step && number == operation { change(&bytes) } }
        return (LeafPlayer(try sample.run(faults)), LeafPlayer(try sample.run()))
    }

    private func reason(_ outcome: DisputeOutcome) -> String {
        switch outcome {
        case .convicted(let reason), .acquitted(let reason): reason
        }
    }

    // MARK: The defender's

    /// The nodes below another node of the same tree: they combine, but not to what was asked.
    @Test(arguments: [2, 3, 4, 5])
    func aRevealThatCombinesToAnotherSpanConvicts(_ number: Int) throws {
        var met = 0
        for sample in [try DisputeSample.scans(), try DisputeSample.long()] {
            let honest = LeafPlayer(try sample.run())
            let subject = honest.run.subject
            var asked = 0
            var elsewhere = false
            var game = try DisputeGame(subject, sample.program)
            let outcome = try game.play(
                defender: { point, _ in
                    asked += 1
                    guard asked == number, let other = neighbour(of: point, honest.run) else {
                        return try honest.reveal(point)
                    }
                    elsewhere = true
                    return try honest.reveal(other)
                }, challenger: { try firstPart($0, honest, subject) })
            if !elsewhere { continue }
            met += 1
            #expect(outcome.isConvicted, "\(sample.name), reveal \(number): \(outcome)")
        }
        #expect(met > 0)
    }

    /// The point beside one, where there is one with as many parts.
    private func neighbour(of point: RevealPoint, _ run: LeafRun) -> RevealPoint? {
        func beside(_ node: TreeNode, _ count: UInt64, _ levels: UInt8) -> TreeNode? {
            let other = TreeNode(height: node.height, index: node.index ^ 1)
            guard node.height < TreeNode(topOf: count).height,
                other.childCount(levels: levels, of: count) == node.childCount(levels: levels, of: count)
            else { return nil }
            return other
        }
        switch point {
        case .steps(let node):
            return beside(node, UInt64(run.steps.count), Reveal.stepLevels).map { .steps($0) }
        case .operations(let step, let node):
            let count = UInt64(run.steps[Int(step)].operations.count)
            if let other = beside(node, count, Reveal.levels) { return .operations(step: step, other) }
            // The same ops of the step after it.
            return Int(step) + 1 < run.steps.count && run.steps[Int(step)].scan == run.steps[Int(step) + 1].scan
                ? .operations(step: step + 1, node) : nil
        case .blocks(let step, let operation, let node):
            let count = UInt64((run.steps[Int(step)].operations[Int(operation)].count + 1023) / 1024)
            return beside(node, count, Reveal.levels).map { .blocks(step: step, operation: operation, $0) }
        case .values(let step, let operation, let block):
            return run.steps[Int(step)].operations[Int(operation)].count > 1024 * (Int(block) + 1)
                ? .values(step: step, operation: operation, block: block + 1) : nil
        default: return nil
        }
    }

    /// Goes down the first part of everything, into the widest op of "long" where there is a choice.
    private func firstPart(_ walk: Walk, _ honest: LeafPlayer, _ subject: DisputeSubject) throws -> Pick? {
        switch walk.stage {
        case .chooseStep, .chooseBlock, .chooseEntry, .chooseTotal: return .child(0)
        case .chooseElement: return .element(0)
        case .chooseOperation(let step, let node, let children):
            let held = honest.run.steps[Int(step.index)]
            let below = node.children(levels: Reveal.levels, of: UInt64(held.operations.count))
            let widest = held.operations.indices.max { held.operations[$0].count < held.operations[$1].count } ?? 0
            guard
                let place = below.firstIndex(where: {
                    $0.leaves(of: UInt64(held.operations.count)).contains(UInt64(widest))
                })
            else { return .child(0) }
            if below[place].height > 0 { return .child(UInt32(place)) }
            #expect(children.count == below.count)
            let first = honest.run.fixed.scans[..<held.scan].reduce(0) { $0 + $1.operations.count }
            return .operation(
                UInt32(place), honest.run.program.scans[held.scan].operations[widest],
                siblings: MerkleLevels(honest.run.program.treeLeaves).proof(first + widest + 1).siblings)
        default: return try honest.pick(walk, subject)
        }
    }

    /// All running totals are true, and the number that stands in the tensor is not the one that they make.
    @Test func trueTotalsWhoseEndIsNotTheElementConvict() throws {
        let sample = try DisputeSample.long()
        let (liar, honest) = try runs(sample)
        var game = try DisputeGame(liar.run.subject, sample.program)
        var finished = false
        let outcome = try game.play(
            defender: { point, _ in try liar.reveal(point) },
            challenger: { walk in
                let pick = try honest.pick(walk, liar.run.subject)
                if case .finish = pick { finished = true }
                return pick
            })
        #expect(outcome.isConvicted && finished)
    }

    /// A last block that goes on with something else than zeros after the tensor's end.
    @Test func paddingThatIsNotZeroConvicts() throws {
        for sample in [try DisputeSample.encoder(), try DisputeSample.long()] {
            let (liar, honest) = try runs(sample) { bytes in
                bytes += [UInt8](repeating: 0, count: (1024 - bytes.count % 1024) % 1024)
                bytes[bytes.count - 1] = 1
            }
            let subject = liar.run.subject
            var game = try DisputeGame(subject, sample.program)
            // Later ops and the outputs read the numbers alone, so that the op's root is all that differs.
            let outcome = try game.play(
                defender: { point, _ in try liar.reveal(point) }, challenger: { try honest.pick($0, subject) })
            #expect(outcome.isConvicted && reason(outcome).contains("ends in zeros"), "\(sample.name): \(outcome)")
        }
    }

    /// The right numbers under a header of another shape or type.
    @Test func aTensorUnderAnotherHeaderConvicts() throws {
        let sample = try DisputeSample.encoder()
        let honest = LeafPlayer(try sample.run())
        let subject = honest.run.subject
        let step = honest.run.steps[0]
        let roots = honest.run.operationRoots(step)
        for number in [0, step.operations.count / 2, step.operations.count - 1] {
            let type = honest.run.fixed.scans[0].operations[number].result
            let (shape, bytes) = (type.shape.map(\.factor), step.operations[number])
            for header in [
                TensorRoot.of(type.element, [1] + shape, bytes),
                TensorRoot.of(type.element == .i32 ? .f32 : .i32, shape, bytes),
            ] {
                var game = try DisputeGame(subject, sample.program)
                let outcome = try game.play(
                    defender: { point, _ in
                        guard case .operations(var digests, let node) = try honest.reveal(point) else {
                            return try honest.reveal(point)
                        }
                        #expect(digests == roots)
                        digests[number] = header
                        return .operations(digests, node: node)
                    }, challenger: { try honest.pick($0, subject) })
                #expect(outcome.isConvicted, "op \(number): \(outcome)")
            }
        }
    }

    /// More or fewer ops than the program has, or those of a run of another program.
    @Test func theOpsOfAnotherGraphConvict() throws {
        let sample = try DisputeSample.encoder()
        let (liar, honest) = try runs(sample)
        let subject = liar.run.subject
        let other = LeafPlayer(try DisputeSample.scans().run())
        for change in 0..<3 {
            var game = try DisputeGame(subject, sample.program)
            let outcome = try game.play(
                defender: { point, _ in
                    guard case .operations(var digests, let node) = try liar.reveal(point) else {
                        return try liar.reveal(point)
                    }
                    switch change {
                    case 0: digests.removeLast()
                    case 1: digests.append(digests[0])
                    default:
                        let foreign = other.run.operationRoots(other.run.steps[0])
                        for place in digests.indices { digests[place] = foreign[place % foreign.count] }
                    }
                    return .operations(digests, node: node)
                }, challenger: { try honest.pick($0, subject) })
            #expect(outcome.isConvicted, "change \(change): \(outcome)")
        }
    }

    // MARK: The challenger's

    /// An op of another program, with that program's path; the right op with the path of another place; a node for a leaf; a path too long.
    @Test func anOpByAnotherTreesPathShowsNothing() throws {
        let sample = try DisputeSample.encoder()
        let (liar, honest) = try runs(sample)
        let subject = liar.run.subject
        let foreign = try DisputeSample.scans().program
        let tree = MerkleLevels(sample.program.treeLeaves)
        let (record, own) = (sample.program.scans[0].operations[0], tree.proof(1).siblings)
        let shown: [(String, OperationRecord, [Digest])] = [
            ("another program's", foreign.scans[0].operations[0], MerkleLevels(foreign.treeLeaves).proof(1).siblings),
            ("another program's op by this path", foreign.scans[0].operations[0], own),
            ("another place's path", record, tree.proof(2).siblings),
            ("another op of the program", sample.program.scans[0].operations[1], tree.proof(2).siblings),
            ("a path that begins at a node", record, Array(own.dropFirst())),
            ("a path that ends below the root", record, Array(own.dropLast())),
            ("a path too long", record, own + [.zero]),
        ]
        for (what, record, siblings) in shown {
            var game = try DisputeGame(subject, sample.program)
            let outcome = try game.play(
                defender: { point, _ in try liar.reveal(point) },
                challenger: { walk in
                    guard case .chooseOperation = walk.stage else { return try honest.pick(walk, subject) }
                    return .operation(0, record, siblings: siblings)
                })
            #expect(!outcome.isConvicted && reason(outcome).contains("not the program's"), "\(what): \(outcome)")
        }
    }

    /// Tensors shown for an output that are of another list, at another place, or by a path from a node.
    @Test func anEntryByAnotherTreesPathShowsNothing() throws {
        let sample = try DisputeSample.encoder()
        var faults = LeafRun.Faults()
        faults.outputs = { _, outputs in outputs[0][0] ^= 1 }
        let (liar, honest) = (LeafPlayer(try sample.run(faults)), LeafPlayer(try sample.run()))
        let subject = liar.run.subject
        for change in 0..<5 {
            var changed = false
            var game = try DisputeGame(subject, sample.program)
            let outcome = try game.play(
                defender: { point, _ in try liar.reveal(point) },
                challenger: { walk in
                    guard case .entry(let entry) = try honest.pick(walk, subject) else {
                        return try honest.pick(walk, subject)
                    }
                    changed = true
                    let junk = Digest.of(Domain("test"), [1])
                    switch change {
                    case 0:
                        return .entry(
                            EntryWitness(
                                value: entry.value, valueSiblings: entry.valueSiblings, root: junk,
                                siblings: entry.siblings))
                    case 1:
                        return .entry(
                            EntryWitness(
                                value: entry.value + 1, valueSiblings: entry.valueSiblings, root: entry.root,
                                siblings: entry.siblings))
                    case 2:
                        return .entry(
                            EntryWitness(
                                value: entry.value, valueSiblings: entry.valueSiblings, root: entry.root,
                                siblings: Array(entry.siblings.dropFirst())))
                    case 3:
                        return .entry(
                            EntryWitness(
                                value: .max, valueSiblings: entry.valueSiblings, root: entry.root,
                                siblings: entry.siblings))
                    default:
                        return .entry(
                            EntryWitness(
                                value: entry.value, valueSiblings: entry.valueSiblings + [junk], root: entry.root,
                                siblings: entry.siblings))
                    }
                })
            #expect(changed && !outcome.isConvicted, "change \(change): \(outcome)")
        }
    }

    /// Places beyond what was revealed are no moves, at any stage of a walk, and cost nobody anything.
    @Test func placesThatAreNotThereAreNoMoves() throws {
        var stages = 0
        for sample in try DisputeSample.all() {
            let (liar, honest) = try runs(sample)
            let subject = liar.run.subject
            if subject == honest.run.subject { continue }
            var game = try DisputeGame(subject, sample.program)
            let outcome = try game.play(
                defender: { point, _ in try liar.reveal(point) },
                challenger: { walk in
                    // No reveal has more parts, and no block more elements.
                    for place in [1024, 65_536, UInt32.max] {
                        var tried = walk
                        #expect(throws: WalkFault.self) { try tried.pick(.child(place), subject) }
                        #expect(throws: WalkFault.self) { try tried.pick(.element(place), subject) }
                        let record = sample.program.scans[0].operations[0]
                        #expect(throws: WalkFault.self) {
                            try tried.pick(.operation(place, record, siblings: []), subject)
                        }
                        #expect(tried == walk)
                    }
                    stages += 1
                    return try honest.pick(walk, subject)
                })
            #expect(outcome.isConvicted)
        }
        #expect(stages > 8)
    }

    // MARK: Made to be expensive

    /// What has more than 65,536 ops in a scan is no program, by its length alone; with as many a dispute stays within its bounds.
    @Test func aGraphOfAMillionOpsIsRefusedAndOneOf65536IsWithinTheBounds() throws {
        func chain(_ count: Int) throws -> Program {
            let x = Samples.declare("x", .f32, [1])
            var operations: [OperationRecord] = []
            operations.reserveCapacity(count)
            var graph = GraphBuilder(leading: [x.type])
            _ = graph.map(.f32, [1], [ValueID(0)]) { e in _ = e.apply(.add, e.input(0), e.constant(bits: 0x3F80_0000)) }
            let first = graph.operations[0]
            guard case .map(let expression, _) = first.operation else { return try Samples.counter() }
            for number in 0..<count {
                operations.append(OperationRecord(.map(expression, inputs: [ValueID(number)]), first.result))
            }
            return try Program(
                axes: [], parameters: [], inputs: [x],
                scans: [Scan(steps: 1, operations: operations, outputs: [ValueID(count)])])
        }
        let most = Scan.maximumOperations
        #expect(throws: ProgramFault.invalid(op: nil, "65537 ops in a scan, at most 65536 may be")) {
            try chain(most + 1)
        }
        let program = try chain(most)
        let bound = program.disputeBound(try program.specialise([]))
        #expect(bound.isWithin && bound.rounds == 6, "\(bound)")
        // A list that says that it has a million is refused before anything of it is read.
        var writer = ByteWriter()
        writer.write(program.scans[0].steps)
        writer.write(UInt32(1_000_000))
        let bytes = writer.bytes
        #expect(throws: DecodingFault.self) {
            var reader = ByteReader(bytes)
            _ = try reader.read(Scan.self)
        }
        #expect(throws: DecodingFault.self) {
            var reader = ByteReader(bytes)
            _ = try reader.read(ScanFrame.self)
        }
    }

    /// A reveal is as long as its node has parts: longer ones are not decoded.
    @Test func aRevealOfMoreThanItsPartsIsNotDecoded() throws {
        let junk = Digest.of(Domain("test"), [1])
        for count in [33, 1_000] {
            let bytes = Reveal.digests([Digest](repeating: junk, count: count)).canonicalBytes
            #expect(throws: DecodingFault.self) { try Reveal(canonicalBytes: bytes) }
        }
        let nodes = [StepNode](repeating: StepNode(outputs: junk, state: junk), count: 17)
        #expect(throws: DecodingFault.self) { try Reveal(canonicalBytes: Reveal.steps(nodes).canonicalBytes) }
        let totals = Reveal.totals(segments: 400, [[UInt8]](repeating: [0, 0, 0, 0], count: 257))
        #expect(throws: DecodingFault.self) { try Reveal(canonicalBytes: totals.canonicalBytes) }
    }
}
