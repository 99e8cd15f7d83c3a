import API
import Testing

@Suite struct RPCDispatcherTests {
    let dispatcher = RPCDispatcher([
        "echo": { .object($0) },
        "refuse": { _ in throw RPCError.refused("not today", data: ["missing": 5]) },
        "break": { _ in throw JSONFault(reason: "odd", offset: 3) },
        "need": { .string(try $0.requiredString("name")) },
    ])

    func ask(_ text: String) async -> JSONValue? { await dispatcher.respond(to: Array(text.utf8)) }

    @Test func callsAreAnsweredUnderTheirIds() async {
        let answer = await ask(#"{"jsonrpc":"2.0","id":"x","method":"echo","params":{"a":1}}"#)
        #expect(answer == ["jsonrpc": "2.0", "id": "x", "result": ["a": 1]])
        let list = await ask(#"{"jsonrpc":"2.0","id":1,"method":"rpc.methods"}"#)
        #expect(list?["result"] == ["break", "echo", "need", "refuse", "rpc.methods"])
    }

    @Test(arguments: [
        ("{", -32700), ("[]", -32600), ("1", -32600), (#"{"id":1,"method":"echo"}"#, -32600),
        (#"{"jsonrpc":"2.0","id":[1],"method":"echo"}"#, -32600), (#"{"jsonrpc":"2.0","id":1,"method":2}"#, -32600),
        (#"{"jsonrpc":"2.0","id":1,"method":"none"}"#, -32601),
        (#"{"jsonrpc":"2.0","id":1,"method":"echo","params":[1]}"#, -32602),
        (#"{"jsonrpc":"2.0","id":1,"method":"need"}"#, -32602),
        (#"{"jsonrpc":"2.0","id":1,"method":"need","params":{"name":5}}"#, -32602),
        (#"{"jsonrpc":"2.0","id":1,"method":"refuse"}"#, -32000),
        (#"{"jsonrpc":"2.0","id":1,"method":"break"}"#, -32603),
    ])
    func everyFaultHasItsCode(text: String, code: Int) async {
        let answer = await ask(text)
        #expect(answer?["error"]?["code"] == JSONValue(code))
        #expect(answer?["jsonrpc"] == "2.0")
    }

    @Test func aBatchIsAnsweredInOrderWithoutItsNotifications() async {
        let answer = await ask(
            #"[{"jsonrpc":"2.0","id":1,"method":"echo"},{"jsonrpc":"2.0","method":"echo"},7,{"jsonrpc":"2.0","id":2,"method":"no"}]"#
        )
        #expect(answer?.array?.count == 3)
        #expect(answer?[0]?["id"] == 1 && answer?[2]?["error"]?["code"] == -32601)
        #expect(await ask(#"{"jsonrpc":"2.0","method":"refuse"}"#) == nil)
        #expect(await ask(#"[{"jsonrpc":"2.0","method":"echo"}]"#) == nil)
    }

    @Test func aBatchAtTheBoundIsTakenAndOneBeyondIsNot() async {
        let call = #"{"jsonrpc":"2.0","id":1,"method":"echo"}"#
        func batch(_ count: Int) -> String {
            "[" + [String](repeating: call, count: count).joined(separator: ",") + "]"
        }
        #expect(await ask(batch(APILimits.batchCalls))?.array?.count == APILimits.batchCalls)
        #expect(await ask(batch(APILimits.batchCalls + 1))?["error"]?["code"] == -32600)
    }
}
