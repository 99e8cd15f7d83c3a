import API
import Foundation

/// The processes of a devnet, by their pid files. Only what was started from here is ever stopped.
struct DevnetProcesses {
    let layout: DevnetLayout

    private func pidFile(_ name: String) -> String { layout.home(name) + "/pid" }

    /// The node's process, if it lives and is a node of this home.
    func pid(_ name: String) -> Int32? {
        guard let text = try? String(contentsOfFile: pidFile(name), encoding: .utf8),
            let pid = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)),
            let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline"),
            String(decoding: line, as: UTF8.self).contains(layout.home(name))
        else { return nil }
        return pid
    }

    func start(_ name: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["start", "--home", layout.home(name)]
        let path = layout.home(name) + "/log.txt"
        if !FileManager.default.fileExists(atPath: path) {
            _ = FileManager.default.createFile(atPath: path, contents: nil)
        }
        guard let log = FileHandle(forWritingAtPath: path) else { throw Failure("the log \(path) cannot be written") }
        log.seekToEndOfFile()
        process.standardOutput = log
        process.standardError = log
        process.standardInput = FileHandle.nullDevice
        try process.run()
        try "\(process.processIdentifier)\n".write(toFile: pidFile(name), atomically: true, encoding: .utf8)
    }

    /// SIGTERM to one, SIGKILL if it is there after ten seconds.
    func stop(_ name: String) async {
        guard let own = pid(name) else { return }
        kill(own, SIGTERM)
        for _ in 0..<100 {
            if pid(name) == nil { return }
            try? await Task.sleep(nanoseconds: 100_000_000)
        }
        kill(own, SIGKILL)
    }

    /// SIGTERM to all, SIGKILL to who is left after ten seconds.
    func stop() async {
        let running = layout.names.compactMap { pid($0) }
        for pid in running { kill(pid, SIGTERM) }
        for _ in 0..<100 {
            if layout.names.allSatisfy({ pid($0) == nil }) { return }
            try? await Task.sleep(nanoseconds: 100_000_000)
        }
        for name in layout.names { if let pid = pid(name) { kill(pid, SIGKILL) } }
    }

    /// Starts every node, or the first `count`, and waits until all of them say that they are ready.
    func up(_ count: Int? = nil, timeout: TimeInterval = 30) async throws {
        if !layout.exists { try layout.create() }
        let indices = layout.names.indices.prefix(count ?? .max)
        for index in indices where pid(layout.names[index]) == nil { try start(layout.names[index]) }
        let deadline = Date().addingTimeInterval(timeout)
        for index in indices {
            let client = RPCClient(port: layout.rpcPort(index), timeoutSeconds: 2)
            while true {
                if let answer = try? await client.get("/ready"), answer.status == 200 { break }
                if pid(layout.names[index]) == nil {
                    throw Failure("\(layout.names[index]) has stopped: see \(layout.home(layout.names[index]))/log.txt")
                }
                if Date() > deadline { throw Failure("\(layout.names[index]) is not ready: see its log.txt") }
                try await Task.sleep(nanoseconds: 100_000_000)
            }
            await client.close()
        }
    }
}
