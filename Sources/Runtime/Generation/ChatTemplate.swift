/// The chat template of a folder, recognised, with the tokens that it uses.
public struct ChatTemplate: Sendable {
    private let format: ChatFormat
    private let bos: String
    private let eos: String

    /// The name of the format.
    public var name: String { format.name }

    /// The token that ends an answer, beside those that the model's settings name.
    public var end: String? { format.end }

    /// Reads `chat_template.jinja` or the template in `tokenizer_config.json`.
    public init(_ folder: HuggingFaceFolder) throws(ChatFault) {
        let settingsFile = "tokenizer_config.json"
        let settings: JSONValue?
        do throws(ImportFault) { settings = try folder.settings(settingsFile) } catch {
            throw .file(settingsFile, "cannot be read (\(error))")
        }
        var text = settings?["chat_template"]?.string
        // Several templates are a list with names.
        if let entries = settings?["chat_template"]?.array {
            text = entries.first { $0["name"]?.string == "default" }?["template"]?.string
        }
        let file = "chat_template.jinja"
        if folder.has(file) {
            guard let mapped = try? folder.map(file, limit: 1 << 20),
                let found = String(validating: mapped.bytes.bindMemory(to: UInt8.self), as: UTF8.self)
            else { throw .file(file, "is not a text of at most 1 MB") }
            text = found
        }
        guard let text, !text.isEmpty else { throw .noTemplate }
        func token(_ key: String) -> String {
            // Newer files write a token as an object with its content.
            settings?[key]?.string ?? settings?[key]?["content"]?.string ?? ""
        }
        try self.init(text, bos: token("bos_token"), eos: token("eos_token"))
    }

    /// A template's text and the tokens that it may use.
    public init(_ text: String, bos: String, eos: String) throws(ChatFault) {
        let fingerprint = ChatFormat.fingerprint(text)
        guard let known = ChatFormat.known.first(where: { $0.fingerprint == fingerprint }) else {
            throw .unknownTemplate(text, fingerprint: fingerprint)
        }
        format = known.format
        self.bos = bos
        self.eos = eos
    }

    /// A template by its fingerprint alone; nil where it is not known.
    package init?(fingerprint: String, bos: String, eos: String) {
        guard let known = ChatFormat.known.first(where: { $0.fingerprint == fingerprint }) else { return nil }
        format = known.format
        self.bos = bos
        self.eos = eos
    }

    /// What tells a template from others.
    package static func fingerprint(_ text: String) -> String { ChatFormat.fingerprint(text) }

    /// The conversation as the model wants it, ready for its answer; special tokens included.
    public func text(_ messages: [ChatMessage]) throws(ChatFault) -> String {
        try format.text(messages, bos: bos, eos: eos)
    }
}
