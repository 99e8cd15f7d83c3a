import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// Models run on this machine, against an independent evaluation and against the network's program.
@Suite struct LocalRunTests {
    /// A padded batch from a seed, with or without segments.
    private static func batch(
        _ seed: UInt64, rows: Int, segments: Bool, _ model: LocalModel
    ) throws -> EncoderArrays {
        var random = SplitMix64(seed: seed)
        let length = SmallEncoderFolder.positions
        var (ids, mask, types): ([Int64], [Int64], [Int64]) = ([], [], [])
        for _ in 0..<rows {
            let count = Int(random.next() % UInt64(length)) + 1
            for place in 0..<length {
                ids.append(place < count ? Int64(random.next() % UInt64(SmallEncoderFolder.vocabulary)) : 0)
                mask.append(place < count ? 1 : 0)
                types.append(place < count ? Int64(random.next() % 2) : 0)
            }
        }
        let shape = [rows, length]
        var arrays: [(name: String, array: NumpyArray)] = [
            ("input_ids", try NumpyArray(ids, shape)), ("attention_mask", try NumpyArray(mask, shape)),
        ]
        if segments { arrays.append(("token_type_ids", try NumpyArray(types, shape))) }
        return try EncoderArrays(arrays, configuration: model.imported.configuration)
    }

    @Test(arguments: 0..<4, [false, true])
    func theOutputsAreThoseOfAnIndependentEvaluation(seed: UInt64, segments: Bool) throws {
        let folder = try SmallEncoderFolder(seed: seed)
        let model = try LocalModel(folder: folder.path)
        let arrays = try Self.batch(seed, rows: 5, segments: segments, model)
        let run = try LocalRun(model, arrays, threads: 2)
        var eager = EagerEncoder(model.imported, arrays.packed)
        let expected = model.imported.buildWithTokens(into: &eager, takesSegments: segments)
        let hidden = SmallEncoderFolder.hidden
        #expect(run.outputs.map(\.name) == LocalRun.outputNames)
        #expect(run.outputs[0].array.shape == [5, 12, hidden] && run.outputs[1].array.shape == [5, hidden])
        // The eager tokens are packed: padding is put between them, as the output has it.
        var padded: [Float] = []
        var next = 0
        for count in arrays.counts {
            padded += expected.tokens.floats[next..<next + count * hidden]
            padded += [Float](repeating: 0, count: (12 - count) * hidden)
            next += count * hidden
        }
        for (output, values) in zip(run.outputs, [padded, expected.embeddings.floats]) {
            let found = try #require(output.array.floats)
            #expect(found.count == values.count)
            let worst = zip(found, values).map { abs($0 - $1) }.max() ?? .infinity
            #expect(worst < 2e-5, "seed \(seed), \(output.name): \(worst)")
        }
        // Padding is zero to the bit.
        let tokens = try #require(run.outputs[0].array.floats)
        for (row, counts) in run.outputs[0].rows.enumerated() where !counts {
            #expect(tokens[row * hidden..<(row + 1) * hidden].allSatisfy { $0.bitPattern == 0 })
        }
    }

    @Test(arguments: 0..<3) func theBitsDoNotDependOnThreadsOrOnTheBatch(seed: UInt64) throws {
        let folder = try SmallEncoderFolder(seed: seed)
        let model = try LocalModel(folder: folder.path)
        let arrays = try Self.batch(seed, rows: 70, segments: true, model)
        let first = try LocalRun(model, arrays, threads: 1).outputs.map(\.array)
        for threads in [2, 3, 4, 7, 16, 64] {
            let found = try LocalRun(model, arrays, threads: threads).outputs.map(\.array)
            #expect(found == first, "seed \(seed), \(threads) threads")
        }
        // A row alone, without its padding, gives the bits that it gave among the others.
        let ids = arrays.packed.inputs[0].values
        let segments = try #require(arrays.packed.inputs.first { $0.name == "segments" }).values
        var start = 0
        for (row, count) in arrays.counts.enumerated().prefix(10) {
            let alone = try EncoderArrays(
                [
                    ("input_ids", NumpyArray(Array(ids[start..<start + count]), [1, count])),
                    ("token_type_ids", NumpyArray(Array(segments[start..<start + count]), [1, count])),
                ], configuration: model.imported.configuration)
            let found = try LocalRun(model, alone, threads: 3).outputs.map(\.array.bytes)
            let width = SmallEncoderFolder.hidden * 4
            let tokens = row * 12 * width
            #expect(found[0] == Array(first[0].bytes[tokens..<tokens + count * width]))
            #expect(found[1] == Array(first[1].bytes[row * width..<(row + 1) * width]))
            start += count
        }
    }

