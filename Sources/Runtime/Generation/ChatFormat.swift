internal import Primitives

/// One turn of a conversation.
public struct ChatMessage: Sendable, Equatable {
    public enum Role: String, Sendable, CaseIterable {
        case system
        case user
        case assistant
    }

    public let role: Role
    public let content: String

    public init(_ role: Role, _ content: String) {
        self.role = role
        self.content = content
    }
}

/// How a model wants a conversation written, as data: what its chat template gives, without running the template.
///
/// In all texts `{bos}` and `{eos}` stand for the tokenizer's tokens of these names.
struct ChatFormat: Sendable, Equatable {
    /// What stands before and after a message.
    struct Frame: Sendable, Equatable {
        let before: String
        let after: String
    }

    enum System: Sendable, Equatable {
        case turn(Frame)
        /// Put before the first user's text, within its frame.
        case inFirstUser(Frame)
        case refused
    }

    let name: String
    var opening = ""
    let system: System
    /// The system's text where the conversation has none.
    var usualSystem: String?
    let user: Frame
    let assistant: Frame
    /// What stands before the answer that is asked for.
    let reply: String
    /// Whether blanks around texts are dropped.
    var trims = false
    /// Whether users and assistants must take turns.
    var alternates = false
    /// The token that ends an answer, where it is not the tokenizer's own.
    var end: String?

    /// Writes a conversation, ready for the answer.
    func text(_ messages: [ChatMessage], bos: String, eos: String) throws(ChatFault) -> String {
        var turns = messages[...]
        var given: String?
        if let first = turns.first, first.role == .system {
            given = first.content
            turns = turns.dropFirst()
        }
        if turns.isEmpty { throw .noUser }
        if turns.contains(where: { $0.role == .system }) { throw .lateSystem }
        if alternates {
            for (place, turn) in turns.enumerated() where (turn.role == .user) != (place % 2 == 0) {
                throw .order(format: name)
            }
        }
        func frame(_ text: String) -> String {
            // Frames hold no braces of their own.
            text.replacing("{bos}", with: bos).replacing("{eos}", with: eos)
        }
        var output = frame(opening)
        var pending: String?
        if let text = given ?? usualSystem {
            switch system {
            case .turn(let around): output += frame(around.before) + trimmed(text) + frame(around.after)
            case .inFirstUser(let around): pending = frame(around.before) + text + frame(around.after)
            case .refused: throw .noSystem(format: name)
            }
        }
        for turn in turns {
            let around = turn.role == .user ? user : assistant
            var content = turn.content
            if turn.role == .user, let before = pending {
                content = before + content
                pending = nil
            }
            output += frame(around.before) + trimmed(content) + frame(around.after)
        }
        return output + frame(reply)
    }

    /// As templates trim: the blanks of Unicode at both ends.
    private func trimmed(_ text: String) -> String {
        if !trims { return text }
        let isBlank = { (scalar: Unicode.Scalar) in
            scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
        }
        let scalars = text.unicodeScalars.drop(while: isBlank)
        guard let last = scalars.lastIndex(where: { !isBlank($0) }) else { return "" }
        return String(scalars[...last])
    }
}

extension ChatFormat {
    /// ChatML, with or without a system's text of its own.
    private static func chatML(_ name: String, usual: String? = nil) -> ChatFormat {
        ChatFormat(
            name: name, system: .turn(Frame(before: "<|im_start|>system\n", after: "<|im_end|>\n")), usualSystem: usual,
            user: Frame(before: "<|im_start|>user\n", after: "<|im_end|>\n"),
            assistant: Frame(before: "<|im_start|>assistant\n", after: "<|im_end|>\n"),
            reply: "<|im_start|>assistant\n", end: "<|im_end|>")
    }

    private static func llama2(trims: Bool) -> ChatFormat {
        ChatFormat(
            name: "Llama 2", system: .inFirstUser(Frame(before: "<<SYS>>\n", after: "\n<</SYS>>\n\n")),
            user: Frame(before: "{bos}[INST] ", after: " [/INST]"), assistant: Frame(before: " ", after: " {eos}"),
            reply: "", trims: trims, alternates: true)
    }

    private static func zephyr(line: String) -> ChatFormat {
        ChatFormat(
            name: "Zephyr", system: .turn(Frame(before: "<|system|>\n", after: "{eos}" + line)),
            user: Frame(before: "<|user|>\n", after: "{eos}" + line),
            assistant: Frame(before: "<|assistant|>\n", after: "{eos}" + line), reply: "<|assistant|>" + line)
    }

    private static let llama3 = ChatFormat(
        name: "Llama 3", opening: "{bos}",
        system: .turn(Frame(before: "<|start_header_id|>system<|end_header_id|>\n\n", after: "<|eot_id|>")),
        user: Frame(before: "<|start_header_id|>user<|end_header_id|>\n\n", after: "<|eot_id|>"),
        assistant: Frame(before: "<|start_header_id|>assistant<|end_header_id|>\n\n", after: "<|eot_id|>"),
        reply: "<|start_header_id|>assistant<|end_header_id|>\n\n", trims: true, end: "<|eot_id|>")

