import Foundation
import Primitives
import Runtime

/// A Llama of one layer that takes long texts, in a temporary folder, with weights from a seed.
final class SmallDecoderFolder {
    static let vocabulary = 24
    let path: String

    init(seed: UInt64) throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let config =
            #"{"model_type":"llama","hidden_size":8,"intermediate_size":12,"num_hidden_layers":1,"num_attention_heads":2,"#
            + #""num_key_value_heads":1,"max_position_embeddings":1024,"vocab_size":24,"rms_norm_eps":1e-6}"#
        try Data(config.utf8).write(to: URL(fileURLWithPath: path + "/config.json"))
        let layer = "model.layers.0."
        let shapes: [(name: String, shape: [Int])] = [
            ("model.embed_tokens.weight", [24, 8]), (layer + "input_layernorm.weight", [8]),
            (layer + "self_attn.q_proj.weight", [8, 8]), (layer + "self_attn.k_proj.weight", [4, 8]),
            (layer + "self_attn.v_proj.weight", [4, 8]), (layer + "self_attn.o_proj.weight", [8, 8]),
            (layer + "post_attention_layernorm.weight", [8]), (layer + "mlp.gate_proj.weight", [12, 8]),
            (layer + "mlp.up_proj.weight", [12, 8]), (layer + "mlp.down_proj.weight", [8, 12]),
            ("model.norm.weight", [8]), ("lm_head.weight", [24, 8]),
        ]
        var random = SplitMix64(seed: seed)
        var header: [String] = []
        var data: [UInt8] = []
        for (name, shape) in shapes {
            let start = data.count
            for _ in 0..<shape.reduce(1, *) {
                let bits = (Float(Int64(random.next() % 2001) - 1000) / 700).bitPattern
                data += (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
            }
            header.append(#""\#(name)":{"dtype":"F32","shape":\#(shape),"data_offsets":[\#(start),\#(data.count)]}"#)
        }
        let text = "{" + header.joined(separator: ",") + "}"
        let length = (0..<8).map { UInt8(truncatingIfNeeded: text.utf8.count >> (8 * $0)) }
        try Data(length + Array(text.utf8) + data).write(to: URL(fileURLWithPath: path + "/model.safetensors"))
    }

    func write(_ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/" + name))
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
