import API
import Consensus
import Foundation
import Ledger
import Node
import Primitives
import Replica
import Storage

/// Holds the stored chains of stopped nodes against each other, against what was reported final, and against an execution of their own from
/// genesis. Reads the disks, asks no node.
struct ChainAudit {
    let genesis: Genesis
    let homes: [String]
    /// Transactions that some node reported final: id and height.
    let reported: [(id: Digest, height: UInt64)]

    static let maximumFindings = 20

    struct Result {
        var findings: [String] = []
        var tips: [(home: String, height: UInt64)] = []
        var blocks: UInt64 = 0
        var transactions = 0
        var totals: Totals?

        mutating func find(_ text: String) { if findings.count < ChainAudit.maximumFindings { findings.append(text) } }

        var isClean: Bool { findings.isEmpty }
    }

    /// Reads `unixMilliseconds id height` lines, as `plasma bench load` writes them.
    static func reports(from path: String) throws -> [(id: Digest, height: UInt64)] {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw Failure("\(path) cannot be read")
        }
        return try text.split(separator: "\n").map { line in
            let parts = line.split(separator: " ")
            guard parts.count == 3, let id = Digest(hex: String(parts[1])), let height = UInt64(parts[2]) else {
                throw Failure("\(path): \"\(line)\" is not a time, an id and a height")
            }
            return (id, height)
        }
    }

    func run() throws -> Result {
        var result = Result()
        let stores = try homes.map { home in
            (home: home, lock: try HomeLock(home: home), blocks: try BlockStore(directory: home + "/data/blocks"))
        }
        result.tips = stores.map { (home: $0.home, height: $0.blocks.finalizedTip?.value ?? 0) }
        guard let longest = stores.max(by: { $0.blocks.finalizedTip ?? 0 < $1.blocks.finalizedTip ?? 0 }) else {
            throw Failure("name at least one home")
        }
        let tip = longest.blocks.finalizedTip ?? 0
        result.blocks = tip.value

        // One chain, executed here.
        let state = MemoryStateStore()
        var roots: [Height: Digest] = [0: try genesis.initialize(state)]
        var parent = genesis.block.header.digest
        var places: [Digest: UInt64] = [:]
        var height: Height = 1
        while height <= tip {
            guard let stored = try longest.blocks.finalized(height) else {
                result.find("\(longest.home) lacks the block at height \(height)")
                return result
            }
            let block = try Block(canonicalBytes: stored.block)
            if block.digest != stored.digest || block.header.parent != parent || block.header.height != height {
                result.find("the block at height \(height) does not follow the one before it")
                return result
            }
            if roots[block.header.executedHeight] != block.header.stateRoot {
                result.find("the block at height \(height) names another state than its chain has")
            }
            for other in stores {
                let digest = other.blocks.finalizedDigest(height)
                if let digest, digest != stored.digest {
                    result.find("two blocks are final at height \(height): \(longest.home) and \(other.home) differ")
                }
                if digest == nil, height <= other.blocks.finalizedTip ?? 0 {
                    result.find("\(other.home) lacks the block at height \(height)")
                }
            }
            let executed = try Execution.apply(block, parameters: genesis.parameters, to: state)
            roots[height] = executed.stateRoot
            for transaction in block.transactions {
                result.transactions += 1
                if let first = places.updateValue(height.value, forKey: transaction.id) {
                    result.find("transaction \(transaction.id.hex) is at heights \(first) and \(height)")
                }
            }
            parent = stored.digest
            height = height.next()
        }

        for report in reported {
            guard let place = places[report.id] else {
                result.find("transaction \(report.id.hex) was reported final and is not in the chain")
                continue
            }
            if place != report.height {
                result.find("transaction \(report.id.hex) was reported at height \(report.height) and is at \(place)")
            }
        }
        let totals = try Query.totals(in: state)
        result.totals = totals
        if !totals.isConserved || totals.supply != Genesis.totalSupply {
            result.find("the supply is not conserved: \(totals)")
        }
        // What each node's own state says at its height.
        for other in stores {
            let own = try LMDBStore(directory: other.home + "/data/state")
            guard let at = own.height, let root = try Query.stateRoot(at: at, in: own) else {
                result.find("\(other.home) has no state")
                continue
            }
            if roots[at] != root { result.find("\(other.home) has another state at height \(at)") }
        }
        withExtendedLifetime(stores) {}
        return result
    }
}