    private static let mistral = ChatFormat(
        name: "Mistral", opening: "{bos}", system: .refused, user: Frame(before: "[INST] ", after: " [/INST]"),
        assistant: Frame(before: "", after: "{eos}"), reply: "", alternates: true)

    private static let mistralWithSystem = ChatFormat(
        name: "Mistral", opening: "{bos}", system: .inFirstUser(Frame(before: "", after: "\n\n")),
        user: Frame(before: " [INST] ", after: " [/INST]"), assistant: Frame(before: " ", after: "{eos}"), reply: "",
        alternates: true)

    /// The templates that are known, by the first half of their fingerprints.
    static let known: [(fingerprint: String, format: ChatFormat)] = [
        ("03dd61d0b33a8353a91b1aaa905a1f29", chatML("ChatML")),
        ("697150390cb00eafe3df53b13418eb17", chatML("Qwen 1.5", usual: "You are a helpful assistant")),
        ("ad5fc5336981bb60a1f5e0301af94b09", chatML("Qwen 1.5", usual: "You are a helpful assistant")),
        ("e20fa7fbd5bcabdd00d12b2847c0d584", chatML("Qwen 2", usual: "You are a helpful assistant.")),
        (
            "ea23fca8217c97357e0bd0efad5e0ae0",
            chatML("SmolLM 2", usual: "You are a helpful AI assistant named SmolLM, trained by Hugging Face")
        ),
        ("5ea90918d0947aefe7e1d659a1b317de", mistral), ("cb1b40bd93f874771e23e54acf68de84", mistralWithSystem),
        ("2e05a70f1dda5be3b3025da601e2ed88", llama2(trims: true)),
        ("120bc038aad228d3214b17e7df2dd40c", llama2(trims: false)),
        ("ab2dde74836cae9adbe9e981be14369d", llama3), ("2beb76066de4b0a4a4c569c033137ad5", llama3),
        ("2a26edc9fa2184cf65b2ce9a40cb2d21", zephyr(line: "\n")),
        ("6bcba0ab2501702f0663ff3ba913b176", zephyr(line: "")),
    ]

    /// What tells a template from others: a digest of its text, whose blanks within tags do not count, nor how a line's end is written.
    static func fingerprint(_ template: String) -> String {
        let digest = Digest.of(.chatTemplate, ChatFormat.condensed(template))
        return String(digest.hex.prefix(32))
    }

    /// Within tags blanks that are in no quotes are dropped; `\n` written as two letters is a line's end; blanks at the end go.
    static func condensed(_ template: String) -> [UInt8] {
        var output: [UInt8] = []
        var isInTag = false
        var quote: UInt8?
        let bytes = Array(template.utf8)
        var place = 0
        while place < bytes.count {
            let byte = bytes[place]
            let next = place + 1 < bytes.count ? bytes[place + 1] : 0
            if byte == UInt8(ascii: "\\"), next == UInt8(ascii: "n") {
                output.append(0xA)
                place += 2
                continue
            }
            if let open = quote {
                if byte == open { quote = nil }
            } else if isInTag {
                if byte == 0x20 || byte == 0xA || byte == 0x9 || byte == 0xD {
                    place += 1
                    continue
                }
                if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") { quote = byte }
                if (byte == UInt8(ascii: "%") || byte == UInt8(ascii: "}")) && next == UInt8(ascii: "}") {
                    isInTag = false
                    output += [byte, next]
                    place += 2
                    continue
                }
            } else if byte == UInt8(ascii: "{"), next == UInt8(ascii: "%") || next == UInt8(ascii: "{") {
                isInTag = true
                output += [byte, next]
                place += 2
                continue
            }
            output.append(byte)
            place += 1
        }
        while let last = output.last, last == 0x20 || last == 0xA { output.removeLast() }
        return output
    }
}

extension Domain {
    static let chatTemplate = Domain("plasma.chat")
}

/// Why a conversation cannot be written. One sentence with the next step.
public enum ChatFault: Error, Equatable, Sendable {
    case noTemplate
    /// A template that is not known: the start of its text, and its fingerprint.
    case unknownTemplate(String, fingerprint: String)
    case file(String, String)
    case noUser
    case lateSystem
    case noSystem(format: String)
    case order(format: String)
}

extension ChatFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .noTemplate: return "The folder has no chat template: leave --chat away."
        case .unknownTemplate(let start, let fingerprint):
            return "The chat template \(fingerprint) (\(start.prefix(40).debugDescription)…) is not known: "
                + "leave --chat away and write the prompt as the model wants it."
        case .file(let file, let what): return "\(file) \(what): download the model again."
        case .noUser: return "The conversation has no user's message: give one."
        case .lateSystem: return "A system's message stands after others: put it first."
        case .noSystem(let format): return "The \(format) format takes no system's message: leave --system away."
        case .order(let format):
            return "In the \(format) format user and assistant take turns, the user first: order them so."
        }
    }
}
