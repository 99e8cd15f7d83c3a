import Ledger
import Primitives
import Testing

@Suite struct EncodingTests {
    /// Decodes mutated bytes: what decodes at all must encode to exactly these bytes, and nothing may trap.
    private func fuzz<T: CanonicalCodable & Equatable>(_ value: T, _ random: inout SplitMix64) throws {
        let bytes = value.canonicalBytes
        #expect(try T(canonicalBytes: bytes) == value)
        #expect(throws: DecodingFault.self) { try T(canonicalBytes: bytes + [0]) }
        #expect(throws: DecodingFault.self) { try T(canonicalBytes: Array(bytes.dropLast())) }
        for _ in 0..<300 {
            var bad = bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bad[Int.random(in: 0..<bad.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if Bool.random(using: &random) { bad = Array(bad.prefix(Int.random(in: 0...bad.count, using: &random))) }
            if let decoded = try? T(canonicalBytes: bad) { #expect(decoded.canonicalBytes == bad) }
        }
    }

    @Test(arguments: [11, 12]) func everyDecoderIsStrictAndSurvivesMutation(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let net = try TestNet()
        try net.openMarket()
        let digest = net.genesis.digest
        let payloads: [Payload] = [
            .transfer(to: net.address(net.requester), amount: .xpl(1), memo: [1, 2]),
            .registerProvider(
                name: "näme", node: net.requester.publicKey, payout: net.address(net.requester), bond: .xpl(1)),
            .addBond(amount: .xpl(2)), .withdrawProvider, .setOffer(net.offerTerms()), .pauseOffer(device: 3),
            .publishModel(name: "m", manifest: digest, program: digest, royaltyBasisPoints: 5),
            .submitJob(net.spec(.sampled(perMille: 5))), .submitJob(net.spec(.replicated(count: 3))),
            .cancelJob(job: digest), .declineJob(job: digest, attempt: 1, reason: .busy),
            .startJob(job: digest, attempt: 1), .heartbeatJob(job: digest, attempt: 1),
            .commitResult(job: digest, attempt: 1, masked: digest),
            .commitAudit(job: digest, attempt: 1, masked: digest),
            .openResult(job: digest, attempt: 1, commitment: TestNet.result, salt: digest),
            .revealAudit(job: digest, attempt: 1, commitment: TestNet.result, salt: digest),
        ]
        for payload in payloads { try fuzz(payload, &random) }
        let signed = net.transaction(net.requester, payloads[7])
        try fuzz(signed, &random)
        try fuzz(net.block([signed]), &random)
        try fuzz(net.genesis, &random)
        try fuzz(net.genesis.parameters, &random)
        net.nonces[net.requester.publicKey] = 0
        let id = try net.submit(net.spec())
        let provider = try net.runToDraw(id)
        _ = try net.commitAudits(id)
        try net.open(id, provider)
        try fuzz(try net.job(id), &random)
        try fuzz(try #require(try Query.provider(net.address(provider), in: net.store)), &random)
        try fuzz(try Query.offers(in: net.store)[0], &random)
        try fuzz(try Query.totals(in: net.store), &random)
        try fuzz(try Query.chain(in: net.store), &random)
        try fuzz(try StateTree.proof(of: StateKey.job(id), in: net.store), &random)
        try fuzz(try #require(net.lastResult).receipts[0], &random)
    }

    @Test func boundsHoldAtTheBoundAndOneBeyond() throws {
        let to = TestNet.key(1).publicKey.address
        let atBound = Payload.transfer(to: to, amount: .zero, memo: [UInt8](repeating: 0, count: 128))
        #expect(try Payload(canonicalBytes: atBound.canonicalBytes) == atBound)
        let beyond = Payload.transfer(to: to, amount: .zero, memo: [UInt8](repeating: 0, count: 129))
        #expect(throws: DecodingFault.self) { try Payload(canonicalBytes: beyond.canonicalBytes) }
        #expect(throws: DecodingFault.self) {
            try AuditPolicy(canonicalBytes: AuditPolicy.sampled(perMille: 0).canonicalBytes)
        }
        #expect(throws: DecodingFault.self) {
            try AuditPolicy(canonicalBytes: AuditPolicy.replicated(count: 8).canonicalBytes)
        }
        let wide = ResultCommitment(steps: [UInt64](repeating: 1, count: 17), outputRoot: .zero, stateRoot: .zero)
        #expect(throws: DecodingFault.self) { try ResultCommitment(canonicalBytes: wide.canonicalBytes) }
    }
}
