import Runtime

/// BPE tokenizers, chat templates and the settings of transformers from strangers, and texts for a tokenizer that is well.
enum TokenizerTarget: FuzzTarget {
    static let name = "tokenizers"

    /// The byte-level letters of all bytes, as vocabularies have them.
    private static func letters() -> [String] {
        var next: UInt32 = 0x100
        return (UInt32(0)...255).map { byte in
            let isPrintable =
                (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
            let scalar = isPrintable ? byte : next
            if !isPrintable { next += 1 }
            return String(Character(Unicode.Scalar(scalar) ?? "?"))
        }
    }

    private static func quoted(_ text: String) -> String {
        text == "\"" || text == "\\" ? "\"\\\(text)\"" : "\"\(text)\""
    }

    static func forms() throws -> [Form] {
        let vocabulary = letters().enumerated().map { "\(quoted($1)):\($0)" }.joined(separator: ",")
        let bytes =
            #"{"added_tokens":[{"id":300,"content":"<|end|>","special":true,"normalized":false}],"normalizer":{"type":"NFC"},"#
            + #""pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},"decoder":{"type":"ByteLevel"},"#
            + #""post_processor":{"type":"ByteLevel"},"model":{"type":"BPE","merges":["t h","th e","Ġ the"],"#
            + #""vocab":{\#(vocabulary),"th":256,"the":257,"Ġthe":258}}}"#
        let plain = bytes.replacing(#""normalizer":{"type":"NFC"},"#, with: "")
        let pieces =
            #"{"added_tokens":[{"id":1,"content":"<s>","special":true}],"normalizer":{"type":"Sequence","normalizers":["#
            + #"{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"#
            + #""post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},"#
            + #"{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"<s>":{"id":"<s>","ids":[1],"tokens":["<s>"]}}},"#
            + #""decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},"#
            + #"{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},"#
            + #""model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,"merges":[["▁","a"],["a","b"]],"#
            + #""vocab":{"<unk>":0,"<s>":1,"<0x41>":2,"▁":3,"a":4,"b":5,"▁a":6,"ab":7}}}"#
        let blanks =
            #"{"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},"#
            + #"{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true}]},"#
            + #""decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true},"#
            + #""model":{"merges":[],"vocab":{"▁":0,"a":1}}}"#
        let text = "A bä\u{301} ab<|end|> the\u{4E00}\u{0}\u{FFFD} 12\n\n  it's ab"
        let decoder =
            #"{"model_type":"llama","hidden_size":8,"intermediate_size":8,"num_hidden_layers":1,"num_attention_heads":2,"#
            + #""num_key_value_heads":1,"max_position_embeddings":16,"vocab_size":10,"rms_norm_eps":1e-6,"rope_scaling":"#
            + #"{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":8}}"#
        let vision =
            #"{"model_type":"vit","hidden_size":8,"num_attention_heads":2,"image_size":[8,8],"patch_size":4}"#
        let template =
            #"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"#
            + #"{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"#
        guard let well = Array(plain.utf8).withUnsafeBytes({ try? BPETokenizer(tokenizerJSON: $0) }) else {
            fatalError("the tokenizer of the seeds is refused")
        }
        return [
            Form(seeds: [bytes, pieces, blanks].map { Array($0.utf8) }) { bytes in
                bytes.withUnsafeBytes { raw in
                    guard let tokenizer = try? BPETokenizer(tokenizerJSON: raw) else { return }
                    let ids = tokenizer.encode(text)
                    require(ids.allSatisfy { $0 >= 0 && $0 <= tokenizer.greatestID }, "an id is beyond the greatest")
                    var stream = TokenStream(tokenizer)
                    for id in ids { _ = stream.append(id) }
                    _ = tokenizer.decode(ids + [-1, .max], skipsSpecialTokens: false)
                }
            },
            // All bytes have a letter, so every text comes back.
            Form(seeds: [Array(text.utf8)]) { bytes in
                let text = String(decoding: bytes, as: UTF8.self)
                let ids = well.encode(text)
                require(well.decode(ids, skipsSpecialTokens: false).utf8.elementsEqual(text.utf8), "a text changes")
            },
            Form(seeds: [Array(decoder.utf8), Array(vision.utf8)]) { bytes in
                guard let value = try? JSONReader.read(bytes) else { return }
                if let read = try? DecoderConfiguration(value) {
                    require(read.heads % read.keyValueHeads == 0, "heads of keys do not divide the heads")
                }
                if let read = try? VisionConfiguration(value) {
                    require(read.tokens >= 2, "an image has no patch")
                }
                if let read = try? RobertaConfiguration(value) {
                    require(read.positions >= 1, "a row has no place")
                }
            },
            Form(seeds: [Array(template.utf8)]) { bytes in
                let text = String(decoding: bytes, as: UTF8.self)
                guard let chat = try? ChatTemplate(text, bos: "<s>", eos: "</s>") else { return }
                let written = try? chat.text([ChatMessage(.user, "Hi")])
                require(written?.contains("Hi") == true, "a user's text is lost")
            },
        ]
    }
}
