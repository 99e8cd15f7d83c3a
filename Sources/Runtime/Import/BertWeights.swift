/// The weights of a BERT encoder, found and checked.
struct BertWeights: Sendable {
    /// One weight that the encoder needs: its name without the model's prefix, and its shape.
    struct Need: Sendable, Equatable {
        let name: String
        let shape: [Int]
    }

    /// In the order of `needs`.
    let parameters: [ImportedParameter]

    init(_ file: SafetensorsFile, _ configuration: BertConfiguration) throws(ImportFault) {
        // Models saved with a head keep the encoder under "bert.".
        let prefix = file["embeddings.word_embeddings.weight"] == nil ? "bert." : ""
        var parameters: [ImportedParameter] = []
        for need in BertWeights.needs(configuration) {
            guard let tensor = BertWeights.find(need.name, prefix: prefix, in: file) else {
                throw .missingWeight(need.name)
            }
            parameters.append(try ImportedParameter(tensor, of: file, shape: need.shape))
        }
        self.parameters = parameters
    }

    private static func find(_ name: String, prefix: String, in file: SafetensorsFile) -> SafetensorsFile.Tensor? {
        if let tensor = file[prefix + name] { return tensor }
        // The first BERT files call a layer norm's weight gamma and its bias beta.
        if name.hasSuffix("LayerNorm.weight") { return file[prefix + name.dropLast(6) + "gamma"] }
        if name.hasSuffix("LayerNorm.bias") { return file[prefix + name.dropLast(4) + "beta"] }
        return nil
    }

    /// Every weight that takes part, in the order of their use. The pooler takes no part in a mean.
    static func needs(_ configuration: BertConfiguration) -> [Need] {
        let hidden = configuration.hiddenSize
        let inner = configuration.intermediateSize
        var needs = [
            Need(name: "embeddings.word_embeddings.weight", shape: [configuration.vocabularySize, hidden]),
            Need(name: "embeddings.position_embeddings.weight", shape: [configuration.positions, hidden]),
            Need(name: "embeddings.token_type_embeddings.weight", shape: [configuration.segments, hidden]),
            Need(name: "embeddings.LayerNorm.weight", shape: [hidden]),
            Need(name: "embeddings.LayerNorm.bias", shape: [hidden]),
        ]
        for layer in 0..<configuration.layers {
            let root = "encoder.layer.\(layer)."
            func linear(_ name: String, _ outputs: Int, _ inputs: Int) {
                needs.append(Need(name: root + name + ".weight", shape: [outputs, inputs]))
                needs.append(Need(name: root + name + ".bias", shape: [outputs]))
            }
            func norm(_ name: String) {
                needs.append(Need(name: root + name + ".LayerNorm.weight", shape: [hidden]))
                needs.append(Need(name: root + name + ".LayerNorm.bias", shape: [hidden]))
            }
            linear("attention.self.query", hidden, hidden)
            linear("attention.self.key", hidden, hidden)
            linear("attention.self.value", hidden, hidden)
            linear("attention.output.dense", hidden, hidden)
            norm("attention.output")
            linear("intermediate.dense", inner, hidden)
            linear("output.dense", hidden, inner)
            norm("output")
        }
        return needs
    }
}
