/// The settings of a vision transformer (ViT), checked.
public struct VisionConfiguration: Sendable, Equatable {
    public let hiddenSize: Int
    public let layers: Int
    public let heads: Int
    public let intermediateSize: Int
    /// Height and width of the images in pixels.
    public let imageSize: [Int]
    /// Height and width of a patch.
    public let patchSize: [Int]
    public let channels: Int
    let hasQueryBias: Bool
    public let epsilon: Float
    /// Classes of the classifier, where the folder has one.
    public let classes: Int?

    /// Patches down and across.
    var grid: [Int] { [imageSize[0] / patchSize[0], imageSize[1] / patchSize[1]] }
    /// Patches of an image, and one place for the class.
    public var tokens: Int { grid[0] * grid[1] + 1 }

    public init(_ settings: JSONValue) throws(ImportFault) {
        let reader = SettingsReader(settings)
        let architecture = settings["architectures"]?.array?.first?.string ?? "ViTModel"
        if !["ViTModel", "ViTForImageClassification"].contains(architecture) {
            throw .architecture(found: architecture)
        }
        hiddenSize = try reader.size("hidden_size", limit: 1 << 15, usual: 768)
        layers = try reader.size("num_hidden_layers", limit: 256, usual: 12)
        heads = try reader.size("num_attention_heads", limit: 1 << 10, usual: 12)
        try reader.check(heads: heads, divide: hiddenSize, "num_attention_heads", "hidden_size")
        intermediateSize = try reader.size("intermediate_size", limit: 1 << 17, usual: 3072)
        imageSize = try VisionConfiguration.pair(reader, "image_size", limit: 1 << 14, usual: 224)
        patchSize = try VisionConfiguration.pair(reader, "patch_size", limit: 1 << 10, usual: 16)
        for axis in 0..<2 where patchSize[axis] > imageSize[axis] {
            throw reader.fault("patch_size", "is larger than image_size")
        }
        channels = try reader.size("num_channels", limit: 1 << 10, usual: 3)
        hasQueryBias = try reader.flag("qkv_bias", usual: true)
        epsilon = try reader.number("layer_norm_eps", above: 0, below: 1, usual: 1e-12)
        let activation = try reader.text("hidden_act", usual: "gelu")
        if activation != "gelu" { throw .unsupported("activation", found: activation) }
        if architecture == "ViTForImageClassification" {
            if let labels = reader["id2label"] {
                guard let count = labels.object?.members.count, count >= 1, count <= 1 << 20 else {
                    throw reader.fault("id2label", "does not name the classes")
                }
                classes = count
            } else {
                classes = try reader.size("num_labels", limit: 1 << 20, usual: 2)
            }
        } else {
            classes = nil
        }
    }

    private static func pair(
        _ reader: SettingsReader, _ key: String, limit: Int, usual: Int
    ) throws(ImportFault) -> [Int] {
        guard let entries = reader[key]?.array else {
            let size = try reader.size(key, limit: limit, usual: usual)
            return [size, size]
        }
        guard entries.count == 2, let height = entries[0].integer, let width = entries[1].integer,
            (1...limit).contains(height), (1...limit).contains(width)
        else { throw reader.fault(key, "is not a height and a width from 1 to \(limit)") }
        return [height, width]
    }
}
