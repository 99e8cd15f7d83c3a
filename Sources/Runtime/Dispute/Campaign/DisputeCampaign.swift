internal import Dispatch
internal import Primitives
internal import Programs
internal import Synchronization

/// What a campaign of disputes came to.
public struct DisputeReport: Sendable, Equatable {
    /// A number of which the greatest and the mean are wanted.
    public struct Measure: Sendable, Equatable {
        public private(set) var count = 0
        public private(set) var total = 0
        public private(set) var most = 0

        public var mean: Double { count == 0 ? 0 : Double(total) / Double(count) }

        mutating func add(_ value: Int) {
            count += 1
            total += value
            most = max(most, value)
        }

        mutating func add(_ other: Measure) {
            count += other.count
            total += other.total
            most = max(most, other.most)
        }
    }

    /// Lies, by their kind.
    public struct Kind: Sendable, Equatable {
        public internal(set) var convicted = 0
        public internal(set) var roundedAway = 0
    }

    /// Lies that were tried, and disputes against an honest provider.
    public internal(set) var faults = 0
    public internal(set) var honest = 0
    /// Liars that were convicted.
    public internal(set) var convicted = 0
    /// Faults that left the result as it is: there is nothing to dispute.
    public internal(set) var roundedAway = 0
    /// Disputes against an honest provider that the challenger lost.
    public internal(set) var acquitted = 0
    /// Liars that were not convicted, honest providers that were, and walks beyond their bounds.
    public internal(set) var wrong = 0
    /// Moves of the defender and the witness, and bytes of opening and moves: of convictions, and of disputes against an honest provider.
    public internal(set) var rounds = Measure()
    public internal(set) var evidence = Measure()
    public internal(set) var honestRounds = Measure()
    public internal(set) var honestEvidence = Measure()
    public internal(set) var kinds: [String: Kind] = [:]
    /// How often each kind of job was disputed, and each plan of a false challenger tried.
    public internal(set) var jobs: [String: Int] = [:]
    public internal(set) var plans: [String: Int] = [:]
    /// How walks ended that convicted, by the first words of the reason.
    public internal(set) var endings: [String: Int] = [:]
    /// What went wrong, each with what replays it.
    public internal(set) var failures: [String] = []

    mutating func add(_ other: DisputeReport) {
        faults += other.faults
        honest += other.honest
        convicted += other.convicted
        roundedAway += other.roundedAway
        acquitted += other.acquitted
        wrong += other.wrong
        rounds.add(other.rounds)
        evidence.add(other.evidence)
        honestRounds.add(other.honestRounds)
        honestEvidence.add(other.honestEvidence)
        for (name, kind) in other.kinds {
            kinds[name, default: Kind()].convicted += kind.convicted
            kinds[name, default: Kind()].roundedAway += kind.roundedAway
        }
        jobs.merge(other.jobs, uniquingKeysWith: +)
        plans.merge(other.plans, uniquingKeysWith: +)
        endings.merge(other.endings, uniquingKeysWith: +)
        failures += other.failures
    }
}

/// Random single lies, each of which that changes a result must convict, and false challengers, none of which may: over small real models and random programs,
/// with the real walk and the real players. A seed replays; so does any case of it by its number.
public struct DisputeCampaign: Sendable {
    public let seed: UInt64
    /// Cases that share a job, since making one takes longer than disputing it.
    static let casesPerJob = 24

    /// Each job is a part of a run, that goes on from what the steps before left.
    public let ofParts: Bool

    public init(seed: UInt64, ofParts: Bool = false) {
        self.seed = seed
        self.ofParts = ofParts
    }

    /// Tries lies and disputes against honest providers, those from `first` on; stops at no failure.
    public func run(faults: Int, honest: Int, first: Int = 0, threads: Int = 1) -> DisputeReport {
        struct Group: Sendable {
            let number: Int
            let faults: Range<Int>
            let honest: Range<Int>
        }
        let size = DisputeCampaign.casesPerJob
        func part(_ group: Int, _ count: Int) -> Range<Int> {
            let start = max(first, group * size)
            return start..<max(start, min(first + count, (group + 1) * size))
        }
        let last = first + max(faults, honest)
        let groups = (first / size..<max(first / size, (last + size - 1) / size)).map {
            Group(number: $0, faults: part($0, faults), honest: part($0, honest))
        }
        let total = Mutex(DisputeReport())
        let next = Counter()
        DispatchQueue.concurrentPerform(iterations: max(1, min(threads, groups.count))) { _ in
            while true {
                let index = next.increment()
                if index >= groups.count { return }
                let report = run(groups[index].number, faults: groups[index].faults, honest: groups[index].honest)
                total.withLock { $0.add(report) }
            }
        }
        var report = total.withLock { $0 }
        report.failures.sort()
        return report
    }

    private func run(_ group: Int, faults: Range<Int>, honest: Range<Int>) -> DisputeReport {
        var report = DisputeReport()
        var random = SplitMix64(seed: seed &* 0x9E37_79B9 &+ UInt64(group))
        do {
            let jobSeed = random.next()
            var job: DisputeJob
            switch group % 12 {
            case 0, 6: job = try .encoder(seed: jobSeed)
            case 1, 7: job = try .generator(seed: jobSeed)
            case 2, 8: job = try .training(seed: jobSeed)
            case 11: job = try .long(seed: jobSeed)
            default: job = try .random(seed: jobSeed)
            }
            if ofParts { job = try job.part(&random) }
            let name = job.name.hasPrefix("random") ? "random" : job.name
            let run = try job.run(try job.tracer(), traces: 32)
            let court = DisputeCourt(job: job, honest: run, truth: try run.commitment())
            report.jobs[name, default: 0] += faults.count + honest.count
            for number in faults { court.convict(number, seed, &report) }
            for number in honest { court.acquit(number, seed, &report) }
        } catch {
            report.wrong += 1
            report.failures.append("seed \(seed), job \(group): \(error)")
        }
        return report
    }
}

/// Both players of a job's disputes, brought together.
private struct DisputeCourt {
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
            let ending = try walk(
                liar.claim,
                defender: { point, move in
                    do throws(DisputeRunFault) { return try liar.reveal(at: point, move: move) } catch {
                        // Whoever changes what it shows may be asked for what is not there, and is silent then.
                        if error == .impossibleElement { return nil }
                        if liar.isConsistent, try liar.run.commitment().steps == liar.claim.steps { throw error }
                        return nil
                    }
                }, challenger: { walk, subject in try honest.pick(for: walk, subject) })
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
