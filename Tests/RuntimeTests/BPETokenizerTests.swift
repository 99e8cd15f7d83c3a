import Foundation
import Primitives
import Runtime
import Testing

/// BPE against Hugging Face's tokenizers: small tokenizers of each family, texts and ids from a seed (scripts/fixtures/tokenizers_bpe.py).
@Suite struct BPETokenizerTests {
    static let families = ["gpt2", "roberta", "llama3", "qwen2", "smol", "llama2", "mistral", "metaspace"]

    static func bytes(_ name: String) throws -> [UInt8] {
        // More cases than are kept here can be made in another folder and run from there.
        let folder = ProcessInfo.processInfo.environment["PLASMA_TOKENIZER_CASES"]
        let kept = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures/tokenizers")
        let url = folder.map { URL(fileURLWithPath: $0) } ?? kept
        return Array(try Data(contentsOf: url.appendingPathComponent(name)))
    }

    static func tokenizer(_ name: String) throws -> BPETokenizer {
        try bytes(name + ".json").withUnsafeBytes { try BPETokenizer(tokenizerJSON: $0) }
    }

    static func cases(_ name: String, _ key: String) throws -> [JSONValue] {
        try #require(JSONReader.read(bytes(name + "-cases.json"))[key]?.array)
    }

    static func ids(_ value: JSONValue?) throws -> [Int32] {
        try #require(value?.array).map { Int32(try #require($0.integer)) }
    }

    @Test(arguments: families) func idsEqualTheReference(name: String) throws {
        let tokenizer = try Self.tokenizer(name)
        let cases = try Self.cases(name, "encode")
        #expect(cases.count >= 60)
        var wrong = 0
        for item in cases {
            let text = try #require(item["text"]?.string)
            let scalars = text.unicodeScalars.map { String($0.value, radix: 16) }.joined(separator: " ")
            let found = tokenizer.encode(text)
            let plain = tokenizer.encode(text, addsSpecialTokens: false)
            let expected = try Self.ids(item["plain"])
            if plain != expected { wrong += 1 }
            if wrong < 5 {
                #expect(plain == expected, "\(name): \(scalars)")
                #expect(found == (try Self.ids(item["ids"])), "\(name): \(scalars)")
            }
        }
        #expect(wrong == 0, "\(name): \(wrong) of \(cases.count)")
    }

