import Ledger
import Primitives
import Testing

@Suite struct ValidityTests {
    private func transfer(_ net: TestNet, _ nonce: UInt64, _ amount: Amount) -> SignedTransaction {
        Transaction(
            network: net.genesis.digest, sender: net.people[0].publicKey, nonce: Nonce(nonce), maximumFee: .xpl(1),
            payload: .transfer(to: net.address(net.people[1]), amount: amount, memo: [])
        ).signed(by: net.people[0])
    }

    @Test func aDoubleSpendAcrossUnexecutedAncestorsIsRejected() throws {
        let net = try TestNet()
        let first = try net.block([transfer(net, 0, .xpl(600_000))])
        let start = net.parent
        net.parent = first.header
        let second = try net.block([transfer(net, 1, .xpl(600_000))])
        try Validity.check(first, parent: start, ancestors: [], parameters: net.genesis.parameters, in: net.store)
        #expect(throws: ValidityFault.transaction(index: 0, .notEnough(missing: .xpl(200_002)))) {
            try Validity.check(
                second, parent: first.header, ancestors: [first], parameters: net.genesis.parameters, in: net.store)
        }
        let replay = try net.block([transfer(net, 0, .xpl(1))])
        #expect(throws: ValidityFault.transaction(index: 0, .nonce(expected: 1, found: 0))) {
            try Validity.check(
                replay, parent: first.header, ancestors: [first], parameters: net.genesis.parameters, in: net.store)
        }
        #expect(throws: ValidityFault.self) {
            try Validity.check(
                replay, parent: first.header, ancestors: [], parameters: net.genesis.parameters, in: net.store)
        }
    }

    @Test func everyHeaderFieldThatABlockCouldLieAboutIsChecked() throws {
        let net = try TestNet()
        let good = try net.block([transfer(net, 0, .xpl(1))])
        let changes: [(inout Header) -> Void] = [
            { $0.network = .zero }, { $0.height = 7 }, { $0.parent = .zero }, { $0.time = Timestamp(milliseconds: 1) },
            { $0.weight += 1 }, { $0.baseFee += 1 }, { $0.txRoot = .zero }, { $0.executedHeight = 1 },
            { $0.nextEpochRecord = .zero },
        ]
        for change in changes {
            var bad = good
            change(&bad.header)
            #expect(throws: ValidityFault.self) {
                try Validity.check(
                    bad, parent: net.parent, ancestors: [], parameters: net.genesis.parameters, in: net.store)
            }
        }
        try Validity.check(good, parent: net.parent, ancestors: [], parameters: net.genesis.parameters, in: net.store)
    }

    @Test func aForgedSignatureAndAnotherNetworkAreRejected() throws {
        let net = try TestNet()
        let signed = transfer(net, 0, .xpl(1))
        var other = signed.transaction
        other.nonce = 0
        other.network = .zero
        let check = { (signed: SignedTransaction) throws(AdmissionFault) in
            try Admission.check(
                signed, network: net.genesis.digest, baseFee: 10, pending: Admission.Pending(),
                parameters: net.genesis.parameters,
                in: net.store)
        }
        try check(signed)
        #expect(throws: AdmissionFault.wrongNetwork(expected: net.genesis.digest, found: .zero)) {
            try check(other.signed(by: net.people[0]))
        }
        var stolen = signed.transaction
        stolen.payload = .transfer(to: net.address(net.people[2]), amount: .xpl(1), memo: [])
        #expect(throws: AdmissionFault.badSignature) {
            try check(SignedTransaction(transaction: stolen, signature: signed.signature))
        }
        var greedy = signed.transaction
        greedy.payload = .transfer(to: net.address(net.people[2]), amount: Amount(baseUnits: .max), memo: [])
        #expect(throws: AdmissionFault.amount(.overflow)) { try check(greedy.signed(by: net.people[0])) }
        greedy.tip = Amount(baseUnits: .max)
        #expect(throws: AdmissionFault.amount(.overflow)) { try check(greedy.signed(by: net.people[0])) }
        var cheap = signed.transaction
        cheap.maximumFee = Amount(baseUnits: 1)
        #expect(throws: AdmissionFault.self) { try check(cheap.signed(by: net.people[0])) }
        var job = signed.transaction
        var spec = net.spec()
        spec.maximumPricePer1000CU = Amount(baseUnits: .max)
        spec.computeUnits = ComputeUnits(weightedOperations: .max)
        job.payload = .submitJob(spec)
        #expect(throws: AdmissionFault.amount(.overflow)) { try check(job.signed(by: net.people[0])) }
        job.payload = .startJob(job: .zero, attempt: 1)
        #expect(throws: AdmissionFault.notAProvider) { try check(job.signed(by: net.people[0])) }
    }

    @Test func theBaseFeeRisesWithFullBlocksAndFallsToItsFloor() throws {
        let net = try TestNet()
        var full = net.parent
        full.baseFee = 8000
        full.weight = net.genesis.parameters.blockWeightLimit
        let later = full.time.adding(milliseconds: 4000)
        // 4 s of the 10 s, at 1/8: 8000 · 0.4 / 8 = 400.
        #expect(Fees.baseFee(after: full, at: later, net.genesis.parameters) == 8400)
        full.weight = 0
        #expect(Fees.baseFee(after: full, at: later, net.genesis.parameters) == 7600)
        full.baseFee = 10
        #expect(Fees.baseFee(after: full, at: later, net.genesis.parameters) == 10)
        full.weight = .max
        full.baseFee = .max
        #expect(Fees.baseFee(after: full, at: later, net.genesis.parameters) == 1 << 60)
    }

    @Test func tipsGoToTheProposerAndBaseFeesAreBurned() throws {
        let net = try TestNet()
        let result = try net.step([
            net.transaction(
                net.people[0], .transfer(to: net.address(net.people[1]), amount: .xpl(5), memo: [1]), tip: .xpl(0)),
            net.transaction(
                net.people[0], .transfer(to: net.address(net.people[1]), amount: .xpl(5), memo: []),
                tip: Amount(baseUnits: 777)),
        ])
        let proposer = net.genesis.validators[0].operatorAddress
        #expect(try Query.account(proposer, in: net.store).balance == Amount(baseUnits: 777))
        let fees = result.receipts.reduce(UInt128(0)) { $0 + $1.fee.baseUnits }
        #expect(try Query.totals(in: net.store).burned == Amount(baseUnits: fees - 777))
        #expect(try net.balance(net.people[1]) == .xpl(1_000_010))
    }

    @Test func aGenesisThatIsNotTenBillionIsRefused() throws {
        var genesis = try TestNet().genesis
        try genesis.validate()
        genesis.treasury = .zero
        #expect(throws: GenesisFault.self) { try genesis.validate() }
        #expect(throws: LedgerFault.self) { try genesis.initialize(MemoryStateStore()) }
    }
}
