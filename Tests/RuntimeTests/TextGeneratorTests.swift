import Foundation
import Primitives
import Runtime
import Testing

/// A decoder with its tokenizer and chat template, from one folder.
@Suite struct TextGeneratorTests {
    /// Letters, blanks as a letter, and the tokens of a chat.
    static let tokenizer: String = {
        let letters = ["<unk>", "▁"] + "abcdefghijklmnopqr".map { String($0) }
        let vocabulary = letters.enumerated().map { "\"\($1)\":\($0)" }.joined(separator: ",")
        return
            #"{"added_tokens":[{"id":20,"content":"<|im_start|>","special":true},{"id":21,"content":"<|im_end|>","special":true}],"#
            + #""pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"never","split":true},"#
            + #""decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"never","split":true},"#
            + #""model":{"type":"BPE","unk_token":"<unk>","merges":[],"vocab":{\#(vocabulary)}}}"#
    }()

    static func folder(template: String?) throws -> SmallDecoderFolder {
        let folder = try SmallDecoderFolder(seed: 8)
        try folder.write("tokenizer.json", tokenizer)
        if let template {
            let escaped = template.replacingOccurrences(of: "\\", with: "\\\\")
            try folder.write("tokenizer_config.json", #"{"bos_token":null,"chat_template":"\#(escaped)"}"#)
        }
        return folder
    }

    @Test func aTextIsContinuedAndToldTokenByToken() throws {
        let folder = try Self.folder(template: nil)
        let generator = try TextGenerator(folder: folder.path, threads: 2)
        let ids = generator.ids(prompt: "abc de")
        #expect(ids == [2, 3, 4, 1, 5, 6])
        var settings = GenerationSettings()
        settings.maximumTokens = 9
        var told: [Int32] = []
        var isReady = false
        let generation = try generator.generator.generate(
            [ids], settings,
            onReady: {
                #expect(told.isEmpty)
                isReady = true
            }, onTokens: { told += $0 })
        #expect(isReady)
        #expect(told == generation.rows[0])
        #expect(told.count == 9)
        var stream = TokenStream(generator.tokenizer)
        var text = ""
        for id in told { text += stream.append(id) }
        #expect(text + stream.finish() == generator.tokenizer.decode(told))
        // One token is one token, though a scan has at least one step.
        settings.maximumTokens = 1
        told = []
        let one = try generator.generator.generate([ids], settings, onTokens: { told += $0 })
        #expect(told == one.rows[0])
        #expect(told.count == 1)
    }

    @Test func aChatIsWrittenByItsTemplate() throws {
        let folder = try Self.folder(template: ChatTemplateTests.chatML)
        let generator = try TextGenerator(folder: folder.path, threads: 1)
        let (ids, ends) = try generator.ids(chat: [ChatMessage(.user, "abc")])
        #expect(ends == [21])
        // <|im_start|>, letters that the tokenizer has and has not, abc, <|im_end|>.
        #expect(ids.first == 20)
        #expect(ids.filter { $0 == 20 }.count == 2)
        #expect(ids.filter { $0 == 21 }.count == 1)
        let end = try #require(ids.firstIndex(of: 21))
        #expect(Array(ids[end - 3..<end]) == [2, 3, 4])
    }

    @Test func whatIsMissingIsNamed() throws {
        func fault(_ folder: SmallDecoderFolder, chat: Bool = true) -> String {
            do {
                let generator = try TextGenerator(folder: folder.path, threads: 1)
                if chat { _ = try generator.ids(chat: [ChatMessage(.user, "a")]) }
                return "none"
            } catch { return "\(error)" }
        }
        #expect(fault(try Self.folder(template: nil)) == "The folder has no chat template: leave --chat away.")
        #expect(fault(try Self.folder(template: "{{ messages }}")).contains("is not known"))
        let plain = try SmallDecoderFolder(seed: 8)
        #expect(fault(plain, chat: false).contains("holds neither tokenizer.json"))
    }
}
