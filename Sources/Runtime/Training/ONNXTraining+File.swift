internal import Foundation
internal import Programs

/// The file at the end: a copy of the first one, and of the files of weights that it names, with the trained elements in their places.
extension ONNXTraining {
    public func path(in folder: String) -> String { "\(folder)/\(model.name).onnx" }

    public func write(_ trainer: Trainer, to path: String) throws(TrainingFault) {
        var moved: [Tensor] = []
        for (place, weight) in trained.enumerated() {
            moved.append(
                Tensor(element: .f32, shape: weight.tensor.shape, bytes: trainer.withState(place) { Array($0) }))
        }
        try write(moved, to: path)
    }

    /// Writes the folder anew. Whoever is killed meanwhile finds the folder of before under its name, or under that and `.old`.
    public func write(_ weights: [Tensor], to path: String) throws(TrainingFault) {
        guard let folder = model.folder else { throw .folder(path: path, "gets no model that lies in no file") }
        let (part, old) = (path + ".part", path + ".old")
        do {
            let manager = FileManager.default
            try? manager.removeItem(atPath: part)
            try manager.createDirectory(atPath: part, withIntermediateDirectories: true)
            let moved = Array(zip(trained.map(\.place), weights))
            try ONNXTraining.write(
                Data(model.bytes), to: self.path(in: part), with: moved.filter { $0.0.location == nil })
            let locations = model.file.graph.initializers.filter(\.isExternal).compactMap { $0.external["location"] }
            for location in Set(locations).sorted() {
                let copy = "\(part)/\(location)"
                try manager.createDirectory(
                    at: URL(fileURLWithPath: copy).deletingLastPathComponent(), withIntermediateDirectories: true)
                // Read, and not copied as it is: a link would lead to the first file, which stays as it was.
                let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(location)"), options: .alwaysMapped)
                try ONNXTraining.write(bytes, to: copy, with: moved.filter { $0.0.location == location })
            }
            try? manager.removeItem(atPath: old)
            if manager.fileExists(atPath: path) { try manager.moveItem(atPath: path, toPath: old) }
            try manager.moveItem(atPath: part, toPath: path)
            try? manager.removeItem(atPath: old)
        } catch { throw .folder(path: path, "cannot be written") }
    }

    private static func write(
        _ bytes: Data, to path: String, with moved: [(place: StoredPlace, tensor: Tensor)]
    ) throws {
        let url = URL(fileURLWithPath: path)
        try bytes.write(to: url)
        let handle = try FileHandle(forUpdating: url)
        defer { try? handle.close() }
        for (place, tensor) in moved {
            try handle.seek(toOffset: UInt64(place.offset))
            try handle.write(contentsOf: tensor.bytes)
        }
        try handle.synchronize()
    }

    /// Refuses a weight that shares bytes with another tensor: the file has one place for what a training makes two of.
    static func checkPlaces(_ stored: [StoredWeight], trained: Set<String>) throws(TrainingFault) {
        let inOrder = stored.sorted {
            ($0.place.location ?? "", $0.place.offset) < ($1.place.location ?? "", $1.place.offset)
        }
        // The one that reaches furthest of those that begin before.
        var before: StoredWeight?
        for weight in inOrder {
            let place = weight.place
            if let other = before, other.place.location == place.location {
                let end = other.place.offset + other.place.count
                if place.offset < end, trained.contains(weight.name) || trained.contains(other.name) {
                    throw .setting(
                        "the weight \(weight.name)",
                        "lies in the same bytes of the file as \(other.name): save the model with each tensor for itself, or freeze both"
                    )
                }
                if end >= place.offset + place.count { continue }
            }
            before = weight
        }
    }
}
