import Primitives
import Programs
import TestSupport
import Testing

/// A dispute from a commitment to one number: whoever lies is convicted, whoever does not never is.
struct WalkTests {
    /// Plays a liar's run against an honest one. Nil where they commit to the same.
    static func convict(
        _ sample: DisputeSample, _ honest: LeafPlayer, _ liar: LeafPlayer, _ what: String,
        subject changed: DisputeSubject? = nil
    ) throws -> DisputeOutcome? {
        let subject = changed ?? liar.run.subject
        if subject == honest.run.subject { return nil }
        var game = try DisputeGame(subject, sample.program)
        let outcome = try game.play(
            defender: { point, _ in try liar.reveal(point) }, challenger: { try honest.pick($0, subject) })
        let bound = sample.program.disputeBound(honest.run.fixed)
        #expect(outcome.isConvicted, "\(sample.name), \(what): \(outcome) at \(game.walk.stage)")
        #expect(Int(game.walk.rounds) + 1 <= bound.rounds && game.bytes <= bound.bytes, "\(sample.name), \(what)")
        #expect(bound.isWithin)
        return outcome
    }

    /// One bit of one op's tensor, at every op of the first, a middle and the last step; what follows is computed from it.
    @Test func aBitOfAnyOpIsConvicted() throws {
        var (convicted, same) = (0, 0)
        for sample in try DisputeSample.all() {
            let honest = LeafPlayer(try sample.run())
            let last = honest.run.steps.count - 1
            for step in Set([0, last / 2, last]).sorted() {
                for operation in honest.run.steps[step].operations.indices {
                    let size = honest.run.steps[step].operations[operation].count
                    if size == 0 || sample.name == "long" && operation > 7 && operation % 9 != 0 { continue }
                    var faults = LeafRun.Faults()
                    let place = (step * 31 + operation * 17) % size
                    faults.operation = { at, number, bytes in
                        if at == step && number == operation { bytes[place] ^= 1 }
                    }
                    let liar = LeafPlayer(try sample.run(faults))
                    if try Self.convict(sample, honest, liar, "step \(step), op \(operation)") == nil {
                        same += 1
                    } else {
                        convicted += 1
                    }
                }
            }
        }
        #expect(convicted > 30)
        #expect(same < convicted / 2)
    }

