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