    @Test(arguments: families) func textsEqualTheReference(name: String) throws {
        let tokenizer = try Self.tokenizer(name)
        var wrong = 0
        for item in try Self.cases(name, "decode") {
            let ids = try Self.ids(item["ids"])
            let expected = try #require(item["text"]?.string)
            let whole = try #require(item["whole"]?.string)
            let found = tokenizer.decode(ids)
            if !found.utf8.elementsEqual(expected.utf8) { wrong += 1 }
            if wrong < 5 {
                #expect(
                    found.utf8.elementsEqual(expected.utf8),
                    "\(name) \(ids): \(found.debugDescription), expected \(expected.debugDescription)")
                let all = tokenizer.decode(ids, skipsSpecialTokens: false)
                #expect(
                    all.utf8.elementsEqual(whole.utf8),
                    "\(name) \(ids): \(all.debugDescription), expected \(whole.debugDescription)")
            }
        }
        #expect(wrong == 0)
    }

    /// Token by token the same text comes out as from all at once.
    @Test(arguments: families) func aStreamGivesTheTextPieceByPiece(name: String) throws {
        let tokenizer = try Self.tokenizer(name)
        for item in try Self.cases(name, "encode") {
            let ids = try Self.ids(item["plain"])
            var stream = TokenStream(tokenizer)
            var text = ""
            for id in ids { text.unicodeScalars += stream.append(id).unicodeScalars }
            text.unicodeScalars += stream.finish().unicodeScalars
            #expect(text.utf8.elementsEqual(tokenizer.decode(ids).utf8), "\(name) \(ids)")
        }
    }

    @Test func aWordAsLongAsATextIsMergedInTime() throws {
        // One word of 200,000 letters: quadratic time would not end.
        let tokenizer = try Self.tokenizer("llama2")
        let text = String(repeating: "the network ", count: 17_000)
        let ids = tokenizer.encode(text, addsSpecialTokens: false)
        #expect(tokenizer.decode(ids) == text)
    }

    /// A run of digits was measured anew for each of its tokens.
    @Test func aLongNumberIsCutInTime() throws {
        let tokenizer = try Self.tokenizer("llama3")
        let text = String(repeating: "1234567890", count: 40_000)
        #expect(tokenizer.decode(tokenizer.encode(text, addsSpecialTokens: false)) == text)
    }

    /// Steps that are each modest made a text of one letter fill all memory, even while the file was read; so did bytes written as letters again and again.
    @Test func stepsThatTogetherMakeATextEndlessAreRefused() {
        func refused(_ body: String) -> String {
            let bytes = Array("{\(body),\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}".utf8)
            do {
                _ = try bytes.withUnsafeBytes { try BPETokenizer(tokenizerJSON: $0) }
                return ""
            } catch { return "\(error)" }
        }
        func sequence(_ part: String, _ list: String, _ step: String, _ count: Int) -> String {
            "\"\(part)\":{\"type\":\"Sequence\",\"\(list)\":[\([String](repeating: step, count: count).joined(separator: ","))]}"
        }
        let double = #"{"type":"Replace","pattern":{"String":"a"},"content":"aa"}"#
        #expect(refused(sequence("normalizer", "normalizers", double, 6)) == "")
        #expect(refused(sequence("normalizer", "normalizers", double, 7)).contains("more than 64 times as long"))
        #expect(refused(sequence("decoder", "decoders", double, 64)).contains("more than 64 times as long"))
        let bytes = #"{"type":"ByteLevel","use_regex":false}"#
        #expect(refused(sequence("pre_tokenizer", "pretokenizers", bytes, 2)) == "")
        #expect(refused(sequence("pre_tokenizer", "pretokenizers", bytes, 3)).contains("3 steps that add letters"))
        let long = String(repeating: "a", count: 257)
        #expect(
            refused(#""normalizer":{"type":"Replace","pattern":{"String":"b"},"content":"\#(long)"}"#)
                .contains("a Replace of more than 256 letters"))
        let template =
            #"{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}},\#([String](repeating: #"{"SpecialToken":{"id":"x"}}"#, count: 100).joined(separator: ","))],"special_tokens":{"x":{"ids":[0,0,0]}}}"#
        #expect(refused("\"post_processor\":\(template)").contains("more than 256 tokens around a text"))
        let token = #"{"id":1,"content":"\#(String(repeating: "a", count: 600))"}"#
        #expect(refused("\"added_tokens\":[\(token)]").contains("has added tokens that are too long"))
    }

    @Test(arguments: [
        (#""model":{"type":"Unigram","vocab":[]}"#, "model is Unigram"),
        (#""model":{"type":"BPE","merges":[]}"#, "lacks its vocabulary"),
        (#""model":{"type":"BPE","vocab":{"a":0}}"#, "lacks its merges"),
        (#""model":{"type":"BPE","vocab":{"a":-1},"merges":[]}"#, "has an id that is not usable"),
        (#""model":{"type":"BPE","vocab":{"a":0,"a":1},"merges":[]}"#, "names \"a\" twice"),
        (#""model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}"#, "has a merge (0) that is not of two pieces"),
        (#""model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}"#, "lacks a piece of merge 0"),
        (#""model":{"type":"BPE","vocab":{"a":0},"merges":["a a"]}"#, "lacks a piece of merge 0"),
        (#""model":{"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"b"}"#, "lacks its unknown token b"),
        (
            #""model":{"type":"BPE","vocab":{"a":0},"merges":[],"end_of_word_suffix":"</w>"}"#,
            "end_of_word_suffix is </w>"
        ),
        (#""normalizer":{"type":"NFKC"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}"#, "normalizer is NFKC"),
        (
            #""normalizer":{"type":"Replace","pattern":{"Regex":"a+"},"content":""},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}"#,
            "Replace of the pattern a+"
        ),
        (
            #""pre_tokenizer":{"type":"Split","pattern":{"Regex":"\\d+"},"behavior":"Isolated","invert":false},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}"#,
            #"pattern is \d+"#
        ),
        (
            #""pre_tokenizer":{"type":"UnicodeScripts"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}"#,
            "pre_tokenizer is UnicodeScripts"
        ),
        (#""decoder":{"type":"CTC"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}"#, "decoder is CTC"),
        (
            #""post_processor":{"type":"TemplateProcessing","single":[]},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}"#,
            "a template without the text"
        ),
        (#""model":"#, "is not valid JSON"),
    ])
    func aBrokenTokenizerFileIsRefusedWithASentence(body: String, expected: String) {
        let bytes = Array("{\(body)}".utf8)
        let fault = #expect(throws: TokenizerFault.self) {
            _ = try bytes.withUnsafeBytes { try BPETokenizer(tokenizerJSON: $0) }
        }
        let sentence = fault.map { "\($0)" } ?? ""
        #expect(sentence.contains(expected), "\(sentence)")
        #expect(sentence.hasSuffix("."))
    }

    /// Whatever is read, it encodes and decodes without a trap.
    @Test func damagedFilesAreReadOrRefused() throws {
        var random = SplitMix64(seed: 5)
        for name in Self.families {
            let original = try Self.bytes(name + ".json")
            for _ in 0..<20 {
                let damaged = Mutation.of(original, &random)
                guard let tokenizer = damaged.withUnsafeBytes({ try? BPETokenizer(tokenizerJSON: $0) }) else {
                    continue
                }
                let ids = tokenizer.encode("The quick \u{301} brown <s>[INST] 12345 fox狐\n\n")
                _ = tokenizer.decode(ids + [-1, 7, Int32.max], skipsSpecialTokens: false)
            }
        }
    }
}
