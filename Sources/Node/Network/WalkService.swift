internal import Foundation
internal import Ledger
internal import Networking
internal import Primitives
internal import Worker

/// Carries the asks of walks that challengers and providers take alone: out to a provider's node, and in to the provider here.
final class WalkService: PeerAccess, @unchecked Sendable {
    private let network: NetworkService
    private let lock = NSLock()
    // Guarded by `lock`.
    private var worker: WorkerService?
    private var waiting: [PeerID: Int] = [:]

    static let timeout = Interval.seconds(5)
    /// Asks that are looked at together, of one peer and of all: each costs a look at the state and some signatures.
    static let maximumOfPeer = 4
    static let maximumWaiting = 16

    init(network: NetworkService) { self.network = network }

    func attach(_ worker: WorkerService) { lock.withLock { self.worker = worker } }

    func ask(_ ask: WalkAsk, of node: PublicKey) async -> WalkAnswer? {
        guard
            let bytes = try? await network.request(
                ask.canonicalBytes, on: .disputes, to: node, timeout: WalkService.timeout)
        else { return nil }
        return try? WalkAnswer(canonicalBytes: bytes)
    }

    /// A peer asks. Called on an event loop.
    func answer(_ bytes: [UInt8], from peer: PeerID, reply: @escaping @Sendable ([UInt8]?) -> Void) {
        guard let worker = begin(peer) else { return reply(nil) }
        Task {
            var answer: WalkAnswer?
            if let ask = try? WalkAsk(canonicalBytes: bytes) {
                answer = await worker.asked(ask)
            } else {
                network.penalize(peer, reason: "sent a question about a result that cannot be read")
            }
            reply(answer?.canonicalBytes)
            end(peer)
        }
    }

    /// The provider here, where there is room for one more ask.
    private func begin(_ peer: PeerID) -> WorkerService? {
        lock.withLock {
            guard let worker, waiting[peer, default: 0] < WalkService.maximumOfPeer,
                waiting.values.reduce(0, +) < WalkService.maximumWaiting
            else { return nil }
            waiting[peer, default: 0] += 1
            return worker
        }
    }

    private func end(_ peer: PeerID) {
        lock.withLock {
            let left = waiting[peer, default: 1] - 1
            waiting[peer] = left > 0 ? left : nil
        }
    }
}
