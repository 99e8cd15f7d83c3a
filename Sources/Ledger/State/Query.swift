public import Primitives

/// Typed reads of the committed state: what the API, the worker and the command line ask.
public enum Query {
    static func read<T: CanonicalCodable>(_: T.Type, _ key: [UInt8], _ store: any StateStore) throws(LedgerFault) -> T?
    {
        let bytes: [UInt8]?
        do { bytes = try store.value(.state, key) } catch { throw .state(error) }
        guard let bytes else { return nil }
        do { return try T(canonicalBytes: bytes) } catch { throw .corrupt("\(T.self): \(error)") }
    }

    static func list<T: CanonicalCodable>(
        _: T.Type, _ prefix: [UInt8], after: [UInt8]? = nil, limit: Int, _ store: any StateStore
    ) throws(LedgerFault) -> [T] {
        let entries: [(key: [UInt8], value: [UInt8])]
        do { entries = try store.scan(.state, prefix: prefix, after: after, limit: limit) } catch {
            throw .state(error)
        }
        var objects: [T] = []
        for entry in entries {
            do { objects.append(try T(canonicalBytes: entry.value)) } catch { throw .corrupt("\(T.self): \(error)") }
        }
        return objects
    }

    /// An account; an empty one where nothing was ever paid to it.
    public static func account(_ address: Address, in store: any StateStore) throws(LedgerFault) -> Account {
        try read(Account.self, StateKey.account(address), store) ?? Account()
    }

    public static func provider(_ address: Address, in store: any StateStore) throws(LedgerFault) -> Provider? {
        try read(Provider.self, StateKey.provider(address), store)
    }

    /// All providers, by address.
    public static func providers(in store: any StateStore, limit: Int = 10_000) throws(LedgerFault) -> [Provider] {
        try list(Provider.self, StateKey.providers, limit: limit, store)
    }

    /// All offers, by provider and device.
    public static func offers(in store: any StateStore, limit: Int = 10_000) throws(LedgerFault) -> [Offer] {
        try list(Offer.self, StateKey.offers, limit: limit, store)
    }

    public static func job(_ id: Digest, in store: any StateStore) throws(LedgerFault) -> Job? {
        try read(Job.self, StateKey.job(id), store)
    }

    /// The newest jobs, newest first.
    public static func jobs(limit: Int, in store: any StateStore) throws(LedgerFault) -> [Job] {
        let count = try chain(in: store).jobs
        var jobs: [Job] = []
        var number = count
        while number > 0, jobs.count < limit {
            if let id = try read(Digest.self, StateKey.jobNumber(number), store), let job = try job(id, in: store) {
                jobs.append(job)
            }
            number -= 1
        }
        return jobs
    }

    /// The jobs to which something can still happen by itself or by a move: those with a timer, a claim or a dispute, and those that wait for a draw. However
    /// many newer ones there are, none is passed over. In order of what is due next.
    public static func movingJobs(in store: any StateStore, limit: Int = 65_536) throws(LedgerFault) -> [Job] {
        var keys: [(key: [UInt8], value: [UInt8])]
        do throws(StateFault) {
            keys = try store.scan(.state, prefix: StateKey.timers, after: nil, limit: limit)
            keys += try store.scan(.state, prefix: StateKey.draws, after: nil, limit: limit)
            keys += try store.scan(.state, prefix: StateKey.claimTimers, after: nil, limit: limit)
        } catch { throw .state(error) }
        var jobs: [Job] = []
        var seen: Set<Digest> = []
        for entry in keys {
            guard let id = try? Digest(bytes: entry.key.suffix(32)), let job = try job(id, in: store) else {
                throw .corrupt("a timed job is missing")
            }
            // One with a claim may have a timer of its own too.
            if seen.insert(id).inserted { jobs.append(job) }
        }
        // A job that waits for its disputes alone has no timer of its own.
        let disputes: [(key: [UInt8], value: [UInt8])]
        do throws(StateFault) {
            disputes = try store.scan(.state, prefix: StateKey.disputeTimers, after: nil, limit: limit)
        } catch { throw .state(error) }
        for entry in disputes {
            guard let id = try? Digest(bytes: Array(entry.key.dropFirst(9).prefix(32))), seen.insert(id).inserted,
                let job = try job(id, in: store), !job.state.isTerminal
            else { continue }
            jobs.append(job)
        }
        return jobs
    }

    public static func model(named name: String, in store: any StateStore) throws(LedgerFault) -> Model? {
        try read(Model.self, StateKey.model(name), store)
    }

    public static func model(manifest: Digest, in store: any StateStore) throws(LedgerFault) -> Model? {
        try read(Model.self, StateKey.manifest(manifest), store)
    }

    public static func models(in store: any StateStore, limit: Int = 1000) throws(LedgerFault) -> [Model] {
        try list(Model.self, StateKey.models, limit: limit, store)
    }

    public static func receipt(job: Digest, in store: any StateStore) throws(LedgerFault) -> JobReceipt? {
        try read(JobReceipt.self, StateKey.receipt(job), store)
    }

    public static func block(_ height: Height, in store: any StateStore) throws(LedgerFault) -> BlockRecord? {
        try read(BlockRecord.self, StateKey.block(height), store)
    }

