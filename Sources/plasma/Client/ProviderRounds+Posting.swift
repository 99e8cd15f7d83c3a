import API
import Foundation
import Ledger
import Primitives
import Programs
import Runtime

/// What a round posts: the workers as a gang, and at once with them the outer step, which waits for them.
extension ProviderRounds {
    /// What a round's jobs compute.
    struct Work {
        let round: Int
        let trainer: RoundTrainer
        /// The workers' jobs as whole runs.
        let specs: [JobSpec]
        let worker: SpecialisedProgram
        let weights: [Digest]
        let momentum: [Digest]
        let fingerprint: Digest
    }

    /// Brings what the round reads to the node.
    func prepare(_ trainer: RoundTrainer) async throws -> Work {
        let weights = trainer.weights.map(\.root)
        for tensor in trainer.weights + trainer.momentum { try await upload(tensor) }
        for tensor in trainer.data { try await upload(tensor) }
        let data = trainer.data.map(\.root)
        // What is not moved is read by every worker beside the weights.
        var parameters = weights
        for parameter in trainer.frozen {
            let tensor = parameter.tensor
            try await upload(tensor)
            parameters.append(tensor.root)
        }
        let worker = try await manifest("worker of round \(trainer.round + 1)", trainer.worker, parameters)
        var specs: [JobSpec] = []
        var content: [UInt8] = [UInt8](String(checkpointEvery ?? 0).utf8)
        for number in 0..<rounds.workers {
            let rows = trainer.rows.rows(worker: number, round: trainer.round)
            try await upload(rows)
            let inputs = zip(trainer.worker.inputs, data + [rows.root])
                .map { JobInput(name: $0.name, root: $1) }
            let spec = try spec(trainer.worker, worker, parameters, inputs)
            content += spec.program.bytes + spec.parameters.canonicalBytes
            for input in inputs { content += input.canonicalBytes }
            specs.append(spec)
        }
        let momentum = trainer.momentum.map(\.root)
        for root in momentum { content += root.bytes }
        return Work(
            round: trainer.round, trainer: trainer, specs: specs, worker: try trainer.worker.specialise([]),
            weights: weights, momentum: momentum, fingerprint: FileIdentity.of(content))
    }

    /// The workers' jobs, and the outer step of all of them.
    func post(_ work: Work, tell: (Event) -> Void) async throws -> PostedRound {
        var posted = PostedRound(fingerprint: work.fingerprint)
        posted.workers = try work.specs.map { try JobRow($0, of: work.worker, every: checkpointEvery) }
        let all = Array(work.specs.indices)
        let firsts = try posted.workers.compactMap { try $0.next() }
        try await say(firsts, tell)
        for chunk in ProviderRounds.chunks(all) {
            if chunk.count == 1 {
                posted.workers[chunk[0]].append(try await node.submit(.submitJob(firsts[chunk[0]]), as: key).id)
                continue
            }
            let gang = try await node.submit(.submitGang(chunk.map { firsts[$0] }), as: key).id
            posted.gangs.append(PostedRound.Gang(id: gang, workers: chunk))
            for (number, job) in zip(chunk, GangPlace.jobs(of: gang, count: chunk.count)) {
                posted.workers[number].append(job)
            }
        }
        try posted.save(to: record)
        try await complete(&posted, work, tell)
        return posted
    }

    /// As few gangs as hold all, about equally large.
    static func chunks(_ numbers: [Int]) -> [[Int]] {
        let count = (numbers.count + GangPlace.maximumJobs - 1) / GangPlace.maximumJobs
        return (0..<count).map { chunk in
            Array(numbers[chunk * numbers.count / count..<(chunk + 1) * numbers.count / count])
        }
    }

    /// Posts what comes after the workers' first jobs, where it is not posted yet: their later segments, and the outer step, which needs nobody to be on line.
    func complete(_ posted: inout PostedRound, _ work: Work, _ tell: (Event) -> Void) async throws {
        for number in posted.workers.indices {
            // One after the other: each names the one before by its id, and takes the account's next number.
            while let spec = try posted.workers[number].next() {
                posted.workers[number].append(try await node.submit(.submitJob(spec), as: key).id)
                try posted.save(to: record)
            }
            for job in posted.workers[number].jobs { tell(.submitted(worker: number, job: job)) }
        }
        let parts = posted.workers.compactMap { $0.lastOutput(of: 1) }.map(JobInput.Source.result)
        if posted.outer == nil, parts.count <= RoundSettings.maximumAwaited {
            try await postOuter(&posted, work, parts, counted: Array(parts.indices), tell)
        }
    }

    /// The outer step over what these workers leave.
    func postOuter(
        _ posted: inout PostedRound, _ work: Work, _ parts: [JobInput.Source], counted: [Int], _ tell: (Event) -> Void
    ) async throws {
        let program = try work.trainer.aggregation(of: counted.count)
        // Of many workers they are parameters, and known by now.
        let roots = program.inputs.isEmpty ? parts.compactMap { JobInput(name: "", source: $0).root } : []
        let joined = work.weights + work.momentum + roots
        let manifest = try await manifest("outer step of round \(work.round + 1)", program, joined)
        let inputs = zip(program.inputs, parts).map { JobInput(name: $0.name, source: $1) }
        posted.outer = try await JobRow.post(
            try spec(program, manifest, joined, inputs), of: try program.specialise([]), every: nil, to: node, as: key)
        posted.counted = counted
        try posted.save(to: record)
        if let job = posted.outer?.jobs.first { tell(.submitted(worker: nil, job: job)) }
    }

