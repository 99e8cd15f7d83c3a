import Ledger
import Primitives
import Programs
import Testing

/// A network whose devices are challenged when a test says so: a block that comes two hours after the last begins a round of all for certain, one that comes
/// soon hardly ever; one of those that nobody has measured begins by a beacon that the test has looked for.
final class DeviceNet {
    let net: TestNet

    /// What a device says, and as much as the smallest chain takes it a second.
    static let rate: UInt64 = 8_388_608
    static let time: UInt64 = 1000
    static let allowance: UInt64 = 500
    static let patience: UInt64 = 20_000

    static var parameters: ChainParameters {
        var parameters = TestNet.parameters
        parameters.heartbeatMilliseconds = 3_600_000
        parameters.deviceChallengeInterval = 7_200_000
        parameters.deviceFirstInterval = 7_200_000
        parameters.deviceChallengeTime = time
        parameters.deviceChallengeAllowance = allowance
        parameters.deviceChallengePatience = patience
        return parameters
    }

    static func terms(_ net: TestNet, device: UInt16 = 0, rate: UInt64 = DeviceNet.rate) -> OfferTerms {
        var terms = net.offerTerms()
        terms.device = device
        terms.measuredRate = rate
        return terms
    }

    /// Some providers with a full bond and an active offer each.
    init(_ count: Int = 2, parameters: ChainParameters = DeviceNet.parameters) throws {
        net = try TestNet(parameters: parameters)
        for (index, key) in net.providers.prefix(count).enumerated() {
            let name = "p\(index)"
            try net.act(
                key, .registerProvider(name: name, node: key.publicKey, payout: net.address(key), bond: .xpl(1000)))
            try offer(key)
        }
        try net.step()
    }

    func offer(_ key: SecretKey, device: UInt16 = 0, rate: UInt64 = DeviceNet.rate) throws {
        try net.act(key, .setOffer(DeviceNet.terms(net, device: device, rate: rate)))
    }

    func found(_ key: SecretKey, device: UInt16 = 0) throws -> Offer {
        try #require(
            try Query.offers(of: net.address(key), in: net.store).first { $0.terms.device == device })
    }

    func measure(_ key: SecretKey, device: UInt16 = 0) throws -> DeviceMeasure? {
        try found(key, device: device).device.measure
    }

    func failure(_ key: SecretKey, device: UInt16 = 0) throws -> DeviceRecord.Failure? {
        try found(key, device: device).device.failure
    }

    var clock: UInt64 { get throws { try Query.chain(in: net.store).clock } }
    var round: DeviceRound { get throws { try #require(try Query.deviceRound(in: net.store)) } }

    /// Begins a round of all devices, or of those that nobody has measured.
    func begin(full: Bool) throws {
        let before = try Query.deviceRound(in: net.store)?.number ?? 0
        if !full { net.luck = try luck(elapsed: 100_000) }
        try net.step(after: full ? 7_200_000 : 100_000)
        net.luck = nil
        #expect(try round.number == before + 1 && round.isFull == full)
        #expect(try round.clock == clock)
    }

    /// What makes a beacon that begins a round of those that nobody has measured, and none of all.
    private func luck(elapsed: UInt64) throws -> Digest {
        for number in UInt64(0)..<100_000 {
            let luck = Digest.of(Domain("test.luck"), number.canonicalBytes)
            let beacon = Header.beacon(after: net.parent.beacon, output: luck)
            func isDrawn(_ salt: UInt64) throws -> Bool {
                var writer = ByteWriter()
                writer.write(beacon)
                writer.write(net.genesis.digest)
                writer.write(salt)
                var reader = ByteReader(Digest.of(Domain("plasma.draw"), writer.bytes).bytes)
                return try reader.readUInt128() % 7_200_000 < UInt128(elapsed)
            }
            if try isDrawn(1 << 60), try !isDrawn(1 << 61) { return luck }
        }
        throw DeviceNetFault.noLuck
    }

    func duty(_ key: SecretKey, device: UInt16 = 0) throws -> DeviceDuty? {
        try Query.deviceDuties(of: net.address(key), in: net.store).first { $0.device == device }
    }

    func run(
        _ key: SecretKey, device: UInt16 = 0, changing: (UInt64, inout [UInt8]) -> Void = { _, _ in }
    ) throws -> DeviceChainReference {
        DeviceChainReference(try #require(try duty(key, device: device)).chain, changing: changing)
    }

    func answer(_ run: DeviceChainReference, device: UInt16 = 0) throws -> Payload {
        .answerDevice(device: device, round: try round.number, root: run.root)
    }

    func show(_ key: SecretKey, _ run: DeviceChainReference, device: UInt16 = 0) throws -> Payload {
        let duty = try #require(try duty(key, device: device))
        #expect(duty.answered == run.root && duty.numbers.count == 8)
        return .showDevice(device: device, round: duty.round, samples: duty.numbers.map { run.sample($0) })
    }

    /// To the block whose beacon draws what is shown of the answers so far.
    func draw() throws {
        try net.step()
        try net.step()
    }

    /// Answers after so many milliseconds from the round's block, and shows what is asked for.
    func pass(_ key: SecretKey, device: UInt16 = 0, after milliseconds: UInt64? = nil) throws {
        let run = try run(key, device: device)
        try step(to: milliseconds, [net.transaction(key, try answer(run, device: device))])
        try draw()
        try net.act(key, try show(key, run, device: device))
    }

    /// A block so many milliseconds after the round's.
    func step(to milliseconds: UInt64?, _ transactions: [SignedTransaction] = []) throws {
        let passed = try clock - round.clock
        let result = try net.step(transactions, after: milliseconds.map { $0 - passed } ?? 100)
        for receipt in result.receipts { #expect(receipt.succeeded, "\(receipt.reason)") }
    }

    /// To where the round has found those that did not answer.
    func endRound() throws {
        try step(to: DeviceNet.allowance + DeviceNet.patience + 1)
        for _ in 0..<100 where try !round.isOver { try net.step() }
        #expect(try round.isOver)
    }
}

private enum DeviceNetFault: Error { case noLuck }