    /// Ops that are right, and a result or a state that is none of them.
    @Test func anOutputOrAStateThatNoOpMadeIsConvicted() throws {
        for sample in try DisputeSample.all() {
            let honest = LeafPlayer(try sample.run())
            for step in Set([0, honest.run.steps.count - 1]).sorted() {
                for place in honest.run.steps[step].outputs.indices {
                    var faults = LeafRun.Faults()
                    faults.outputs = { at, outputs in if at == step { outputs[place][0] ^= 1 } }
                    #expect(try Self.convict(sample, honest, LeafPlayer(sample.run(faults)), "output \(place)") != nil)
                }
                for place in honest.run.steps[step].after.indices {
                    var faults = LeafRun.Faults()
                    faults.carried = { at, state in if at == step { state[place][0] ^= 1 } }
                    let outcome = try Self.convict(
                        sample, honest, LeafPlayer(sample.run(faults)), "carried \(place) after \(step)")
                    // What is not kept and nobody reads again changes no result.
                    if step == 0 && sample.name == "scans" { #expect(outcome != nil) }
                }
            }
        }
    }

    @Test func whatWasKeptIsOfTheLastState() throws {
        for sample in [try DisputeSample.scans(), try DisputeSample.counter(), try DisputeSample.encoder()] {
            let honest = LeafPlayer(try sample.run())
            let last = honest.run.carriedRoots(honest.run.steps.last?.after ?? [])
            var kept = honest.run.fixed.kept.map { last[Int($0)] }
            let junk = Digest.of(Domain("test"), [1])
            if kept.isEmpty { kept = [junk] } else { kept[kept.count - 1] = junk }
            let own = honest.run.subject
            let subject = DisputeSubject(
                program: own.program, axes: own.axes, seed: own.seed, parameters: own.parameters, inputs: own.inputs,
                initialState: own.initialState, steps: own.steps, outputRoot: own.outputRoot,
                stateRoot: ResultRoots.stateRoot(kept))
            var game = try DisputeGame(subject, sample.program)
            let outcome = try game.play(
                defender: { point, _ in
                    guard case .entries(_, .kept, let node) = point else { return try honest.reveal(point) }
                    return .digests(
                        node.children(levels: Reveal.levels, of: UInt64(kept.count)).map { kept[Int($0.index)] })
                }, challenger: { try honest.pick($0, subject) })
            #expect(outcome.isConvicted, "\(sample.name): \(outcome)")
        }
    }

    /// A scan that goes on past its flag, or ends without it.
    @Test func aScanEndsWhereItsFlagSays() throws {
        for (sample, scan) in [(try DisputeSample.counter(), 0), (try DisputeSample.scans(), 1)] {
            let honest = LeafPlayer(try sample.run())
            let own = honest.run.taken[scan]
            #expect(own > 3 && own < honest.run.fixed.scans[scan].steps.factor)
            for length in [1, own - 1, own + 1, own + 3, honest.run.fixed.scans[scan].steps.factor] {
                var faults = LeafRun.Faults()
                faults.length = { number, most, stops in number == scan ? length : stops ?? most }
                #expect(try Self.convict(sample, honest, LeafPlayer(sample.run(faults)), "\(length) steps") != nil)
            }
        }
        // What no run could have taken is convicted as it stands.
        let sample = try DisputeSample.scans()
        let honest = try sample.run()
        let own = honest.subject
        for steps in [[3], [2, 20], [3, 301], [3, 0], [3, .max], [3, 20, 1]] as [[UInt64]] {
            let subject = DisputeSubject(
                program: own.program, axes: own.axes, seed: own.seed, parameters: own.parameters, inputs: own.inputs,
                initialState: own.initialState, steps: steps, outputRoot: own.outputRoot, stateRoot: own.stateRoot)
            let walk = try Walk(subject, DisputeOpening(sample.program))
            // The first scan has a flag, so that two steps might have been.
            if steps == [2, 20] { #expect(walk.outcome == nil) } else { #expect(walk.outcome?.isConvicted == true) }
        }
    }

    /// A reveal that does not combine, forged nodes that nobody committed to, junk that combines to nothing below: at every reveal of a walk.
    @Test func noForgedRevealSavesALiarOrHelpsIt() throws {
        for sample in try DisputeSample.all() {
            let honest = LeafPlayer(try sample.run())
            var faults = LeafRun.Faults()
            let last = honest.run.steps.count - 1
            faults.operation = { step, operation, bytes in if step == last && operation == 0 { bytes[0] ^= 1 } }
            let liar = LeafPlayer(try sample.run(faults))
            let subject = liar.run.subject
            if subject == honest.run.subject { continue }
            for forged in 0..<8 {
                for place in [0, 7, 33] {
                    var count = 0
                    var game = try DisputeGame(subject, sample.program)
                    let outcome = try game.play(
                        defender: { point, _ in
                            count += 1
                            let reveal = try liar.reveal(point)
                            return count - 1 == forged ? Self.forged(reveal, place) : reveal
                        }, challenger: { try honest.pick($0, subject) })
                    #expect(outcome.isConvicted, "\(sample.name), reveal \(forged) at \(place): \(outcome)")
                }
            }
        }
    }

    static func forged(_ reveal: Reveal, _ place: Int) -> Reveal {
        let junk = Digest.of(Domain("test"), [UInt8(place)])
        switch reveal {
        case .steps(var nodes):
            nodes[place % nodes.count] = StepNode(outputs: nodes[place % nodes.count].outputs, state: junk)
            return .steps(nodes)
        case .operations(var digests, let node):
            digests[place % digests.count] = junk
            return .operations(digests, node: node)
        case .digests(var digests):
            digests[place % digests.count] = junk
            return .digests(digests)
        case .values(var bytes):
            bytes[place] ^= 1
            return .values(bytes)
        case .totals(let segments, var totals):
            if totals.isEmpty || place == 33 { return .totals(segments: segments + 1, totals) }
            totals[place % totals.count][0] ^= 1
            return .totals(segments: segments, totals)
        }
    }

    /// Whatever a challenger says against the truth, it loses or has nothing left to say.
    @Test func noChallengerConvictsAnHonestDefender() throws {
        var ended: [String: Int] = [:]
        for sample in try DisputeSample.all() {
            let honest = LeafPlayer(try sample.run())
            let subject = honest.run.subject
            for seed in UInt64(0)..<(sample.name == "long" ? 60 : 250) {
                var random = SplitMix64(seed: seed)
                var game = try DisputeGame(subject, sample.program)
                let outcome = try game.play(
                    defender: { point, _ in try honest.reveal(point) },
                    challenger: { try FalseChallenger.pick($0, honest, subject, &random) })
                #expect(!outcome.isConvicted, "\(sample.name), seed \(seed): \(outcome)")
                if case .acquitted(let reason) = outcome { ended[String(reason.prefix(12)), default: 0] += 1 }
            }
        }
        // They came to their ends in many ways, not all at the first.
        #expect(ended.count > 5, "\(ended)")
    }

    /// Moves that are not asked for change nothing.
    @Test func whatIsNotAskedForIsRefusedAndChangesNothing() throws {
        let sample = try DisputeSample.scans()
        let honest = LeafPlayer(try sample.run())
        let subject = honest.run.subject
        var walk = try Walk(subject, DisputeOpening(sample.program))
        let before = walk
        #expect(throws: WalkFault.notYourTurn) { try walk.pick(.finish, subject) }
        #expect(throws: WalkFault.self) { try walk.reveal(.values([UInt8](repeating: 0, count: 1024)), subject) }
        #expect(walk == before)
        try walk.reveal(try honest.reveal(.steps(TreeNode(topOf: 23))), subject)
        let after = walk
        #expect(throws: WalkFault.notYourTurn) { try walk.reveal(.digests([]), subject) }
        for pick in [.finish, .child(16), .element(0), .list(.outputs), .stopped([])] as [Pick] {
            #expect(throws: WalkFault.self) { try walk.pick(pick, subject) }
        }
        #expect(walk == after)
        #expect(throws: WalkFault.frame) { try Walk(subject, DisputeOpening(try Samples.counter())) }
        var other = DisputeOpening(sample.program)
        other = DisputeOpening(frame: other.frame, siblings: other.siblings + [.zero])
        #expect(throws: WalkFault.frame) { try Walk(subject, other) }
    }

    /// What is revealed depends on the point alone: the walks that false challengers lead one run on say the same wherever they meet, and what a transcript
    /// says the defender has revealed is what it was asked.
    @Test func walksOfOneRunSayTheSameWhereverTheyMeet() throws {
        var (meetings, told) = (0, 0)
        for (number, sample) in try DisputeSample.all().enumerated() {
            let honest = LeafPlayer(try sample.run())
            let subject = honest.run.subject
            var known: [RevealPoint: Reveal] = [:]
            var random = SplitMix64(seed: UInt64(77 + number))
            for _ in 0..<30 {
                var game = try DisputeGame(subject, sample.program)
                var asked: [RevealPoint] = []
                _ = try game.play(
                    defender: { point, _ in
                        asked.append(point)
                        return try honest.reveal(point)
                    },
                    challenger: { try FalseChallenger.pick($0, honest, subject, &random) })
                let transcript = DisputeTranscript(opening: game.opening, moves: game.moves)
                let reveals = try transcript.reveals(subject)
                #expect(reveals.map(\.point) == asked)
                for one in reveals {
                    told += 1
                    if let before = known.updateValue(one.reveal, forKey: one.point) {
                        meetings += 1
                        #expect(before == one.reveal)
                    }
                }
            }
        }
        #expect(meetings > 50 && told > meetings)
    }

    /// Numbers of steps whose sum no integer holds trapped where a move's deadline was computed.
    @Test func stepsBeyondEverySumConvictAndHaveNoSpan() throws {
        let sample = try DisputeSample.scans()
        let honest = try sample.run().subject
        let subject = DisputeSubject(
            program: honest.program, axes: honest.axes, seed: honest.seed, parameters: honest.parameters,
            inputs: honest.inputs, initialState: honest.initialState, steps: honest.steps.map { _ in .max },
            outputRoot: honest.outputRoot, stateRoot: honest.stateRoot)
        let walk = try Walk(subject, DisputeOpening(sample.program))
        #expect(walk.outcome?.isConvicted == true)
        #expect(walk.span(of: subject).isEmpty)
    }

    /// The root of a frame without scans let a walk begin that then looked for its scan.
    @Test func aFrameWithoutScansBeginsNoWalk() throws {
        var writer = ByteWriter()
        for _ in 0..<5 { writer.write(AgreedList([])) }
        writer.write(list: [ScanFrame]())
        let frame = try ProgramFrame(canonicalBytes: writer.bytes)
        for state in [Digest.zero, TensorRoot.of(.i32, [0], [])] {
            let subject = DisputeSubject(
                program: MerkleProof(index: 0, siblings: []).root(of: frame.treeLeaf), axes: [], seed: 0,
                parameters: AgreedList([]), inputs: AgreedList([]), initialState: state, steps: [],
                outputRoot: ResultRoots.outputRoot([]), stateRoot: ResultRoots.stateRoot([]))
            let walk = try Walk(subject, DisputeOpening(frame: frame, siblings: []))
            #expect(walk.outcome?.isConvicted == true)
        }
    }

    @Test func everyMoveAndStageHasOneEncodingAndNoDamagedOneTraps() throws {
        var walks: [Walk] = []
        var transcripts: [DisputeTranscript] = []
        for sample in try DisputeSample.all() {
            let honest = LeafPlayer(try sample.run())
            var faults = LeafRun.Faults()
            faults.operation = { _, operation, bytes in if operation == 1 { bytes[0] ^= 1 } }
            let liar = LeafPlayer(try sample.run(faults))
            let subject = liar.run.subject
            var game = try DisputeGame(subject, sample.program)
            _ = try game.play(
                defender: { point, _ in try liar.reveal(point) },
                challenger: { walk in
                    walks.append(walk)
                    return try honest.pick(walk, subject)
                })
            walks.append(game.walk)
            transcripts.append(DisputeTranscript(opening: game.opening, moves: game.moves))
            #expect(try transcripts.last?.walk(subject) == game.walk)
        }
        try WireForm(walks).holds()
        try WireForm(transcripts).holds()
        let subject = try DisputeSample.scans().run().subject
        let form = WireForm(
            samples: transcripts, encode: { $0.canonicalBytes },
            decode: { bytes in
                let transcript = try DisputeTranscript(canonicalBytes: bytes)
                _ = try? transcript.walk(subject)
                return transcript
            })
        #expect(form.survivesMutation(inputs: 2_000) > 0)
    }
}

/// Says anything that can be said against the truth: places at random, right and wrong evidence.
enum FalseChallenger {
    static func pick(
        _ walk: Walk, _ honest: LeafPlayer, _ subject: DisputeSubject, _ random: inout SplitMix64
    ) throws -> Pick? {
        func below(_ count: Int) -> UInt32 { UInt32(random.next() % UInt64(max(1, count))) }
        let run = honest.run
        switch walk.stage {
        case .chooseStep(let node, _, let children):
            let isTop = node == TreeNode(topOf: UInt64(run.steps.count))
            return isTop && random.next() % 8 == 0 ? .list(.kept) : .child(below(children.count))
        case .chooseOperation(let step, let node, let children):
            let held = run.steps[Int(step.index)]
            let isTop = node == TreeNode(topOf: UInt64(held.operations.count))
            switch isTop ? random.next() % 8 : 7 {
            case 0: return .list(.outputs)
            case 1: return .list(.carried)
            case 2: return .stopped(proof(run.carriedRoots(held.before), below(held.before.count)))
            case 3: return .goesOn(proof(run.carriedRoots(held.after), below(held.after.count)))
            case 4 where run.steps.count == 1: return .list(.kept)
            default:
                let place = below(children.count)
                let below = node.children(levels: Reveal.levels, of: UInt64(held.operations.count))[Int(place)]
                if below.height > 0 { return .child(place) }
                let first = run.fixed.scans[..<held.scan].reduce(0) { $0 + $1.operations.count }
                var shown = Int(below.index)
                if random.next() % 10 == 0 { shown = Int(random.next() % UInt64(held.operations.count)) }
                return .operation(
                    place, run.program.scans[held.scan].operations[shown],
                    siblings: MerkleLevels(run.program.treeLeaves).proof(first + shown + 1).siblings)
            }
        case .chooseEntry(_, _, _, let children), .chooseBlock(_, _, let children):
            return .child(below(children.count))
        case .chooseElement(let place, let block, _):
            let size = UInt64(place.type.element.size)
            let filled = min(1024 / size, place.type.count - block * (1024 / size))
            return .element(below(Int(filled)))
        case .chooseTotal(_, let segments, let totals):
            return segments.from == 0 && segments.to == segments.count && random.next() % 4 == 0
                ? .finish : .child(below(totals.count))
        case .entry: return try honest.pick(walk, subject)
        case .leaf(let element, let claim, _):
            switch random.next() % 4 {
            case 0:
                // Of another element, where there is one.
                let other = LeafClaim.element(UInt64(below(Int(element.place.type.count))), bits: claim.bits)
                return try .leaf(
                    honest.witness(Int(element.place.step.index), Int(element.place.operation), other))
            case 1:
                let step = Int(below(run.steps.count))
                let operation = Int(below(run.steps[step].operations.count))
                return (try? honest.witness(step, operation, .element(0, bits: 0))).map { .leaf($0) }
            default: return try honest.pick(walk, subject)
            }
        default: return nil
        }
    }

    static func proof(_ roots: [Digest], _ place: UInt32) -> [Digest] {
        roots.isEmpty ? [] : MerkleTree.proof(roots, Int(place)).siblings
    }
}
