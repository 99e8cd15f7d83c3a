internal import Programs

/// A training's state in a safetensors file: weights under their names, moments under `m.` and `v.` and the name, the two powers and the step's number. What
/// reads safetensors reads the weights.
public enum Checkpoint {
    /// Writes the state, whole or not at all.
    public static func write(_ trainer: Trainer, to path: String) throws(TrainingFault) {
        try write(
            trainer.program.program.carried.enumerated().map { place, declaration in
                SafetensorsWriter.Entry(declaration) { body in try trainer.withState(place, body) }
            }, to: path)
    }

    /// Writes what a training in rounds goes on from: the weights, the outer momentum under `momentum.` and the name, and the round.
    public static func write(_ trainer: RoundTrainer, to path: String) throws(TrainingFault) {
        let names = trainer.aggregation.parameters.prefix(2 * trainer.weights.count).map(\.name)
        let round = Tensor([Int32(clamping: trainer.round)], shape: [])
        let tensors = zip(names, trainer.weights + trainer.momentum).map { ($0, $1) } + [("round", round)]
        try write(tensors.map { SafetensorsWriter.Entry($0, $1) }, to: path)
    }

    private static func write(_ tensors: [SafetensorsWriter.Entry], to path: String) throws(TrainingFault) {
        do throws(SafetensorsWriter.Fault) {
            try SafetensorsWriter.write(tensors, metadata: [("format", "plasma-training")], to: path)
        } catch { throw .checkpoint(path: path, "cannot be written") }
    }

    /// The state that a file holds, checked against the program that is to go on with it.
    public static func read(_ path: String, for program: TrainingProgram) throws(TrainingFault) -> [Tensor] {
        let file: SafetensorsFile
        do throws(SafetensorsFault) { file = try SafetensorsFile(path: path) } catch {
            throw .checkpoint(path: path, "cannot be read (\(error))")
        }
        return try tensors(of: file, as: program.program.carried, path)
    }

    /// Lets a training in rounds go on from a file, checked against its programs.
    public static func restore(_ trainer: RoundTrainer, from path: String, rounds: Int) throws(TrainingFault) {
        let file: SafetensorsFile
        do throws(SafetensorsFault) { file = try SafetensorsFile(path: path) } catch {
            throw .checkpoint(path: path, "cannot be read (\(error))")
        }
        let count = trainer.weights.count
        let declared =
            trainer.aggregation.parameters[..<(2 * count)]
            + [TensorDeclaration(name: "round", type: TensorType(.i32, []))]
        let found = try tensors(of: file, as: Array(declared), path)
        let round = found[2 * count].bytes.withUnsafeBytes { Int($0.loadUnaligned(as: Int32.self)) }
        if !(0...rounds).contains(round) {
            throw .checkpoint(path: path, "is at round \(round) of a training of \(rounds)")
        }
        trainer.resume(round: round, weights: Array(found[..<count]), momentum: Array(found[count..<2 * count]))
    }

    private static func tensors(
        of file: SafetensorsFile, as declared: [TensorDeclaration], _ path: String
    ) throws(TrainingFault) -> [Tensor] {
        var out: [Tensor] = []
        for declaration in declared {
            let wanted: SafetensorsType = declaration.type.element == .i32 ? .i32 : .f32
            guard let tensor = file[declaration.name], tensor.type == wanted,
                tensor.shape == declaration.type.dimensions
            else { throw .checkpoint(path: path, "has no \(declaration.name) of shape \(declaration.type.dimensions)") }
            out.append(
                Tensor(
                    element: declaration.type.element, shape: tensor.shape,
                    bytes: file.withBytes(of: tensor) { Array($0) }))
        }
        return out
    }
}
