/// Inputs and the outputs that another runtime gave for them: what `model check` reads.
///
/// Example: {"inputs": {"input_ids": "ids.npy"}, "outputs": {"sentence_embedding": {"file": "expected.npy", "cosine": 0.999999}}}.
/// Paths are relative to the file's folder and stay in it. An output has at least one of `relative`, `absolute` and `cosine`.
public struct ModelReference: Sendable, Equatable {
    /// The most bytes that the JSON may have.
    public static let byteLimit = 1 << 20
    /// The most bytes that an expected output's file may have.
    public static let outputLimit = 1 << 34

    /// An output that is expected.
    public struct Output: Sendable, Equatable {
        public let name: String
        public let path: String
        public let bound: OutputBound
    }

    /// An input's file.
    public struct Input: Sendable, Equatable {
        public let name: String
        public let path: String
    }

    public let inputs: [Input]
    public let outputs: [Output]

    /// Reads the JSON for a model with these inputs and outputs; the files that it names are not opened.
    public init(
        path: String, inputs: [String] = EncoderArrays.names, outputs: [String] = LocalRun.outputNames
    ) throws(RunFault) {
        let file: MappedFile
        do throws(FileFault) { file = try MappedFile(path: path, limit: ModelReference.byteLimit) } catch {
            throw .file(.file(error))
        }
        let value: JSONValue
        do throws(JSONFault) { value = try JSONReader.read(file.bytes, limit: ModelReference.byteLimit) } catch {
            throw .reference(path, "the file \(error): write it as docs/models.md shows")
        }
        try self.init(value, path: path, names: (inputs, outputs))
    }

    private init(
        _ value: JSONValue, path: String, names: (inputs: [String], outputs: [String])
    ) throws(RunFault) {
        let reader = Reader(path: path)
        let top = try reader.members(value, of: "the file", ["inputs", "outputs"])
        var inputs: [Input] = []
        for member in try reader.members(top["inputs"], of: "inputs", names.inputs).members {
            inputs.append(Input(name: member.name, path: try reader.file(member.value, of: member.name)))
        }
        if inputs.isEmpty { throw reader.fault("inputs names no file") }
        var outputs: [Output] = []
        let named = try reader.members(top["outputs"], of: "outputs", nil)
        for member in named.members {
            if !names.outputs.contains(member.name) { throw .unknownOutput(member.name, known: names.outputs) }
            let fields = try reader.members(member.value, of: member.name, ["file", "relative", "absolute", "cosine"])
            let bound = OutputBound(
                relative: try reader.number(fields["relative"], "relative", of: member.name),
                absolute: try reader.number(fields["absolute"], "absolute", of: member.name),
                cosine: try reader.number(fields["cosine"], "cosine", of: member.name))
            if bound == OutputBound() {
                throw reader.fault("\(member.name) has no bound, set relative, absolute or cosine")
            }
            let path = try reader.file(fields["file"], of: member.name)
            outputs.append(Output(name: member.name, path: path, bound: bound))
        }
        if outputs.isEmpty { throw reader.fault("outputs names no file") }
        self.inputs = inputs
        self.outputs = outputs
    }

    /// Runs the model on the inputs and holds its outputs against the expected ones. Every file is read before the run.
    public func check(
        _ model: LocalModel, threads: Int, memory: UInt64 = .max
    ) throws(RunFault) -> [OutputComparison] {
        let arrays = try EncoderArrays(
            files: inputs.map { ($0.name, $0.path) }, configuration: model.imported.configuration)
        let expected = try expectedOutputs()
        return try compare(LocalRun(model, arrays, threads: threads, memory: memory).outputs, expected)
    }

    /// The same for a transformer that is run as it is.
    public func check(
        _ model: TransformerModel, threads: Int, memory: UInt64 = .max
    ) throws(RunFault) -> [OutputComparison] {
        let arrays = try TransformerArrays(files: inputs.map { ($0.name, $0.path) }, kind: model.kind)
        let expected = try expectedOutputs()
        return try compare(TransformerRun(model, arrays, threads: threads, memory: memory).outputs, expected)
    }

    private func expectedOutputs() throws(RunFault) -> [NumpyArray] {
        var expected: [NumpyArray] = []
        for output in outputs {
            do throws(NumpyFileFault) {
                expected.append(try NumpyFile.read(path: output.path, limit: ModelReference.outputLimit))
            } catch { throw .file(error) }
        }
        return expected
    }

    private func compare(
        _ found: [LocalRun.Output], _ expected: [NumpyArray]
    ) throws(RunFault) -> [OutputComparison] {
        var comparisons: [OutputComparison] = []
        for (output, array) in zip(outputs, expected) {
            guard let match = found.first(where: { $0.name == output.name }) else {
                throw .unknownOutput(output.name, known: found.map(\.name))
            }
            comparisons.append(try OutputComparison(match, expected: array, bound: output.bound))
        }
        return comparisons
    }
}

/// Reads the reference's JSON, and says what is wrong with it.
private struct Reader {
    let path: String

    func fault(_ what: String) -> RunFault { .reference(path, what) }

    /// The members of an object, all of them known where `names` says which are.
    func members(_ value: JSONValue?, of place: String, _ names: [String]?) throws(RunFault) -> JSONObject {
        guard let object = value?.object else { throw fault("\(place) is not an object, see docs/models.md") }
        for member in object.members where names?.contains(member.name) == false {
            throw fault("\(place) has an unknown member \"\(member.name.prefix(60))\", remove it")
        }
        return object
    }

    /// A file's path, from the reference's folder.
    func file(_ value: JSONValue?, of place: String) throws(RunFault) -> String {
        guard let text = value?.string, !text.isEmpty, !text.hasPrefix("/"), text.utf8.count <= 1024,
            !text.utf8.contains(0), !text.split(separator: "/").contains("..")
        else { throw fault("\(place) does not name a file in the reference's folder, give its path from there") }
        guard let slash = path.lastIndex(of: "/") else { return text }
        return path[...slash] + text
    }

    /// A bound: a finite number that is not below zero.
    func number(_ value: JSONValue?, _ name: String, of place: String) throws(RunFault) -> Double? {
        guard let value else { return nil }
        guard let number = value.double, number.isFinite, number >= 0 else {
            throw fault("\(name) of \(place) is not a number of at least 0, correct it")
        }
        return number
    }
}
