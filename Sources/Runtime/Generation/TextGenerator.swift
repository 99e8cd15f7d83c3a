/// Continues texts: a decoder with its tokenizer.
public struct TextGenerator: Sendable {
    public let generator: Generator
    public let tokenizer: BPETokenizer
    /// Weights read, tokenizer read.
    public let loadTime: Duration
    private let folder: HuggingFaceFolder

    /// Reads a folder, and quantizes its model where that is asked for.
    public init(
        folder path: String, threads: Int, quantization: Quantization? = nil
    ) throws(TextGenerationFault) {
        let start = ContinuousClock.now
        let model: TransformerModel
        do throws(ImportFault) {
            folder = try HuggingFaceFolder(path: path)
            tokenizer = try ModelImporter.textTokenizer(path: path)
            model = try ModelImporter.importTransformer(path)
        } catch { throw .model(error) }
        do throws(GenerationFault) {
            generator = try Generator(model, threads: threads, quantization: quantization)
        } catch { throw .generation(error) }
        loadTime = ContinuousClock.now - start
    }

    /// The ids of a prompt as it is written.
    public func ids(prompt: String) -> [Int32] { tokenizer.encode(prompt) }

    /// The ids of a conversation, and the tokens that end its answer beside the model's own.
    public func ids(chat messages: [ChatMessage]) throws(TextGenerationFault) -> (ids: [Int32], ends: [Int32]) {
        do throws(ChatFault) {
            let template = try ChatTemplate(folder)
            let ids = tokenizer.encode(try template.text(messages), addsSpecialTokens: false)
            return (ids, template.end.flatMap { tokenizer.id(of: $0) }.map { [$0] } ?? [])
        } catch { throw .chat(error) }
    }
}

/// Why a text is not continued. One sentence with the next step.
public enum TextGenerationFault: Error, Equatable, Sendable, CustomStringConvertible {
    case model(ImportFault)
    case chat(ChatFault)
    case generation(GenerationFault)

    public var description: String {
        switch self {
        case .model(let fault): fault.description
        case .chat(let fault): fault.description
        case .generation(let fault): fault.description
        }
    }
}