    /// The state root after a height; nil where it was never executed here.
    public static func stateRoot(at height: Height, in store: any StateStore) throws(LedgerFault) -> Digest? {
        do {
            guard let bytes = try store.value(.tree, StateKey.root(height)) else { return nil }
            return try Digest(bytes: bytes)
        } catch let fault as StateFault { throw .state(fault) } catch { throw .corrupt("a state root") }
    }

    public static func totals(in store: any StateStore) throws(LedgerFault) -> Totals {
        guard let totals = try read(Totals.self, StateKey.totals, store) else { throw .noGenesis }
        return totals
    }

    public static func chain(in store: any StateStore) throws(LedgerFault) -> ChainState {
        guard let chain = try read(ChainState.self, StateKey.chain, store) else { throw .noGenesis }
        return chain
    }

    public static func parameters(in store: any StateStore) throws(LedgerFault) -> ChainParameters {
        guard let parameters = try read(ChainParameters.self, StateKey.parameters, store) else { throw .noGenesis }
        return parameters
    }

    /// Everyone with a stake, by consensus key.
    public static func validators(in store: any StateStore) throws(LedgerFault) -> [StakedValidator] {
        try list(StakedValidator.self, StateKey.validators, limit: StakedValidator.maximumCandidates, store)
    }

    public static func validator(_ key: PublicKey, in store: any StateStore) throws(LedgerFault) -> StakedValidator? {
        try read(StakedValidator.self, StateKey.validator(key), store)
    }

    /// A validator convicted of signing two things, with what is left of its stake.
    public static func tombstone(_ key: PublicKey, in store: any StateStore) throws(LedgerFault) -> StakedValidator? {
        try read(StakedValidator.self, StateKey.tombstone(key), store)
    }

    /// Everyone convicted so far, by consensus key.
    public static func tombstones(in store: any StateStore, limit: Int = 4_096) throws(LedgerFault) -> [StakedValidator]
    {
        try list(StakedValidator.self, StateKey.tombstones, limit: limit, store)
    }

    /// A validator's stake on its way out, earliest first.
    public static func unbondings(of key: PublicKey, in store: any StateStore) throws(LedgerFault) -> [Unbonding] {
        try list(Unbonding.self, StateKey.unbondings(of: key), limit: 64, store)
    }

    /// An epoch's record; nil where it is not fixed yet.
    public static func epochRecord(_ epoch: Epoch, in store: any StateStore) throws(LedgerFault) -> EpochRecord? {
        try read(EpochRecord.self, StateKey.epochRecord(epoch), store)
    }

    /// Where an epoch begins; nil where the one before has not ended.
    public static func epochStart(_ epoch: Epoch, in store: any StateStore) throws(LedgerFault) -> EpochStart? {
        try read(EpochStart.self, StateKey.epochStart(epoch), store)
    }

    /// Whether the state itself wants another block (`docs/consensus.md`, rule 2): a match that the market's last change may
    /// have made possible, a draw that waits for a height, a job that others waited for, or a timer whose time has come. A running job is none of these.
    public static func hasWork(in store: any StateStore, at time: Timestamp? = nil) throws(LedgerFault) -> Bool {
        let chain = try chain(in: store)
        // What the clock would read in a block of this time.
        let clock =
            try time.map { time throws(LedgerFault) in
                Fees.clock(chain.clock, from: chain.time, to: time, try parameters(in: store))
            } ?? chain.clock
        let entries: [(key: [UInt8], value: [UInt8])]
        do {
            for prefix in [StateKey.draws, StateKey.ends] {
                if !(try store.scan(.state, prefix: prefix, after: nil, limit: 1)).isEmpty { return true }
            }
            let timers = try store.scan(.state, prefix: StateKey.timers, after: nil, limit: 1)
            if let first = timers.first, StateKey.number(first.key.dropFirst()) < clock { return true }
            let claims = try store.scan(.state, prefix: StateKey.claimTimers, after: nil, limit: 1)
            if let first = claims.first, StateKey.number(first.key.dropFirst()) < clock { return true }
            let disputes = try store.scan(.state, prefix: StateKey.disputeTimers, after: nil, limit: 1)
            if let first = disputes.first,
                StateKey.number(first.key.dropFirst()) < chain.disputeClock + (clock - chain.clock)
            {
                return true
            }
            entries = try store.scan(.state, prefix: StateKey.queue, after: nil, limit: 1024)
        } catch { throw .state(error) }
        if try devicesHaveWork(in: store, at: clock) { return true }
        for entry in entries {
            let queued: QueueEntry
            do { queued = try QueueEntry(canonicalBytes: entry.value) } catch { throw .corrupt("the queue: \(error)") }
            if queued.isDue(chain) { return true }
        }
        return false
    }
}

/// An open job in the queue, and the height at which it was last looked at.
struct QueueEntry: CanonicalCodable {
    let job: Digest
    var tried: Height?

    init(job: Digest) { self.job = job }

    init(from reader: inout ByteReader) throws(DecodingFault) {
        job = try reader.read(Digest.self)
        tried = try reader.readOptional(Height.self)
    }

    func encode(into writer: inout ByteWriter) {
        writer.write(job)
        writer.write(optional: tried)
    }

    /// Whether looking again may find something new.
    func isDue(_ chain: ChainState) -> Bool {
        guard let tried else { return true }
        return tried < chain.marketChange
    }
}
