import Primitives
import Runtime
import Testing

@Suite struct NumpyTests {
    @Test func arraysOfEveryTypeComeBackAsTheyWere() throws {
        for type in NumpyType.allCases {
            for shape in [[], [0], [1], [3], [2, 3], [2, 0, 4], [1, 1, 1, 5]] {
                let count = shape.reduce(type.byteCount, *)
                let array = try NumpyArray(type: type, shape: shape, bytes: (0..<count).map { UInt8($0 & 1) })
                let file = NumpyFile.encode(array)
                #expect((file.count - count) % 64 == 0)
                #expect(try NumpyFile.decode(file) == array)
            }
        }
    }

    /// What numpy.save writes for `numpy.arange(3, dtype="<f4")`.
    @Test func theBytesAreThoseOfNumpy() throws {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"
        let padded = header + String(repeating: " ", count: 117 - header.utf8.count) + "\n"
        let expected =
            [0x93] + Array("NUMPY".utf8) + [1, 0, 118, 0] + Array(padded.utf8)
            + [0, 0, 0, 0, 0, 0, 0x80, 0x3F, 0, 0, 0, 0x40]
        #expect(NumpyFile.encode(try NumpyArray([0, 1, 2], shape: [3])) == expected)
        #expect(try NumpyFile.decode(expected).floats == [0, 1, 2])
    }

    @Test(arguments: [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", "<f8"),
        ("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", "Fortran"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "needs 8 bytes"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1), }", "shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", "shape"),
        ("{'descr': '<f4', 'fortran_order': False, }", "lacks"),
        ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "repeated"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", "after"),
        ("{'descr", "lacks"),
    ])
    func aMalformedHeaderIsRefusedWithASentence(header: String, expected: String) {
        let file =
            [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count), 0] + Array(header.utf8) + [0, 0, 0, 0]
        let fault = #expect(throws: NumpyFault.self) { try NumpyFile.decode(file) }
        let sentence = fault.map { "\($0)" } ?? ""
        #expect(expected == "needs 8 bytes" ? sentence.contains("needs 8") : sentence.contains(expected), "\(sentence)")
    }

    @Test func otherFilesAreRefused() {
        #expect(throws: NumpyFault.empty) { try NumpyFile.decode([]) }
        #expect(throws: NumpyFault.notNumpy) { try NumpyFile.decode(Array("PK12345678901234".utf8)) }
    }

    @Test func mutatedFilesNeverTrap() throws {
        var random = SplitMix64(seed: 17)
        let original = NumpyFile.encode(try NumpyArray([1, 2, 3, 4, 5, 6], shape: [2, 3]))
        for _ in 0..<20_000 {
            if let array = try? NumpyFile.decode(Mutation.of(original, &random)) {
                #expect(array.bytes.count == array.shape.reduce(array.type.byteCount, *))
            }
        }
    }
}
