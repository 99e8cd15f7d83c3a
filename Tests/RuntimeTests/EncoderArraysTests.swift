import Foundation
import Primitives
import Runtime
import Testing

/// What a padded batch may be, and the one sentence that each wrong one gets.
@Suite struct EncoderArraysTests {
    let configuration: BertConfiguration

    init() throws {
        let folder = try SmallEncoderFolder(seed: 1)
        configuration = try ModelImporter.importFolder(folder.path).configuration
        withExtendedLifetime(folder) {}
    }

    private func expectFault(_ words: String, _ arrays: [(name: String, array: NumpyArray)]) {
        let fault = #expect(throws: RunFault.self) { _ = try EncoderArrays(arrays, configuration: configuration) }
        Self.check(fault, words)
    }

    static func check(_ fault: RunFault?, _ words: String) {
        let sentence = fault.map { "\($0)" } ?? ""
        #expect(sentence.contains(words), "\(sentence)")
        #expect(sentence.hasSuffix("."), "\(sentence)")
        #expect(!sentence.contains("\n"))
    }

    @Test func paddingIsTakenOffAndSegmentsGoWithTheirTokens() throws {
        let arrays = try EncoderArrays(
            [
                ("input_ids", NumpyArray([5, 6, 7, 8, 0, 0] as [Int64], [2, 3])),
                ("attention_mask", NumpyArray([1, 1, 1, 1, 0, 0] as [Int32], [2, 3])),
                ("token_type_ids", NumpyArray([0, 1, 1, 1, 0, 0] as [Int64], [2, 3])),
            ], configuration: configuration)
        #expect(arrays.counts == [3, 1] && arrays.batch == 2 && arrays.length == 3 && arrays.hasSegments)
        #expect(arrays.packed.axes.map(\.value) == [4, 2, 3])
        #expect(arrays.packed.inputs.first { $0.name == "ids" }?.values == [5, 6, 7, 8])
        #expect(arrays.packed.inputs.first { $0.name == "segments" }?.values == [0, 1, 1, 1])
    }

    @Test func withoutAMaskEveryPlaceIsAToken() throws {
        let ids = try NumpyArray([5, 6, 7, 0] as [Int32], [2, 2])
        let arrays = try EncoderArrays([("input_ids", ids)], configuration: configuration)
        #expect(arrays.counts == [2, 2] && !arrays.hasSegments && arrays.packed.inputs.count == 5)
    }

    @Test func theBoundsAreTheModels() throws {
        let longest = try NumpyArray([Int64](repeating: 19, count: 12), [1, 12])
        #expect(try EncoderArrays([("input_ids", longest)], configuration: configuration).length == 12)
        expectFault(
            "have 13 tokens, the model takes at most 12",
            [("input_ids", try NumpyArray([Int64](repeating: 1, count: 13), [1, 13]))])
        expectFault("holds 20 at row 1, column 0", [("input_ids", try NumpyArray([1, 2, 20, 3] as [Int64], [2, 2]))])
        expectFault("holds -1 at row 0, column 1", [("input_ids", try NumpyArray([1, -1] as [Int32], [1, 2]))])
        expectFault("it must lie from 0 to 19", [("input_ids", try NumpyArray([Int64.max] as [Int64], [1, 1]))])
        expectFault("it must lie from 0 to 19", [("input_ids", try NumpyArray([Int64.min] as [Int64], [1, 1]))])
        expectFault(
            "more than the 1048576 of one run",
            [("input_ids", try NumpyArray([Int32](repeating: 1, count: 1_048_577), [1_048_577, 1]))])
    }

    @Test func namesTypesAndShapesAreChecked() throws {
        let ids = try NumpyArray([5, 6, 7, 8] as [Int64], [2, 2])
        func mask(_ values: [Int64]) throws -> NumpyArray { try NumpyArray(values, [2, 2]) }
        expectFault("input_ids is missing", [])
        expectFault("input_ids is missing", [("attention_mask", ids)])
        expectFault("has no input \"position_ids\"", [("input_ids", ids), ("position_ids", ids)])
        expectFault("given twice", [("input_ids", ids), ("input_ids", ids)])
        expectFault("holds <f4", [("input_ids", try NumpyArray([1, 2], shape: [1, 2]))])
        expectFault("holds |u1", [("input_ids", try NumpyArray(type: .u8, shape: [1, 1], bytes: [1]))])
        expectFault("has the shape [4]", [("input_ids", try NumpyArray([1, 2, 3, 4] as [Int64], [4]))])
        expectFault("has the shape [0, 4]", [("input_ids", try NumpyArray([] as [Int64], [0, 4]))])
        expectFault("has the shape [4, 0]", [("input_ids", try NumpyArray([] as [Int64], [4, 0]))])
        expectFault("has the shape []", [("input_ids", try NumpyArray([1] as [Int64], []))])
        expectFault(
            "attention_mask has the shape [1, 4] where input_ids has [2, 2]",
            [("input_ids", ids), ("attention_mask", try NumpyArray([1, 1, 1, 1] as [Int64], [1, 4]))])
        expectFault(
            "token_type_ids has the shape [2]",
            [("input_ids", ids), ("token_type_ids", try NumpyArray([0, 0] as [Int64], [2]))])
        expectFault("token_type_ids holds 2", [("input_ids", ids), ("token_type_ids", try mask([0, 1, 2, 0]))])
        expectFault("attention_mask holds 2", [("input_ids", ids), ("attention_mask", try mask([1, 1, 1, 2]))])
        expectFault(
            "Row 1 of attention_mask has a 1 after", [("input_ids", ids), ("attention_mask", try mask([1, 1, 0, 1]))])
        expectFault(
            "Row 0 of attention_mask has no 1", [("input_ids", ids), ("attention_mask", try mask([0, 0, 1, 0]))])
    }

