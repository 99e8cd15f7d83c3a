internal import Consensus
internal import Foundation
internal import Ledger
internal import Primitives
internal import Replica

/// Makes proofs that a light client can check: a path in the state tree at some height, with a finalized header that names that tree's root.
///
/// The tree holds the newest state only, and headers name roots a block or more later. So a proof is taken now, and handed out once a
/// finalization of a header that names its root has been seen; where none comes in time, it is taken again.
actor ReceiptService {
    private let driver: ReplicaDriver
    /// The newest header with its own finalization for each root it names.
    private var attested: [Digest: (header: Header, certificate: Certificate)] = [:]
    private var order: [Digest] = []
    private var waiters: [UUID: CheckedContinuation<Void, Never>] = [:]

    static let kept = 256

    init(driver: ReplicaDriver) { self.driver = driver }

    func certified(_ header: Header, _ certificate: Certificate) {
        if attested[header.stateRoot] == nil {
            order.append(header.stateRoot)
            if order.count > ReceiptService.kept { attested[order.removeFirst()] = nil }
        }
        attested[header.stateRoot] = (header, certificate)
        let waking = waiters
        waiters.removeAll()
        for waiter in waking.values { waiter.resume() }
    }

    /// A checkable proof of the value at `key`, or nil where the state has none. Throws where the chain does not move within `timeout`.
    func evidence(for key: [UInt8], timeout: TimeInterval = 15) async throws -> ReceiptCheck.Evidence? {
        let deadline = Date().addingTimeInterval(timeout)
        while Date() < deadline {
            let taken = try await driver.access { replica in try replica.prove(key) }
            guard let taken else { return nil }
            // The chain names this state's root a block or two later; after a few more blocks it never will.
            let patience = Date().addingTimeInterval(6)
            while Date() < min(deadline, patience) {
                if let (header, certificate) = attested[taken.root] {
                    return ReceiptCheck.Evidence(
                        key: key, value: taken.value, proof: taken.proof, header: header, certificate: certificate)
                }
                let now = try await driver.access { $0.tree.finalizedHeader.executedHeight }
                if now > taken.height { break }
                await nextCertificate()
            }
        }
        throw NodeFault.cannotStart("no finalized header has named this state yet: try again in a few seconds")
    }

    private func nextCertificate() async {
        let id = UUID()
        Task {
            try? await Task.sleep(nanoseconds: 500_000_000)
            wake(id)
        }
        await withCheckedContinuation { waiters[id] = $0 }
    }

    private func wake(_ id: UUID) { waiters.removeValue(forKey: id)?.resume() }
}
