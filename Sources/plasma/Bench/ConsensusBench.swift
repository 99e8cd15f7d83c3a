import API
import ArgumentParser
import Foundation
import Ledger
import Node
import Primitives
import Storage

/// Times the core on four validators of this machine. Every part makes its network anew and stops it.
struct ConsensusBench {
    enum Part: String, CaseIterable, ExpressibleByArgument {
        case transfers
        case ordering
        case finality
        case killed
        case catchUp = "catch-up"
        case history
        case execution
    }

    var layout: DevnetLayout
    let transfers: Int
    let seconds: Double
    let history: Int
    let accounts: Int

    static let finalityRate = 500.0
    static let killedRate = 300.0
    static let senders = 512

    private var processes: DevnetProcesses { DevnetProcesses(layout: layout) }

    func run(_ parts: [Part]) async throws -> JSONValue {
        if layout.names.contains(where: { processes.pid($0) != nil }) {
            throw Failure("a network runs in \(layout.directory): stop it (plasma devnet down) or name another folder")
        }
        var result: [String: JSONValue] = ["cores": JSONValue(ProcessInfo.processInfo.activeProcessorCount)]
        for part in parts {
            FileHandle.standardError.write(Data("Timing \(part.rawValue) …\n".utf8))
            do {
                result[part.rawValue] = try await time(part)
            } catch {
                await processes.stop()
                throw error
            }
            await processes.stop()
            try? FileManager.default.removeItem(atPath: layout.directory)
        }
        return .object(result)
    }

    private func time(_ part: Part) async throws -> JSONValue {
        switch part {
        case .transfers: try await throughput()
        case .ordering: try await ordering()
        case .finality: try await finality()
        case .killed: try await oneKilled()
        case .catchUp: try await catchUp()
        case .history: try await longHistory()
        case .execution:
            try ExecutionBench(accounts: accounts, transactions: 400_000, directory: layout.directory + "/state").run()
        }
    }

    private func network() async throws -> (alice: SecretKey, nodes: [NodeClient]) {
        try layout.create()
        try await processes.up(DevnetLayout.validators)
        return (try alice(), clients())
    }

    private func alice() throws -> SecretKey { try KeyStore(home: layout.home("client")).open("alice", password: "") }

    private func clients(timeout: Double = 120) -> [NodeClient] {
        (0..<DevnetLayout.validators).map { NodeClient(RPCClient(port: layout.rpcPort($0), timeoutSeconds: timeout)) }
    }

    private func close(_ nodes: [NodeClient]) async { for node in nodes { await node.close() } }

    private var throughputBench: NetworkBench { NetworkBench(layout: layout, modelFolder: "") }

    private func throughput() async throws -> JSONValue {
        let (alice, nodes) = try await network()
        let result = try await throughputBench.throughput(transfers, alice, nodes)
        await close(nodes)
        return result
    }

    /// Commands that are ordered and not executed, in a network whose genesis allows them.
    private func ordering() async throws -> JSONValue {
        var opaque = self
        opaque.layout.parameters.opaqueByteLimit = UInt64(OrderingLoad.commandsPerBatch * OrderingLoad.commandBytes)
        let (alice, nodes) = try await opaque.network()
        let load = try await OrderingLoad.prepared(
            batches: Int(seconds * 400), by: alice, on: nodes)
        let report = try await load.run()
        await close(nodes)
        return report
    }

    // MARK: Finality

    private func finality() async throws -> JSONValue {
        let (alice, nodes) = try await network()
        let load = try await TransferLoad.funded(ConsensusBench.senders, by: alice, on: nodes)
        // Not the first views after the start, nor the first connections.
        _ = await load.run(rate: ConsensusBench.finalityRate, seconds: 3)
        let report = await load.run(rate: ConsensusBench.finalityRate, seconds: seconds)
        await close(nodes)
        return report.json.adding(["rate": .number(ConsensusBench.finalityRate)])
    }

    /// The load runs before, at and after the kill, on the three that live.
    private func oneKilled() async throws -> JSONValue {
        let (alice, nodes) = try await network()
        let living = Array(nodes.dropLast())
        let load = try await TransferLoad.funded(ConsensusBench.senders, by: alice, on: living)
        let victim = layout.names[DevnetLayout.validators - 1]
        guard let pid = processes.pid(victim) else { throw Failure("\(victim) does not run") }
        let seconds = seconds
        _ = await load.run(rate: ConsensusBench.killedRate, seconds: 3)
        async let running = load.run(rate: ConsensusBench.killedRate, seconds: seconds * 2)
        try await Task.sleep(nanoseconds: 1_000_000_000)
        let killedAt = UInt64(Date().timeIntervalSince1970 * 1000)
        kill(pid, SIGKILL)
        let report = await running
        await close(nodes)
        return report.json.adding([
            "rate": .number(ConsensusBench.killedRate), "from5SecondsAfterTheKill": report.since(killedAt + 5_000).json,
        ])
    }

    // MARK: Catch-up

