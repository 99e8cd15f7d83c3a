import Foundation
import Primitives
import Runtime
import Testing

/// Conversations against Hugging Face's rendering of the templates (scripts/fixtures/chat_templates.py).
@Suite struct ChatTemplateTests {
    static func messages(_ value: JSONValue?) throws -> [ChatMessage] {
        try #require(value?.array).map { pair in
            let role = try #require(ChatMessage.Role(rawValue: pair.array?.first?.string ?? ""))
            return ChatMessage(role, try #require(pair.array?.last?.string))
        }
    }

    @Test func conversationsEqualTheReference() throws {
        let formats = try #require(try Fixtures.json("chat-cases.json").array)
        #expect(formats.count == 13)
        for format in formats {
            let name = format["name"]?.string ?? ""
            let fingerprint = try #require(format["fingerprint"]?.string)
            let template = try #require(
                ChatTemplate(fingerprint: fingerprint, bos: "<s>", eos: "</s>"), "\(name) is not known")
            for item in try #require(format["cases"]?.array) {
                let messages = try Self.messages(item["messages"])
                if let expected = item["text"]?.string {
                    let found = try template.text(messages)
                    #expect(found == expected, "\(name)")
                } else {
                    #expect(throws: ChatFault.self) { _ = try template.text(messages) }
                }
            }
        }
    }

    static let chatML =
        #"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"#
        + #"{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"#

    @Test func blanksWithinTagsAndWaysToWriteALineDoNotCount() throws {
        for text in [
            Self.chatML, Self.chatML.replacingOccurrences(of: #"\n"#, with: "\n"), Self.chatML + "\n",
            Self.chatML.replacingOccurrences(of: " + ", with: "+").replacingOccurrences(of: "{{'", with: "{{ '"),
        ] {
            let template = try ChatTemplate(text, bos: "", eos: "")
            #expect(template.name == "ChatML")
            #expect(template.end == "<|im_end|>")
            #expect(
                try template.text([ChatMessage(.user, "Hi")])
                    == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
        }
    }

    @Test func anotherTemplateIsRefusedByItsStart() {
        for text in [
            Self.chatML.replacingOccurrences(of: "im_end", with: "end"),
            Self.chatML.replacingOccurrences(of: "'<|im_start|>'", with: "' <|im_start|>'"), "{{ messages }}",
        ] {
            let fault = #expect(throws: ChatFault.self) { _ = try ChatTemplate(text, bos: "", eos: "") }
            let sentence = fault.map { "\($0)" } ?? ""
            #expect(sentence.contains("is not known"), "\(sentence)")
            #expect(sentence.hasSuffix("."))
        }
    }

    @Test func aConversationThatTheFormatDoesNotTakeIsRefused() throws {
        let llama2 = try #require(
            ChatTemplate(fingerprint: "2e05a70f1dda5be3b3025da601e2ed88", bos: "<s>", eos: "</s>"))
        #expect(throws: ChatFault.noUser) { _ = try llama2.text([]) }
        #expect(throws: ChatFault.noUser) { _ = try llama2.text([ChatMessage(.system, "x")]) }
        #expect(throws: ChatFault.order(format: "Llama 2")) {
            _ = try llama2.text([ChatMessage(.user, "a"), ChatMessage(.user, "b")])
        }
        #expect(throws: ChatFault.lateSystem) {
            _ = try llama2.text([ChatMessage(.user, "a"), ChatMessage(.system, "b")])
        }
    }
}
