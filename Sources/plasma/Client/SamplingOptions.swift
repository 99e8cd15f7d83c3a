import ArgumentParser
import Runtime

/// How tokens are chosen: the likeliest, or drawn.
struct SamplingOptions: ParsableArguments {
    @Option(help: "Draw tokens at this temperature.")
    var temperature: Float?

    @Option(help: "Draw among so many of the most likely tokens.")
    var topK: Int?

    @Option(help: "Draw among the most likely tokens that together have this share.")
    var topP: Float?

    @Option(help: "The seed of the draws.")
    var seed: UInt64 = 0

    func validate() throws {
        if temperature == nil && (topK != nil || topP != nil) {
            throw ValidationError("--top-k and --top-p choose among draws: give --temperature too")
        }
    }

    /// At most so many tokens.
    func settings(tokens: Int) -> GenerationSettings {
        var settings = GenerationSettings()
        settings.maximumTokens = tokens
        settings.temperature = temperature ?? 0
        settings.limit = topK
        settings.share = topP
        settings.seed = seed
        return settings
    }
}