    @Test func argumentsNameFiles() throws {
        let folder = try SmallEncoderFolder(seed: 1)
        func fault(_ arguments: [String]) -> RunFault? {
            #expect(throws: RunFault.self) { _ = try EncoderArrays(arguments: arguments, configuration: configuration) }
        }
        for text in ["ids.npy", "input_ids", "input_ids=", "=ids.npy", ""] {
            Self.check(fault([text]), "does not name an input")
        }
        Self.check(fault(["input_ids=/nowhere/ids.npy"]), "/nowhere/ids.npy does not exist")
        Self.check(fault(["input_ids=\(folder.path)"]), "not a regular file")
        // An unknown name is refused before any file is opened.
        Self.check(fault(["input_ids=/nowhere/ids.npy", "pixels=/nowhere/p.npy"]), "has no input \"pixels\"")
        try folder.write("a=b.npy", NumpyArray([4, 5] as [Int64], [1, 2]))
        let arrays = try EncoderArrays(
            arguments: ["input_ids=\(folder.path)/a=b.npy"], configuration: configuration)
        #expect(arrays.packed.tokens == 2)
    }

    @Test(arguments: [
        ("", "is empty"), ("PK345678901", "is not a .npy file"),
        ("{'descr': '<i8', 'fortran_order': True, 'shape': (1, 2), }", "Fortran order"),
        ("{'descr': '>i8', 'fortran_order': False, 'shape': (1, 2), }", "holds >i8"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }", "holds <f8"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1, 2), }", "holds |O"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1), }", "where its shape needs 8"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 3), }", "where its shape needs 24"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (1099511627776, 1048575), }", "where its shape needs"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", "shape is not a list"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (-1, 2), }", "shape is not a list"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (99999999999999999999, 2), }", "shape is not a list"),
    ])
    func malformedFilesAreRefused(header: String, words: String) throws {
        let folder = try SmallEncoderFolder(seed: 1)
        var bytes = Array(header.utf8)
        if header.hasPrefix("{") {
            bytes = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count), 0] + bytes
            bytes += [UInt8](repeating: 0, count: 16)
        }
        try folder.write("ids.npy", bytes)
        let fault = #expect(throws: RunFault.self) {
            _ = try EncoderArrays(arguments: ["input_ids=\(folder.path)/ids.npy"], configuration: configuration)
        }
        Self.check(fault, words)
        Self.check(fault, "ids.npy: ")
    }

    @Test(arguments: [7, 9, 11, 40, 100]) func truncatedFilesAreRefused(count: Int) throws {
        let folder = try SmallEncoderFolder(seed: 1)
        let whole = NumpyFile.encode(try NumpyArray([4, 5] as [Int64], [1, 2]))
        try folder.write("ids.npy", Array(whole.prefix(count)))
        let fault = #expect(throws: RunFault.self) {
            _ = try EncoderArrays(arguments: ["input_ids=\(folder.path)/ids.npy"], configuration: configuration)
        }
        Self.check(fault, "ids.npy: ")
    }

    @Test func aFileBeyondTheLimitIsNotRead() throws {
        let folder = try SmallEncoderFolder(seed: 1)
        let file = NumpyFile.encode(try NumpyArray([4, 5] as [Int64], [1, 2]))
        try folder.write("ids.npy", file)
        let path = folder.path + "/ids.npy"
        #expect(try NumpyFile.read(path: path, limit: file.count).shape == [1, 2])
        #expect(throws: NumpyFileFault.file(.tooLarge(path, bytes: file.count, limit: file.count - 1))) {
            _ = try NumpyFile.read(path: path, limit: file.count - 1)
        }
    }

    @Test func mutatedFilesNeverTrap() throws {
        var random = SplitMix64(seed: 23)
        let original = NumpyFile.encode(try NumpyArray([4, 5, 6, 7, 1, 2] as [Int64], [2, 3]))
        var taken = 0
        for _ in 0..<20_000 {
            guard let array = try? NumpyFile.decode(Mutation.of(original, &random)) else { continue }
            guard let arrays = try? EncoderArrays([("input_ids", array)], configuration: configuration) else {
                continue
            }
            taken += 1
            #expect(arrays.packed.tokens == arrays.batch * arrays.length)
        }
        #expect(taken > 0)
    }
}
