internal import Primitives
internal import Programs

/// Both players of a job's disputes, brought together.
struct DisputeCourt {
    let job: DisputeJob
    let honest: DisputeRun
    let truth: RunCommitment
    let opening: DisputeOpening
    let bound: DisputeBound

    init(job: DisputeJob, honest: DisputeRun, truth: RunCommitment) {
        self.job = job
        self.honest = honest
        self.truth = truth
        opening = DisputeOpening(job.program)
        bound = job.program.disputeBound(job.fixed)
    }

    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    /// A random generator of a case's own.
    private static func random(_ number: Int, _ seed: UInt64, _ salt: UInt64) -> SplitMix64 {
        SplitMix64(seed: (seed &* 0xD134_2543_DE82_EF95) ^ (UInt64(number) &* 4 &+ salt))
    }

    // MARK: Liars

    func convict(_ number: Int, _ seed: UInt64, _ report: inout DisputeReport) {
        var random = DisputeCourt.random(number, seed, 1)
        report.faults += 1
        var fault = Fault.activation
        do {
            var liar: Liar?
            // Every kind in turn; the next where a job has nothing to lie about in that way.
            var place = number
            while liar == nil {
                fault = Fault.allCases[place % Fault.allCases.count]
                liar = try Liar(fault, job, honest: truth, &random)
                place += 1
            }
            guard let liar else { return }
            if liar.claim == truth {
                report.roundedAway += 1
                report.kinds[fault.rawValue, default: .init()].roundedAway += 1
                return
            }
            let ending = try end(liar)
            guard case .convicted(let reason) = ending.outcome else {
                throw Problem(description: "a liar was not convicted: \(String(describing: ending.outcome))")
            }
            if ending.rounds > bound.rounds || ending.bytes > bound.bytes {
                throw Problem(
                    description: "\(ending.rounds) rounds of \(bound.rounds), \(ending.bytes) bytes of \(bound.bytes)")
            }
            report.convicted += 1
            report.kinds[fault.rawValue, default: .init()].convicted += 1
            report.rounds.add(ending.rounds)
            report.evidence.add(ending.bytes)
            // Without numbers, so that the reasons can be counted.
            report.endings[String(reason.map { $0.isNumber ? "#" : $0 }), default: 0] += 1
        } catch {
            report.wrong += 1
            report.failures.append(
                "seed \(seed), fault \(number), \(fault.rawValue) in \(job.name): \(error)")
        }
    }

    /// The walk with a liar, to its end.
    func end(_ liar: Liar) throws -> Ending {
        try walk(
            liar.claim,
            defender: { point, move in
                do throws(DisputeRunFault) {
                    guard let reveal = try liar.reveal(at: point, move: move) else { return nil }
                    // A list that is longer than the format allows is no move on a chain, since nobody can read it: that is silence.
                    let isRead = (try? Reveal(canonicalBytes: reveal.canonicalBytes)) != nil
                    return isRead || liar.isConsistent ? reveal : nil
                } catch {
                    // Whoever changes what it shows may be asked for what is not there, and is silent then.
                    if error == .impossibleElement { return nil }
                    if liar.isConsistent, try liar.run.commitment().steps == liar.claim.steps { throw error }
                    return nil
                }
            }, challenger: { walk, subject in try honest.pick(for: walk, subject) })
    }

    // MARK: False challengers

    func acquit(_ number: Int, _ seed: UInt64, _ report: inout DisputeReport) {
        var random = DisputeCourt.random(number, seed, 2)
        report.honest += 1
        var plan = ChallengerPlan.allCases[number % ChallengerPlan.allCases.count]
        do {
            var own: DisputeRun?
            if plan == .faultyRun {
                // A machine with a bit wrong somewhere, that does not know it. Making one takes as long as many disputes.
                if number % 24 < 6 { own = try Liar(.activation, job, honest: truth, &random)?.run }
                if own == nil { plan = .anything }
            }
            report.plans[plan.rawValue, default: 0] += 1
            var challenger = FalseChallenger(plan: plan, job: job, honest: honest, own: own, random: random)
            let ending = try walk(
                truth, defender: { point, _ in try honest.reveal(at: point) },
                challenger: { walk, subject in try challenger.pick(walk, subject) })
            guard case .acquitted = ending.outcome else {
                throw Problem(description: "the truth was not acquitted: \(String(describing: ending.outcome))")
            }
            report.acquitted += 1
            report.honestRounds.add(ending.rounds)
            report.honestEvidence.add(ending.bytes)
        } catch {
            report.wrong += 1
            report.failures.append("seed \(seed), honest \(number), \(plan.rawValue) on \(job.name): \(error)")
        }
    }

    // MARK: A walk

    struct Ending {
        let outcome: DisputeOutcome?
        /// Moves of the defender, and one for the evidence.
        let rounds: Int
        let bytes: Int
    }

    /// A walk to its end. Silence loses; a challenger that names what is not there may try a few times more.
    private func walk(
        _ claim: RunCommitment, defender: (RevealPoint, UInt32) throws -> Reveal?,
        challenger: (Walk, DisputeSubject) throws -> Pick?
    ) throws -> Ending {
        let subject = honest.subject(claiming: claim)
        var walk = try Walk(subject, opening)
        var moves: [DisputeMove] = []
        var evidence = 0
        func ending(_ outcome: DisputeOutcome?) -> Ending {
            let transcript = DisputeTranscript(opening: opening, moves: moves)
            return Ending(
                outcome: outcome, rounds: Int(walk.rounds) + evidence, bytes: transcript.canonicalBytes.count)
        }
        while walk.outcome == nil {
            if moves.count > DisputeTranscript.maximumMoves { throw Problem(description: "a walk without an end") }
            if let point = walk.point {
                guard let reveal = try defender(point, walk.rounds) else { return ending(.convicted("silence")) }
                let found = try Reveal(canonicalBytes: reveal.canonicalBytes)
                do throws(WalkFault) { try walk.reveal(found, subject) } catch {
                    throw Problem(description: "a reveal is refused: \(error)")
                }
                moves.append(.reveal(reveal))
                continue
            }
            var isTaken = false
            for _ in 0..<4 where !isTaken {
                guard let pick = try challenger(walk, subject) else { return ending(.acquitted("silence")) }
                var trial = walk
                do throws(WalkFault) { try trial.pick(try Self.coded(pick), subject) } catch { continue }
                walk = trial
                isTaken = true
                moves.append(.pick(pick))
                switch pick {
                case .leaf, .entry, .stopped, .goesOn: evidence = 1
                default: break
                }
            }
            if !isTaken { return ending(.acquitted("no move that the dispute asks for")) }
            // What is stored between two moves is the same walk.
            if try Walk(canonicalBytes: walk.canonicalBytes) != walk { throw Problem(description: "a walk is lost") }
        }
        // The one-transaction form comes to the same end.
        let transcript = DisputeTranscript(opening: opening, moves: moves)
        if moves.count <= DisputeTranscript.maximumMoves, try transcript.walk(subject).outcome != walk.outcome {
            throw Problem(description: "the transcript ends otherwise")
        }
        return ending(walk.outcome)
    }

    /// As it comes out of its bytes.
    private static func coded(_ pick: Pick) throws(WalkFault) -> Pick {
        do { return try Pick(canonicalBytes: pick.canonicalBytes) } catch { throw .misplaced("\(error)") }
    }
}
