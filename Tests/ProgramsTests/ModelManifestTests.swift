import Primitives
import Programs
import TestSupport
import Testing

@Suite struct ModelManifestTests {
    private func manifest(files: [String] = ["a", "b/c"], roots: Int = 3, name: String = "m") throws -> ModelManifest {
        try ModelManifest(
            name: name, programRoot: .zero, programFile: .zero, parameterRoots: Array(repeating: .zero, count: roots),
            files: files.map { try ModelManifest.File(name: $0, id: .zero, byteCount: 7) })
    }

    @Test func bytesComeBackAsTheyWereAndFilesAreOrdered() throws {
        let made = try manifest(files: ["z", "1_Pooling/config.json", "config.json"])
        #expect(made.files.map(\.name) == ["1_Pooling/config.json", "config.json", "z"])
        #expect(try ModelManifest(canonicalBytes: made.canonicalBytes) == made)
    }

    @Test(arguments: ["", "/a", "../a", "a/../b", "a//b", "a/", ".hidden", "a b", "é", "a\\b", "a\u{0}"])
    func namesThatCouldLeaveTheFolderAreRefused(name: String) {
        #expect(throws: DecodingFault.self) { try ModelManifest.File(name: name, id: .zero, byteCount: 0) }
    }

    @Test func everyBoundHoldsAndOneBeyondIsRefused() throws {
        _ = try manifest(roots: ModelManifest.parameterLimit)
        #expect(throws: DecodingFault.self) { try manifest(roots: ModelManifest.parameterLimit + 1) }
        _ = try manifest(files: (0..<ModelManifest.fileLimit).map { "f\($0)" })
        #expect(throws: DecodingFault.self) { try manifest(files: (0...ModelManifest.fileLimit).map { "f\($0)" }) }
        _ = try manifest(name: String(repeating: "n", count: ModelManifest.nameLimit))
        #expect(throws: DecodingFault.self) {
            try manifest(name: String(repeating: "n", count: ModelManifest.nameLimit + 1))
        }
        #expect(throws: DecodingFault.self) { try manifest(name: "") }
        #expect(throws: DecodingFault.self) { try manifest(files: ["a", "a"]) }
    }

    @Test func aManifestHasOneEncoding() throws {
        try WireForm([manifest(), manifest(files: [], roots: 0), manifest(files: ["x"], roots: 1)]).holds()
    }
}
