import Ledger
import Primitives
import Testing

/// A network with a job whose provider may say that its inputs cannot be had, and what witnesses say to that.
struct InputsNet: WitnessedNet {
    let net: TestNet
    let id: Digest
    let provider: SecretKey

    /// Of a job at 1 XPL, and what of it is a witness's.
    static let deposit = Amount(baseUnits: 100_000_000)
    static let fee = Amount(baseUnits: 5_000_000)

    init(_ net: TestNet, _ spec: JobSpec? = nil) throws {
        self.net = net
        id = try net.submit(spec ?? net.spec(queue: 60_000))
        try net.step()
        provider = try net.executor(id)
    }

    init(_ spec: ((TestNet) -> JobSpec)? = nil) throws {
        let net = try TestNet()
        try net.openMarket()
        try self.init(net, spec?(net))
    }

    var job: Job { get throws { try net.job(id) } }
    var claim: DeliveryClaim { get throws { try #require(try job.claim) } }

    func decline(_ reason: DeclineReason = .inputsUnavailable, attempt: UInt32 = 1) -> Payload {
        .declineJob(job: id, attempt: attempt, reason: reason)
    }

    func attest(_ holds: Bool, attempt: UInt32 = 1) -> Payload {
        .attestDelivery(job: id, attempt: attempt, holds: holds)
    }

    /// Reports, and goes on to where the witnesses are drawn.
    func report(_ reason: DeclineReason = .inputsUnavailable) throws {
        try net.act(provider, decline(reason))
        #expect(try job.state == .assigned && job.isClaimed && job.timer == nil)
        try net.step()
        try net.step()
    }
}
