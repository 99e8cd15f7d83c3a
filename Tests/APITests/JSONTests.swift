import API
import Testing

@Suite struct JSONTests {
    @Test func integersKeepAllTheirBitsAndKeysTheirOrder() throws {
        let text =
            #"{"z":[18446744073709551615,-9223372036854775808,9223372036854775807],"a":{"d":1.5,"c":null},"b":true}"#
        let value = try JSONValue(parsing: text)
        #expect(value["z"]?[0] == .unsigned(.max) && value["z"]?[0]?.uint64 == .max)
        #expect(value["z"]?[1]?.int64 == .min)
        let sorted =
            #"{"a":{"c":null,"d":1.5},"b":true,"z":[18446744073709551615,-9223372036854775808,9223372036854775807]}"#
        #expect(value.description == sorted)
        #expect(try JSONValue(parsing: value.text(pretty: true)) == value)
    }

    @Test func stringsEscapeAndUnescape() throws {
        let value = try JSONValue(parsing: #""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 é""#)
        #expect(value.string == "\"\\/\u{8}\u{c}\n\r\té😀 é")
        #expect(try JSONValue(parsing: value.bytes) == value)
        #expect(JSONValue.string("\u{1}").description == #""\u0001""#)
    }

    @Test(arguments: [
        "", " ", "{", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "{\"a\":1,\"a\":2}", "01", "1.", ".5", "+1", "1e", "-", "nul",
        "\"", "\"\\x\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\u12g4\"", "\"\u{1}\"", "1 2", "18446744073709551616",
        "1e999",
        "NaN", "'a'", "[1 2]", "{1:2}", "\u{feff}1",
    ])
    func whatIsNotJSONIsRefused(text: String) {
        #expect(throws: JSONFault.self) { try JSONValue(parsing: text) }
    }

    @Test func badUTF8AndTooDeepNestingAreRefused() throws {
        #expect(throws: JSONFault.self) { try JSONValue(parsing: [0x22, 0xC3, 0x28, 0x22]) }
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + "1" + String(repeating: "]", count: depth)
        }
        _ = try JSONValue(parsing: nested(APILimits.jsonDepth))
        #expect(throws: JSONFault.self) { try JSONValue(parsing: nested(APILimits.jsonDepth + 1)) }
        #expect(throws: JSONFault.self) { try JSONValue(parsing: String(repeating: "[", count: 1_000_000)) }
    }

    @Test func changedBytesNeverTrap() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var state = seed
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
        let good = Array(#"{"a":[1,-2.5e3,"x\u00e9\n",true,null,{"b":{}}],"c":18446744073709551615}"#.utf8)
        for _ in 0..<20_000 {
            var bytes = good
            for _ in 0...random(4) { bytes[random(bytes.count)] = UInt8(random(256)) }
            if let value = try? JSONValue(parsing: bytes) {
                #expect((try? JSONValue(parsing: value.bytes)) == value)
            }
        }
    }

    @Test func prometheusTextNamesEachMetricOnce() {
        var text = PrometheusText()
        text.counter("plasma_blocks_total", "Blocks.", 3, labels: [("kind", "a\"b\\\n")])
        text.counter("plasma_blocks_total", "Blocks.", 4, labels: [("kind", "c")])
        text.gauge("plasma_height", "Height.", 7)
        #expect(
            text.text == """
                # HELP plasma_blocks_total Blocks.
                # TYPE plasma_blocks_total counter
                plasma_blocks_total{kind="a\\"b\\\\\\n"} 3
                plasma_blocks_total{kind="c"} 4
                # HELP plasma_height Height.
                # TYPE plasma_height gauge
                plasma_height 7.0

                """)
    }
}
