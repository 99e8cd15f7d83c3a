import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// Transformers of folders against Hugging Face's transformers, on tiny models with random weights.
@Suite struct TransformerTests {
    /// The rows of an output that are of tokens, one after another.
    static func kept(_ output: LocalRun.Output) throws -> [Float] {
        let values = try #require(output.array.floats)
        let width = values.count / output.rows.count
        return output.rows.indices.filter { output.rows[$0] }.flatMap { values[$0 * width..<($0 + 1) * width] }
    }

    static func run(_ fixture: TransformerFixture) throws -> TransformerRun {
        let model = try fixture.model()
        return try TransformerRun(
            model, TransformerArrays(try fixture.tokenArrays(), kind: model.kind), threads: 1)
    }

    @Test(arguments: TransformerFixture.decoders) func logitsEqualThoseOfTransformers(name: String) throws {
        let fixture = try TransformerFixture(name)
        let run = try Self.run(fixture)
        #expect(run.outputs.map(\.name) == ["logits"])
        let difference = relativeDifference(try Self.kept(run.outputs[0]), try fixture.floats("logits"))
        #expect(difference < 1e-5, "\(name): \(difference)")
    }

    @Test func hiddenStatesOfRobertaEqualThoseOfTransformers() throws {
        let fixture = try TransformerFixture("roberta")
        let run = try Self.run(fixture)
        let difference = relativeDifference(
            try Self.kept(run.outputs[0]), try fixture.floats("last_hidden_state"))
        #expect(difference < 1e-5, "\(difference)")
        // Zeros where padding was.
        let values = try #require(run.outputs[0].array.floats)
        let width = values.count / run.outputs[0].rows.count
        for (row, counts) in run.outputs[0].rows.enumerated() where !counts {
            #expect(values[row * width..<(row + 1) * width].allSatisfy { $0 == 0 })
        }
    }

    @Test(arguments: ["vit", "vit-plain"]) func visionTransformersEqualThoseOfTransformers(name: String) throws {
        let fixture = try TransformerFixture(name)
        let model = try fixture.model()
        let pixels = try NumpyArray(try fixture.floats("pixel_values"), shape: [2, 3, 12, 8])
        let run = try TransformerRun(
            model, TransformerArrays([("pixel_values", pixels)], kind: model.kind), threads: 1)
        #expect(run.outputs.map(\.name) == (name == "vit" ? ["last_hidden_state", "logits"] : ["last_hidden_state"]))
        for output in run.outputs {
            let difference = relativeDifference(try Self.kept(output), try fixture.floats(output.name))
            #expect(difference < 1e-5, "\(name) \(output.name): \(difference)")
        }
    }

    @Test(arguments: TransformerFixture.decoders + ["roberta", "vit"])
    func twoImportsGiveTheSameProgram(name: String) throws {
        let fixture = try TransformerFixture(name)
        let (first, second) = (try fixture.model(), try fixture.model())
        #expect(try first.program().root == second.program().root)
        for (a, b) in zip(first.parameters, second.parameters) {
            let rootA = a.withBytes { TensorRoot.of(a.element, a.shape.map { UInt64($0) }, $0) }
            let rootB = b.withBytes { TensorRoot.of(b.element, b.shape.map { UInt64($0) }, $0) }
            #expect(rootA == rootB)
        }
    }

    @Test func weightsKeepTheTypeOfTheirFile() throws {
        let llama3 = try TransformerFixture("llama3").model()
        #expect(llama3.parameters.filter { $0.name.hasSuffix("proj.weight") }.allSatisfy { $0.element == .bf16 })
        let mistral = try TransformerFixture("mistral").model()
        #expect(mistral.parameters.filter { $0.name.hasSuffix("proj.weight") }.allSatisfy { $0.element == .f16 })
        #expect(mistral.parameters.count { $0.element == .f32 } == 1)
        // Tied: the output layer is no parameter of its own.
        #expect(!llama3.parameters.contains { $0.name == "lm_head.weight" })
        #expect(mistral.parameters.contains { $0.name == "lm_head.weight" })
    }

    /// Rows of a batch are of no influence on one another, nor is what stands behind a token.
    @Test(arguments: TransformerFixture.decoders) func logitsOfATokenDependOnWhatIsBeforeItAlone(name: String) throws {
        let fixture = try TransformerFixture(name)
        let model = try fixture.model()
        let all = try #require(try Self.run(fixture).outputs[0].array.floats)
        let (ids, counts) = try fixture.rows()
        let width = all.count / (ids.count * ids[0].count)
        for (row, count) in counts.enumerated() {
            let alone = try TransformerRun(
                model,
                TransformerArrays(
                    [("input_ids", try NumpyArray(Array(ids[row].prefix(count)), [1, count]))], kind: model.kind),
                threads: 1)
            let start = row * ids[0].count * width
            let expected = all[start..<start + count * width].map(\.bitPattern)
            #expect(try #require(alone.outputs[0].array.floats).map(\.bitPattern) == expected, "\(name), row \(row)")
        }
    }
}
