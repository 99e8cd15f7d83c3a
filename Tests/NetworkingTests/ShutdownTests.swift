import Networking
import Primitives
import Testing

/// How a node ends, and what it leaves behind.
struct ShutdownTests {
    @Test func itFreesItsPortAndTellsItsPeers() async throws {
        let a = try await TestPeer.start(1)
        let b = try await TestPeer.start(2, bootstrap: [a])
        #expect(await eventually { b.connected[a.id] != nil })
        await a.stop()
        #expect(await eventually { b.connected.isEmpty && !b.endings.isEmpty })
        let next = try await TestPeer.start(3, port: a.port)
        #expect(next.port == a.port)
        await next.stop()
        await b.stop()
    }

    @Test func questionsUnderWayEnd() async throws {
        let a = try await TestPeer.start(1, answer: { _ in nil })
        let b = try await TestPeer.start(2, bootstrap: [a], answer: { _ in nil })
        #expect(await eventually { b.connected[a.id] != nil })
        let asked = Task { () -> RequestFault? in
            do {
                _ = try await b.service.request([1], on: .blobs, to: a.id, timeout: .seconds(60))
                return nil
            } catch { return error as? RequestFault }
        }
        try await Task.sleep(nanoseconds: 100_000_000)
        await a.stop()
        #expect(await asked.value == .notConnected)
        await b.stop()
        #expect(throws: RequestFault.notConnected) { throw RequestFault.notConnected }
    }

    @Test func whoHasStoppedAnswersNobody() async throws {
        try await withPair { a, b in
            await a.stop()
            await #expect(throws: RequestFault.notConnected) {
                _ = try await a.service.request([1], on: .blobs, to: b.id, timeout: .seconds(60))
            }
        }
    }

    @Test func aTakenPortIsToldWithTheNextStep() async throws {
        let a = try await TestPeer.start(1)
        do {
            let second = try await TestPeer.start(2, port: a.port)
            await second.stop()
            Issue.record("two services listen on port \(a.port)")
        } catch let fault as NetworkFault {
            #expect(fault.description.contains("\(a.port)") && fault.description.contains("config.toml"))
        }
        await a.stop()
    }
}
