import COpenSSL
import Networking
import Primitives
import Testing

/// Bytes that no honest node sends. After each, the sender is gone and the session with an honest node stands.
struct HostileTests {
    /// An honest pair, and a way to be sure that it is unharmed.
    func withTarget(_ body: (TestPeer) async throws -> Void) async throws {
        try await withPair { a, b in
            try await body(a)
            #expect(a.endings.isEmpty)
            let answer = try await b.service.request([1, 2], on: .blobs, to: a.id, timeout: .seconds(30))
            #expect(answer == [2, 1])
            #expect(a.service.connectedPeers == [b.id])
        }
    }

    @Test func noCertificateNoSession() async throws {
        try await withTarget { target in
            // TLS 1.3 tells the client of it only after its own handshake is done.
            if let raw = try? RawPeer(port: target.port, identity: nil) { #expect(raw.isClosed(within: 10)) }
            #expect(await eventually { target.sawEnd("handshake") })
        }
    }

    @Test func noProtocolNameNoSession() async throws {
        try await withTarget { target in
            if let raw = try? RawPeer(port: target.port, identity: try TestPeer.key(3), protocolName: nil) {
                #expect(raw.isClosed(within: 10))
            }
            #expect(await eventually { target.sawEnd("ALPN") })
            #expect(throws: RawPeer.Fault.self) {
                _ = try RawPeer(port: target.port, identity: try TestPeer.key(3), protocolName: "plasma/2")
            }
        }
    }

    @Test func olderTLSIsRefused() async throws {
        try await withTarget { target in
            #expect(throws: RawPeer.Fault.self) {
                _ = try RawPeer(port: target.port, identity: try TestPeer.key(3), version: TLS1_2_VERSION)
            }
        }
    }

    @Test func noiseInsteadOfTLSEndsTheConnection() async throws {
        try await withTarget { target in
            for seed in 0..<20 {
                let raw = try RawPeer(tcp: target.port)
                try? raw.send(noise(10_000, seed: UInt64(seed)))
                #expect(raw.isClosed(within: 10), "seed \(seed)")
            }
        }
    }

    @Test func anotherProtocolVersionIsToldApart() async throws {
        try await withTarget { target in
            let raw = try RawPeer(port: target.port, identity: try TestPeer.key(3))
            try raw.greet(version: 9)
            #expect(raw.isClosed(within: 10))
            #expect(await eventually { target.sawEnd("protocol version 9") })
        }
    }

    @Test func whoTalksBeforeGreetingIsSentAway() async throws {
        try await withTarget { target in
            let raw = try RawPeer(port: target.port, identity: try TestPeer.key(3))
            try raw.send(RawPeer.frame(kind: 0, [1, 2, 3]))
            #expect(raw.isClosed(within: 10))
            #expect(await eventually { target.sawEnd("did not greet") })
            #expect(target.messages.isEmpty)
        }
    }

    @Test func whoGreetsTwiceIsSentAway() async throws {
        try await withPair { a, _ in
            let raw = try RawPeer(port: a.port, identity: try TestPeer.key(3))
            try raw.greet()
            try raw.greet()
            #expect(raw.isClosed(within: 10))
            #expect(await eventually { a.sawEnd("greeted twice") })
        }
    }

    struct Malformed: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let bytes: [UInt8]
    }

    static let malformed: [Malformed] = [
        Malformed(testDescription: "a length of 4 GiB", bytes: [255, 255, 255, 255, 0, 0]),
        Malformed(testDescription: "a length of 4 GiB and no more", bytes: [255, 255, 255, 255]),
        Malformed(testDescription: "a length of 0", bytes: [0, 0, 0, 0, 0, 0]),
        Malformed(testDescription: "no such channel", bytes: RawPeer.frame(channel: 9, kind: 0, [1])),
        Malformed(testDescription: "no such kind", bytes: RawPeer.frame(kind: 99, [1])),
        Malformed(testDescription: "a request with half an id", bytes: RawPeer.frame(kind: 1, [1, 2, 3])),
        Malformed(
            testDescription: "one byte above the channel's limit",
            bytes: RawPeer.frame(kind: 0, [UInt8](repeating: 1, count: NetworkChannel.consensus.limit + 1))),
        Malformed(
            testDescription: "compressed, said to be 4 GiB", bytes: RawPeer.frame(kind: 0x80, [255, 255, 255, 255, 1])),
        Malformed(
            testDescription: "compressed, of another length than said",
            bytes: RawPeer.frame(kind: 0x80, [100, 0, 0, 0, 0x10, 65])),
        Malformed(
            testDescription: "compressed, with a copy from before the start",
            bytes: RawPeer.frame(kind: 0x80, [20, 0, 0, 0, 0x1F, 65, 0xFF, 0xFF, 0])),
    ]

    @Test(arguments: malformed) func malformedFramesEndTheSession(_ item: Malformed) async throws {
        let target = try await TestPeer.start(1)
        let raw = try RawPeer(port: target.port, identity: try TestPeer.key(3))
        // In one breath: a test that is kept waiting between the two would be sent away for its silence.
        try raw.greet()
        try? raw.send(item.bytes)
        #expect(raw.isClosed(within: 10))
        #expect(await eventually { target.sawEnd("broke the protocol") })
        #expect(try target.greeted == [TestPeer.key(3).publicKey])
        #expect(target.messages.isEmpty && target.connected.isEmpty)
        await target.stop()
    }

    @Test func noiseAfterTheGreetingHarmsNobody() async throws {
        try await withPair { a, b in
            for seed in 0..<40 {
                var random = SplitMix64(seed: UInt64(seed))
                let raw = try RawPeer(port: a.port, identity: try TestPeer.key(3))
                try raw.greet()
                // Frames that begin well and go on as they like.
                var sent = true
                for _ in 0..<20 where sent {
                    let content = noise(Int(random.next() % 300), seed: random.next())
                    let frame = RawPeer.frame(
                        channel: UInt8(random.next() % 5),
                        kind: UInt8(random.next() % 9) | UInt8(random.next() % 2) << 7,
                        random.next() % 2 == 0 ? content : UInt32(content.count).canonicalBytes + content)
                    sent = (try? raw.send(frame)) != nil
                }
                raw.close()
            }
            let answer = try await b.service.request([1, 2], on: .blobs, to: a.id, timeout: .seconds(30))
            #expect(answer == [2, 1])
            #expect(await eventually { a.service.connectedPeers == [b.id] })
        }
    }

    @Test func halfOpenConnectionsKeepNobodyOut() async throws {
        let target = try await TestPeer.start(1)
        // More than may wait, so the oldest are sent away; and none of them says a word.
        var idle: [RawPeer] = []
        for _ in 0..<300 { idle.append(try RawPeer(tcp: target.port)) }
        let honest = try await TestPeer.start(2, bootstrap: [target])
        #expect(await eventually { honest.connected[target.id] != nil })
        #expect(await eventually { target.sawEnd("too many connections wait") })
        #expect(idle[0].isClosed(within: 10))
        // Whoever was let wait is sent away after the time for a greeting.
        #expect(idle[299].isClosed(within: 20))
        #expect(await eventually { target.sawEnd("no TLS handshake came") })
        await target.stop()
        await honest.stop()
    }
}
