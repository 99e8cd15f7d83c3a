import Consensus
import Ledger
import Primitives
import Replica
import TestSupport
import Testing

/// A new node that fetches a snapshot from peers that answer, lie, are silent or go away, in virtual time.
@Suite struct SnapshotFetchTests {
    /// A chain that real replicas made, and what an honest peer of it serves.
    final class Chain: @unchecked Sendable {
        let network: ReplicaNetwork
        let steps: [EpochStep]
        let manifests: [SnapshotManifest]
        let chunks: [Height: [[UInt8]]]
        let tip: Height

        /// Every snapshot in two chunk sizes is more than one needs: 16 chunks each.
        init() throws {
            network = try ReplicaNetwork(parameters: EpochTests.parameters)
            for nonce in 0..<40 as Range<UInt64> {
                let target = try Address(bytes: [UInt8](repeating: UInt8(nonce), count: 20))
                network.push(
                    0, .input(.transactions([network.transfer(.xpl(3), nonce: nonce, to: target)], local: true)),
                    after: Int64(nonce) * 50)
            }
            while network.nodes[0].replica.epoch.epoch < 3 { try network.run(milliseconds: 500) }
            let archive = network.nodes[0].archive
            tip = archive.tip
            var rows: [Block] = []
            var certificates: [Height: Certificate] = [:]
            for height in 1...tip.value {
                let found = try #require(archive.finalized(at: Height(height)))
                rows.append(try Block(canonicalBytes: found.block))
                certificates[Height(height)] = found.certificate
            }
            // The same blocks again, executed one by one: the states that peers would have exported.
            let state = MemoryStateStore()
            let genesis = network.genesis
            try genesis.initialize(state)
            var manifests: [SnapshotManifest] = []
            var chunks: [Height: [[UInt8]]] = [:]
            var steps: [EpochStep] = []
            for block in rows {
                let height = block.header.height
                let epoch = try Query.chain(in: state).epoch
                let result = try Execution.apply(block, parameters: genesis.parameters, to: state)
                if result.writes.fixesEpoch {
                    let attesting = rows.filter { $0.header.executedHeight >= height && $0.header.height > height }
                    if let end = attesting.firstIndex(where: { certificates[$0.header.height] != nil }),
                        let certificate = certificates[attesting[end].header.height]
                    {
                        chunks[height] = Chain.cut(state, depth: 1)
                        manifests.insert(
                            SnapshotManifest(
                                height: height, depth: 1, entryCount: UInt64(state.all(.state).count), byteCount: 0,
                                headers: attesting[...end].map(\.header), certificate: certificate), at: 0)
                    }
                }
                let next = try Query.chain(in: state).epoch
                if next != epoch {
                    steps.append(
                        EpochStep(
                            header: block.header, certificate: try #require(certificates[height]),
                            next: try #require(try Query.epochRecord(next, in: state))))
                }
            }
            self.manifests = manifests
            self.chunks = chunks
            self.steps = steps
        }

        static func cut(_ state: MemoryStateStore, depth: Int) -> [[UInt8]] {
            var top = SnapshotTop(depth: depth)
            let all = state.all(.state).map { SnapshotChunk.Entry(key: $0.key, value: $0.value) }
            let bodies = (0..<SnapshotChunk.count(depth: depth)).map { index in
                top.add(all.filter { SnapshotChunk.index(of: $0.key, depth: depth) == index }, at: index)
            }
            return bodies.indices.map { top.head(of: $0) + bodies[$0] }
        }

        func honest(_ request: SnapshotRequest) -> [UInt8]? {
            switch request {
            case .epochs(let from):
                // Two at a time, so that a walk takes several.
                return EpochAnswer(steps: Array(steps.dropFirst(Int(from.value)).prefix(2))).canonicalBytes
            case .offers: return SnapshotOffers(manifests: Array(manifests.prefix(2))).canonicalBytes
            case .chunk(let height, let index):
                guard let row = chunks[height], Int(index) < row.count else { return nil }
                return row[Int(index)]
            case .block(let digest):
                return network.nodes[0].archive.block(digest).map {
                    BlockAnswer(blocks: [FinalizedBlock(block: $0, certificate: nil)]).canonicalBytes
                }
            }
        }
    }

    /// Made once: the chain is the same for every test.
    static let chain = Result { try Chain() }

    enum Conduct: Sendable {
        case honest, silent, refusing, falseChunks, falseSteps, falseOffers, noise, otherDepth, silentChunks
    }

    /// Runs one fetch against peers by their conducts; answers take 1 to 30 ms.
    private struct Run {
        let chain: Chain
        var fetch: SnapshotFetch
        let conducts: [Conduct]
        var random: SplitMix64
        var now: Int64 = 0
        var events: [(at: Int64, order: Int, id: UInt64, answer: [UInt8]?)] = []
        var order = 0
        var timer: Int64?
        var kept: [Int: [UInt8]] = [:]
        var begun: [SnapshotManifest] = []
        var blamed: Set<Int> = []
        var requests: [Int: Int] = [:]
        /// Who has told a lie that was heard.
        var lied: Set<Int> = []
        var result: SnapshotFetch.Result?
        var failure: SnapshotFetch.Failure?
        /// Stops when so many chunks are kept.
        var stopAfter = Int.max

        static func peer(_ index: Int) throws -> PublicKey {
            try SecretKey(seed: Digest.of(Domain("test.peer"), [UInt8(index)]).bytes).publicKey
        }

        init(
            _ chain: Chain, _ conducts: [Conduct], seed: UInt64, checkpoint: Digest? = nil,
            resumption: SnapshotFetch.Resumption? = nil
        ) throws {
            self.chain = chain
            self.conducts = conducts
            random = SplitMix64(seed: seed)
            fetch = try SnapshotFetch(
                genesis: chain.network.genesis, checkpoint: checkpoint, resumption: resumption,
                at: Instant(nanoseconds: 0))
        }

        var instant: Instant { Instant(nanoseconds: now * 1_000_000) }

        mutating func answer(_ conduct: Conduct, _ request: SnapshotRequest) -> (answer: [UInt8]?, comes: Bool) {
            let honest = chain.honest(request)
            switch (conduct, request) {
            case (.silent, _): return (nil, false)
            case (.silentChunks, .chunk): return (nil, false)
            case (.refusing, _): return (nil, true)
            case (.noise, _):
                return (
                    (0..<Int.random(in: 0...200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random)
                    }, true
                )
            case (.falseChunks, .chunk):
                guard var bytes = honest else { return (nil, true) }
                bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1
                return (bytes, true)
            case (.falseSteps, .epochs(let from)):
                guard let step = chain.steps.dropFirst(Int(from.value)).first else { return (honest, true) }
                let next = EpochRecord(
                    network: step.next.network, epoch: step.next.epoch, parameters: step.next.parameters,
                    members: Array(step.next.members.dropLast()))
                let bad = EpochStep(header: step.header, certificate: step.certificate, next: next)
                return (EpochAnswer(steps: [bad]).canonicalBytes, true)
            case (.falseOffers, .offers):
                // A later height, another root, under the true certificate.
                let row = chain.manifests.prefix(2).map { one in
                    var headers = one.headers
                    headers[0].stateRoot = .zero
                    return SnapshotManifest(
                        height: one.height, depth: one.depth, entryCount: 1, byteCount: 1, headers: headers,
                        certificate: one.certificate)
                }
                return (SnapshotOffers(manifests: row).canonicalBytes, true)
            case (.otherDepth, .offers):
                let row = chain.manifests.prefix(1).map { one in
                    SnapshotManifest(
                        height: one.height, depth: 2, entryCount: 1, byteCount: 1, headers: one.headers,
                        certificate: one.certificate)
                }
                return (SnapshotOffers(manifests: row).canonicalBytes, true)
            default: return (honest, true)
            }
        }

        mutating func take(_ outputs: [SnapshotFetch.Output]) throws {
            for output in outputs {
                switch output {
                case .request(let id, let request, let peer):
                    guard let index = try conducts.indices.first(where: { try Run.peer($0) == peer }) else { continue }
                    if case .chunk = request { requests[index, default: 0] += 1 }
                    let (answer, comes) = self.answer(conducts[index], request)
                    if comes, answer != nil, answer != chain.honest(request) { lied.insert(index) }
                    if comes {
                        order += 1
                        events.append((now + Int64.random(in: 1...30, using: &random), order, id, answer))
                    }
                case .begin(let manifest):
                    if begun.last?.root != manifest.root || begun.last?.depth != manifest.depth { kept = [:] }
                    begun.append(manifest)
                case .keepChunk(let index, let bytes): kept[index] = bytes
                case .misbehaviour(let peer, _):
                    if let index = try conducts.indices.first(where: { try Run.peer($0) == peer }) {
                        blamed.insert(index)
                    }
                case .setTimer(let at): timer = at.nanoseconds / 1_000_000 + 1
                case .progress: break
                case .finished(let result): self.result = result
                case .failed(let failure): self.failure = failure
                }
            }
        }

        mutating func go(until end: Int64 = 600_000) throws {
            try take(fetch.start(at: instant))
            for index in conducts.indices {
                try take(fetch.peerConnected(try Run.peer(index), head: chain.tip, at: instant))
            }
            while result == nil, failure == nil, now < end, kept.count < stopAfter {
                let next = events.min { ($0.at, $0.order) < ($1.at, $1.order) }
                if let next, timer.map({ next.at <= $0 }) ?? true {
                    events.removeAll { $0.order == next.order }
                    now = max(now, next.at)
                    try take(fetch.answered(next.id, next.answer, at: instant))
                } else if let at = timer {
                    now = max(now, at)
                    timer = nil
                    try take(fetch.timer(at: instant))
                } else {
                    return
                }
            }
        }
    }

    /// The fetched state and blocks make a replica that agrees with the chain.
    private func check(_ run: Run) throws {
        let result = try #require(run.result, "\(String(describing: run.failure))")
        let manifest = result.manifest
        let state = MemoryStateStore()
        var height: Height = 0
        #expect(run.kept.count == manifest.chunkCount)
        for index in run.kept.keys.sorted() {
            let chunk = try SnapshotChunk(canonicalBytes: try #require(run.kept[index]))
            try state.commit(try StateTree.writes(adding: chunk.entries, to: state), height: height)
            height = height.next()
        }
        #expect(try StateTree.root(of: state) == manifest.root)
        let chain = run.chain
        #expect(try Query.stateRoot(at: manifest.height, in: chain.network.nodes[0].state) == manifest.root)
        let blocks = try result.blocks.map { try Block(canonicalBytes: $0) }
        #expect(blocks.first?.header.height == manifest.height)
        #expect(blocks.last?.header.digest == manifest.headers.last?.digest)
        #expect(UInt64(result.steps.count) == manifest.epoch.value)
        #expect(result.record.epoch == chain.steps.last?.next.epoch)
    }

    @Test func honestPeersShareTheWork() throws {
        var run = try Run(try Self.chain.get(), [.honest, .honest, .honest], seed: 1)
        try run.go()
        try check(run)
        #expect(run.result?.manifest == run.chain.manifests.first)
        #expect(run.requests.count == 3, "\(run.requests)")
        #expect(run.blamed.isEmpty)
    }

    @Test(
        arguments: [
            [.honest, .silent, .silent], [.honest, .refusing, .noise], [.honest, .falseChunks, .falseChunks],
            [.falseSteps, .honest, .falseSteps], [.falseOffers, .falseOffers, .honest],
            [.otherDepth, .honest, .silentChunks], [.honest, .noise, .falseSteps, .falseChunks, .falseOffers, .silent],
            [.silentChunks, .silentChunks, .honest],
        ] as [[Conduct]]) func oneHonestPeerIsEnough(_ conducts: [Conduct]) throws
    {
        for _ in 0..<10 {
            let seed = UInt64.random(in: 0...UInt64.max)
            var run = try Run(try Self.chain.get(), conducts, seed: seed)
            try run.go()
            #expect(run.result != nil, "seed \(seed): \(String(describing: run.failure))")
            try check(run)
            for (index, conduct) in conducts.enumerated() {
                switch conduct {
                case .honest, .silent, .refusing, .silentChunks:
                    #expect(!run.blamed.contains(index), "seed \(seed): \(conduct)")
                // Another depth is a choice, and no lie is told by who is not asked.
                case .otherDepth: break
                case .noise, .falseSteps, .falseOffers, .falseChunks:
                    #expect(run.blamed.contains(index) == run.lied.contains(index), "seed \(seed): \(conduct)")
                }
            }
        }
    }

    @Test(
        arguments: [
            [.silent], [.refusing, .refusing], [.falseOffers], [.falseSteps, .noise], [.falseChunks, .silentChunks],
        ] as [[Conduct]]) func withoutAnHonestPeerItFailsWithAReason(_ conducts: [Conduct]) throws
    {
        let seed = UInt64.random(in: 0...UInt64.max)
        var run = try Run(try Self.chain.get(), conducts, seed: seed)
        try run.go()
        #expect(run.result == nil && run.failure != nil, "seed \(seed)")
    }

    @Test func withoutPeersOrWithNewOnesItDoesNotWait() throws {
        let chain = try Self.chain.get()
        var run = try Run(chain, [], seed: 1)
        try run.go()
        #expect(run.failure == .noPeers)
        var fetch = try SnapshotFetch(genesis: chain.network.genesis, at: Instant(nanoseconds: 0))
        _ = fetch.peerConnected(try Run.peer(0), head: 2, at: Instant(nanoseconds: 0))
        let outputs = fetch.timer(at: Instant(nanoseconds: 1_000_000_000))
        guard case .failed(.noOffers) = outputs.last else {
            Issue.record("\(outputs)")
            return
        }
    }

    @Test(arguments: [1, 5, 15, 16]) func anInterruptedFetchGoesOn(_ count: Int) throws {
        let chain = try Self.chain.get()
        var first = try Run(chain, [.honest, .honest], seed: 3)
        first.stopAfter = count
        try first.go()
        let manifest = try #require(first.begun.last)
        let have = Set(first.kept.keys)
        #expect(have.count >= count)
        var second = try Run(
            chain, [.honest, .falseChunks], seed: 4, resumption: .init(manifest: manifest, have: have))
        second.kept = first.kept
        second.begun = [manifest]
        try second.go()
        try check(second)
        // What was there is not asked for again, except of who lied.
        #expect(second.requests[0, default: 0] + have.count == manifest.chunkCount)
        // What was begun of an older snapshot is finished, as long as it is offered; what nobody offers is let go.
        let older = chain.manifests[1]
        var third = try Run(chain, [.honest], seed: 5, resumption: .init(manifest: older, have: []))
        try third.go()
        #expect(third.result?.manifest.height == older.height)
        var fourth = try Run(
            chain, [.honest], seed: 6,
            resumption: .init(
                manifest: SnapshotManifest(
                    height: older.height, depth: 3, entryCount: 0, byteCount: 0, headers: older.headers,
                    certificate: older.certificate), have: [1, 2, 3]))
        try fourth.go()
        try check(fourth)
        #expect(fourth.result?.manifest == chain.manifests[0])
    }

    @Test func theCheckpointMustBeOnTheWay() throws {
        let chain = try Self.chain.get()
        for digest in [chain.network.genesis.epochRecord.digest] + chain.steps.map(\.next.digest) {
            var run = try Run(chain, [.honest], seed: 1, checkpoint: digest)
            try run.go()
            #expect(run.result != nil, "\(String(describing: run.failure))")
        }
        var run = try Run(chain, [.honest], seed: 1, checkpoint: .zero)
        try run.go()
        #expect(run.failure == .checkpoint(.zero, try #require(chain.steps.last).next.epoch))
    }

    @Test func whatPeersSendHasOneEncoding() throws {
        let chain = try Self.chain.get()
        try WireForm(chain.manifests.prefix(2).map { $0 }).holds(inputs: 3_000)
        try WireForm([SnapshotOffers(manifests: []), SnapshotOffers(manifests: Array(chain.manifests.prefix(1)))])
            .holds(
                inputs: 3_000)
        try WireForm([EpochAnswer(steps: []), EpochAnswer(steps: Array(chain.steps.prefix(1)))]).holds(inputs: 3_000)
        let most = SnapshotOffers(
            manifests: [SnapshotManifest](repeating: chain.manifests[0], count: SnapshotOffers.maximumOffers + 1))
        #expect(throws: DecodingFault.self) { try SnapshotOffers(canonicalBytes: most.canonicalBytes) }
        let steps = EpochAnswer(steps: [EpochStep](repeating: chain.steps[0], count: EpochAnswer.maximumSteps + 1))
        #expect(throws: DecodingFault.self) { try EpochAnswer(canonicalBytes: steps.canonicalBytes) }
    }
}
