internal import Foundation
internal import Programs

/// A training's state in a safetensors file: weights under their names, moments under `m.` and `v.` and the name, the two powers and the step's number. What reads
/// safetensors reads the weights.
public enum Checkpoint {
    /// Names in the order of the state.
    private static func names(_ program: TrainingProgram) -> [String] { program.program.carried.map(\.name) }

    /// Writes the state, whole or not at all.
    public static func write(_ trainer: Trainer, to path: String) throws(TrainingFault) {
        var header = "{\"__metadata__\":{\"format\":\"plasma-training\"}"
        var offset = 0
        var bytes: [UInt8] = []
        for (name, tensor) in zip(names(trainer.program), trainer.state) {
            let type = tensor.element == .i32 ? "I32" : "F32"
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            // Names are the project's own: letters, digits, points and underscores.
            header +=
                ",\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(offset + tensor.bytes.count)]}"
            offset += tensor.bytes.count
        }
        header += "}"
        header += String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
        withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { bytes += $0 }
        bytes += header.utf8
        bytes.reserveCapacity(bytes.count + offset)
        for tensor in trainer.state { bytes += tensor.bytes }
        do { try Data(bytes).write(to: URL(fileURLWithPath: path), options: .atomic) } catch {
            throw .checkpoint(path: path, "cannot be written")
        }
    }

    /// The state that a file holds, checked against the program that is to go on with it.
    public static func read(_ path: String, for program: TrainingProgram) throws(TrainingFault) -> [Tensor] {
        let file: SafetensorsFile
        do throws(SafetensorsFault) { file = try SafetensorsFile(path: path) } catch {
            throw .checkpoint(path: path, "cannot be read (\(error))")
        }
        var state: [Tensor] = []
        for declaration in program.program.carried {
            let wanted: SafetensorsType = declaration.type.element == .i32 ? .i32 : .f32
            guard let tensor = file[declaration.name], tensor.type == wanted,
                tensor.shape == declaration.type.dimensions
            else { throw .checkpoint(path: path, "has no \(declaration.name) of shape \(declaration.type.dimensions)") }
            state.append(
                Tensor(
                    element: declaration.type.element, shape: tensor.shape,
                    bytes: file.withBytes(of: tensor) { Array($0) }))
        }
        return state
    }
}
