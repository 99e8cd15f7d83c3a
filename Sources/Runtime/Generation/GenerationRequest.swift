public import Programs

/// What a generation gives to its program: the values of its axes and its inputs. Made of prompts and settings alone, without the weights.
public struct GenerationRequest: Sendable {
    /// One input of the program, row-major.
    public struct Input: Sendable, Equatable {
        public let name: String
        public let element: ElementType
        public let shape: [Int]
        public let bytes: [UInt8]
    }

    /// The values of the program's axes, in its order.
    public let axes: [(name: String, value: UInt64)]
    /// In the program's order.
    public let inputs: [Input]

    /// `sampling` is what the program has ops for; prompts are padded at their ends. Checks everything.
    public init(
        _ prompts: [[Int32]], _ settings: GenerationSettings, _ sampling: SamplingKind,
        _ configuration: DecoderConfiguration
    ) throws(GenerationFault) {
        let length = try GenerationRequest.check(prompts, settings, configuration)
        if (sampling == .greedy) != (settings.temperature == 0) {
            throw .setting(
                "temperature",
                sampling == .greedy
                    ? "must be 0: this program takes the likeliest token" : "must be above 0: this program draws")
        }
        if sampling != .filtered, settings.limit != nil || settings.share != nil {
            throw .setting("top-k limit or top-p share", "is not known to this program: leave it out")
        }
        // The prefill gives the first token; a scan has at least one step.
        let steps = max(1, settings.maximumTokens - 1)
        let stops = settings.stops.isEmpty ? [-1] : settings.stops
        let count = prompts.count
        axes = [
            ("batch", UInt64(count)), ("length", UInt64(length)), ("tokens", UInt64(steps)),
            ("capacity", UInt64(length + steps)), ("stops", UInt64(stops.count)),
        ]
        let ids = prompts.flatMap { $0 + [Int32](repeating: 0, count: length - $0.count) }
        var inputs = [
            Input("input_ids", [count, length], ids), Input("lengths", [count], prompts.map { Int32($0.count) }),
            Input("stops", [stops.count], stops), Input("padding", [], [settings.padding]),
        ]
        if sampling != .greedy {
            inputs.append(Input("temperature", [count], [Float](repeating: settings.temperature, count: count)))
        }
        if sampling == .filtered {
            let all = configuration.vocabularySize
            let limit = Int32(clamping: min(settings.limit ?? all, all))
            inputs.append(Input("limit", [count], [Int32](repeating: limit, count: count)))
            // Above 1, so that a running sum that rounding lets reach 1 cuts nothing off.
            let share = settings.share.map { $0 == 1 ? 2 : $0 } ?? 2
            inputs.append(Input("share", [count], [Float](repeating: share, count: count)))
        }
        self.inputs = inputs
    }

    /// The inputs' bytes, aligned.
    var held: [HeldBytes] { inputs.map { input in input.bytes.withUnsafeBytes { HeldBytes($0) } } }

    /// Checks everything before memory is taken; gives the longest prompt's length.
    private static func check(
        _ prompts: [[Int32]], _ settings: GenerationSettings, _ configuration: DecoderConfiguration
    ) throws(GenerationFault) -> Int {
        let bound = configuration.vocabularySize
        guard let length = prompts.map(\.count).max() else { throw .noPrompt }
        for (row, prompt) in prompts.enumerated() {
            if prompt.isEmpty { throw .emptyPrompt(row: row) }
            if let id = prompt.first(where: { $0 < 0 || $0 >= bound }) { throw .token(id, row: row, bound: bound) }
        }
        let tokens = settings.maximumTokens
        if tokens < 1 { throw .setting("number of tokens", "must be at least 1") }
        if length > configuration.positions || tokens > configuration.positions - length {
            throw .tooLong(prompt: length, tokens: tokens, limit: configuration.positions)
        }
        if !(settings.temperature >= 0 && settings.temperature <= 1e6) {
            throw .setting("temperature", "must be a number from 0 to 1000000")
        }
        if let limit = settings.limit, limit < 1 { throw .setting("top-k limit", "must be at least 1") }
        if let share = settings.share, !(share > 0 && share <= 1) {
            throw .setting("top-p share", "must be above 0 and at most 1")
        }
        return length
    }
}

extension GenerationRequest.Input {
    fileprivate init(_ name: String, _ shape: [Int], _ values: [Int32]) {
        self.init(name: name, element: .i32, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
    }

    fileprivate init(_ name: String, _ shape: [Int], _ values: [Float]) {
        self.init(name: name, element: .f32, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
    }
}
