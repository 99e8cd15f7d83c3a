import Ledger
import Primitives
import Programs
import Testing

/// A network with a result that lies open, and what its parties say of whether its bytes can be had.
struct ClaimNet: WitnessedNet {
    let at: DisputeNet
    var net: TestNet { at.net }

    static let deposit = Amount.xpl(1)
    /// Of a witness: a twentieth of the deposit.
    static let fee = Amount(baseUnits: 50_000_000)

    init(
        _ said: [Int32] = TestDispute.truth, audits: [[Int32]] = [], reveals: Bool = true,
        parameters: ChainParameters = TestNet.parameters, prepare: (TestNet) throws -> Void = { _ in }
    ) throws {
        at = try DisputeNet(said, audits: audits, reveals: reveals, parameters: parameters, prepare: prepare)
    }

    var claim: DeliveryClaim { get throws { try #require(try at.job.claim) } }

    // MARK: Moves

    func claim(_ deposit: Amount = ClaimNet.deposit, attempt: UInt32 = 1) -> Payload {
        .claimUndelivered(job: at.id, attempt: attempt, deposit: deposit)
    }

    func attest(_ holds: Bool, attempt: UInt32 = 1) -> Payload {
        .attestDelivery(job: at.id, attempt: attempt, holds: holds)
    }

    /// The bytes of a result of one step with these numbers.
    static func output(_ values: [Int32], shape: [UInt64] = [4]) -> PostedOutput {
        let tensor = PostedTensor(element: .i32, shape: shape, bytes: TestDispute.bytes(values))
        return PostedOutput(steps: [PostedOutput.List([tensor])], kept: PostedOutput.List([]))
    }

    func post(_ output: PostedOutput, attempt: UInt32 = 1) -> Payload {
        .postOutput(job: at.id, attempt: attempt, output: output)
    }

    /// Claims, and goes on to where the witnesses are drawn.
    func claimAndDraw() throws {
        try net.act(net.requester, claim())
        try net.step()
        try net.step()
        #expect(try !claim.witnesses.isEmpty)
    }

    /// To the first block after the window for challenges.
    func passWindow() throws {
        let opened = try #require(try at.job.assignment)
        try pass(to: opened.openedClock + 3000 + 2 * opened.slowestMilliseconds + 2)
    }
}
