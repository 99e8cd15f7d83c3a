import Foundation
import Primitives
import Runtime
import Testing

/// The tokenizer against the ids that Hugging Face's gives.
@Suite struct WordPieceTests {
    @Test(.enabled(if: TestModel.isWanted)) func idsEqualTheReferenceForEveryText() throws {
        let tokenizer = try TestModel.tokenizer()
        let items = try Fixtures.json("minilm-reference.json")["items"]?.array ?? []
        #expect(items.count == 22)
        for item in items {
            let text = try #require(item["text"]?.string)
            let expected = try #require(item["input_ids"]?.array).map { Int32($0.integer ?? -1) }
            #expect(tokenizer.encode(text).ids == expected, "\(text.prefix(80))")
        }
    }

    @Test(.enabled(if: TestModel.isWanted)) func idsEqualTheFrozenCases() throws {
        let tokenizer = try TestModel.tokenizer()
        let cases = try Fixtures.json("wordpiece-cases.json").array ?? []
        #expect(cases.count > 200)
        for item in cases {
            let text = try #require(item["text"]?.string)
            let expected = try #require(item["ids"]?.array).map { Int32($0.integer ?? -1) }
            let found = tokenizer.encode(text)
            #expect(found.ids == expected, "\(text.unicodeScalars.map { String($0.value, radix: 16) }.prefix(60))")
            #expect(found.isTruncated == item["truncated"]?.bool)
        }
    }

    @Test(.enabled(if: TestModel.isWanted)) func vocabularyFileGivesTheSameIDsAsTokenizerFile() throws {
        let first = try TestModel.tokenizer()
        let text = try MappedFile(path: TestModel.folder + "/vocab.txt")
        let second = try WordPieceTokenizer(vocabularyText: text.bytes, configuration: nil, limit: 256)
        for item in try Fixtures.json("wordpiece-cases.json").array ?? [] {
            let text = try #require(item["text"]?.string)
            #expect(first.encode(text) == second.encode(text))
        }
    }

    @Test(.enabled(if: TestModel.isWanted)) func truncationStartsOneTokenBeyondTheLimit() throws {
        let tokenizer = try TestModel.tokenizer()
        let fits = tokenizer.encode(Array(repeating: "word", count: 254).joined(separator: " "))
        #expect(fits.ids.count == 256)
        #expect(!fits.isTruncated)
        let over = tokenizer.encode(Array(repeating: "word", count: 255).joined(separator: " "))
        #expect(over.ids == fits.ids)
        #expect(over.isTruncated)
    }

    @Test func aSmallTokenizerHonoursAddedTokens() throws {
        let tokenizer = try SmallTokenizer.make(
            added: """
                {"id":8,"content":"<x>","special":false,"single_word":false,"lstrip":true,"rstrip":false,"normalized":false},
                {"id":9,"content":"NEW","special":false,"single_word":true,"lstrip":false,"rstrip":false,"normalized":true}
                """)
        #expect(tokenizer.encode("a   <x>b").ids == [1, 4, 8, 5, 2])
        #expect(tokenizer.encode("a new b").ids == [1, 4, 9, 5, 2])
        #expect(tokenizer.encode("anew b").ids == [1, 0, 5, 2])
        #expect(tokenizer.encode("ab[S]").ids == [1, 4, 6, 2, 2])
    }

    @Test(arguments: [
        (#""model":{"type":"BPE","vocab":{}}"#, "WordPiece tokenizer."),
        (#""model":{"type":"WordPiece"}"#, "lacks its vocabulary"),
        (#""model":{"type":"WordPiece","unk_token":"?","vocab":{"a":1}}"#, "lacks the unknown token"),
        (#""model":{"type":"WordPiece","unk_token":"a","vocab":{"a":-1}}"#, "has an id that is not usable"),
        (#""model":{"type":"WordPiece","unk_token":"a","vocab":{"a":1,"a":2}}"#, "names \"a\" twice"),
        (#""model":{"type":"WordPiece","unk_token":"a","vocab":{"a":1}}"#, "normalizer is missing"),
        (#""model":"#, "is not valid JSON"),
    ])
    func aBrokenTokenizerFileIsRefusedWithASentence(body: String, expected: String) {
        let bytes = Array("{\(body)}".utf8)
        let fault = #expect(throws: TokenizerFault.self) {
            _ = try bytes.withUnsafeBytes { try WordPieceTokenizer(tokenizerJSON: $0, limit: 16) }
        }
        let sentence = fault.map { "\($0)" } ?? ""
        #expect(sentence.contains(expected), "\(sentence)")
        #expect(sentence.hasSuffix("."))
    }

    @Test func mutatedTokenizerFilesNeverTrap() {
        var random = SplitMix64(seed: 7)
        let original = Array(SmallTokenizer.json(added: "").utf8)
        for _ in 0..<4_000 {
            let bytes = Mutation.of(original, &random)
            if let tokenizer = bytes.withUnsafeBytes({ try? WordPieceTokenizer(tokenizerJSON: $0, limit: 16) }) {
                _ = tokenizer.encode("ab [S] éa b,")
            }
        }
    }
}

/// A tokenizer of a few pieces, as a file.
enum SmallTokenizer {
    static func json(added: String) -> String {
        let extra = added.isEmpty ? "" : "," + added
        return """
            {"added_tokens":[{"id":2,"content":"[S]","special":true,"single_word":false,"lstrip":false,"rstrip":false,
            "normalized":false}\(extra)],
            "normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,
            "lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
            "post_processor":{"type":"BertProcessing","sep":["[S]",2],"cls":["[C]",1]},
            "model":{"type":"WordPiece","unk_token":"[U]","continuing_subword_prefix":"##",
            "max_input_chars_per_word":100,"vocab":{"[U]":0,"[C]":1,"[S]":2,"[P]":3,"a":4,"b":5,"##b":6,"##a":7}}}
            """
    }

    static func make(added: String, limit: Int = 16) throws -> WordPieceTokenizer {
        let bytes = Array(json(added: added).utf8)
        return try bytes.withUnsafeBytes { try WordPieceTokenizer(tokenizerJSON: $0, limit: limit) }
    }
}
