import Primitives
internal import Programs

/// Jobs that read what other jobs leave.
///
/// Such a job waits until all its parents are settled: from then on their results stand, so nothing that was run on them is ever void. A parent that ends in
/// another way ends its child, which gets its escrow back.
extension Executor {
    mutating func submit(_ spec: JobSpec, id: Digest, _ sender: Address) throws {
        var job = try post(spec, id: id, sender)
        if job.awaited.isEmpty { try enqueue(&job) } else { enter(&job, .waiting) }
        try save(job)
    }

    /// Takes a job's money and notes what it waits for; the job is neither open nor saved.
    mutating func post(_ spec: JobSpec, id: Digest, _ sender: Address, in gang: GangPlace? = nil) throws -> Job {
        let escrow = try Fees.escrow(spec, parameters)
        try debit(sender, try escrow.adding(parameters.postingFee))
        try raise(\.escrowed, escrow)
        try raise(\.burned, parameters.postingFee)
        overlay.chain.jobs += 1
        var job = Job(
            id: id, number: overlay.chain.jobs, requester: sender, spec: spec, gang: gang, height: height,
            escrow: escrow, allowance: parameters.feeAllowance)
        if let model = try overlay.object(Model.self, StateKey.manifest(spec.manifest)) {
            job.royaltyTo = model.publisher
            job.royaltyBasisPoints = model.royaltyBasisPoints
        }
        try overlay.set(id, StateKey.jobNumber(job.number))
        for parent in spec.parents { try wait(for: parent, &job) }
        if job.awaited.isEmpty, let problem = spec.problem(with: try parentResults(of: spec)) {
            throw TransactionFailure(reason: problem)
        }
        return job
    }

    /// Notes a parent that is not settled.
    private mutating func wait(for id: Digest, _ job: inout Job) throws {
        guard var parent = try overlay.object(Job.self, StateKey.job(id)) else {
            throw TransactionFailure(reason: "it reads what job \(id) leaves, which there is not: post that one first")
        }
        if parent.state == .settled { return }
        if parent.state.isTerminal {
            throw TransactionFailure(reason: "it reads what job \(id) leaves, which is \(parent.state)")
        }
        job.awaited.append(id)
        try overlay.set(bytes: [], StateKey.wait(for: id, job.id))
        if !parent.isAwaited {
            parent.isAwaited = true
            try save(parent)
        }
    }

    /// What the parents of a job have ended in, as far as they are settled.
    mutating func parentResults(of spec: JobSpec) throws -> [Digest: ResultCommitment] {
        var results: [Digest: ResultCommitment] = [:]
        for parent in spec.parents {
            results[parent] = try overlay.object(JobReceipt.self, StateKey.receipt(parent))?.commitment
        }
        return results
    }

    /// Tells the jobs that waited for one that is over, so many a block; a gang that opens or ends counts as all of its jobs.
    mutating func wakeJobs() throws {
        var left = Int(parameters.matchesPerBlock)
        for end in try overlay.scan(prefix: StateKey.ends, limit: left) where left > 0 {
            let parent = try Digest(bytes: end.key.suffix(32))
            let budget = left
            let waits = try overlay.scan(prefix: StateKey.waits(for: parent), limit: budget)
            for wait in waits where left > 0 {
                try overlay.set(bytes: nil, wait.key)
                left -= try wake(try Digest(bytes: wait.key.suffix(32)), after: parent)
            }
            if left > 0, waits.count < budget { try overlay.set(bytes: nil, end.key) }
            if waits.isEmpty { left -= 1 }
        }
    }

    /// Gives the number of jobs that it has looked at.
    private mutating func wake(_ id: Digest, after parent: Digest) throws -> Int {
        guard var job = try overlay.object(Job.self, StateKey.job(id)),
            let over = try overlay.object(Job.self, StateKey.job(parent))
        else { throw LedgerFault.corrupt("a job that waits is missing") }
        // The end of its gang, in this block, has ended it.
        if !job.awaited.contains(parent) { return 0 }
        job.awaited.removeAll { $0 == parent }
        var problem: String?
        if over.state != .settled {
            problem = "job \(parent), whose result it reads, is \(over.state)"
        } else if job.awaited.isEmpty {
            problem = job.spec.problem(with: try parentResults(of: job.spec))
        }
        if let gang = job.boundGang {
            try save(job)
            if let problem {
                try close(gang, .failed, "member \(gang.index + 1) of its gang: \(problem)")
                return Int(gang.count)
            }
            return job.awaited.isEmpty ? try openIfReady(gang) : 1
        }
        if let problem {
            try waitNoMore(&job)
            job.reason = problem
            try close(&job, .failed)
            return 1
        }
        if job.awaited.isEmpty { try enqueue(&job) }
        try save(job)
        return 1
    }

    /// The scan that it was to go on with had ended: it leaves what it began with, and costs nothing. The state says so, hence nothing can be disputed.
    mutating func settleUnrun(_ job: inout Job, _ assignment: Assignment) throws {
        guard let parent = job.spec.stateOf, let state = try parentResults(of: job.spec)[parent]?.stateRoot else {
            throw LedgerFault.corrupt("a job goes on from nothing")
        }
        try release(&job)
        let nothing = ResultCommitment(
            steps: job.spec.scans.map { _ in 0 }, outputRoot: ResultRoots.outputRoot([]), stateRoot: state)
        let receipt = JobReceipt(
            job: job.id, requester: job.requester, provider: assignment.provider, attempt: job.attempt,
            commitment: nothing, computeUnits: ComputeUnits(weightedOperations: 0), amount: .zero, auditFees: .zero,
            auditors: [],
            submittedHeight: job.submittedHeight, committedHeight: height, settledHeight: height)
        try overlay.set(receipt, StateKey.receipt(job.id))
        job.reason = "the run had ended before its first step"
        try close(&job, .settled)
    }

    /// Takes a job from the lists of those that it waits for.
    mutating func waitNoMore(_ job: inout Job) throws {
        for parent in job.awaited { try overlay.set(bytes: nil, StateKey.wait(for: parent, job.id)) }
        job.awaited = []
    }
}
