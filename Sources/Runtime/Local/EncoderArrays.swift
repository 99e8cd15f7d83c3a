/// A padded batch of token ids, as a Hugging Face model's `forward` takes it, checked and packed for an encoder's program.
///
/// `input_ids` is [batch, length]. `attention_mask` has the same shape, 1 for a token and 0 for padding, which may only be
/// at a row's end; without it every place is a token. `token_type_ids` has the same shape; without it every token is of
/// segment 0.
public struct EncoderArrays: Sendable {
    /// The inputs that are taken, the first of them always needed.
    public static let names = ["input_ids", "attention_mask", "token_type_ids"]
    /// The most bytes that one input's file may have: every place an i64, and the header.
    public static let fileLimit = EncoderInputs.tokenLimit * 8 + 10 + 65_535

    public let batch: Int
    /// The width of the arrays, padding included.
    public let length: Int
    /// The tokens of each row.
    public let counts: [Int]
    /// The batch without its padding.
    public let packed: EncoderInputs
    /// Whether `token_type_ids` was given.
    public let hasSegments: Bool

    /// Reads `NAME=FILE.npy` (or `.pb`) arguments.
    public init(arguments: [String], configuration: BertConfiguration) throws(RunFault) {
        try self.init(files: try EncoderArrays.named(arguments), configuration: configuration)
    }

    /// Names and paths of `NAME=FILE` arguments.
    static func named(_ arguments: [String]) throws(RunFault) -> [(name: String, path: String)] {
        var paths: [(name: String, path: String)] = []
        for argument in arguments {
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count != 2 { throw .argument(argument) }
            paths.append((parts[0], parts[1]))
        }
        return paths
    }

    /// Reads files by the inputs' names; a name that the model does not know is refused before its file is opened.
    public init(files: [(name: String, path: String)], configuration: BertConfiguration) throws(RunFault) {
        try EncoderArrays.check(names: files.map(\.name))
        var arrays: [(name: String, array: NumpyArray)] = []
        for (name, path) in files {
            arrays.append((name, try EncoderArrays.read(path)))
        }
        try self.init(arrays, configuration: configuration)
    }

    /// Checks arrays and packs them.
    public init(_ arrays: [(name: String, array: NumpyArray)], configuration: BertConfiguration) throws(RunFault) {
        try EncoderArrays.check(names: arrays.map(\.name))
        func array(_ name: String) -> NumpyArray? { arrays.first { $0.name == name }?.array }
        guard let ids = array("input_ids") else { throw .missingInput("input_ids") }
        guard ids.shape.count == 2, ids.shape[0] >= 1, ids.shape[1] >= 1 else {
            throw .inputRank("input_ids", shape: ids.shape)
        }
        let shape = ids.shape
        if shape[1] > configuration.positions { throw .tooLong(length: shape[1], limit: configuration.positions) }
        if shape[0] > EncoderInputs.sentenceLimit {
            throw .tooManyRows(shape[0], limit: EncoderInputs.sentenceLimit)
        }
        let values = try EncoderArrays.values(
            ids, "input_ids", [.i64, .i32], shape: shape, bound: configuration.vocabularySize)
        let counts = try EncoderArrays.counts(array("attention_mask"), shape: shape)
        var segments: [Int32]?
        if let types = array("token_type_ids") {
            segments = try EncoderArrays.values(
                types, "token_type_ids", [.i64, .i32], shape: shape, bound: configuration.segments)
        }
        func rows(_ values: [Int32]) -> [[Int32]] {
            counts.enumerated().map { row, count in Array(values[row * shape[1]..<row * shape[1] + count]) }
        }
        do throws(EncoderInputsFault) {
            packed = try EncoderInputs(rows(values), truncated: [], segments: segments.map(rows))
        } catch { throw .batch(error) }
        batch = shape[0]
        length = shape[1]
        self.counts = counts
        hasSegments = segments != nil
    }

    /// A `.pb` file holds an ONNX TensorProto, every other a NumPy array.
    static func read(_ path: String, limit: Int = fileLimit) throws(RunFault) -> NumpyArray {
        if !path.hasSuffix(".pb") {
            do throws(NumpyFileFault) {
                return try NumpyFile.read(path: path, limit: limit)
            } catch { throw .file(error) }
        }
        let file: MappedFile
        do throws(FileFault) { file = try MappedFile(path: path, limit: TensorProtoFile.byteLimit) } catch {
            throw .file(.file(error))
        }
        do throws(TensorProtoFault) { return try TensorProtoFile.decode(file.bytes) } catch {
            throw .proto(path: path, error)
        }
    }

    private static func check(names given: [String]) throws(RunFault) {
        var seen: Set<String> = []
        for name in given {
            if !names.contains(name) { throw .unknownInput(name) }
            if !seen.insert(name).inserted { throw .repeatedInput(name) }
        }
        for name in names.prefix(1) where !seen.contains(name) { throw .missingInput(name) }
    }

    /// An array's whole numbers, each from 0 to below `bound`, which is at most 2^31.
    static func values(
        _ array: NumpyArray, _ name: String, _ allowed: [NumpyType], shape: [Int], bound: Int
    ) throws(RunFault) -> [Int32] {
        guard allowed.contains(array.type), let values = array.integers else {
            throw .inputType(name, found: array.type, allowed: allowed)
        }
        if array.shape != shape { throw .inputShape(name, found: array.shape, expected: shape) }
        if let place = values.firstIndex(where: { $0 < 0 || $0 >= Int64(bound) }) {
            throw .value(name, values[place], row: place / shape[1], column: place % shape[1], bound: bound)
        }
        return values.map { Int32($0) }
    }

    /// How many tokens each row has before its padding.
    static func counts(_ mask: NumpyArray?, shape: [Int]) throws(RunFault) -> [Int] {
        guard let mask else { return Array(repeating: shape[1], count: shape[0]) }
        let values = try values(mask, "attention_mask", [.i64, .i32, .bool], shape: shape, bound: 2)
        var counts: [Int] = []
        counts.reserveCapacity(shape[0])
        for row in 0..<shape[0] {
            let places = values[row * shape[1]..<(row + 1) * shape[1]]
            let count = places.prefix { $0 == 1 }.count
            if places.dropFirst(count).contains(1) { throw .gap(row: row) }
            if count == 0 { throw .emptyRow(row) }
            counts.append(count)
        }
        return counts
    }
}
