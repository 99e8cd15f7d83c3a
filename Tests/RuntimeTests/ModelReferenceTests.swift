import Foundation
import Runtime
import Testing

/// Outputs held against a reference: what holds, what does not, and what is no reference.
@Suite struct ModelReferenceTests {
    private let folder: SmallEncoderFolder
    private let model: LocalModel

    init() throws {
        folder = try SmallEncoderFolder(seed: 5)
        model = try LocalModel(folder: folder.path)
        try folder.write("ids.npy", NumpyArray([4, 5, 6, 7, 8, 0] as [Int64], [2, 3]))
        try folder.write("mask.npy", NumpyArray([1, 1, 1, 1, 1, 0] as [Int64], [2, 3]))
        let arrays = try EncoderArrays(
            arguments: ["input_ids=\(folder.path)/ids.npy", "attention_mask=\(folder.path)/mask.npy"],
            configuration: model.imported.configuration)
        for output in try LocalRun(model, arrays, threads: 1).outputs {
            try folder.write(output.name + ".npy", output.array)
        }
    }

    private func check(outputs: String, inputs: String? = nil) throws -> [OutputComparison] {
        let inputs = inputs ?? #"{"input_ids":"ids.npy","attention_mask":"mask.npy"}"#
        return try check(text: #"{"inputs":\#(inputs),"outputs":\#(outputs)}"#)
    }

    private func check(text: String) throws -> [OutputComparison] {
        try folder.write("reference.json", text)
        return try ModelReference(path: folder.path + "/reference.json").check(model, threads: 2)
    }

    private func changed(_ name: String, _ change: (inout [Float]) -> Void) throws {
        let array = try NumpyFile.read(path: folder.path + "/" + name, limit: 1 << 20)
        var values = try #require(array.floats)
        change(&values)
        try folder.write("changed.npy", NumpyArray(values, shape: array.shape))
    }

    @Test func theOwnOutputsHoldAtZeroDifference() throws {
        let found = try check(
            outputs: #"{"sentence_embedding":{"file":"sentence_embedding.npy","relative":0,"absolute":0},"#
                + #""last_hidden_state":{"file":"./last_hidden_state.npy","absolute":0}}"#)
        #expect(found.map(\.name) == ["sentence_embedding", "last_hidden_state"])
        #expect(found.allSatisfy { $0.holds && $0.greatestAbsolute == 0 && $0.greatestRelative == 0 })
        #expect(found.allSatisfy { $0.leastCosine > 0.999999999 })
        // Two rows of 16; five tokens of 16, padding left out.
        #expect(found.map(\.elements) == [32, 80])
    }

    @Test func aDifferenceIsMeasuredAndJudgedByEachBound() throws {
        try changed("sentence_embedding.npy") { $0[3] += 0.25 }
        func one(_ bounds: String) throws -> OutputComparison {
            try #require(try check(outputs: #"{"sentence_embedding":{"file":"changed.npy",\#(bounds)}}"#).first)
        }
        let loose = try one(#""absolute":0.26"#)
        #expect(loose.holds && abs(loose.greatestAbsolute - 0.25) < 1e-6 && loose.elementsBeyond == 0)
        #expect(loose.leastCosine < 1)
        let tight = try one(#""absolute":0.24"#)
        #expect(!tight.holds && tight.elementsBeyond == 1)
        #expect(try !one(#""cosine":0.9999999"#).holds)
        #expect(try one(#""cosine":\#(loose.leastCosine - 1e-9)"#).holds)
        #expect(try one(#""relative":\#(loose.greatestRelative * 1.000001)"#).holds)
        #expect(try !one(#""relative":\#(loose.greatestRelative * 0.999)"#).holds)
        #expect(try !one(#""absolute":0.26,"cosine":0.9999999"#).holds)
    }

    @Test func paddingTakesNoPart() throws {
        // The last token of the second row is padding: another runtime leaves anything there.
        try changed("last_hidden_state.npy") { values in
            for place in values.count - 16..<values.count { values[place] = 7 }
        }
        let found = try check(outputs: #"{"last_hidden_state":{"file":"changed.npy","absolute":0}}"#)
        #expect(found.allSatisfy { $0.holds })
    }

    @Test(arguments: [
        ("{", "is not valid JSON"), ("", "is empty"), ("[]", "the file is not an object"),
        (#"{"inputs":{}}"#, "inputs names no file"), (#"{"outputs":{}}"#, "inputs is not an object"),
        (#"{"inputs":{"input_ids":"ids.npy"}}"#, "outputs is not an object"),
        (#"{"inputs":{"input_ids":"ids.npy"},"outputs":{}}"#, "outputs names no file"),
        (#"{"inputs":{"input_ids":"ids.npy"},"outputs":{},"seed":1}"#, "unknown member \"seed\""),
        (#"{"inputs":{"pixels":"ids.npy"},"outputs":{}}"#, "unknown member \"pixels\""),
        (#"{"inputs":{"input_ids":7},"outputs":{}}"#, "does not name a file"),
        (#"{"inputs":{"input_ids":"/etc/passwd"},"outputs":{}}"#, "does not name a file in the reference's folder"),
        (#"{"inputs":{"input_ids":"a/../../b"},"outputs":{}}"#, "does not name a file in the reference's folder"),
    ])
    func aMalformedReferenceIsRefused(text: String, words: String) throws {
        let fault = #expect(throws: RunFault.self) { _ = try check(text: text) }
        EncoderArraysTests.check(fault, words)
    }

    @Test(arguments: [
        (#"{"logits":{"file":"x.npy","absolute":0}}"#, "has no output \"logits\""),
        (#"{"sentence_embedding":{"file":"sentence_embedding.npy"}}"#, "has no bound"),
        (#"{"sentence_embedding":{"file":"sentence_embedding.npy","absolute":-1}}"#, "absolute of sentence_embedding"),
        (#"{"sentence_embedding":{"file":"sentence_embedding.npy","cosine":"1"}}"#, "cosine of sentence_embedding"),
        (#"{"sentence_embedding":{"file":"sentence_embedding.npy","relative":1e999}}"#, "relative of"),
        (#"{"sentence_embedding":{"absolute":0}}"#, "sentence_embedding does not name a file"),
        (#"{"sentence_embedding":{"file":"absent.npy","absolute":0}}"#, "absent.npy does not exist"),
        (
            #"{"sentence_embedding":{"file":"last_hidden_state.npy","absolute":0}}"#,
            "has the shape [2, 16], the reference"
        ),
        (#"{"sentence_embedding":{"file":"ids.npy","absolute":0}}"#, "holds <i8: save it as float32"),
        (#"{"sentence_embedding":{"file":"config.json","absolute":0}}"#, "is not a .npy file"),
    ])
    func aWrongOutputIsRefused(outputs: String, words: String) throws {
        let fault = #expect(throws: RunFault.self) { _ = try check(outputs: outputs) }
        EncoderArraysTests.check(fault, words)
    }

    @Test func aReferenceThatIsNotFiniteIsRefused() throws {
        for value in [Float.nan, .infinity] {
            try changed("sentence_embedding.npy") { $0[17] = value }
            let fault = #expect(throws: RunFault.self) {
                _ = try check(outputs: #"{"sentence_embedding":{"file":"changed.npy","cosine":0}}"#)
            }
            EncoderArraysTests.check(fault, "is not a finite number at element 17")
        }
        let missing = #expect(throws: RunFault.self) { _ = try ModelReference(path: "/nowhere/reference.json") }
        EncoderArraysTests.check(missing, "/nowhere/reference.json does not exist")
    }

    @Test func anOutputThatIsNotFiniteNeverHolds() throws {
        let output = try LocalRun.Output(
            name: "sentence_embedding", array: NumpyArray([.nan, 1], shape: [1, 2]), rows: [true])
        let expected = try NumpyArray([1, 1], shape: [1, 2])
        for bound in [OutputBound(absolute: 1e30), OutputBound(cosine: 0), OutputBound(relative: 1e30)] {
            let found = try OutputComparison(output, expected: expected, bound: bound)
            #expect(!found.holds && found.greatestAbsolute == .infinity && found.elementsBeyond == 1)
        }
    }
}
