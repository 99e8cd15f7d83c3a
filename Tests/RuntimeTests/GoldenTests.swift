import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// What models gave when they were first written down, to the bit: the program's root and a digest over the roots of all outputs. Every processor, kernel and number of threads must
/// give the same. A change of a program or of the numerics shows here; where it is meant, PLASMA_GOLDENS=write makes the file anew.
@Suite struct GoldenTests {
    private static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures/goldens.txt").path
    private static var isWriting: Bool { ProcessInfo.processInfo.environment["PLASMA_GOLDENS"] == "write" }

    private struct Line: Equatable {
        let name: String
        let program: Digest
        let outputs: Digest

        var text: String { "\(program.hex) \(outputs.hex) \(name)" }
    }

    private static func line(_ name: String, _ program: Digest, _ outputs: [(name: String, bytes: [UInt8])]) -> Line {
        var all: [UInt8] = []
        for output in outputs { all += Digest.of(Domain("test.golden"), Array(output.name.utf8) + output.bytes).bytes }
        return Line(name: name, program: program, outputs: Digest.of(Domain("test.golden"), all))
    }

    /// Holds the lines of one kind against the file.
    private func check(_ kind: String, _ lines: [Line]) throws {
        let kept = (try? String(contentsOfFile: Self.path, encoding: .utf8)) ?? ""
        var known = kept.split(separator: "\n").map(String.init)
        let found = lines.map { $0.text.replacingOccurrences(of: $0.name, with: "\(kind): \($0.name)") }
        if Self.isWriting {
            known.removeAll { $0.contains(" \(kind): ") }
            try ((known + found).sorted { $0.dropFirst(130) < $1.dropFirst(130) }.joined(separator: "\n") + "\n")
                .write(toFile: Self.path, atomically: true, encoding: .utf8)
            return
        }
        #expect(Set(known.filter { $0.contains(" \(kind): ") }) == Set(found))
        #expect(!found.isEmpty)
    }

    private static func transformer(_ name: String, threads: Int, _ quantization: Quantization?) throws -> Line {
        let fixture = try TransformerFixture(name)
        let model = try fixture.model()
        let arrays: [(name: String, array: NumpyArray)]
        if name.hasPrefix("vit") {
            arrays = [("pixel_values", try NumpyArray(try fixture.floats("pixel_values"), shape: [2, 3, 12, 8]))]
        } else {
            arrays = try fixture.tokenArrays()
        }
        let run = try TransformerRun(
            model, TransformerArrays(arrays, kind: model.kind), threads: threads, quantization: quantization)
        var program = try model.program()
        if let quantization { program = try QuantizedProgram(program, quantization).program }
        return line(
            quantization.map { "\(name) \($0.rawValue)" } ?? name, program.root,
            run.outputs.map { ($0.name, $0.array.bytes) })
    }

    // One test: they write one file.
    @Test func modelsGiveTheBitsThatTheyAlwaysGave() throws {
        var lines: [Line] = []
        for (place, name) in (TransformerFixture.decoders + ["roberta", "vit", "vit-plain"]).enumerated() {
            for quantization in [nil, Quantization.w8a8, .fx15] {
                lines.append(try Self.transformer(name, threads: 1 + place % 3, quantization))
            }
        }
        try check("folder", lines)
        try check(
            "onnx",
            try ONNXModelTests.models().enumerated().map { place, item in
                let run = try GraphRun(
                    LocalGraph(try ONNXModel(item.model, name: item.name)), item.inputs, threads: 1 + place % 3)
                return Self.line(
                    item.name, run.program.program.root, run.outputs.map { ($0.name, $0.array.bytes) })
            })
        try check(
            "training",
            try [false, true].map { clip in
                let trainer = try TrainingTests.trainer(TrainingTests.settings(clip: clip), threads: clip ? 2 : 1)
                try trainer.run(steps: 20)
                return Self.line(
                    clip ? "cosine, clipped" : "constant rate", .zero,
                    trainer.state.enumerated().map { ("\($0.offset)", $0.element.root.bytes) })
            })
    }
}
