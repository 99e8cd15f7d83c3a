import Gossip
import Networking
import Primitives
import Testing

/// What two nodes can say to one another once they have met.
struct SessionTests {
    @Test func greetingsTellIdentityRolesAndHead() async throws {
        try await withPair { a, b in
            let hello = try #require(b.connected[a.id])
            #expect(hello.network == TestPeer.network && hello.headHeight == 7)
            #expect(hello.record.identity == a.id && hello.record.roles == .validator)
            #expect(Int(hello.record.tcpPort) == a.port)
            #expect(a.connected[b.id]?.headHeight == 9)
            #expect(a.service.connectedPeers == [b.id] && b.service.connectedPeers == [a.id])
            let peer = try #require(b.service.peers.first)
            #expect(peer.id == a.id && peer.headHeight == 7 && peer.roles == .validator && peer.score == 0)
            #expect(await eventually { b.service.peers.first.map { $0.roundTripMilliseconds > 0 } ?? false })
        }
    }

    @Test func messagesArriveOnceInOrderOnTheirChannel() async throws {
        try await withPair { a, b in
            for index in 0..<200 { a.service.send([UInt8(index)], on: .consensus, to: b.id) }
            a.service.broadcast([1, 2, 3], on: .transactions)
            a.service.broadcast([4], on: .transactions, except: b.id)
            b.service.send([], on: .blocks, to: a.id)
            #expect(await eventually { b.messages.count == 201 && a.messages.count == 1 })
            let consensus = b.messages.filter { $0.channel == .consensus }
            #expect(consensus.map(\.bytes) == (0..<200).map { [UInt8($0)] })
            #expect(b.messages.allSatisfy { $0.sender == a.id })
            #expect(b.messages.filter { $0.channel == .transactions }.map(\.bytes) == [[1, 2, 3]])
            #expect(a.messages == [TestPeer.Message(bytes: [], channel: .blocks, sender: b.id)])
        }
    }

    @Test(arguments: NetworkChannel.allCases) func theLongestFrameArrivesWhole(_ channel: NetworkChannel) async throws {
        try await withPair { a, b in
            // One that LZ4 cannot shrink, and one that it can.
            let hard = noise(channel.limit, seed: 1)
            let easy = [UInt8](repeating: 7, count: channel.limit)
            let first = try await b.service.request(hard, on: channel, to: a.id, timeout: .seconds(30))
            #expect(first == hard.reversed())
            let second = try await a.service.request(easy, on: channel, to: b.id, timeout: .seconds(30))
            #expect(second == easy)
        }
    }

    @Test func everyAnswerFindsItsQuestion() async throws {
        try await withPair { a, b in
            let matched = try await withThrowingTaskGroup(of: Bool.self) { group in
                for index in 0..<48 {
                    group.addTask {
                        let question = noise(100 + index * 1_000, seed: UInt64(index))
                        let answer = try await a.service.request(
                            question, on: .blobs, to: b.id, timeout: .seconds(30))
                        return answer == question.reversed()
                    }
                }
                return try await group.reduce(into: 0) { if $1 { $0 += 1 } }
            }
            #expect(matched == 48)
        }
    }

    @Test func aQuestionEndsWithAnswerOrReason() async throws {
        let answer: TestPeer.Answer = { question in
            switch question.first {
            case 0: .some(nil)
            case 1: nil
            case 2: .some([UInt8](repeating: 0, count: NetworkChannel.consensus.limit + 1))
            default: .some(question)
            }
        }
        try await withPair(answer: answer) { a, b in
            func ask(_ bytes: [UInt8], _ peer: PeerID, _ timeout: Interval = .seconds(30)) async -> RequestFault? {
                do {
                    _ = try await a.service.request(bytes, on: .consensus, to: peer, timeout: timeout)
                    return nil
                } catch { return error }
            }
            #expect(await ask([3], b.id) == nil)
            #expect(await ask([0], b.id) == .refused)
            #expect(await ask([1], b.id, .milliseconds(100)) == .timedOut)
            #expect(await ask([2], b.id) == .refused)
            let stranger = try TestPeer.key(99).publicKey
            #expect(await ask([3], stranger) == .notConnected)
            let limit = NetworkChannel.consensus.limit
            #expect(
                await ask([UInt8](repeating: 9, count: limit + 1), b.id) == .tooLong(found: limit + 1, limit: limit))
            // The session has lived through it all.
            #expect(await ask([3], b.id) == nil)
        }
    }

    @Test func noMoreThanSixtyFourQuestionsAPeerAreUnderWay() async throws {
        try await withPair(answer: { _ in nil }) { a, b in
            let faults = await withTaskGroup(of: RequestFault?.self) { group in
                for _ in 0..<80 {
                    group.addTask {
                        do {
                            _ = try await a.service.request([1], on: .blobs, to: b.id, timeout: .seconds(2))
                            return nil
                        } catch { return error as? RequestFault }
                    }
                }
                return await group.reduce(into: [RequestFault?]()) { $0.append($1) }
            }
            #expect(faults.filter { $0 == .timedOut }.count == 64)
            #expect(faults.filter { $0 == .tooManyUnderWay }.count == 16)
        }
    }
}
