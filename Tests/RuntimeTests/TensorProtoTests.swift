import Foundation
import Primitives
import Runtime
import Testing

/// ONNX TensorProto files as inputs. The bytes are what `onnx` writes for the arrays named.
@Suite struct TensorProtoTests {
    static func decode(_ bytes: [UInt8]) throws -> NumpyArray {
        try bytes.withUnsafeBytes { try TensorProtoFile.decode($0) }
    }

    /// numpy_helper.from_array(numpy.array([[5, 6]]), "a"): dims 1, 2; data_type 7; name; raw_data.
    static let raw: [UInt8] =
        [0x08, 1, 0x08, 2, 0x10, 7, 0x42, 1, 0x61, 0x4A, 16] + [5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]

    @Test func everyFormOfTheElementsIsRead() throws {
        let expected = try NumpyArray([5, 6] as [Int64], [1, 2])
        #expect(try Self.decode(Self.raw) == expected)
        // int64_data, packed and not, dims packed.
        #expect(try Self.decode([0x0A, 2, 1, 2, 0x10, 7, 0x3A, 2, 5, 6]) == expected)
        #expect(try Self.decode([0x38, 5, 0x38, 6, 0x10, 7, 0x0A, 2, 1, 2]) == expected)
        // int32_data: −1 is a varint of ten bytes.
        let minusOne = [UInt8](repeating: 0xFF, count: 9) + [1]
        #expect(
            try Self.decode([0x08, 2, 0x10, 6, 0x2A, 11, 7] + minusOne) == NumpyArray([7, -1] as [Int32], [2]))
        #expect(try Self.decode([0x08, 1, 0x10, 9, 0x28, 1]) == NumpyArray(type: .bool, shape: [1], bytes: [1]))
        // float_data: 1.5.
        #expect(try Self.decode([0x08, 1, 0x10, 1, 0x25, 0, 0, 0xC0, 0x3F]) == NumpyArray([1.5], shape: [1]))
    }

    @Test(
        arguments: [
            ([], "data type 0"), ([0x08], "not an ONNX TensorProto"), ([0x93, 0x4E, 0x55], "not an ONNX TensorProto"),
            ([0x08, 1, 0x10, 11, 0x4A, 0], "data type 11"),
            ([0x08, 2, 0x10, 7, 0x4A, 1, 0], "holds 1 bytes of data where its dims need 16"),
            ([0x08, 2, 0x10, 7, 0x38, 1], "holds 8 bytes of data where its dims need 16"),
            ([0x08, 2, 0x10, 7, 0x4A, 100, 0], "not an ONNX TensorProto"),
            ([0x08] + [UInt8](repeating: 0xFF, count: 9) + [1, 0x10, 7], "dims are not"),
            ([0x08] + [UInt8](repeating: 0xFF, count: 10) + [1], "not an ONNX TensorProto"),
            ([0x08, 0x80, 0x80, 0x80, 0x80, 0x10, 0x08, 0x80, 0x80, 0x80, 0x80, 0x10, 0x10, 7], "dims are not"),
            ([UInt8]((0..<33).flatMap { _ in [0x08, 1] }) + [0x10, 7], "dims are not"),
            ([0x08, 1, 0x10, 7, 0x70, 1], "in another file"), ([0x0B, 1], "not an ONNX TensorProto"),
            ([0x08, 1, 0x10, 9, 0x28, 2], "not an ONNX TensorProto"),
        ] as [([UInt8], String)])
    func aMalformedTensorIsRefused(bytes: [UInt8], words: String) {
        let fault = #expect(throws: TensorProtoFault.self) { _ = try Self.decode(bytes) }
        let sentence = fault.map { "\($0)" } ?? ""
        #expect(sentence.contains(words) && sentence.hasSuffix("."), "\(sentence)")
    }

    @Test func mutatedTensorsNeverTrap() throws {
        var random = SplitMix64(seed: 31)
        for _ in 0..<20_000 {
            if let array = try? Self.decode(Mutation.of(Self.raw, &random)) {
                #expect(array.bytes.count == array.shape.reduce(array.type.byteCount, *))
            }
        }
    }

    @Test func aProtoFileIsAnInput() throws {
        let folder = try SmallEncoderFolder(seed: 1)
        let configuration = try ModelImporter.importFolder(folder.path).configuration
        try folder.write("ids.pb", Self.raw)
        let arrays = try EncoderArrays(
            arguments: ["input_ids=\(folder.path)/ids.pb"], configuration: configuration)
        #expect(arrays.packed.inputs[0].values == [5, 6])
        try folder.write("bad.pb", "x")
        let fault = #expect(throws: RunFault.self) {
            _ = try EncoderArrays(arguments: ["input_ids=\(folder.path)/bad.pb"], configuration: configuration)
        }
        EncoderArraysTests.check(fault, "bad.pb: The file is not an ONNX TensorProto")
    }
}
