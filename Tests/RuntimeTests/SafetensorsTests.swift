import Foundation
import Primitives
import Runtime
import Testing

@Suite struct SafetensorsTests {
    private func file(_ header: String, data: Int) -> [UInt8] {
        let count = UInt64(header.utf8.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + Array(header.utf8)
            + (0..<data).map { UInt8(truncatingIfNeeded: $0) }
    }

    private func read(_ bytes: [UInt8]) throws -> SafetensorsHeader {
        try bytes.withUnsafeBytes { try SafetensorsHeader($0) }
    }

    private let good =
        #"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#
        + #""b":{"dtype":"BF16","shape":[1,3],"data_offsets":[8,14]},"e":{"dtype":"I64","shape":[0],"data_offsets":[14,14]}}"#

    @Test func tensorsAreFoundWhereTheyLie() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("a.safetensors").path
        try Data(file(good, data: 14)).write(to: URL(fileURLWithPath: path))
        let opened = try SafetensorsFile(path: path)
        #expect(opened.tensors.map(\.name) == ["a", "b", "e"])
        let b = try #require(opened["b"])
        #expect(b.type == .bf16 && b.shape == [1, 3] && b.elementCount == 3)
        #expect(opened.withBytes(of: b) { Array($0) } == [8, 9, 10, 11, 12, 13])
        #expect(opened.metadata.first?.value == "pt")
    }

    @Test func everyTruncationIsRefused() {
        let bytes = file(good, data: 14)
        for count in 0..<bytes.count {
            #expect(throws: SafetensorsFault.self) { try read(Array(bytes[..<count])) }
        }
        #expect(throws: SafetensorsFault.trailing(1)) { try read(bytes + [0]) }
    }

    @Test func theHeaderIsBoundedAtItsLimitAndRefusedOneBeyond() {
        func claiming(_ count: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } }
        let limit = UInt64(SafetensorsFile.headerLimit)
        #expect(throws: SafetensorsFault.truncated(needed: Int(limit) + 8, found: 8)) { try read(claiming(limit)) }
        #expect(throws: SafetensorsFault.headerTooLong(limit + 1, limit: Int(limit))) { try read(claiming(limit + 1)) }
        #expect(throws: SafetensorsFault.headerTooLong(.max, limit: Int(limit))) { try read(claiming(.max)) }
    }

    @Test(arguments: [
        (
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
            12, "overlaps"
        ),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8, "hole"),
        (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, "has 4 bytes where its dtype and shape need 8"),
        (#"{"a":{"dtype":"F9","shape":[1],"data_offsets":[0,4]}}"#, 4, "unknown dtype F9"),
        (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, "not a size"),
        (#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#, 4, "too large"),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4, "not a range"),
        (#"{"a":{"dtype":"F32","shape":[1]}}"#, 4, "exactly"),
        (#"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#, 4, "not a size"),
        (#"{"a":1,"a":2}"#, 0, "twice"),
        ("[]", 0, "an object was expected"),
        ("", 0, "is empty"),
        (#"{"__metadata__":{"a":1}}"#, 0, "not a string"),
    ])
    func aMalformedHeaderIsRefusedWithASentence(header: String, data: Int, expected: String) {
        let fault = #expect(throws: SafetensorsFault.self) { try read(file(header, data: data)) }
        let sentence = fault.map { "\($0)" } ?? ""
        #expect(sentence.contains(expected), "\(sentence)")
        #expect(sentence.hasSuffix("."))
    }

    @Test func mutatedFilesNeverTrapAndNeverReachOutside() {
        var random = SplitMix64(seed: 13)
        let original = file(good, data: 14)
        for _ in 0..<20_000 {
            let bytes = Mutation.of(original, &random)
            if let header = try? read(bytes) {
                for tensor in header.tensors { #expect(header.dataStart + tensor.range.upperBound <= bytes.count) }
            }
        }
    }
}
