/// The weights of a folder: one `model.safetensors`, or the shards that `model.safetensors.index.json` names.
struct WeightFiles: Sendable {
    /// The most files that a model may be split into.
    static let shardLimit = 1024

    /// A weight that a model needs: the names that files give it, the usual one first, and its shape.
    struct Need: Sendable, Equatable {
        let names: [String]
        let shape: [Int]
    }

    private let files: [String: SafetensorsFile]
    private let places: [String: String]

    init(_ folder: HuggingFaceFolder) throws(ImportFault) {
        let single = "model.safetensors"
        let index = "model.safetensors.index.json"
        if folder.has(single) {
            let file = try WeightFiles.open(single, folder)
            files = [single: file]
            places = Dictionary(file.tensors.map { ($0.name, single) }) { first, _ in first }
            return
        }
        guard let settings = try folder.settings(index) else {
            let others = ["pytorch_model.bin", "tf_model.h5", "model.onnx"]
            throw .noWeights(folder: folder.path, found: others.first { folder.has($0) })
        }
        guard let map = settings["weight_map"]?.object else {
            throw .setting(file: index, key: "weight_map", "is not an object")
        }
        var files: [String: SafetensorsFile] = [:]
        var places: [String: String] = [:]
        for member in map.members {
            guard let name = member.value.string, WeightFiles.isPlain(name) else {
                throw .setting(file: index, key: "weight_map", "names a file that is not one of the folder")
            }
            if files[name] == nil {
                if files.count >= WeightFiles.shardLimit {
                    throw .setting(file: index, key: "weight_map", "names more than \(WeightFiles.shardLimit) files")
                }
                files[name] = try WeightFiles.open(name, folder)
            }
            if files[name]?[member.name] == nil {
                throw .setting(
                    file: index, key: "weight_map", "says that \(name) holds \(member.name.prefix(80)), which it lacks")
            }
            places[member.name] = name
        }
        self.files = files
        self.places = places
    }

    private static func open(_ name: String, _ folder: HuggingFaceFolder) throws(ImportFault) -> SafetensorsFile {
        do throws(SafetensorsFault) {
            return try SafetensorsFile(path: folder.path(of: name))
        } catch { throw .safetensors(file: name, error) }
    }

    /// One plain name: a stranger's file must not reach out of its folder.
    private static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 200 && !name.hasPrefix(".")
            && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "\\") }
    }

    /// Whether a weight is there.
    func has(_ name: String) -> Bool { places[name] != nil }

    /// A weight under the first of its names that is there.
    func parameter(_ need: Need) throws(ImportFault) -> StoredParameter {
        for name in need.names {
            guard let place = places[name], let file = files[place], let tensor = file[name] else { continue }
            return try StoredParameter(tensor, of: file, shape: need.shape)
        }
        throw .missingWeight(need.names[0])
    }
}