    @Test func theEmbeddingsHaveTheBitsOfTheNetworksProgram() throws {
        let folder = try SmallEncoderFolder(seed: 9)
        let model = try LocalModel(folder: folder.path)
        let arrays = try Self.batch(9, rows: 6, segments: false, model)
        let fixed = try model.program.specialise(arrays.packed.axes.map { ($0.name, UInt64($0.value)) })
        let weights = model.imported.parameters.map { parameter in
            parameter.withBytes { Tensor(Array($0.bindMemory(to: Float.self)), shape: parameter.shape) }
        }
        let inputs = arrays.packed.inputs.map { Tensor($0.values, shape: $0.shape) }
        let expected = try ExecutorTests.withPointers(weights) { weights in
            try ExecutorTests.withPointers(inputs) { inputs in
                try ReferenceExecutor(fixed).run(parameters: weights, inputs: inputs)
            }
        }
        let run = try LocalRun(model, arrays, threads: 2)
        #expect(run.outputs[1].array.bytes == expected.outputs[0][0].bytes)
        #expect(try run.computeUnits == fixed.cost())
        #expect(run.peakMemory > UInt64(model.parameterCount * 4))
        // Segments that are all 0 are what a model without them has.
        var given = arrays.packed.inputs[0].values
        let zeros = [Int32](repeating: 0, count: arrays.batch * arrays.length)
        var ids = zeros
        var mask = zeros
        for (row, count) in arrays.counts.enumerated() {
            for place in 0..<count {
                ids[row * arrays.length + place] = given.removeFirst()
                mask[row * arrays.length + place] = 1
            }
        }
        let shape = [arrays.batch, arrays.length]
        let same = try EncoderArrays(
            [
                ("token_type_ids", NumpyArray(zeros, shape)), ("attention_mask", NumpyArray(mask, shape)),
                ("input_ids", NumpyArray(ids, shape)),
            ], configuration: model.imported.configuration)
        #expect(same.hasSegments)
        #expect(try LocalRun(model, same, threads: 1).outputs.map(\.array) == run.outputs.map(\.array))
    }