    // MARK: Places

    /// Says for whom there is no place now, and why.
    private func say(_ firsts: [JobSpec], _ tell: (Event) -> Void) async throws {
        guard firsts.count > 1, firsts.count <= GangPlace.maximumJobs else { return }
        let plan = try await node.call(
            "job.plan", ["gang": .array(firsts.map { .string(Hexadecimal.encode($0.canonicalBytes)) })])
        guard let unplaced = plan["unplaced"]?.uint64.map({ Int($0) - 1 }) else { return }
        let names = try await node.providerNames()
        let reasons = (plan["members"]?[unplaced]?["excluded"]?.array ?? []).map { offer in
            let address = offer["provider"]?.string ?? ""
            return "\(names[address] ?? address): \(offer["reason"]?.string ?? "")"
        }
        tell(.noPlace(worker: unplaced, reasons: reasons))
    }

    /// Waits until the gangs have their places; where they have none before our patience is over, the workers are posted one by one.
    func place(_ posted: inout PostedRound, _ work: Work, tell: (Event) -> Void) async throws {
        let deadline = Date().addingTimeInterval(Double(patience))
        while !posted.gangs.isEmpty, Date() < deadline {
            var bound: [PostedRound.Gang] = []
            for gang in posted.gangs where try await self.gang(binding: posted.workers[gang.workers[0]].jobs[0]) != nil
            {
                bound.append(gang)
            }
            posted.gangs = bound
            if !bound.isEmpty { try await Task.sleep(nanoseconds: 200_000_000) }
        }
        var anew: [Int] = []
        for gang in posted.gangs {
            let cancellation = Payload.cancelGang(gang: gang.id, count: UInt8(gang.workers.count))
            // Placed in the meantime, all of it: then it stays.
            if (try? await node.submit(cancellation, as: key)) != nil { anew += gang.workers }
        }
        posted.gangs = []
        if anew.isEmpty { return }
        tell(.singly)
        try await repost(anew, &posted, work, tell)
    }

    /// The gang that binds a job.
    private func gang(binding job: Digest) async throws -> Digest? {
        let gang = try await node.call("job.get", ["job": .string(job.hex)])["gang"]
        return gang?["isBound"]?.bool == true ? gang?["gang"]?.string.flatMap(Digest.init(hex:)) : nil
    }

    /// Posts these workers' jobs anew, each by itself. What has waited for the old ones ends with them.
    private func repost(
        _ numbers: [Int], _ posted: inout PostedRound, _ work: Work, _ tell: (Event) -> Void
    ) async throws {
        for number in numbers {
            posted.workers[number] = try JobRow(work.specs[number], of: work.worker, every: checkpointEvery)
            if let spec = try posted.workers[number].next() {
                posted.workers[number].append(try await node.submit(.submitJob(spec), as: key).id)
            }
        }
        posted.outer = nil
        posted.counted = []
        try await complete(&posted, work, tell)
    }

    // MARK: Going on

    /// The jobs that this round has posted before, where the training was stopped. Those that came to nothing are posted anew.
    func pickUp(_ work: Work, tell: (Event) -> Void) async throws -> PostedRound? {
        guard let saved = PostedRound.saved(at: record, for: work.fingerprint, workers: work.specs.count) else {
            return nil
        }
        var posted = PostedRound(fingerprint: work.fingerprint)
        var lost: [Int] = []
        for (number, jobs) in saved.workers.enumerated() {
            posted.workers.append(
                try JobRow(work.specs[number], of: work.worker, every: checkpointEvery, jobs: jobs))
            if jobs.count > posted.workers[number].count { return nil }
            if try await isLost(jobs) { lost.append(number) }
        }
        if let outer = saved.outer, !(try await isLost([outer])) {
            let program = try work.trainer.aggregation(of: saved.counted.count)
            // What it is to compute it was posted with: here it is only followed.
            posted.outer = try JobRow(
                work.specs[0], of: try program.specialise([]), every: nil, jobs: [outer])
            posted.counted = saved.counted
        }
        for (number, row) in posted.workers.enumerated() {
            guard !lost.contains(number), let gang = try await self.gang(binding: row.jobs[0]) else { continue }
            if let place = posted.gangs.firstIndex(where: { $0.id == gang }) {
                posted.gangs[place].workers.append(number)
            } else {
                posted.gangs.append(PostedRound.Gang(id: gang, workers: [number]))
            }
        }
        // Whoever the outer step does not read is out of the round.
        let needed = posted.outer == nil ? lost : lost.filter(posted.counted.contains)
        if needed.count == posted.workers.count { return nil }
        tell(.pickedUp(jobs: saved.workers.reduce(0) { $0 + $1.count } + (posted.outer == nil ? 0 : 1)))
        if needed.isEmpty {
            try await complete(&posted, work, tell)
        } else {
            try await repost(needed, &posted, work, tell)
        }
        return posted
    }

    /// Whether one of the jobs has ended without a result, or the chain does not know it.
    private func isLost(_ jobs: [Digest]) async throws -> Bool {
        for job in jobs {
            let state: String?
            do { state = try await node.call("job.get", ["job": .string(job.hex)])["state"]?.string } catch let error
                as RPCError
            {
                if error.code != RPCError.notFound("").code { throw error }
                return true
            }
            if JobWatch.ends.contains(state ?? ""), state != "settled" { return true }
        }
        return false
    }
}
