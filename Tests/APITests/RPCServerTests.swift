import API
import Logging
import Synchronization
import Testing

@Suite struct RPCServerTests {
    @Test func callsErrorsHealthReadinessAndMetricsAnswer() async throws {
        let node = TestNode()
        try await node.serve { port in
            let client = RPCClient(port: port)
            #expect(try await client.call("echo", ["n": JSONValue(UInt64.max)]) == ["n": .unsigned(.max)])
            await #expect(throws: RPCError.refused("not enough XPL: 3 are missing", data: ["missing": "3"])) {
                try await client.call("refuse")
            }
            await #expect(throws: RPCError.methodNotFound("nothing")) { try await client.call("nothing") }
            #expect(try await client.get("/health").status == 200)
            #expect(try await client.get("/ready").status == 200)
            node.isReady.withLock { $0 = false }
            let ready = try await client.get("/ready")
            #expect(ready.status == 503)
            #expect(try JSONValue(parsing: ready.body) == ["reason": "catching up"])
            #expect(try await client.get("/metrics").body == Array("plasma_height 1\n".utf8))
            #expect(try await client.get("/nothing").status == 404)
            #expect(try await client.get("/").status == 405)
            await client.close()
        }
    }

    @Test func manyCallsAtOnceGetTheirOwnAnswers() async throws {
        try await TestNode().serve { port in
            let client = RPCClient(port: port)
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for i in 0..<200 {
                    group.addTask { try await client.call("echo", ["i": JSONValue(i)]) == ["i": JSONValue(i)] }
                }
                for try await isRight in group { #expect(isRight) }
            }
            await client.close()
        }
    }

    @Test func malformedHTTPAndOversizeBodiesAreRefusedAndTheServerGoesOn() async throws {
        try await TestNode().serve { port in
            let answer1 = try await TestNode.raw("what is this\r\n\r\n", port: port)
            #expect(answer1 == "HTTP/1.1 400")
            let tooLong = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: \(APILimits.requestBytes + 1)\r\n\r\n"
            let answer2 = try await TestNode.raw(tooLong, port: port)
            #expect(answer2 == "HTTP/1.1 413")
            let foreign = "POST / HTTP/1.1\r\nhost: x\r\norigin: https://evil.example\r\ncontent-length: 0\r\n\r\n"
            let answer3 = try await TestNode.raw(foreign, port: port)
            #expect(answer3 == "HTTP/1.1 403")
            let chunked = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
            let answer4 = try await TestNode.raw(chunked, port: port)
            #expect(answer4 == "HTTP/1.1 200")
            let client = RPCClient(port: port)
            let long = String(repeating: "x", count: APILimits.requestBytes - 1000)
            #expect(try await client.call("echo", ["s": .string(long)])["s"]?.string?.utf8.count == long.utf8.count)
            await #expect(throws: (any Error).self) { try await client.call("echo", ["s": .string(long + long)]) }
            #expect(try await client.call("echo") == [:])
            await client.close()
        }
    }

    @Test func twentyMebibytesGoUpAndComeDown() async throws {
        let node = TestNode()
        try await node.serve { port in
            let client = RPCClient(port: port)
            let bytes = (0..<20 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            let path = "/tmp/plasma-api-\(UInt64.random(in: 0...UInt64.max))"
            let answer = try await client.upload(bytes, as: .tensor(type: "float32", shape: [5, 1 << 20]))
            #expect(answer["length"] == JSONValue(bytes.count) && answer["announced"] == JSONValue(bytes.count))
            #expect(answer["kind"]?.string?.contains("1048576") == true)
            #expect(try await client.download("b0") == bytes)
            #expect(try await client.download("b0", to: path) == UInt64(bytes.count))
            #expect(try await client.upload(file: path)["kind"] == "file")
            let kept = node.blobs.withLock { $0["b1"] }
            #expect(kept == bytes)
            TestFiles.remove(path)
            await client.close()
        }
    }

    @Test func encodedTransactionsAreHandedOverAsTheyAre() async throws {
        try await TestNode().serve { port in
            let client = RPCClient(port: port)
            let most = [UInt8](repeating: 7, count: APILimits.requestBytes)
            let answer = try await client.submit(encoded: most, wait: 3)
            #expect(answer["bytes"]?.uint64 == UInt64(most.count) && answer["wait"]?.double == 3)
            let plain = try await client.submit(encoded: [1])
            #expect(plain["wait"]?.isNull == true)
            await #expect(throws: RPCError.invalidParams("no transactions")) { try await client.submit(encoded: []) }
            await #expect(throws: ClientFault.self) { try await client.submit(encoded: most + [7]) }
            await #expect(throws: RPCError.self) { try await client.submit(encoded: [1], wait: 121) }
            await client.close()
        }
    }

    @Test func refusedTransfersSayWhy() async throws {
        try await TestNode().serve { port in
            let client = RPCClient(port: port)
            await #expect(throws: RPCError.refused("an unknown element type")) {
                try await client.upload([1, 2], as: .tensor(type: "bad", shape: [1]))
            }
            let shape = [UInt64](repeating: 1, count: APILimits.tensorDimensions + 1)
            await #expect(throws: RPCError.self) { try await client.upload([1], as: .tensor(type: "f", shape: shape)) }
            await #expect(throws: ClientFault.http(status: 404, message: "blob zz is not here")) {
                try await client.download("zz")
            }
            await #expect(throws: ClientFault.file(path: "/nonexistent", reason: "No such file or directory")) {
                try await client.upload(file: "/nonexistent")
            }
            await client.close()
        }
    }

    @Test func noNodeATakenPortAndASilentNodeAreOneSentenceEach() async throws {
        try await TestNode().serve { port in
            let second = RPCServer(port: port, handlers: TestNode().handlers(), logger: Logger(label: "test"))
            await #expect(throws: ServerFault.portInUse(host: "127.0.0.1", port: port)) { try await second.run() }
            await #expect(throws: ServerFault.portInUse(host: "127.0.0.1", port: port)) { try await second.port() }
            let hasty = RPCClient(port: port, timeoutSeconds: 0.1)
            await #expect(throws: ClientFault.timedOut(host: "127.0.0.1", port: port, seconds: 0.1)) {
                try await hasty.call("slow")
            }
        }
        let none = ClientFault.noNode(host: "127.0.0.1", port: 1)
        await #expect(throws: none) { try await RPCClient(port: 1).call("echo") }
        #expect(none.description == "no node answers at 127.0.0.1:1: start it with `plasma start`")
    }
}
