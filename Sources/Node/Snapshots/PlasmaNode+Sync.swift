internal import Foundation
internal import Gossip
internal import Ledger
public import Logging
internal import Networking
public import Primitives
internal import Replica
internal import Storage

/// How a home without blocks gets its chain.
public enum SyncMode: String, Sendable, CaseIterable {
    /// From a state that peers offer, proven from the genesis.
    case snapshot
    /// By executing every block there ever was.
    case full
}

extension PlasmaNode {
    /// Fetches and installs a snapshot where the home has no blocks yet. Comes before the home is opened; a home with blocks is left alone.
    ///
    /// Where no mode is given, a node that finds no snapshot goes on without; a validator of the genesis does not look for one, since without it
    /// there might be no chain.
    public static func synchronize(
        configuration: NodeConfiguration, password: String, mode: SyncMode?, checkpoint: Digest? = nil, logger: Logger
    ) async throws {
        if mode == .full { return }
        let home = configuration.home
        let lock = try HomeLock(home: home)
        defer { withExtendedLifetime(lock) {} }
        let genesis = try GenesisFile.load(configuration.genesisPath)
        let data = home + "/data"
        try Folder.make(data)
        try checkNetwork(genesis, data: data)
        try SnapshotInstall.finish(data)
        guard try SnapshotInstall.isFresh(data) else {
            if mode == .snapshot { logger.notice("the home has blocks already: it goes on from them") }
            return
        }
        let keys = try KeyStore(home: home)
        let identity = try keys.open("node", password: password)
        let consensusKey = configuration.validator ? try keys.open("consensus", password: password).publicKey : nil
        let saved = savedPeers(data)
        if mode == nil {
            if let consensusKey, genesis.validators.contains(where: { $0.consensusKey == consensusKey }) { return }
            if configuration.bootstrap.isEmpty && saved.isEmpty { return }
        }
        let folder = data + "/snapshot-download"
        do {
            let download = try SnapshotDownload(
                genesis: genesis, folder: folder, checkpoint: checkpoint, logger: logger)
            let result = try await download.run(
                NetworkConfiguration(
                    identity: identity, network: genesis.digest, roles: .follower,
                    listenHost: configuration.listenHost, externalHost: configuration.externalHost, port: 0,
                    bootstrap: configuration.bootstrap, savedRecords: saved))
            try SnapshotInstall.install(result, chunks: folder, consensusKey: consensusKey, data: data)
            logger.notice("snapshot: installed the state after height \(result.manifest.height)")
            let age = UInt64(max(0, Date().timeIntervalSince1970 * 1000)).subtractingReportingOverflow(
                genesis.timestamp.milliseconds)
            if checkpoint == nil, !age.overflow, age.partialValue > genesis.parameters.unbondingMilliseconds {
                logger.warning(
                    "the genesis is older than the time in which stake can be taken out. Compare the digest of epoch \(result.record.epoch), \(result.record.digest.hex), with others', and give it with --checkpoint"
                )
            }
        } catch let failure as SnapshotFetch.Failure {
            switch failure {
            case .noPeers, .noOffers:
                if mode == nil {
                    try Folder.remove(folder)
                    logger.info("no snapshot is offered: executing the blocks from the first on")
                    return
                }
            case .checkpoint, .stalled, .genesis: break
            }
            throw NodeFault.cannotStart("\(failure)")
        }
    }
}
