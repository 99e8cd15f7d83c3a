import Foundation
import Node
import Programs
import Runtime

/// What a training file asks to be trained: the small decoder on a text's bytes, or a folder's on its tokens.
struct TrainingSubject {
    let objective: any TrainingObjective
    /// The data set.
    let data: [Tensor]
    /// Places in the text, of which rows are taken.
    let count: Int
    /// What is read beside the weights.
    let frozen: [StoredParameter]
    /// The folder's training; nil for the small decoder.
    let folder: FolderTraining?
    private let small: GPTConfiguration
    private let seed: UInt64

    /// Reads what is trained and refuses what does not fit `memory` before anything is made for it.
    init(_ settings: TrainingFile, _ text: Data, memory: UInt64) throws {
        seed = UInt64(settings.seed)
        small = GPTConfiguration(
            vocabulary: settings.vocabulary, width: settings.width, layers: settings.layers, heads: settings.heads,
            context: settings.context)
        if let path = settings.model {
            guard let letters = String(data: text, encoding: .utf8) else {
                throw Failure("\(settings.text) is not UTF-8: a model's tokenizer reads letters.")
            }
            let training = try FolderTraining(
                folder: path, text: letters, settings.settings, context: settings.context,
                selection: WeightSelection(only: settings.trainOnly, frozen: settings.freeze))
            folder = training
            objective = training.objective
            data = training.data
            count = training.tokens.count
            frozen = training.frozen
        } else {
            folder = nil
            objective = ByteObjective(small, text: text.count)
            data = [Tensor(element: .u8, shape: [text.count], bytes: [UInt8](text))]
            count = text.count
            frozen = []
        }
        try objective.check(settings.settings, steps: settings.steps, memory: memory)
    }

    /// What the weights start from.
    func weights() -> [Tensor] { folder?.weights() ?? TrainingDraws.weights(small, seed: seed) }

    /// How many numbers are moved, and of how many.
    var parameterText: String {
        let moved = objective.weightCount
        let still = objective.frozen.reduce(0) { $0 + Int($1.type.count) }
        return folder == nil ? "\(moved) parameters" : "\(moved + still) parameters, \(moved) trained"
    }
}
