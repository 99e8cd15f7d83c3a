import Gossip
import Primitives
import Testing

/// One honest machine, driven datagram by datagram by others that do not keep the rules.
@Suite struct DiscoveryAttackTests {
    static let own = Actors.key(0)
    static let here = Actors.endpoint(1_000)
    static let now = Instant(nanoseconds: 1_000_000_000)

    var machine = Discovery(
        key: own, record: Actors.record(own, at: here), bootstrap: [], saved: [], seed: 42)

    static func datagram(
        _ content: DiscoveryMessage.Content, nonce: UInt64, by key: SecretKey, at endpoint: Endpoint,
        network: Digest = Actors.network, sequence: UInt64 = 1
    ) -> [UInt8] {
        DiscoveryMessage(
            sender: Actors.record(key, network: network, sequence: sequence, at: endpoint), nonce: nonce,
            content: content
        ).datagram(key: key)
    }

    /// The messages among the outputs and where they go.
    static func sent(_ outputs: [Discovery.Output]) -> [(message: DiscoveryMessage, to: Endpoint, length: Int)] {
        outputs.compactMap { output in
            guard case .send(let bytes, let endpoint) = output, let message = try? DiscoveryMessage(datagram: bytes)
            else { return nil }
            return (message, endpoint, bytes.count)
        }
    }

    static func isPing(_ message: DiscoveryMessage) -> Bool { message.content == .ping }

    /// Lets a node prove its address. Returns the nonce of the question that it is asked then.
    @discardableResult
    mutating func introduce(_ key: SecretKey, at endpoint: Endpoint, at now: Instant = now) -> UInt64? {
        let ping = Self.datagram(.ping, nonce: 1, by: key, at: endpoint)
        let asked = Self.sent(machine.receive(ping, from: endpoint, at: now)).first { Self.isPing($0.message) }
        guard let asked else { return nil }
        let pong = Self.datagram(.pong, nonce: asked.message.nonce, by: key, at: endpoint)
        return Self.sent(machine.receive(pong, from: endpoint, at: now)).first?.message.nonce
    }

    @Test mutating func whoAnswersOurPingFromItsAddressIsKnown() throws {
        let peer = Actors.key(1)
        let nonce = introduce(peer, at: Actors.endpoint(2_000))
        #expect(nonce != nil, "a new node is asked for its neighbours")
        #expect(machine.table.record(of: peer.publicKey)?.endpoint == Actors.endpoint(2_000))
    }

    @Test mutating func anAddressGetsNothingLargerThanItsRequestUntilItHasAnswered() throws {
        for index in 1...12 { introduce(Actors.key(index), at: Actors.endpoint(UInt16(2_000 + index))) }
        #expect(machine.table.count == 12)
        let (asker, victim) = (Actors.key(50), Actors.endpoint(9_000))
        for round in 0..<50 as Range<UInt64> {
            for content in [.findNode(Actors.digest(1)), .ping] as [DiscoveryMessage.Content] {
                let request = Self.datagram(content, nonce: round, by: asker, at: victim)
                let answers = Self.sent(machine.receive(request, from: victim, at: Self.now))
                for answer in answers {
                    #expect(answer.to == victim && answer.length <= request.count)
                    if case .nodes = answer.message.content { Issue.record("an unproven address got records") }
                }
            }
        }
        // Once it has answered, it gets them.
        introduce(asker, at: victim, at: Self.now.adding(.seconds(2)))
        _ = machine.tick(at: Self.now.adding(.seconds(2)))
        introduce(asker, at: victim, at: Self.now.adding(.seconds(2)))
        let request = Self.datagram(.findNode(Actors.digest(1)), nonce: 77, by: asker, at: victim)
        let answers = Self.sent(machine.receive(request, from: victim, at: Self.now.adding(.seconds(2))))
        let records = answers.flatMap { answer -> [NodeRecord] in
            guard case .nodes(let records) = answer.message.content else { return [] }
            #expect(answer.message.nonce == 77 && answer.length <= DiscoveryMessage.maximumLength)
            return records
        }
        #expect(Set(records.map(\.identity)) == Set((1...12).map { Actors.key($0).publicKey }))
        // The proof is of that address, not of that identity.
        let elsewhere = Self.sent(machine.receive(request, from: Actors.endpoint(9_001), at: Self.now))
        #expect(elsewhere.allSatisfy { Self.isPing($0.message) })
    }

