import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// What is wrong with a transformer's folder or its inputs is said in one sentence.
@Suite struct TransformerFaultTests {
    /// A copy of a fixture's folder that a test may spoil.
    final class Copy {
        let path: String

        init(_ name: String) throws {
            path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
            try FileManager.default.copyItem(atPath: try TransformerFixture(name).folder, toPath: path)
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func bytes(_ file: String) throws -> [UInt8] {
            Array(try Data(contentsOf: URL(fileURLWithPath: path + "/" + file)))
        }

        func write(_ file: String, _ bytes: [UInt8]) throws {
            try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + file))
        }

        /// Replaces a text in a file; in a safetensors header only by one of the same length.
        func replace(_ old: String, _ new: String, in file: String) throws {
            let bytes = try bytes(file)
            let range = try #require(Data(bytes).range(of: Data(old.utf8)), "\(file) has no \(old)")
            try write(file, Array(bytes[..<range.lowerBound]) + Array(new.utf8) + Array(bytes[range.upperBound...]))
        }

        var fault: String {
            do {
                _ = try ModelImporter.importTransformer(path)
                return "none"
            } catch { return "\(error)" }
        }
    }

    @Test(arguments: [
        ("llama", #""hidden_size": 32"#, #""hidden_size": 0"#, "hidden_size is not a whole number from 1 to 32768"),
        ("llama", #""hidden_size": 32"#, #""hidden_size": 99999999999999999999"#, "hidden_size is not a whole number"),
        ("llama", #""hidden_size": 32"#, #""hidden_size": 1e3"#, "hidden_size is not a whole number"),
        ("llama", #""hidden_size": 32"#, #""hidden_size": 34"#, "The weight model.embed_tokens.weight has the shape"),
        ("llama", #""vocab_size": 96"#, #""vocab_size": -1"#, "vocab_size is not a whole number"),
        ("llama", #""vocab_size": 96"#, #""vocab": 96"#, "vocab_size is missing"),
        ("llama", #""num_key_value_heads": 2"#, #""num_key_value_heads": 3"#, "num_key_value_heads does not divide"),
        ("llama", #""head_dim": 8"#, #""head_dim": 7"#, "head_dim is odd"),
        ("llama", #""rms_norm_eps": 1e-06"#, #""rms_norm_eps": 0"#, "rms_norm_eps is not a number between"),
        ("llama", #""rms_norm_eps": 1e-06"#, #""rms_norm_eps": 1e-60"#, "rms_norm_eps is not a number between"),
        ("llama", #""hidden_act": "silu""#, #""hidden_act": "relu""#, "activation is relu, which is not supported"),
        (
            "llama", #""rope_type": "default""#, #""rope_type": "yarn""#,
            "rope_parameters is yarn, which is not supported"
        ),
        ("llama", #""rope_theta": 10000.0"#, #""rope_theta": -3"#, "rope_theta is not a number between"),
        ("llama3", #""high_freq_factor": 4.0"#, #""high_freq_factor": 0.5"#, "high_freq_factor is not above"),
        (
            "llama", #""model_type": "llama""#, #""model_type": "phi3""#,
            "architecture is phi3, which cannot be imported"
        ),
        (
            "llama", #""use_cache": true"#, #""quantization_config": {"quant_method": "awq"}"#,
            "quantization is awq, which is not supported"
        ),
        ("gpt2", #""n_head": 4"#, #""n_head": 5"#, "n_head does not divide n_embd (32)"),
        (
            "gpt2", #""scale_attn_by_inverse_layer_idx": false"#, #""scale_attn_by_inverse_layer_idx": true"#,
            "scale_attn_by_inverse_layer_idx is true, which is not supported"
        ),
        ("vit", "\"num_channels\": 3", "\"num_channels\": 0", "num_channels is not a whole number"),
        ("vit", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "lacks the weight vit.encoder.layer.2"),
        ("roberta", #""max_position_embeddings": 34"#, #""max_position_embeddings": 2"#, "leaves no position"),
    ])
    func aSettingThatCannotBeIsRefused(name: String, old: String, new: String, expected: String) throws {
        let folder = try Copy(name)
        try folder.replace(old, new, in: "config.json")
        let fault = folder.fault
        #expect(fault.contains(expected), "\(fault)")
        #expect(fault.hasSuffix("."))
    }

    @Test func weightsThatDoNotFitAreRefused() throws {
        let missing = try Copy("llama")
        try missing.replace("model.norm.weight", "model.nurm.weight", in: "model.safetensors")
        #expect(missing.fault.contains("lacks the weight model.norm.weight"))
        let type = try Copy("llama")
        try type.replace(#""dtype":"F32","shape":[96,32]"#, #""dtype":"I32","shape":[96,32]"#, in: "model.safetensors")
        #expect(type.fault.contains("has the type I32"))
        let shape = try Copy("llama")
        try shape.replace(#""shape":[96,32]"#, #""shape":[32,96]"#, in: "model.safetensors")
        #expect(shape.fault.contains("has the shape [32, 96] where config.json needs [96, 32]"), "\(shape.fault)")
        let none = try Copy("llama")
        try FileManager.default.removeItem(atPath: none.path + "/model.safetensors")
        #expect(none.fault.contains("holds no model.safetensors"))
    }

    /// A NaN in the last element of a file, in each storage type.
    @Test(arguments: [
        ("llama", "model.safetensors", [UInt8]([0, 0, 0xC0, 0x7F])),
        ("llama", "model.safetensors", [0, 0, 0x80, 0xFF]),
        ("llama3", "model.safetensors", [0xC0, 0x7F]), ("mistral", "model-00002-of-00002.safetensors", [0, 0x7E]),
        ("mistral", "model-00002-of-00002.safetensors", [0, 0xFC]),
    ])
    func aWeightThatIsNotFiniteIsRefused(name: String, file: String, value: [UInt8]) throws {
        let folder = try Copy(name)
        try folder.write(file, try folder.bytes(file).dropLast(value.count) + value)
        #expect(folder.fault.contains("is not a finite number at element"), "\(folder.fault)")
    }

    @Test func anIndexThatLeavesItsFolderIsRefused() throws {
        let index = "model.safetensors.index.json"
        for (new, expected) in [
            ("../llama/model.safetensors", "names a file that is not one of the folder"),
            ("/etc/passwd", "names a file that is not one of the folder"), ("model-3.safetensors", "does not exist"),
            ("model-00002-of-00002.safetensors", "which it lacks"),
        ] {
            let folder = try Copy("mistral")
            try folder.replace(
                #""model.embed_tokens.weight": "model-00001-of-00002.safetensors""#,
                #""model.embed_tokens.weight": "\#(new)""#, in: index)
            #expect(folder.fault.contains(expected), "\(folder.fault)")
        }
        let folder = try Copy("mistral")
        try folder.write(index, Array(#"{"weight_map": []}"#.utf8))
        #expect(folder.fault.contains("weight_map is not an object"))
    }

    @Test func inputsThatDoNotFitAreRefused() throws {
        let llama = try TransformerFixture("llama").model()
        func fault(_ model: TransformerModel, _ arrays: [(name: String, array: NumpyArray)]) -> String {
            do {
                _ = try TransformerArrays(arrays, kind: model.kind)
                return "none"
            } catch { return "\(error)" }
        }
        let ids = try NumpyArray([Int64](repeating: 5, count: 6), [2, 3])
        #expect(fault(llama, [("input_ids", ids)]) == "none")
        #expect(fault(llama, []).contains("input_ids is missing"))
        #expect(fault(llama, [("pixel_values", ids)]).contains("it takes input_ids, attention_mask"))
        #expect(fault(llama, [("input_ids", ids), ("input_ids", ids)]).contains("given twice"))
        #expect(fault(llama, [("input_ids", try NumpyArray([Int64(96)], [1, 1]))]).contains("must lie from 0 to 95"))
        #expect(
            fault(llama, [("input_ids", try NumpyArray([Int64](repeating: 1, count: 65), [1, 65]))])
                .contains("the model takes at most 64"))
        let gap = try NumpyArray([Int64]([1, 0, 1, 1, 1, 1]), [2, 3])
        #expect(fault(llama, [("input_ids", ids), ("attention_mask", gap)]).contains("has a 1 after a 0"))
        let vit = try TransformerFixture("vit").model()
        let small = try NumpyArray([Float](repeating: 0, count: 12), shape: [1, 3, 2, 2])
        #expect(fault(vit, [("pixel_values", small)]).contains("it must be [batch, 3, 12, 8]"))
        #expect(fault(vit, [("pixel_values", ids)]).contains("convert it to <f4"))
        var pixels = [Float](repeating: 0, count: 288)
        pixels[100] = .nan
        let broken = try NumpyArray(pixels, shape: [1, 3, 12, 8])
        #expect(fault(vit, [("pixel_values", broken)]).contains("not a finite number at element 100"))
        let small2 = try NumpyArray([Int64](repeating: 5, count: 2), [1, 2])
        let memory = #expect(throws: RunFault.self) {
            _ = try TransformerRun(
                llama, TransformerArrays([("input_ids", small2)], kind: llama.kind), threads: 1, memory: 1000)
        }
        #expect("\(memory.map { "\($0)" } ?? "")".contains("bytes of memory and 1000 are there"))
    }

    /// Damage anywhere in the settings or the header is refused or harmless, never a trap.
    @Test func damagedFoldersAreReadOrRefused() throws {
        var random = SplitMix64(seed: 11)
        for name in ["gpt2", "llama3", "vit", "roberta"] {
            let folder = try Copy(name)
            for file in ["config.json", "model.safetensors"] {
                let original = try folder.bytes(file)
                for _ in 0..<40 {
                    // Of the weights only the header is damaged.
                    let head = file == "config.json" ? original.count : 2_000
                    let damaged = Mutation.of(Array(original[..<head]), &random) + original[head...]
                    try folder.write(file, damaged)
                    guard let model = try? ModelImporter.importTransformer(folder.path) else { continue }
                    _ = try? model.program().specialise([("batch", 1), ("length", 2)])
                }
                try folder.write(file, original)
            }
        }
    }
}