    /// One of four is away while blocks fill, and comes back.
    private func catchUp() async throws -> JSONValue {
        let (alice, nodes) = try await network()
        let late = DevnetLayout.validators - 1
        await processes.stop(layout.names[late])
        let began = try await status(nodes[0])
        let live = try await throughputBench.throughput(transfers, alice, Array(nodes.dropLast()))
        let target = try await status(nodes[0])
        try processes.start(layout.names[late])
        let started = ModelBench.now()
        var first: (at: Double, height: UInt64)?
        while true {
            if ModelBench.now() - started > 300 { throw Failure("the late node did not catch up within 300 s") }
            let found = try? await status(nodes[late])
            if let found, first == nil { first = (ModelBench.now(), found) }
            if let found, found >= target { break }
            try await Task.sleep(nanoseconds: 5_000_000)
        }
        let ended = ModelBench.now()
        await close(nodes)
        guard let first else { throw Failure("the late node never answered") }
        let blocks = Double(target - began)
        // From its first answer on, less what it had by then.
        let remaining = Double(target) - Double(first.height)
        let seconds = max(ended - first.at, 1e-3)
        let liveRate = live["perSecond"]?.double ?? 0
        let rate = Double(transfers) * (remaining / blocks) / seconds
        return [
            "blocks": .number(blocks), "transactions": JSONValue(transfers),
            "seconds": .number((seconds * 1000).rounded() / 1000),
            "secondsFromStart": .number(((ended - started) * 1000).rounded() / 1000),
            "blocksPerSecond": .number((remaining / seconds).rounded()), "perSecond": .number(rate.rounded()),
            "livePerSecond": .number(liveRate), "ratioToLive": .number((rate / max(liveRate, 1) * 100).rounded() / 100),
        ]
    }

    private func status(_ node: NodeClient) async throws -> UInt64 {
        try await node.call("node.status")["executedHeight"]?.uint64 ?? 0
    }

    // MARK: A long history

    private func longHistory() async throws -> JSONValue {
        // In the past, so that the history does not reach into the future: a block has a time of its own, at most a heartbeat from its parent's.
        let age = Double(history) * 1.1 + 60
        try layout.create(timestamp: Date().addingTimeInterval(-age))
        let making = ModelBench.now()
        try makeHistory()
        let made = ModelBench.now() - making
        let names = layout.names.prefix(DevnetLayout.validators)
        try await processes.up(DevnetLayout.validators, timeout: 300)
        // One is killed and comes back, while the others go on.
        let victim = DevnetLayout.validators - 1
        var restarts: [Double] = []
        let node = NodeClient(RPCClient(port: layout.rpcPort(victim), timeoutSeconds: 5))
        for _ in 0..<3 {
            guard let pid = processes.pid(layout.names[victim]) else { throw Failure("\(names[victim]) does not run") }
            kill(pid, SIGKILL)
            // Until the kernel has taken it apart: until then it holds its home.
            while FileManager.default.fileExists(atPath: "/proc/\(pid)") {
                try await Task.sleep(nanoseconds: 5_000_000)
            }
            let began = ModelBench.now()
            try processes.start(layout.names[victim])
            while true {
                if let answer = try? await node.rpc.get("/ready"), answer.status == 200 { break }
                if ModelBench.now() - began > 300 { throw Failure("the node was not ready within 300 s") }
                try await Task.sleep(nanoseconds: 5_000_000)
            }
            restarts.append(ModelBench.now() - began)
        }
        await node.close()
        let atStart = try memory(layout.names[victim])
        // Some life, so that what grows shows.
        let nodes = clients()
        let load = try await TransferLoad.funded(128, by: try alice(), on: nodes)
        let report = await load.run(rate: 200, seconds: 20)
        await close(nodes)
        let after = try memory(layout.names[victim])
        restarts.sort()
        let bytes = try FileManager.default.attributesOfItem(atPath: layout.home(names[victim]) + "/data/journal")
        return [
            "blocks": JSONValue(history), "makingSeconds": .number(made.rounded()),
            "restartSeconds": .number((restarts[1] * 1000).rounded() / 1000),
            "restarts": .array(restarts.map { .number(($0 * 1000).rounded() / 1000) }),
            "residentMiB": .number(atStart.resident), "anonymousMiB": .number(atStart.anonymous),
            "residentAfterLoadMiB": .number(after.resident), "anonymousAfterLoadMiB": .number(after.anonymous),
            "loadFinal": JSONValue(report.finals.count),
            "journalMiB": .number(
                ((bytes[.size] as? Double ?? Double(bytes[.size] as? Int ?? 0)) / 1_048_576).rounded()),
        ]
    }

    /// In a function of its own, so that the stores are closed before the nodes open them.
    private func makeHistory() throws {
        let genesis = try GenesisFile.load(layout.directory + "/genesis.toml")
        let maker = try History(layout: layout, genesis: genesis, payer: try alice())
        try maker.make(blocks: history) { height in
            FileHandle.standardError.write(Data("  \(height) blocks\n".utf8))
        }
    }

    /// MiB: all that is resident (LMDB's pages among it, which the kernel takes back at need), and what is the process's own.
    private func memory(_ name: String) throws -> (resident: Double, anonymous: Double) {
        guard let pid = processes.pid(name), let data = FileManager.default.contents(atPath: "/proc/\(pid)/status")
        else {
            throw Failure("\(name) does not run")
        }
        func value(_ field: String) -> Double {
            for line in String(decoding: data, as: UTF8.self).split(separator: "\n") where line.hasPrefix(field) {
                return (Double(line.split(whereSeparator: \.isWhitespace)[1]) ?? 0) / 1024
            }
            return 0
        }
        return (value("VmRSS:").rounded(), value("RssAnon:").rounded())
    }
}

extension JSONValue {
    fileprivate func adding(_ more: [String: JSONValue]) -> JSONValue {
        .object((object ?? [:]).merging(more) { _, new in new })
    }
}
