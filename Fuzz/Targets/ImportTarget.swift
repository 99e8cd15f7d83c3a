import Primitives
import Runtime

/// Files of models from strangers: safetensors, npy, tokenizers and settings.
enum ImportTarget: FuzzTarget {
    static let name = "import"

    static func forms() throws -> [Form] {
        let tensors =
            #"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#
            + #""b":{"dtype":"BF16","shape":[1,3],"data_offsets":[8,14]}}"#
        let safetensors = UInt64(tensors.utf8.count).canonicalBytes + Array(tensors.utf8) + [UInt8](1...14)
        let tokenizer =
            #"{"added_tokens":[{"id":0,"content":"[PAD]","special":true,"normalized":false}],"normalizer":"#
            + #"{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"#
            + #""lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":{"type":"#
            + #""TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","#
            + #""type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],"special_tokens":{"[CLS]":{"id":"[CLS]","#
            + #""ids":[2],"tokens":["[CLS]"]},"[SEP]":{"id":"[SEP]","ids":[3],"tokens":["[SEP]"]}}},"#
            + ###""model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","###
            + ###""max_input_chars_per_word":100,"vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"a":4,"##b":5}}}"###
        let settings =
            #"{"model_type":"bert","architectures":["BertModel"],"hidden_act":"gelu","hidden_size":4,"#
            + #""intermediate_size":8,"num_hidden_layers":1,"num_attention_heads":2,"max_position_embeddings":16,"#
            + #""type_vocab_size":2,"vocab_size":10,"layer_norm_eps":1e-12}"#
        let text = "A bä\u{301} ab[PAD]\u{4E00}\u{0}\u{FFFD}"
        return [
            Form(seeds: [safetensors]) { bytes in
                bytes.withUnsafeBytes { raw in
                    guard let header = try? SafetensorsHeader(raw) else { return }
                    require(header.dataStart <= raw.count, "the data of a safetensors file begins behind its end")
                }
            },
            Form(seeds: [NumpyFile.encode(try NumpyArray([1, 2, 3, 4, 5, 6], shape: [2, 3]))]) { bytes in
                guard let array = try? NumpyFile.decode(bytes) else { return }
                require(
                    (try? NumpyFile.decode(NumpyFile.encode(array))) == array, "an array is another when read again")
            },
            Form(seeds: [Array(tokenizer.utf8)]) { bytes in
                bytes.withUnsafeBytes { raw in
                    _ = try? WordPieceTokenizer(tokenizerJSON: raw, limit: 16).encode(text)
                }
            },
            Form(seeds: [Array("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\r\n##b\n".utf8)]) { bytes in
                bytes.withUnsafeBytes { raw in
                    let made = try? WordPieceTokenizer(vocabularyText: raw, configuration: nil, limit: 16)
                    _ = made?.encode(text)
                }
            },
            Form(seeds: [Array(settings.utf8)]) { bytes in
                guard let value = try? JSONReader.read(bytes), let read = try? BertConfiguration(value) else { return }
                require(read.headSize * read.heads == read.hiddenSize, "the heads do not divide the width")
            },
            // What is encoded is the input, by a tokenizer that is well.
            Form(seeds: [Array(text.utf8), Array("ab abab [CLS]".utf8)]) { bytes in
                let made = Array(tokenizer.utf8).withUnsafeBytes {
                    try? WordPieceTokenizer(tokenizerJSON: $0, limit: 16)
                }
                guard let encoding = made?.encode(String(decoding: bytes, as: UTF8.self)) else {
                    fatalError("the tokenizer of the seeds is refused")
                }
                require(encoding.ids.count <= 16, "an encoding is longer than its limit")
            },
        ]
    }
}
