import Foundation
import Runtime
import Testing

/// Every fault of a model's folder gets one sentence that ends with the next step.
@Suite struct ModelImporterTests {
    /// A small BERT with random-looking weights, written where each test can spoil it.
    private final class Folder {
        let path: String
        var config =
            #"{"model_type":"bert","architectures":["BertModel"],"hidden_act":"gelu","hidden_size":4,"#
            + #""num_attention_heads":2,"num_hidden_layers":1,"intermediate_size":8,"max_position_embeddings":16,"#
            + #""type_vocab_size":2,"vocab_size":10,"layer_norm_eps":1e-12}"#
        var shapes: [(name: String, shape: [Int])] = [
            ("embeddings.word_embeddings.weight", [10, 4]), ("embeddings.position_embeddings.weight", [16, 4]),
            ("embeddings.token_type_embeddings.weight", [2, 4]), ("embeddings.LayerNorm.weight", [4]),
            ("embeddings.LayerNorm.bias", [4]),
        ]

        init() throws {
            path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
            try FileManager.default.createDirectory(atPath: path + "/1_Pooling", withIntermediateDirectories: true)
            let root = "encoder.layer.0."
            for (name, outputs, inputs) in [
                ("attention.self.query", 4, 4), ("attention.self.key", 4, 4), ("attention.self.value", 4, 4),
                ("attention.output.dense", 4, 4), ("intermediate.dense", 8, 4), ("output.dense", 4, 8),
            ] { shapes += [(root + name + ".weight", [outputs, inputs]), (root + name + ".bias", [outputs])] }
            for name in ["attention.output", "output"] {
                shapes += [(root + name + ".LayerNorm.weight", [4]), (root + name + ".LayerNorm.bias", [4])]
            }
            try write("tokenizer.json", SmallTokenizer.json(added: ""))
            try write("sentence_bert_config.json", #"{"max_seq_length":8,"do_lower_case":false}"#)
            try write(
                "modules.json",
                #"[{"type":"sentence_transformers.models.Transformer","path":""},"#
                    + #"{"type":"sentence_transformers.models.Pooling","path":"1_Pooling"},"#
                    + #"{"type":"sentence_transformers.models.Normalize","path":"2_Normalize"}]"#)
            try write("1_Pooling/config.json", #"{"word_embedding_dimension":4,"pooling_mode_mean_tokens":true}"#)
            try writeConfig()
            try writeWeights()
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func write(_ name: String, _ text: String) throws {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/" + name))
        }

        func writeConfig() throws { try write("config.json", config) }

        func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: path + "/" + name) }

        /// Writes the weights as F32 or a 2-byte type; `special` replaces the first element of the named tensor.
        func writeWeights(type: String = "F32", special: (name: String, bits: UInt32)? = nil) throws {
            var header: [String] = []
            var data: [UInt8] = []
            for (name, shape) in shapes {
                let start = data.count
                for i in 0..<shape.reduce(1, *) {
                    let value = special.flatMap { $0.name == name && i == 0 ? $0.bits : nil }
                    let bits = value ?? Float(1 + i % 7).bitPattern
                    if type == "F32" || type == "I32" {
                        data += (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
                    } else {
                        let short = type == "BF16" ? UInt16(bits >> 16) : 0x3C00
                        data += [UInt8(truncatingIfNeeded: short), UInt8(short >> 8)]
                    }
                }
                header.append(
                    #""\#(name)":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":[\#(start),\#(data.count)]}"#)
            }
            let text = "{" + header.joined(separator: ",") + "}"
            let length = UInt64(text.utf8.count)
            let bytes = (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array(text.utf8) + data
            try Data(bytes).write(to: URL(fileURLWithPath: path + "/model.safetensors"))
        }
    }

    /// Imports a spoiled folder; expects one sentence with these words.
    private func expectFault(_ words: String, _ spoil: (Folder) throws -> Void) throws {
        let folder = try Folder()
        try spoil(folder)
        let fault = #expect(throws: ImportFault.self) { _ = try ModelImporter.importFolder(folder.path) }
        let sentence = fault.map { "\($0)" } ?? ""
        #expect(sentence.contains(words), "\(sentence)")
        #expect(sentence.hasSuffix("."))
        #expect(!sentence.contains("\n"))
    }

    @Test func aSoundFolderIsImported() throws {
        let folder = try Folder()
        let model = try ModelImporter.importFolder(folder.path + "/")
        #expect(model.parameters.count == 21)
        #expect(model.settings.limit == 8)
        #expect(
            model.files.map(\.name) == [
                "config.json", "tokenizer.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json",
            ])
        #expect(model.subnormalCount == 0)
    }

    @Test(arguments: ["BF16", "F16"]) func shortWeightsAreWidenedExactly(type: String) throws {
        let folder = try Folder()
        try folder.writeWeights(type: type)
        let model = try ModelImporter.importFolder(folder.path)
        let first = model.parameters[0].withBytes { Array($0.bindMemory(to: Float.self)) }
        #expect(first.count == 40)
        #expect(first.prefix(3) == (type == "BF16" ? [1, 2, 3] : [1, 1, 1]))
    }

    @Test func subnormalWeightsAreCounted() throws {
        let folder = try Folder()
        try folder.writeWeights(special: ("embeddings.LayerNorm.bias", 1))
        #expect(try ModelImporter.importFolder(folder.path).subnormalCount == 1)
    }

    @Test func aMissingFolderOrFileIsNamed() throws {
        #expect(throws: ImportFault.file(.missing("/nowhere/model"))) {
            _ = try ModelImporter.importFolder("/nowhere/model")
        }
        let folder = try Folder()
        #expect(throws: ImportFault.notAFolder(folder.path + "/config.json")) {
            _ = try ModelImporter.importFolder(folder.path + "/config.json")
        }
        try expectFault("config.json does not exist") { try $0.remove("config.json") }
        try expectFault("holds neither tokenizer.json nor vocab.txt") { try $0.remove("tokenizer.json") }
        try expectFault("holds no model.safetensors") { try $0.remove("model.safetensors") }
        try expectFault("holds pytorch_model.bin but no model.safetensors") {
            try $0.remove("model.safetensors")
            try $0.write("pytorch_model.bin", "x")
        }
        try expectFault("1_Pooling/config.json does not exist") { try $0.remove("1_Pooling/config.json") }
    }

    @Test(arguments: [
        "config.json", "tokenizer.json", "modules.json", "model.safetensors", "sentence_bert_config.json",
    ])
    func anEmptyFileIsRefused(name: String) throws {
        try expectFault("is empty") { try $0.write(name, "") }
    }

    @Test(arguments: [
        (#""model_type":"bert""#, #""model_type":"llama""#, "architecture is llama, which cannot be imported"),
        ("BertModel", "RobertaModel", "architecture is RobertaModel"),
        (#""hidden_act":"gelu""#, #""hidden_act":"swish""#, "activation is swish"),
        (#""hidden_size":4"#, #""hidden_size":5"#, "does not divide hidden_size"),
        (#""hidden_size":4"#, #""hidden_size":-4"#, "is not a whole number from 1"),
        (#""hidden_size":4"#, #""hidden_size":99999999999"#, "is not a whole number from 1"),
        (#""hidden_size":4,"#, "", "hidden_size is missing"),
        (#""intermediate_size":8"#, #""intermediate_size":9"#, "has the shape [8, 4] where config.json needs [9, 4]"),
        (#""num_hidden_layers":1"#, #""num_hidden_layers":2"#, "lacks the weight encoder.layer.1.attention.self.query"),
        (#""vocab_size":10"#, #""vocab_size":7"#, "ids up to 7 but the model has 7 embeddings"),
        ("1e-12", "-1", "layer_norm_eps is not between"),
        ("}", "", "config.json is not valid JSON"),
    ])
    func aWrongConfigurationIsRefused(old: String, new: String, words: String) throws {
        try expectFault(words) {
            $0.config = $0.config.replacingOccurrences(of: old, with: new)
            try $0.writeConfig()
        }
    }

    @Test func wrongWeightsAreRefused() throws {
        try expectFault("lacks the weight embeddings.LayerNorm.bias") {
            $0.shapes.removeAll { $0.name == "embeddings.LayerNorm.bias" }
            try $0.writeWeights()
        }
        try expectFault("has the type I32") { try $0.writeWeights(type: "I32") }
        for bits: UInt32 in [0x7FC0_0000, 0x7F80_0000, 0xFF80_0000] {
            try expectFault("embeddings.LayerNorm.bias is not a finite number at element 0") {
                try $0.writeWeights(special: ("embeddings.LayerNorm.bias", bits))
            }
        }
        try expectFault("is truncated") {
            let url = URL(fileURLWithPath: $0.path + "/model.safetensors")
            try Data(contentsOf: url).dropLast(100).write(to: url)
        }
    }

    @Test func otherPoolingsAndModulesAreRefused() throws {
        try expectFault("pooling is cls_token") {
            try $0.write("1_Pooling/config.json", #"{"word_embedding_dimension":4,"pooling_mode_cls_token":true}"#)
        }
        try expectFault("is not the name of a folder") {
            try $0.write("modules.json", #"[{"type":"a.Transformer","path":""},{"type":"a.Pooling","path":"../x"}]"#)
        }
        try expectFault("module 2 is Dense") {
            try $0.write(
                "modules.json",
                #"[{"type":"a.Transformer","path":""},{"type":"a.Pooling","path":"1_Pooling"},{"type":"a.Dense"}]"#)
        }
        try expectFault("max_seq_length is not a length") {
            try $0.write("sentence_bert_config.json", #"{"max_seq_length":2}"#)
        }
    }
}
