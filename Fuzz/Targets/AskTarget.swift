import Ledger
import Primitives
import Programs
import Runtime
import Worker

/// What nodes ask one another in a walk that two take alone. Whatever a challenger asks, a provider signs its own run's reveals and nothing else.
enum AskTarget: FuzzTarget {
    static let name = "asks"

    static func forms() throws -> [Form] {
        let (provider, challenger) = (try Fixture.key(31), try Fixture.key(32))
        let job = Fixture.digest(7)
        // Forty steps that count.
        var graph = GraphBuilder(leading: [TensorType(.i64, [300])])
        let next = graph.map(.i64, [300], [ValueID(0)]) { e in
            _ = e.apply(.add, e.input(0), e.node(.constant(.i64, bits: 1)))
        }
        let program = try Program(
            axes: [], parameters: [], inputs: [],
            carried: [TensorDeclaration(name: "n", type: TensorType(.i64, [300]))], kept: [0],
            scans: [Scan(steps: 40, operations: graph.operations, outputs: [next], carried: [next])])
        let run = try DisputeRun(program, axes: [], parameters: [], inputs: [], seed: 1)
        let subject = run.subject(claiming: try run.commitment())
        let permit = WalkPermit(
            subject: subject, order: WorkOrder(spec: try Fixture.spec(.sampled(perMille: 5))), isAuditor: true)

        /// What it says when it has found out what it is asked for.
        func answer(_ ask: WalkAsk) -> WalkAnswer {
            var defence = WalkDefence(key: provider)
            let (first, play) = defence.asked(ask, permit)
            guard let play, let point = play.walk?.point else { return first }
            guard let reveal = try? run.reveal(at: point) else {
                require(false, "the run has nothing at \(point)")
                return first
            }
            _ = defence.finished(play.duty, .done(.reveal(reveal)))
            return defence.asked(ask, permit).answer
        }
        func message(_ ask: WalkAsk, _ moves: [DisputeMove]) -> [UInt8] {
            Dispute.transcriptMessage(
                job: ask.job, attempt: ask.attempt, challenger: ask.challenger.address, subject,
                DisputeTranscript(opening: ask.transcript.opening, moves: moves))
        }

        // A row of asks down the tree, from which the fuzzer begins.
        var moves: [DisputeMove] = []
        var signed: Signature?
        var (asks, answers) = ([WalkAsk](), [WalkAnswer.computing, .refused(.busy)])
        for pick in [Pick.child(0), .child(1), .child(0), .child(0), .child(0)] {
            let ask = WalkAsk(
                job: job, attempt: 1, transcript: DisputeTranscript(opening: DisputeOpening(program), moves: moves),
                signed: signed, by: challenger)
            asks.append(ask)
            let said = answer(ask)
            answers.append(said)
            guard case .reveal(let reveal, _, let signature) = said else { break }
            moves += [.reveal(reveal), .pick(pick)]
            signed = signature
        }
        return [
            Form(
                asks,
                also: { ask in
                    guard case .reveal(let reveal, let key, let signature) = answer(ask) else { return }
                    require(ask.isSigned, "an ask that nobody has signed is answered")
                    require(
                        key.verify(signature, of: message(ask, ask.transcript.moves + [.reveal(reveal)])),
                        "an answer is not signed")
                    guard var walk = try? Walk(subject, ask.transcript.opening) else {
                        return require(false, "what is no walk is answered")
                    }
                    for move in ask.transcript.moves + [.reveal(reveal)] {
                        do {
                            switch move {
                            case .reveal(let said):
                                guard let point = walk.point else { return require(false, "it was not its turn") }
                                let own = try run.reveal(at: point)
                                require(own == said, "the provider stands by what is not its run's")
                                try walk.reveal(said, subject)
                            case .pick(let pick): try walk.pick(pick, subject)
                            }
                        } catch { require(false, "no move of a walk: \(error)") }
                    }
                },
                repair: { bytes in
                    // Signed anew by the challenger; the provider's signature stays as it is.
                    guard let ask = try? WalkAsk(canonicalBytes: bytes) else { return bytes }
                    return WalkAsk(
                        job: ask.job, attempt: ask.attempt, transcript: ask.transcript, signed: ask.signed,
                        by: challenger
                    ).canonicalBytes
                }),
            Form(answers),
        ]
    }
}
