import Foundation
import Runtime

/// Models with inputs and the outputs that another runtime gave, many in one safetensors file: `CASE/model` holds the file's bytes, `CASE/input/NAME` and
/// `CASE/output/NAME` the arrays; the metadata of a case says how far outputs may be: "relative absolute".
struct ONNXCases {
    struct Case {
        let name: String
        let model: [UInt8]
        let inputs: [String: NumpyArray]
        let outputs: [(name: String, array: NumpyArray)]
        let relative: Double
        let absolute: Double
    }

    let cases: [Case]

    init(path: String) throws {
        let file = try SafetensorsFile(path: path)
        func array(_ tensor: SafetensorsFile.Tensor) throws -> NumpyArray {
            let types: [SafetensorsType: NumpyType] = [
                .f32: .f32, .f16: .f16, .i32: .i32, .i64: .i64, .i8: .i8, .u8: .u8, .bool: .bool,
            ]
            guard let type = types[tensor.type] else { throw NumpyFault.unsupportedType(tensor.type.rawValue) }
            return try NumpyArray(
                type: type, shape: tensor.shape, bytes: file.withBytes(of: tensor) { Array($0) })
        }
        var cases: [Case] = []
        for (name, bounds) in file.metadata.sorted(by: { $0.name < $1.name }) {
            guard let model = file["\(name)/model"] else { continue }
            var inputs: [String: NumpyArray] = [:]
            var outputs: [(String, NumpyArray)] = []
            for tensor in file.tensors {
                if tensor.name.hasPrefix("\(name)/input/") {
                    inputs[String(tensor.name.dropFirst(name.count + 7))] = try array(tensor)
                } else if tensor.name.hasPrefix("\(name)/output/") {
                    outputs.append((String(tensor.name.dropFirst(name.count + 8)), try array(tensor)))
                }
            }
            let numbers = bounds.split(separator: " ").compactMap { Double($0) }
            cases.append(
                Case(
                    name: name, model: file.withBytes(of: model) { Array($0) }, inputs: inputs, outputs: outputs,
                    relative: numbers[0], absolute: numbers[1]))
        }
        self.cases = cases
    }

    static func fixture(_ name: String) throws -> ONNXCases {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "Fixtures/onnx/\(name)")
        return try ONNXCases(path: url.path)
    }
}

extension ONNXCases.Case {
    /// Runs the case; nil where all outputs are within the bounds, else what is wrong.
    func problem() -> String? {
        let run: GraphRun
        do {
            run = try GraphRun(LocalGraph(try ONNXModel(model, name: name)), inputs, threads: 1)
        } catch { return "\(error)" }
        for (name, expected) in outputs {
            guard let found = run.outputs.first(where: { $0.name == name })?.array else { return "no output \(name)" }
            if found.type != expected.type || found.shape != expected.shape {
                return "\(name) is \(found.type) \(found.shape), expected \(expected.type) \(expected.shape)"
            }
            let (a, b) = (found.numbers, expected.numbers)
            for (place, (x, y)) in zip(a, b).enumerated() {
                if x == y || (x.isNaN && y.isNaN) { continue }
                if !(abs(x - y) <= absolute + relative * abs(y)) {
                    return "\(name) is \(x) at \(place), expected \(y)"
                }
            }
        }
        return nil
    }
}

extension NumpyArray {
    /// The elements as doubles, exactly but for large i64.
    var numbers: [Double] {
        if let integers { return integers.map { Double($0) } }
        if let floats { return floats.map { Double($0) } }
        return bytes.withUnsafeBytes { raw in
            (0..<raw.count / 2).map {
                let bits = raw.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)
                return Double(Float(bitPattern: HalfPrecision.widened(bits)))
            }
        }
    }
}
