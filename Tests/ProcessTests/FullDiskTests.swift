import API
import Foundation
import Testing

/// A validator whose disk is full stops and says so, takes nothing back, and goes on once there is room.
@Suite(.serialized, .fewAtATime) struct FullDiskTests {
    @Test func aFullDiskStopsTheNodeAndRoomLetsItGoOn() async throws {
        let net = try TestDevnet()
        let data = net.home("validator-3") + "/data"
        var isMounted = false
        do { try await fill(net, data, &isMounted) } catch {
            await net.end()
            if isMounted { _ = try? await command("/bin/umount", data) }
            throw error
        }
        await net.end()
        if isMounted { #expect(try await command("/bin/umount", data) == 0) }
    }

    private func fill(_ net: TestDevnet, _ data: String, _ isMounted: inout Bool) async throws {
        try await net.up()
        try await net.stop("validator-3")
        // Its data goes to a small file system.
        let files = FileManager.default
        let aside = net.folder.path + "/aside"
        try files.moveItem(atPath: data, toPath: aside)
        try files.createDirectory(atPath: data, withIntermediateDirectories: true)
        let mounted = try await command("/bin/mount", "-t", "tmpfs", "-o", "size=64m", "plasma-test", data)
        if mounted != 0 {
            print("skipped: a file system cannot be mounted here (mount ended with \(mounted))")
            return
        }
        isMounted = true
        for name in try files.contentsOfDirectory(atPath: aside) {
            try files.copyItem(atPath: aside + "/" + name, toPath: data + "/" + name)
        }
        try await net.up()

        let record = net.folder.path + "/final"
        let load = try Plasma.start(
            ["bench", "load"] + (0..<3).map { "http://127.0.0.1:\(net.rpcPort($0))" } + [
                "--rate", "20", "--senders", "40", "--seconds", "600", "--record", record, "--home",
                net.directory + "/client",
            ], output: record + ".json", errors: record + ".errors")
        defer { if load.isRunning { kill(load.processIdentifier, SIGKILL) } }
        // More than once: a state that was flushed ahead of its blocks came about in some of the cases only.
        for _ in 0..<4 { try await fillOnce(net, data + "/ballast") }
        load.terminate()
        try await eventually("the load has ended") { !load.isRunning }
        for name in TestDevnet.names { try await net.stop(name) }
        let audit = try await Plasma.run(
            ["devnet", "audit"] + TestDevnet.names.map { net.home($0) } + ["--reported", record, "-o", "json"])
        #expect(audit.code == 0, "\(audit.output) \(audit.errors)")
    }

    private func fillOnce(_ net: TestDevnet, _ ballast: String) async throws {
        let files = FileManager.default
        #expect(files.createFile(atPath: ballast, contents: nil))
        let handle = try #require(FileHandle(forWritingAtPath: ballast))
        for size in [1 << 20, 1 << 12] {
            let piece = Data(repeating: 0, count: size)
            while (try? handle.write(contentsOf: piece)) != nil {}
        }
        try handle.close()
        // The network goes on; blocks alone fill what is left of it.
        try await eventually("validator-3 has stopped") { !net.isRunning("validator-3") }
        let log = try String(contentsOfFile: net.home("validator-3") + "/log.txt", encoding: .utf8)
        #expect(log.contains("storage failed, the node stops"), "\(log.suffix(2_000))")
        #expect(log.contains("no space left"), "\(log.suffix(2_000))")
        let height = try #require(try await net.call(0, "node.status")["height"]?.uint64)

        try files.removeItem(atPath: ballast)
        try await net.up()
        try await eventually("validator-3 has caught up") {
            try await net.call(3, "node.status")["height"]?.uint64 ?? 0 > height
        }
    }

    private func command(_ path: String, _ arguments: String...) async throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        while process.isRunning { try await Task.sleep(nanoseconds: 10_000_000) }
        return process.terminationStatus
    }
}
