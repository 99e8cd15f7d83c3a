/// A transformer's inputs as Hugging Face's `forward` takes them, checked.
///
/// Decoders and RoBERTa take `input_ids`, [batch, length], and `attention_mask`, the same shape, 1 for a token and 0 for padding, which may only be at a row's
/// end; vision transformers take `pixel_values`, f32 [batch, channels, height, width].
public struct TransformerArrays: Sendable {
    /// The most bytes that the images of one run may have.
    public static let imageLimit = 1 << 30

    /// Rows of token ids with their padding, or images.
    enum Contents: Sendable {
        case tokens(ids: [Int32], length: Int, counts: [Int])
        case pixels(NumpyArray)
    }

    public let batch: Int
    let contents: Contents

    /// The inputs that a kind takes, the first of them always needed.
    public static func names(_ kind: TransformerModel.Kind) -> [String] {
        switch kind {
        case .decoder, .roberta: ["input_ids", "attention_mask"]
        case .vision: ["pixel_values"]
        }
    }

    /// Reads `NAME=FILE.npy` (or `.pb`) arguments.
    public init(arguments: [String], kind: TransformerModel.Kind) throws(RunFault) {
        try self.init(files: try EncoderArrays.named(arguments), kind: kind)
    }

    /// Reads files by the inputs' names; a name that the model does not know is refused before its file is opened.
    public init(files: [(name: String, path: String)], kind: TransformerModel.Kind) throws(RunFault) {
        try TransformerArrays.check(files.map(\.name), kind)
        var arrays: [(name: String, array: NumpyArray)] = []
        for (name, path) in files {
            let limit = name == "pixel_values" ? TransformerArrays.imageLimit : EncoderArrays.fileLimit
            arrays.append((name, try EncoderArrays.read(path, limit: limit)))
        }
        try self.init(arrays, kind: kind)
    }

    /// Checks arrays.
    public init(_ arrays: [(name: String, array: NumpyArray)], kind: TransformerModel.Kind) throws(RunFault) {
        try TransformerArrays.check(arrays.map(\.name), kind)
        func array(_ name: String) -> NumpyArray? { arrays.first { $0.name == name }?.array }
        switch kind {
        case .decoder(let configuration):
            (batch, contents) = try TransformerArrays.tokens(
                array("input_ids"), array("attention_mask"), positions: configuration.positions,
                vocabulary: configuration.vocabularySize)
        case .roberta(let configuration):
            (batch, contents) = try TransformerArrays.tokens(
                array("input_ids"), array("attention_mask"), positions: configuration.positions,
                vocabulary: configuration.vocabularySize)
        case .vision(let configuration):
            guard let pixels = array("pixel_values") else { throw .missingInput("pixel_values") }
            if pixels.type != .f32 { throw .inputType("pixel_values", found: pixels.type, allowed: [.f32]) }
            let expected = [configuration.channels] + configuration.imageSize
            guard pixels.shape.count == 4, pixels.shape[0] >= 1, Array(pixels.shape.dropFirst()) == expected else {
                throw .imageShape(found: pixels.shape, expected: expected)
            }
            let scan = pixels.bytes.withUnsafeBytes { FloatScan.of(words: $0) }
            if let place = scan.notFinite { throw .inputNotFinite("pixel_values", element: place) }
            batch = pixels.shape[0]
            contents = .pixels(pixels)
        }
    }

    private static func check(_ given: [String], _ kind: TransformerModel.Kind) throws(RunFault) {
        let names = names(kind)
        var seen: Set<String> = []
        for name in given {
            if !names.contains(name) { throw .unknownInput(name, known: names) }
            if !seen.insert(name).inserted { throw .repeatedInput(name) }
        }
        for name in names.prefix(1) where !seen.contains(name) { throw .missingInput(name) }
    }

    private static func tokens(
        _ ids: NumpyArray?, _ mask: NumpyArray?, positions: Int, vocabulary: Int
    ) throws(RunFault) -> (Int, Contents) {
        guard let ids else { throw .missingInput("input_ids") }
        guard ids.shape.count == 2, ids.shape[0] >= 1, ids.shape[1] >= 1 else {
            throw .inputRank("input_ids", shape: ids.shape)
        }
        if ids.shape[1] > positions { throw .tooLong(length: ids.shape[1], limit: positions) }
        let values = try EncoderArrays.values(
            ids, "input_ids", [.i64, .i32], shape: ids.shape, bound: vocabulary)
        let counts = try EncoderArrays.counts(mask, shape: ids.shape)
        return (ids.shape[0], .tokens(ids: values, length: ids.shape[1], counts: counts))
    }

    /// The values of the program's axes.
    var axes: [(name: String, value: UInt64)] {
        switch contents {
        case .tokens(_, let length, _): [("batch", UInt64(batch)), ("length", UInt64(length))]
        case .pixels: [("batch", UInt64(batch))]
        }
    }

    /// The program's inputs in its order.
    func inputs(_ kind: TransformerModel.Kind) -> [HeldBytes] {
        switch contents {
        case .tokens(let ids, _, let counts):
            // Causal attention needs no lengths: padding comes last.
            if case .decoder = kind { return [HeldBytes.of(ids)] }
            return [HeldBytes.of(ids), HeldBytes.of(counts.map { Int32($0) })]
        case .pixels(let array): return [HeldBytes.of(array.bytes)]
        }
    }

    /// Which rows of the last axis of an output are of tokens, images or classes, by the output's shape.
    func rows(of shape: [Int]) -> [Bool] {
        if case .tokens(_, let length, let counts) = contents {
            return counts.flatMap { count in (0..<length).map { $0 < count } }
        }
        return Array(repeating: true, count: shape.dropLast().reduce(1, *))
    }

    /// Tokens or images that are no padding.
    public var count: Int {
        if case .tokens(_, _, let counts) = contents { return counts.reduce(0, +) }
        return batch
    }
}
