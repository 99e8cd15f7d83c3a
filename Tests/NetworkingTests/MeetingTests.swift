import Gossip
import Networking
import Primitives
import Testing

/// Who finds whom, and who is turned away.
struct MeetingTests {
    @Test func sevenNodesWithOneAddressEachAllMeet() async throws {
        // A chain: each knows only the one before it.
        var peers = [try await TestPeer.start(0)]
        for index in 1..<7 { peers.append(try await TestPeer.start(index, bootstrap: [peers[index - 1]])) }
        #expect(await eventually { peers.allSatisfy { $0.connected.count == 6 } })
        for peer in peers {
            #expect(peer.service.connectedPeers == peers.map(\.id).filter { $0 != peer.id }.sorted())
        }
        for peer in peers { await peer.stop() }
    }

    /// In capitals the name goes to the system's resolver; in small letters it is known to mean 127.0.0.1.
    @Test func aNameServesAsBootstrapAddress() async throws {
        let first = try await TestPeer.start(1)
        let second = try await TestPeer.start(
            2, names: ["no-such-host.invalid:27600", "LOCALHOST:\(first.port)", "localhost:9"])
        #expect(await eventually { first.connected[second.id] != nil && second.connected[first.id] != nil })
        await first.stop()
        await second.stop()
    }

    @Test(arguments: ["127.0.0.1", "seed.example.org", "seed example.org:27600", "1.2.3:27600", "seed:0", "seed:65536"])
    func whatIsNoAddressWithAPortIsRefused(_ text: String) async throws {
        await #expect(throws: NetworkFault.self) { try await TestPeer.start(1, names: [text]) }
    }

    @Test func whoComesBackIsFoundAgain() async throws {
        let first = try await TestPeer.start(1)
        var second = try await TestPeer.start(2, bootstrap: [first])
        #expect(await eventually { first.connected[second.id] != nil })
        let port = second.port
        await second.stop()
        #expect(await eventually { first.connected.isEmpty })
        second = try await TestPeer.start(2, port: port)
        // It was given no address: the other remembers it.
        #expect(await eventually { first.connected[second.id] != nil && second.connected[first.id] != nil })
        await first.stop()
        await second.stop()
    }

    @Test func savedRecordsAreEnoughToMeetAgain() async throws {
        let first = try await TestPeer.start(1)
        var second = try await TestPeer.start(2, bootstrap: [first])
        #expect(await eventually { second.service.knownRecords.contains { $0.identity == first.id } })
        let records = second.service.knownRecords
        await second.stop()
        second = try await TestPeer.start(2, records: records)
        #expect(await eventually { second.connected[first.id] != nil })
        await first.stop()
        await second.stop()
    }

    @Test func anotherNetworkIsTurnedAwayWithTheReason() async throws {
        let other = Digest.of(Domain("test.network"), [2])
        let ours = try await TestPeer.start(1)
        let theirs = try await TestPeer.start(2, network: other, bootstrap: [ours])
        // Discovery does not even answer it. A dial by hand gets as far as the greeting.
        let raw = try RawPeer(port: ours.port, identity: try TestPeer.key(3))
        try raw.greet(network: other)
        #expect(await eventually { ours.sawEnd("of another network") })
        #expect(raw.isClosed(within: 10))
        #expect(ours.connected.isEmpty && theirs.connected.isEmpty)
        await ours.stop()
        await theirs.stop()
    }

    @Test func whoeverStandsWhereAnotherShouldIsFoundOut() async throws {
        let impostor = try await TestPeer.start(1)
        let record = NodeRecord(
            key: try TestPeer.key(5), network: TestPeer.network, sequence: 1,
            endpoint: try Endpoint(address: [127, 0, 0, 1], port: UInt16(impostor.port)),
            tcpPort: UInt16(impostor.port), roles: .validator)
        let dialler = try await TestPeer.start(2, records: [record])
        // A saved record is asked again over UDP before it is believed, so the dialler is also told in a greeting.
        let raw = try RawPeer(port: dialler.port, identity: try TestPeer.key(5))
        try raw.send(RawPeer.hello(record: record))
        raw.close()
        #expect(await eventually { dialler.sawEnd("expected") })
        #expect(dialler.connected[record.identity] == nil)
        await impostor.stop()
        await dialler.stop()
    }

    @Test func aRecordOfAnotherIsNoGreeting() async throws {
        let peer = try await TestPeer.start(1)
        let stolen = NodeRecord(
            key: try TestPeer.key(5), network: TestPeer.network, sequence: 1,
            endpoint: try Endpoint(address: [127, 0, 0, 1], port: 9), tcpPort: 9, roles: .validator)
        let raw = try RawPeer(port: peer.port, identity: try TestPeer.key(6))
        try raw.send(RawPeer.hello(record: stolen))
        #expect(raw.isClosed(within: 10))
        #expect(await eventually { peer.sawEnd("another's record") })
        await peer.stop()
    }

    @Test func aRecordNamesTheAddressThatOthersReach() async throws {
        let seen = try await TestPeer.start(1)
        let moved = try await TestPeer.start(2, external: "127.0.0.9", bootstrap: [seen])
        #expect(await eventually { seen.connected[moved.id]?.record.endpoint.host == "127.0.0.9" })
        await seen.stop()
        await moved.stop()
        // Anywhere is nowhere.
        for (host, external) in [("0.0.0.0", nil), ("::", nil), ("127.0.0.1", "0.0.0.0")] {
            await #expect { _ = try await TestPeer.start(3, host: host, external: external) } throws: { fault in
                "\(fault)".contains("external_host")
            }
        }
        await #expect { _ = try await TestPeer.start(3, external: "example") } throws: { fault in
            "\(fault)".contains("no IP address")
        }
    }

    @Test func aFullNodeTurnsAwayAndStays() async throws {
        let full = try await TestPeer.start(1, maximumPeers: 2)
        let others = [
            try await TestPeer.start(2, bootstrap: [full]), try await TestPeer.start(3, bootstrap: [full]),
            try await TestPeer.start(4, bootstrap: [full]),
        ]
        #expect(await eventually { full.connected.count == 2 && full.sawEnd("all places are taken") })
        #expect(full.service.connectedPeers.count == 2)
        for peer in others + [full] { await peer.stop() }
    }

    @Test func whoMisbehavesOftenIsSentAway() async throws {
        try await withPair { a, b in
            a.service.penalize(b.id, reason: "a test", points: 34)
            a.service.penalize(b.id, reason: "a test", points: 34)
            #expect(a.service.peers.first?.score == -68)
            a.service.penalize(b.id, reason: "a test", points: 34)
            #expect(await eventually { a.endings.contains("banned: a test") })
            // It dials again at once, and is not let in.
            #expect(await eventually { a.sawEnd("banned") && a.service.disconnectReasons["banned"] != nil })
            #expect(a.connected.isEmpty)
        }
    }
}