    @Test func aRunThatDoesNotFitIsRefusedWithTheNumbers() throws {
        let folder = try SmallEncoderFolder(seed: 2)
        let model = try LocalModel(folder: folder.path)
        let arrays = try Self.batch(2, rows: 3, segments: false, model)
        let needed = try LocalRun(model, arrays, threads: 2).peakMemory
        #expect(try LocalRun(model, arrays, threads: 2, memory: needed).peakMemory == needed)
        #expect(throws: RunFault.memory(needed: needed, available: needed - 1)) {
            _ = try LocalRun(model, arrays, threads: 2, memory: needed - 1)
        }
    }

    @Test func aFolderThatIsNoModelIsRefused() throws {
        let fault = #expect(throws: RunFault.self) { _ = try LocalModel(folder: "/nowhere/model") }
        EncoderArraysTests.check(fault, "/nowhere/model does not exist")
    }

    @Test func aSummaryCountsWhatTheProgramHolds() throws {
        let folder = try SmallEncoderFolder(seed: 3)
        let model = try LocalModel(folder: folder.path)
        let summary = try ModelSummary(model, batch: 3, length: 4, threads: 1)
        let operations = model.program.scans.flatMap(\.operations)
        #expect(summary.operations.map(\.kind) == ["map", "reduce", "contract", "gather", "sort"])
        #expect(summary.operations.map(\.count).reduce(0, +) == operations.count)
        // Six linear layers and two products of attention in each of two layers.
        #expect(summary.operations[2].count == 16 && summary.operations[4].count == 0)
        #expect(summary.program == model.program.root)
        #expect(summary.parameterCount == 20 * 16 + 12 * 16 + 2 * 16 + 32 + 2 * (4 * 272 + 544 + 528 + 64))
        #expect(summary.inputs.map(\.name) == ["ids", "positions", "slots", "lengths", "places"])
        #expect(summary.inputs.map(\.shape) == [[12], [12], [3, 4], [3], [12]])
        #expect(summary.output.name == "sentence_embedding" && summary.output.shape == [3, 16])
        #expect(try ModelSummary(model, batch: 1, length: 12, threads: 1).computeUnits.weightedOperations > 0)
        // Each of the twelve linear layers has three products more.
        let halves = try ModelSummary(model, batch: 3, length: 4, threads: 1, quantization: .fx15)
        #expect(halves.operations[2].count == 16 + 3 * 12 && halves.parameterCount == summary.parameterCount)
        #expect(
            halves.program == (try QuantizedProgram(model.program, .fx15).program.root)
                && halves.program != summary.program)
        #expect(halves.computeUnits > summary.computeUnits)
        #expect(throws: RunFault.tooLong(length: 13, limit: 12)) {
            _ = try ModelSummary(model, batch: 1, length: 13, threads: 1)
        }
        #expect(throws: RunFault.inputRank("input_ids", shape: [0, 1])) {
            _ = try ModelSummary(model, batch: 0, length: 1, threads: 1)
        }
        #expect(throws: RunFault.tooManyRows(.max, limit: EncoderInputs.sentenceLimit)) {
            _ = try ModelSummary(model, batch: .max, length: 1, threads: 1)
        }
    }

    /// The last layer's tokens are an output of the local run only: what the network runs and pays for stays what it was.
    @Test(.enabled(if: TestModel.isWanted)) func aRealModelKeepsItsDigestAndGivesPyTorchsEmbeddings() throws {
        guard TestModel.isPresent else { throw TestModel.Absent() }
        let model = try LocalModel(folder: TestModel.folder)
        #expect(model.program.root.hex == "68a6bc679f142a68d064f8f85b308ed43d66f394d5492e6595fcecd026abf076")
        let items = try Fixtures.json("minilm-reference.json")["items"]?.array ?? []
        let lists = try items.map { item in try #require(item["input_ids"]?.array).map { Int64($0.integer ?? -1) } }
        let length = try #require(lists.map(\.count).max())
        let shape = [lists.count, length]
        let arrays = try EncoderArrays(
            [
                (
                    "input_ids",
                    NumpyArray(lists.flatMap { $0 + [Int64](repeating: 0, count: length - $0.count) }, shape)
                ),
                (
                    "attention_mask",
                    NumpyArray(
                        lists.flatMap { list in (0..<length).map { Int64($0 < list.count ? 1 : 0) } }, shape)
                ),
            ], configuration: model.imported.configuration)
        let run = try LocalRun(model, arrays, threads: 2)
        #expect(try LocalRun(model, arrays, threads: 1).outputs.map(\.array) == run.outputs.map(\.array))
        let expected = items.flatMap { ($0["embedding"]?.array ?? []).map { Float($0.double ?? .nan) } }
        let comparison = try OutputComparison(
            run.outputs[1], expected: try NumpyArray(expected, shape: [lists.count, 384]),
            bound: OutputBound(relative: 1e-4, absolute: 2e-6, cosine: 0.999999))
        #expect(comparison.holds, "\(comparison)")
    }
}
