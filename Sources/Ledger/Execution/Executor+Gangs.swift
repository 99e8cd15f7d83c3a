import Primitives

/// Gangs while they bind their members: all of these wait, or all are open.
extension Executor {
    mutating func submitGang(_ specs: [JobSpec], id: Digest, _ sender: Address) throws {
        var members: [Job] = []
        for (index, job) in GangPlace.jobs(of: id, count: specs.count).enumerated() {
            let place = GangPlace(gang: id, index: index, of: specs.count)
            members.append(try post(specs[index], id: job, sender, in: place))
        }
        if members.allSatisfy(\.awaited.isEmpty) { return try open(members) }
        for var member in members {
            enter(&member, .waiting)
            try save(member)
        }
    }

    /// In their order. Only what the state itself holds to be a bound gang can come here.
    mutating func members(of gang: GangPlace) throws -> [Job] {
        var members: [Job] = []
        for id in gang.jobs { members.append(try member(id, of: gang)) }
        return members
    }

    private mutating func member(_ id: Digest, of gang: GangPlace) throws -> Job {
        guard let job = try overlay.object(Job.self, StateKey.job(id)), job.boundGang?.gang == gang.gang else {
            throw LedgerFault.corrupt("a member of a gang that is bound is missing")
        }
        return job
    }

    /// Opens all once nobody waits; gives how many it has looked at.
    mutating func openIfReady(_ gang: GangPlace) throws -> Int {
        var members: [Job] = []
        for id in gang.jobs {
            members.append(try member(id, of: gang))
            if members.last?.awaited.isEmpty == false { return members.count }
        }
        try open(members)
        return members.count
    }

    private mutating func open(_ members: [Job]) throws {
        for var member in members {
            try enqueue(&member)
            try save(member)
        }
    }

    /// Ends all members of a bound gang: the rest of one is another gang, which nobody asked for.
    mutating func close(_ gang: GangPlace, _ state: JobState, _ reason: String) throws {
        let members = try members(of: gang)
        if let first = members.first, first.state == .open {
            try overlay.set(bytes: nil, StateKey.queued(first.number))
        }
        for var member in members {
            try waitNoMore(&member)
            member.reason = reason
            try close(&member, state)
        }
    }

    /// The count is what the transaction's weight was reckoned by.
    mutating func cancelGang(_ id: Digest, count: UInt8, _ sender: Address) throws {
        guard let first = GangPlace.jobs(of: id, count: 1).first,
            let job = try overlay.object(Job.self, StateKey.job(first)), job.requester == sender, let gang = job.gang
        else { throw TransactionFailure(reason: "the sender has no gang \(id)") }
        if gang.count != count { throw TransactionFailure(reason: "the gang has \(gang.count) jobs, not \(count)") }
        if job.boundGang == nil {
            throw TransactionFailure(reason: "the gang's jobs are no longer bound: cancel each by itself")
        }
        try close(gang, .cancelled, "")
    }
}
