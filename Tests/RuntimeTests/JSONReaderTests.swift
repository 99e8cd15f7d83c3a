import Primitives
import Runtime
import Testing

@Suite struct JSONReaderTests {
    private func read(_ text: String) throws -> JSONValue { try JSONReader.read(Array(text.utf8)) }

    @Test func valuesOfEveryKindAreRead() throws {
        let value = try read(#" {"a":[1,-2.5e3,true,false,null],"b":"\u00e9\ud83d\ude00\n\\","c":{}} "#)
        #expect(value["a"]?.array?[0].integer == 1)
        #expect(value["a"]?.array?[1].double == -2500)
        #expect(value["a"]?.array?[2].bool == true)
        #expect(value["a"]?.array?[4] == .null)
        #expect(value["b"]?.string == "é😀\n\\")
        #expect(value["c"]?.object?.members.isEmpty == true)
    }

    @Test(arguments: [
        "", " ", "{", "[1,]", "{\"a\":1,}", "01", "1.", "+1", ".5", "1e", "\"a", "\"\\x\"", "\"\\ud800\"",
        "\"\\udc00\"",
        "tru", "nul", "{\"a\" 1}", "{a:1}", "[1 2]", "1 2", "\"\u{1}\"", "NaN", "[\"a\":1]",
    ])
    func malformedTextsAreRefused(text: String) {
        #expect(throws: JSONFault.self) { try read(text) }
    }

    @Test func nestingIsBoundedAtItsLimitAndRefusedOneBeyond() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try read(nested(JSONReader.depthLimit + 1))
        #expect(throws: JSONFault.tooDeep(limit: JSONReader.depthLimit)) { try read(nested(JSONReader.depthLimit + 2)) }
    }

    @Test func sizeIsBounded() throws {
        _ = try JSONReader.read(Array("[1]".utf8), limit: 3)
        #expect(throws: JSONFault.tooLarge(bytes: 3, limit: 2)) { try JSONReader.read(Array("[1]".utf8), limit: 2) }
    }

    @Test func namesAreComparedByBytesNotByCanonicalEquivalence() throws {
        #expect(throws: JSONFault.duplicate("a")) { try read(#"{"a":1,"a":2}"#) }
        let value = try read("{\"\u{E9}\":1,\"e\u{301}\":2}")
        #expect(value["e\u{301}"]?.integer == 2)
    }

    @Test func bytesThatAreNotUTF8AreRefused() {
        #expect(throws: JSONFault.self) { try JSONReader.read([0x22, 0xFF, 0x22]) }
        #expect(throws: JSONFault.self) { try JSONReader.read([0x22, 0x5C, 0x6E, 0xC3, 0x22]) }
    }

    @Test func mutatedTextsNeverTrap() {
        var random = SplitMix64(seed: 11)
        let original = Array(#"{"a":[1,-2.5e3,true,false,null],"b":"\u00e9\ud83d\ude00\n\\","c":{"d":[[[]]]}}"#.utf8)
        for _ in 0..<20_000 { _ = try? JSONReader.read(Mutation.of(original, &random)) }
    }
}
