import Foundation
import Testing

/// What a program can check of the architecture, a test checks.
@Suite struct TidyTests {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Each module and the project's modules that it may import: only what stands on a lower storey (docs/architecture.md).
    static let storeys: [String: Set<String>] = [
        "Primitives": ["CSodium", "CDigest"],
        "Programs": ["Primitives"],
        "Runtime": ["Primitives", "Programs", "CKernels"],
        "Ledger": ["Primitives", "Programs", "Consensus"],
        "Consensus": ["Primitives"],
        "Gossip": ["Primitives"],
        "Replica": ["Primitives", "Ledger", "Consensus", "Gossip"],
        "Storage": ["Primitives", "Ledger", "Consensus", "Replica", "CLMDB", "CLZ4"],
        "Networking": ["Primitives", "Gossip", "COpenSSL", "CLZ4"],
        "Worker": ["Primitives", "Programs", "Runtime", "Ledger", "Storage"],
        "API": ["Primitives"],
        "Simulation": ["Primitives", "Programs", "Runtime", "Consensus", "Ledger", "Replica", "Gossip", "Worker"],
        "Node": [
            "Primitives", "Programs", "Runtime", "Ledger", "Consensus", "Gossip", "Replica", "Storage", "Networking",
            "API",
            "Worker",
        ],
        "plasma": [
            "Primitives", "Programs", "Runtime", "Ledger", "Consensus", "Gossip", "Replica", "Storage", "Networking",
            "API",
            "Worker", "Node", "Simulation",
        ],
    ]

    /// Modules in which nothing touches the world.
    static let pure: Set<String> = ["Primitives", "Programs", "Ledger", "Consensus", "Gossip", "Replica", "Simulation"]

    static func sources(_ folder: String) -> [(path: String, text: String)] {
        let base = root.appendingPathComponent(folder)
        let walker = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil)
        var found: [(String, String)] = []
        while let url = walker?.nextObject() as? URL {
            guard ["swift", "c", "h", "sh", "py"].contains(url.pathExtension) else { continue }
            guard let text = try? String(contentsOf: url, encoding: .utf8) else { continue }
            found.append((String(url.path.dropFirst(base.path.count + 1)), text))
        }
        return found.sorted { $0.0 < $1.0 }
    }

    static func imports(of text: String) -> [String] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard let position = words.firstIndex(of: "import"), position <= 2, position + 1 < words.count else {
                return nil
            }
            let modifiers: Set<Substring> = [
                "public", "package", "internal", "private", "fileprivate", "@preconcurrency",
            ]
            guard words[..<position].allSatisfy({ modifiers.contains($0) }) else { return nil }
            return String(words[position + 1].split(separator: ".")[0])
        }
    }

    @Test func everySourceFileBelongsToAListedModule() {
        let files = Self.sources("Sources")
        #expect(files.count > 50)
        let system: Set<String> = ["CSodium", "COpenSSL", "CLZ4", "CLMDB", "CKernels", "CDigest"]
        for file in files {
            let module = String(file.path.split(separator: "/")[0])
            #expect(Self.storeys[module] != nil || system.contains(module), "\(file.path) has no owner")
        }
    }

    @Test func importsPointDownward() {
        let ours = Set(Self.storeys.keys).union(["CSodium", "COpenSSL", "CLZ4", "CLMDB", "CKernels", "CDigest"])
        for file in Self.sources("Sources") where file.path.hasSuffix(".swift") {
            let module = String(file.path.split(separator: "/")[0])
            guard let allowed = Self.storeys[module] else { continue }
            for name in Self.imports(of: file.text) where ours.contains(name) {
                #expect(allowed.contains(name), "\(file.path) imports \(name), which does not stand below \(module)")
            }
        }
    }

    @Test func machinesTouchNothing() {
        let forbidden: Set<String> = [
            "Foundation", "Dispatch", "Glibc", "NIOCore", "NIOPosix", "Logging", "Synchronization",
        ]
        for file in Self.sources("Sources") where file.path.hasSuffix(".swift") {
            guard Self.pure.contains(String(file.path.split(separator: "/")[0])) else { continue }
            for name in Self.imports(of: file.text) {
                #expect(!forbidden.contains(name), "\(file.path) imports \(name)")
            }
        }
    }

    /// What validators judge by is computed in integers: a program's elements too (docs/numerics.md).
    @Test func programsDoNoFloatingPoint() {
        let types: Set<Substring> = ["Float", "Double", "Float16", "Float32", "Float64", "Float80", "CGFloat"]
        let files = Self.sources("Sources/Programs").filter { $0.path.hasSuffix(".swift") }
        #expect(files.count > 20)
        for file in files {
            for line in file.text.split(separator: "\n") {
                let code = line.split(separator: "//", maxSplits: 1, omittingEmptySubsequences: false)[0]
                let words = code.split { !$0.isLetter && !$0.isNumber && $0 != "_" && $0 != "." }
                for word in words {
                    #expect(!types.contains(word), "\(file.path): \(line)")
                    let parts = word.split(separator: ".", omittingEmptySubsequences: false)
                    let isDecimal = parts.count == 2 && parts.allSatisfy { !$0.isEmpty && $0.allSatisfy(\.isNumber) }
                    // A number that goes on behind a point, outside the texts for people.
                    #expect(!isDecimal || line.contains("\""), "\(file.path): \(line)")
                }
            }
        }
    }

    @Test func noUnfinishedMarksAreLeft() {
        let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK:"]
        for folder in ["Sources", "Tests", "scripts"] {
            for file in Self.sources(folder) {
                // A script's mktemp pattern is no mark.
                for mark in marks where folder != "scripts" || mark != marks[2] {
                    #expect(!file.text.contains(mark), "\(folder)/\(file.path) has a \(mark)")
                }
            }
        }
    }

    @Test func nothingForcesWhatCouldFail() {
        for file in Self.sources("Sources") where file.path.hasSuffix(".swift") {
            #expect(!file.text.contains("try" + "! "), "\(file.path)")
            #expect(!file.text.contains(" as" + "! "), "\(file.path)")
        }
    }

    @Test func noTestUsesTestableImports() {
        for file in Self.sources("Tests") {
            #expect(!file.text.contains("@test" + "able"), "\(file.path): CI runs the release build")
        }
    }
}
