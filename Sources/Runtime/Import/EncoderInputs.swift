/// A batch of sentences as an encoder's program takes it: packed, without padding.
///
/// Example: two sentences of 3 and 2 tokens give `tokens` 5, `sentences` 2, `length` 3,
/// positions 0 1 2 0 1, slots [[0 1 2] [3 4 −1]], lengths 3 2, places 0 1 2 3 4.
public struct EncoderInputs: Sendable, Equatable {
    /// The most sentences in one batch.
    public static let sentenceLimit = 1 << 20
    /// The most tokens in one batch, so that every index is an i32.
    public static let tokenLimit = 1 << 28

    /// One input of the program: i32, row-major.
    public struct Input: Sendable, Equatable {
        public let name: String
        public let shape: [Int]
        public let values: [Int32]
    }

    /// The number of tokens of all sentences, the number of sentences, and the length of the longest.
    public let tokens: Int
    public let sentences: Int
    public let length: Int
    /// `ids`, `positions`, `slots`, `lengths`, `places`, in this order, and `segments` where they are given.
    public let inputs: [Input]
    /// The sentences that were longer than the model takes and lost their end.
    public let truncated: [Int]

    /// The values of the program's named axes.
    public var axes: [(name: String, value: Int)] {
        [("tokens", tokens), ("sentences", sentences), ("length", length)]
    }

    /// Tokenizes a batch of at least one sentence.
    public static func make(
        sentences: [String], tokenizer: WordPieceTokenizer
    ) throws(EncoderInputsFault) -> EncoderInputs {
        if sentences.isEmpty { throw .empty }
        if sentences.count > sentenceLimit { throw .tooManySentences(sentences.count, limit: sentenceLimit) }
        var encoded: [[Int32]] = []
        encoded.reserveCapacity(sentences.count)
        var truncated: [Int] = []
        for (index, sentence) in sentences.enumerated() {
            let encoding = tokenizer.encode(sentence)
            if encoding.isTruncated { truncated.append(index) }
            encoded.append(encoding.ids)
        }
        return try EncoderInputs(encoded, truncated: truncated)
    }

    /// Lays out the ids of a batch; every sentence has at least one. `segments` has one number for each id.
    public init(
        _ encoded: [[Int32]], truncated: [Int], segments: [[Int32]]? = nil
    ) throws(EncoderInputsFault) {
        if let segments { precondition(segments.map(\.count) == encoded.map(\.count), "each id has its segment") }
        let length = encoded.lazy.map(\.count).max() ?? 0
        let total = encoded.lazy.map(\.count).reduce(0, +)
        let slotCount = encoded.count.multipliedReportingOverflow(by: length)
        if slotCount.overflow || slotCount.partialValue > EncoderInputs.tokenLimit {
            throw .tooManyTokens(limit: EncoderInputs.tokenLimit)
        }
        if encoded.contains(where: \.isEmpty) || encoded.isEmpty { throw .empty }
        var ids: [Int32] = []
        var positions: [Int32] = []
        var places: [Int32] = []
        ids.reserveCapacity(total)
        positions.reserveCapacity(total)
        places.reserveCapacity(total)
        var slots = Array(repeating: Int32(-1), count: slotCount.partialValue)
        for (sentence, list) in encoded.enumerated() {
            for (position, id) in list.enumerated() {
                let place = sentence * length + position
                slots[place] = Int32(ids.count)
                places.append(Int32(place))
                positions.append(Int32(position))
                ids.append(id)
            }
        }
        tokens = total
        sentences = encoded.count
        self.length = length
        self.truncated = truncated
        var inputs = [
            Input(name: "ids", shape: [total], values: ids),
            Input(name: "positions", shape: [total], values: positions),
            Input(name: "slots", shape: [encoded.count, length], values: slots),
            Input(name: "lengths", shape: [encoded.count], values: encoded.map { Int32($0.count) }),
            Input(name: "places", shape: [total], values: places),
        ]
        if let segments {
            inputs.append(Input(name: "segments", shape: [total], values: Array(segments.joined())))
        }
        self.inputs = inputs
    }
}

/// Why a batch cannot be made.
public enum EncoderInputsFault: Error, Equatable, Sendable {
    case empty
    case tooManySentences(Int, limit: Int)
    case tooManyTokens(limit: Int)
}

extension EncoderInputsFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .empty: "There is no sentence to embed: give a file with at least one line."
        case .tooManySentences(let count, let limit):
            "\(count) sentences are more than the \(limit) of one job: split the file."
        case .tooManyTokens(let limit): "The sentences fill more than \(limit) places: split the file."
        }
    }
}
