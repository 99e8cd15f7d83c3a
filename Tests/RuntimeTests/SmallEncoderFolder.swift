import Foundation
import Primitives
import Runtime

/// A small BERT encoder of two layers in a temporary folder, with weights from a seed.
final class SmallEncoderFolder {
    static let hidden = 16
    static let positions = 12
    static let vocabulary = 20
    let path: String

    init(seed: UInt64) throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try write(
            "config.json",
            #"{"model_type":"bert","architectures":["BertModel"],"hidden_act":"gelu","hidden_size":16,"#
                + #""num_attention_heads":2,"num_hidden_layers":2,"intermediate_size":32,"#
                + #""max_position_embeddings":12,"type_vocab_size":2,"vocab_size":20,"layer_norm_eps":1e-12}"#)
        try write("tokenizer.json", SmallTokenizer.json(added: ""))
        var shapes: [(name: String, shape: [Int])] = [
            ("embeddings.word_embeddings.weight", [20, 16]), ("embeddings.position_embeddings.weight", [12, 16]),
            ("embeddings.token_type_embeddings.weight", [2, 16]), ("embeddings.LayerNorm.weight", [16]),
            ("embeddings.LayerNorm.bias", [16]),
        ]
        for layer in 0..<2 {
            let root = "encoder.layer.\(layer)."
            for (name, outputs, inputs) in [
                ("attention.self.query", 16, 16), ("attention.self.key", 16, 16), ("attention.self.value", 16, 16),
                ("attention.output.dense", 16, 16), ("intermediate.dense", 32, 16), ("output.dense", 16, 32),
            ] { shapes += [(root + name + ".weight", [outputs, inputs]), (root + name + ".bias", [outputs])] }
            for name in ["attention.output", "output"] {
                shapes += [(root + name + ".LayerNorm.weight", [16]), (root + name + ".LayerNorm.bias", [16])]
            }
        }
        var random = SplitMix64(seed: seed)
        var header: [String] = []
        var data: [UInt8] = []
        for (name, shape) in shapes {
            let start = data.count
            for _ in 0..<shape.reduce(1, *) {
                let bits = (Float(Int64(random.next() % 2001) - 1000) / 1500).bitPattern
                data += (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
            }
            header.append(#""\#(name)":{"dtype":"F32","shape":\#(shape),"data_offsets":[\#(start),\#(data.count)]}"#)
        }
        let text = "{" + header.joined(separator: ",") + "}"
        let length = (0..<8).map { UInt8(truncatingIfNeeded: text.utf8.count >> (8 * $0)) }
        try write("model.safetensors", length + Array(text.utf8) + data)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name))
    }

    func write(_ name: String, _ text: String) throws { try write(name, Array(text.utf8)) }

    func write(_ name: String, _ array: NumpyArray) throws { try write(name, NumpyFile.encode(array)) }
}

extension NumpyArray {
    /// Whole numbers as numpy's default type has them.
    init(_ values: [Int64], _ shape: [Int]) throws {
        try self.init(type: .i64, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
    }

    init(_ values: [Int32], _ shape: [Int]) throws {
        try self.init(type: .i32, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
    }
}
