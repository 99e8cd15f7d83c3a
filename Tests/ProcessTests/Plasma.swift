import API
import Foundation

/// The built program, run as a user runs it.
enum Plasma {
    struct Outcome {
        let code: Int32
        let output: String
        let errors: String

        var json: JSONValue? { try? JSONValue(parsing: Array(output.utf8)) }
    }

    struct Missing: Error, CustomStringConvertible { let description: String }

    /// Beside the tests' own bundle.
    static func binary() throws -> URL {
        let own = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        var folder = own.deletingLastPathComponent()
        for _ in 0..<4 {
            let candidate = folder.appendingPathComponent("plasma")
            if FileManager.default.isExecutableFile(atPath: candidate.path) { return candidate }
            folder.deleteLastPathComponent()
        }
        throw Missing(description: "plasma is not built beside \(own.path): run swift build -c release")
    }

    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    static var modelFolder: String { root + "/.cache/all-MiniLM-L6-v2" }

    /// Runs to the end. What is printed goes through files, so that no pipe can fill up.
    @discardableResult
    static func run(
        _ arguments: [String], environment: [String: String] = [:], timeout: TimeInterval = 180
    ) async throws -> Outcome {
        let folder = try TemporaryFolder()
        let process = try start(
            arguments, environment: environment, output: folder.path + "/out", errors: folder.path + "/err")
        let deadline = Date().addingTimeInterval(timeout)
        while process.isRunning {
            if Date() > deadline {
                kill(process.processIdentifier, SIGKILL)
                throw Missing(description: "plasma \(arguments.joined(separator: " ")) did not end in \(timeout) s")
            }
            try await Task.sleep(nanoseconds: 20_000_000)
        }
        func text(_ name: String) -> String {
            (try? String(contentsOfFile: folder.path + "/" + name, encoding: .utf8)) ?? ""
        }
        return Outcome(code: process.terminationStatus, output: text("out"), errors: text("err"))
    }

    static func start(
        _ arguments: [String], environment: [String: String] = [:], output: String, errors: String
    ) throws -> Process {
        let process = Process()
        process.executableURL = try binary()
        process.arguments = arguments
        var all = ProcessInfo.processInfo.environment
        for name in ["PLASMA_HOME", "PLASMA_RPC", "PLASMA_PASSWORD"] { all[name] = nil }
        process.environment = all.merging(environment) { _, new in new }
        for path in [output, errors] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle(forWritingAtPath: errors)
        process.standardInput = FileHandle.nullDevice
        try process.run()
        return process
    }
}

/// A folder that goes with its owner.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "plasma-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ text: String, to name: String) throws -> String {
        let target = path + "/" + name
        try text.write(toFile: target, atomically: true, encoding: .utf8)
        return target
    }
}

/// Waits for what must come, however slow the machine.
func eventually(
    _ what: String, within seconds: TimeInterval = 120, _ condition: () async throws -> Bool
) async throws {
    let deadline = Date().addingTimeInterval(seconds)
    while true {
        if (try? await condition()) == true { return }
        if Date() > deadline { throw Plasma.Missing(description: "after \(Int(seconds)) s still not: \(what)") }
        try await Task.sleep(nanoseconds: 100_000_000)
    }
}