    @Test mutating func aFloodOfForgedSendersBringsTheirVictimOnePingAtATime() {
        let victim = Actors.endpoint([203, 0, 113, 9], 53)
        var pings = 0
        for index in 0..<100 {
            let request = Self.datagram(.ping, nonce: 1, by: Actors.key(1_000 + index), at: victim)
            pings += Self.sent(machine.receive(request, from: victim, at: Self.now)).count { Self.isPing($0.message) }
        }
        #expect(pings == 1)
    }

    @Test mutating func pongsWithAnotherNonceAddressOrIdentityAreIgnored() throws {
        let (peer, endpoint) = (Actors.key(1), Actors.endpoint(2_000))
        let ping = Self.datagram(.ping, nonce: 1, by: peer, at: endpoint)
        let asked = try #require(
            Self.sent(machine.receive(ping, from: endpoint, at: Self.now)).first { Self.isPing($0.message) })
        let nonce = asked.message.nonce
        for wrong in [nonce &+ 1, 0, 1, ~nonce] {
            let pong = Self.datagram(.pong, nonce: wrong, by: peer, at: endpoint)
            #expect(machine.receive(pong, from: endpoint, at: Self.now).isEmpty)
        }
        #expect(machine.table.count == 0)
        let otherNetwork = Self.datagram(.pong, nonce: nonce, by: peer, at: endpoint, network: Actors.otherNetwork)
        #expect(machine.receive(otherNetwork, from: endpoint, at: Self.now).isEmpty)
        let good = Self.datagram(.pong, nonce: nonce, by: peer, at: endpoint)
        #expect(machine.receive(good, from: Actors.endpoint(2_001), at: Self.now).isEmpty)
        #expect(machine.table.count == 0)
    }

    @Test mutating func aPongMustNameTheAddressThatItComesFrom() throws {
        let endpoint = Actors.endpoint(2_000)
        let ping = Self.datagram(.ping, nonce: 1, by: Actors.key(1), at: endpoint)
        let asked = try #require(
            Self.sent(machine.receive(ping, from: endpoint, at: Self.now)).first { Self.isPing($0.message) })
        let elsewhere = Self.datagram(
            .pong, nonce: asked.message.nonce, by: Actors.key(1), at: Actors.endpoint([203, 0, 113, 9], 2_000))
        #expect(machine.receive(elsewhere, from: endpoint, at: Self.now).isEmpty)
        #expect(machine.table.count == 0)
    }

    @Test mutating func aRecordHeardFromOthersCountsOnlyWhenItsOwnerAnswers() throws {
        let question = try #require(introduce(Actors.key(1), at: Actors.endpoint(2_000)))
        let owner = Actors.key(2)
        let there = Actors.endpoint(3_000)
        let nodes = Self.datagram(
            .nodes([Actors.record(owner, at: there)]), nonce: question, by: Actors.key(1), at: Actors.endpoint(2_000))
        let asked = try #require(Self.sent(machine.receive(nodes, from: Actors.endpoint(2_000), at: Self.now)).first)
        #expect(asked.to == there && Self.isPing(asked.message))
        #expect(machine.table.record(of: owner.publicKey) == nil)
        let impostor = Self.datagram(.pong, nonce: asked.message.nonce, by: Actors.key(3), at: there)
        #expect(machine.receive(impostor, from: there, at: Self.now).isEmpty)
        #expect(machine.table.count == 1)
    }

    @Test mutating func unaskedAndForeignRecordsAreIgnored() throws {
        let (peer, endpoint) = (Actors.key(1), Actors.endpoint(2_000))
        let question = try #require(introduce(peer, at: endpoint))
        let found = [Actors.record(Actors.key(2), at: Actors.endpoint(3_000))]
        func answer(_ nonce: UInt64, _ records: [NodeRecord]) -> [UInt8] {
            Self.datagram(.nodes(records), nonce: nonce, by: peer, at: endpoint)
        }
        #expect(machine.receive(answer(question &+ 1, found), from: endpoint, at: Self.now).isEmpty)
        #expect(machine.receive(answer(question, found), from: Actors.endpoint(2_001), at: Self.now).isEmpty)
        let useless = [
            Actors.record(Actors.key(2), network: Actors.otherNetwork, at: Actors.endpoint(3_000)),
            Actors.record(Self.own, sequence: 9, at: Actors.endpoint(3_000)), Actors.record(peer, at: endpoint),
        ]
        #expect(machine.receive(answer(question, useless), from: endpoint, at: Self.now).isEmpty)
    }

    @Test mutating func oneQuestionGetsFourAnswersAndNoMore() throws {
        let (peer, endpoint) = (Actors.key(1), Actors.endpoint(2_000))
        let question = try #require(introduce(peer, at: endpoint))
        var pings = 0
        for part in 0..<100 {
            let records = (0..<DiscoveryMessage.maximumNodes).map { index in
                let number = part * DiscoveryMessage.maximumNodes + index
                return Actors.record(
                    Actors.key(2_000 + number), at: Actors.endpoint([203, 0, 113, 9], UInt16(1 + number)))
            }
            let answer = Self.datagram(.nodes(records), nonce: question, by: peer, at: endpoint)
            pings += machine.receive(answer, from: endpoint, at: Self.now).count
        }
        #expect(pings == 16)
    }

    @Test mutating func anAnswerAfterItsTimeIsIgnored() throws {
        let (peer, endpoint) = (Actors.key(1), Actors.endpoint(2_000))
        let question = try #require(introduce(peer, at: endpoint))
        let late = Self.now.adding(.milliseconds(1_001))
        _ = machine.tick(at: late)
        let answer = Self.datagram(
            .nodes([Actors.record(Actors.key(2), at: Actors.endpoint(3_000))]), nonce: question, by: peer, at: endpoint)
        #expect(machine.receive(answer, from: endpoint, at: late).isEmpty)
    }

    @Test mutating func anOlderRecordDoesNotReplaceANewer() throws {
        let (peer, endpoint) = (Actors.key(1), Actors.endpoint(2_000))
        for (step, sequence, expected) in [(0, 5, 5), (30, 4, 5), (60, 6, 6)] as [(Int64, UInt64, UInt64)] {
            let now = Self.now.adding(.seconds(step))
            let first = Self.datagram(.ping, nonce: 1, by: peer, at: endpoint, sequence: sequence)
            let asked =
                Self.sent(machine.receive(first, from: endpoint, at: now) + machine.tick(at: now))
                .first { Self.isPing($0.message) }
            let nonce = try #require(asked).message.nonce
            let pong = Self.datagram(.pong, nonce: nonce, by: peer, at: endpoint, sequence: sequence)
            _ = machine.receive(pong, from: endpoint, at: now)
            #expect(machine.table.record(of: peer.publicKey)?.sequence == expected)
        }
    }

    /// A generator that can be run backwards would let whoever was pinged once forge the pongs of others.
    @Test mutating func nextNoncesDoNotFollowFromEarlierOnes() throws {
        let first = Self.datagram(.ping, nonce: 1, by: Actors.key(1), at: Actors.endpoint(2_000))
        let second = Self.datagram(.ping, nonce: 1, by: Actors.key(2), at: Actors.endpoint(2_001))
        let seen = try #require(
            Self.sent(machine.receive(first, from: Actors.endpoint(2_000), at: Self.now)).last
        ).message.nonce
        let next = try #require(
            Self.sent(machine.receive(second, from: Actors.endpoint(2_001), at: Self.now)).last
        ).message.nonce
        func unshift(_ value: UInt64, _ bits: UInt64) -> UInt64 {
            var result = value
            for _ in 0..<64 / Int(bits) + 1 { result = value ^ (result >> bits) }
            return result
        }
        /// The inverse of an odd number modulo 2^64, by Newton's iteration.
        func inverse(_ odd: UInt64) -> UInt64 {
            var result = odd
            for _ in 0..<6 { result = result &* (2 &- odd &* result) }
            return result
        }
        func stateAfter(_ output: UInt64) -> UInt64 {
            var z = unshift(output, 31) &* inverse(0x94D0_49BB_1331_11EB)
            z = unshift(z, 27) &* inverse(0xBF58_476D_1CE4_E5B9)
            return unshift(z, 30)
        }
        var check = SplitMix64(seed: 7)
        let output = check.next()
        var again = SplitMix64(seed: stateAfter(output))
        #expect(again.next() == check.next(), "the generator runs backwards")
        var forger = SplitMix64(seed: stateAfter(seen))
        for _ in 0..<100 { #expect(forger.next() != next) }
    }

    @Test mutating func aFloodOfStrangersLeavesRoomForThoseWeKnow() throws {
        let (peer, endpoint) = (Actors.key(1), Actors.endpoint(2_000))
        introduce(peer, at: endpoint)
        let later = Self.now.adding(.seconds(30))
        _ = machine.tick(at: later.adding(.milliseconds(-1)))
        var machine = machine
        for index in 0..<600 {
            let stranger = Actors.endpoint([203, 0, 113, 9], UInt16(1 + index))
            let ping = Self.datagram(.ping, nonce: 1, by: Actors.key(1_000), at: stranger)
            _ = machine.receive(ping, from: stranger, at: later)
        }
        let refreshed = Self.sent(machine.tick(at: later.adding(.seconds(6)))).contains { $0.to == endpoint }
        #expect(refreshed)
    }

    @Test mutating func proofsAreBoundedAndTheLatestCount() throws {
        let asker = Actors.key(1)
        for index in 0...Discovery.maximumProofs {
            let endpoint = Actors.endpoint(UInt16(2_000 + index))
            let now = Self.now.adding(.milliseconds(Int64(index)))
            let ping = Self.datagram(.ping, nonce: 1, by: asker, at: endpoint, sequence: UInt64(index + 1))
            let asked = try #require(
                Self.sent(machine.receive(ping, from: endpoint, at: now)).first { Self.isPing($0.message) })
            let pong = Self.datagram(
                .pong, nonce: asked.message.nonce, by: asker, at: endpoint, sequence: UInt64(index + 1))
            _ = machine.receive(pong, from: endpoint, at: now)
        }
        introduce(Actors.key(2), at: Actors.endpoint(1_500), at: Self.now.adding(.seconds(5)))
        func getsRecords(_ index: Int) -> Bool {
            let endpoint = Actors.endpoint(UInt16(2_000 + index))
            let request = Self.datagram(.findNode(.zero), nonce: 1, by: asker, at: endpoint)
            var copy = machine
            return Self.sent(copy.receive(request, from: endpoint, at: Self.now.adding(.seconds(5)))).contains {
                if case .nodes = $0.message.content { true } else { false }
            }
        }
        #expect(getsRecords(Discovery.maximumProofs), "the latest proof counts")
        #expect(!getsRecords(0), "the oldest gave way to it")
        #expect(getsRecords(Discovery.maximumProofs / 2))
    }

    @Test mutating func randomBytesAndOwnEchoesAreIgnored() {
        var random = SplitMix64(seed: 9)
        for _ in 0..<1_000 {
            let length = Int.random(in: 0...1_500, using: &random)
            let noise = Actors.bytes(length, seed: random.next())
            #expect(machine.receive(noise, from: Actors.endpoint(2_000), at: Self.now).isEmpty)
        }
        let echo = Self.datagram(.ping, nonce: 1, by: Self.own, at: Self.here)
        #expect(machine.receive(echo, from: Actors.endpoint(2_000), at: Self.now).isEmpty)
    }
}
