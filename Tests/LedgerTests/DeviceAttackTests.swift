import Ledger
import Primitives
import Programs
import Testing

/// What an owner may try to be known for a device that it does not have (docs/ledger.md).
@Suite struct DeviceAttackTests {
    /// Nobody knows what is asked before the round's block, and each device is asked something else.
    @Test func whatIsAskedIsNewInEachRoundAndForEachDevice() throws {
        let on = try DeviceNet()
        let (key, other) = (on.net.providers[0], on.net.providers[1])
        try on.offer(key, device: 1)
        try on.net.step()
        try on.begin(full: true)
        var seeds: Set<Digest> = []
        for (key, device) in [(key, UInt16(0)), (key, 1), (other, 0)] {
            seeds.insert(try #require(try on.duty(key, device: device)).chain.seed)
        }
        #expect(seeds.count == 3)
        try on.pass(key)
        try on.endRound()
        try on.begin(full: true)
        seeds.insert(try #require(try on.duty(key)).chain.seed)
        #expect(seeds.count == 4)
    }

    /// One machine for two devices: both are asked in one block, so it comes to the second when the time for it is half over.
    @Test func allAreAskedAtOnce() throws {
        let on = try DeviceNet(1)
        let key = on.net.providers[0]
        try on.offer(key, device: 1)
        try on.net.step()
        try on.begin(full: true)
        let runs = try [UInt16(0), 1].map { try on.run(key, device: $0) }
        try on.step(to: 1_500, [on.net.transaction(key, try on.answer(runs[0]))])
        try on.step(to: 2_500, [on.net.transaction(key, try on.answer(runs[1], device: 1))])
        try on.draw()
        for device in [UInt16(0), 1] {
            try on.net.act(key, try on.show(key, runs[Int(device)], device: device))
        }
        #expect(try on.measure(key, device: 0)?.rate == DeviceNet.rate)
        #expect(try on.measure(key, device: 1)?.rate == DeviceNet.rate / 2)
    }

    @Test func aCopiedAnswerIsNone() throws {
        let on = try DeviceNet()
        let (key, other) = (on.net.providers[0], on.net.providers[1])
        try on.begin(full: false)
        let run = try on.run(key)
        let result = try on.net.step([
            on.net.transaction(key, try on.answer(run)), on.net.transaction(other, try on.answer(run)),
        ])
        #expect(result.receipts.map(\.succeeded) == [true, true])
        try on.draw()
        try on.net.act(key, try on.show(key, run))
        try on.net.act(other, try on.show(other, run))
        #expect(try on.failure(key) == nil && on.failure(other) == .unproven)
        #expect(try on.net.provider(other).bond == .xpl(990))
    }

    @Test func anAnswerIsGivenOnceAndByItsOwner() throws {
        let on = try DeviceNet()
        let (key, other) = (on.net.providers[0], on.net.providers[1])
        let early = Payload.answerDevice(device: 0, round: 1, root: .zero)
        try on.net.fail(key, early, "not challenged in round 1")
        try on.begin(full: false)
        let run = try on.run(key)
        try on.net.fail(key, .answerDevice(device: 1, round: 1, root: run.root), "no offer on device 1")
        try on.net.fail(key, .answerDevice(device: 0, round: 2, root: run.root), "not challenged in round 2")
        // Who is no provider is in no block with it.
        let stranger = on.net.transaction(on.net.requester, try on.answer(run))
        let block = try on.net.block([stranger])
        #expect(throws: ValidityFault.transaction(index: 0, .notAProvider)) {
            try Validity.check(
                block, parent: on.net.parent, ancestors: [], parameters: on.net.genesis.parameters, in: on.net.store)
        }
        on.net.nonces[on.net.requester.publicKey] = 0
        try on.net.act(key, try on.answer(run))
        try on.net.fail(key, .showDevice(device: 0, round: 1, samples: []), "nothing is drawn yet")
        try on.net.fail(key, try on.answer(run), "answered before")
        // Another's samples, of a device that is asked as well.
        try on.net.fail(other, .showDevice(device: 0, round: 1, samples: []), "nothing is drawn yet")
        try on.net.act(key, try on.show(key, run))
        try on.net.fail(key, .showDevice(device: 0, round: 1, samples: []), "not challenged in round 1")
    }

    /// Forged paths and samples of other places show nothing, and do no harm: the true ones are accepted after them.
    @Test func onlyWhatLiesUnderTheAnswerIsShown() throws {
        let on = try DeviceNet()
        let key = on.net.providers[0]
        try on.begin(full: false)
        let run = try on.run(key)
        try on.net.act(key, try on.answer(run))
        try on.draw()
        let numbers = try #require(try on.duty(key)).numbers
        let good = numbers.map { run.sample($0) }
        func show(_ samples: [DeviceSample]) -> Payload { .showDevice(device: 0, round: 1, samples: samples) }
        func changed(_ change: (DeviceLeaf) -> DeviceLeaf) -> [DeviceSample] {
            var samples = good
            samples[7] = DeviceSample(after: change(good[7].after), before: good[7].before)
            return samples
        }
        let forged = changed { leaf in
            DeviceLeaf(bytes: leaf.bytes, siblings: [.zero] + leaf.siblings.dropFirst())
        }
        try on.net.fail(key, show(forged), "does not lie under")
        // The number's own byte, as it would have to be for another row.
        let other = changed { leaf in
            DeviceLeaf(bytes: leaf.bytes.map { $0 ^ 1 }, siblings: leaf.siblings)
        }
        try on.net.fail(key, show(other), "does not lie under")
        try on.net.fail(key, show(changed { DeviceLeaf(bytes: $0.bytes, siblings: []) }), "rows and paths")
        try on.net.fail(key, show(Array(good.dropLast())), "7 numbers are shown, 8 were drawn")
        try on.net.fail(key, show(Array(good.reversed())), "the sample")
        #expect(try on.failure(key) == nil)
        try on.net.act(key, show(good))
        #expect(try on.measure(key) != nil)
    }

    /// The largest that can be drawn fits, and nothing larger is read.
    @Test func whatIsShownIsBounded() throws {
        let net = try TestNet()
        let leaf = DeviceLeaf(
            bytes: [UInt8](repeating: 1, count: 256),
            siblings: [Digest](repeating: .zero, count: DeviceChain.maximumDepth))
        let sample = DeviceSample(after: leaf, before: leaf)
        func show(_ count: Int) -> Payload {
            .showDevice(device: 0, round: 1, samples: [DeviceSample](repeating: sample, count: count))
        }
        let most = net.transaction(net.requester, show(8))
        #expect(most.byteCount - 64 <= Transaction.maximumOutputBytes)
        #expect(try Payload(canonicalBytes: show(8).canonicalBytes) == show(8))
        #expect(throws: DecodingFault.self) { _ = try Payload(canonicalBytes: show(9).canonicalBytes) }
        let parameters = net.genesis.parameters
        let (one, eight) = (Fees.weight(show(1), bytes: 0, parameters), Fees.weight(show(8), bytes: 0, parameters))
        #expect(eight - one == 7 * parameters.weightPerDeviceSample)
        #expect(MoveBundle([show(1), .startJob(job: .zero, attempt: 1)]) == nil)
    }

    /// What is drawn comes after all answers, and from everywhere: a share of wrong numbers is missed by eight draws as often as it is small.
    @Test func whatIsShownIsDrawnFromAllOfAnAnswer() throws {
        let on = try DeviceNet(4)
        var counts = [Int](repeating: 0, count: 4)
        for _ in 0..<10 {
            for key in on.net.providers { try on.offer(key) }
            try on.net.step()
            try on.begin(full: false)
            let round = try on.round.number
            let answers = on.net.providers.map {
                on.net.transaction($0, .answerDevice(device: 0, round: round, root: .zero))
            }
            try on.step(to: nil, answers)
            try on.draw()
            for key in on.net.providers {
                let duty = try #require(try on.duty(key))
                for number in duty.numbers { counts[Int(number * 4 / duty.chain.numbers)] += 1 }
            }
            try on.endRound()
            try on.net.step(after: DeviceNet.allowance + DeviceNet.patience)
        }
        // Of 320, by quarters: 80 each, and five deviations of 8.
        for count in counts { #expect(count > 40 && count < 120, "\(counts)") }
    }

    // MARK: Ways out of a round

    /// What an owner does after a round has begun changes nothing about it: it is asked by its offer as it was.
    @Test(arguments: ["pauses", "says less", "says that it expires"]) func nobodySlipsOut(_ way: String) throws {
        let on = try DeviceNet()
        let key = on.net.providers[0]
        try on.begin(full: false)
        try on.pass(key)
        try on.endRound()
        try on.begin(full: true)
        let chain = try #require(try on.duty(key)).chain
        switch way {
        case "pauses": try on.net.act(key, .pauseOffer(device: 0))
        case "says less": try on.offer(key, rate: 1)
        default:
            var terms = DeviceNet.terms(on.net)
            terms.expiry = on.net.parent.height.advanced(by: 3)
            try on.net.act(key, .setOffer(terms))
        }
        #expect(try on.duty(key)?.chain == chain)
        try on.endRound()
        #expect(try on.failure(key) == .silent && on.net.provider(key).bond == .xpl(999))
    }

    @Test func nobodyLeavesInTheMiddle() throws {
        let on = try DeviceNet()
        let (key, other) = (on.net.providers[0], on.net.providers[1])
        try on.begin(full: false)
        try on.net.fail(key, .withdrawProvider, "device 0 is challenged in round 1")
        let run = try on.run(key) { _, state in state[0] ^= 1 }
        try on.net.act(key, try on.answer(run))
        try on.net.fail(key, .withdrawProvider, "device 0 is challenged in round 1")
        try on.endRound()
        try on.net.step(after: 21_000)
        #expect(try on.net.provider(key).bond == .xpl(990))
        // Afterwards it may, and comes back as a device that nobody knows, which is asked once it is offered.
        try on.net.act(key, .withdrawProvider)
        try on.net.act(other, .withdrawProvider)
        try on.net.act(
            key, .registerProvider(name: "p0", node: key.publicKey, payout: on.net.address(key), bond: .xpl(1000)))
        #expect(try on.found(key).isPaused)
        try on.begin(full: true)
        #expect(try on.duty(key) == nil && on.duty(other) == nil)
        try on.offer(key)
        try on.endRound()
        #expect(try on.net.provider(key).bond == .xpl(1000))
    }

    /// An offer that is set while a round goes on is not in it, and neither is one that is not active yet.
    @Test func whoComesLaterIsAskedLater() throws {
        let on = try DeviceNet(1)
        try on.begin(full: false)
        let key = on.net.providers[0]
        try on.offer(key, device: 1)
        try on.net.step()
        #expect(try on.duty(key, device: 1) == nil)
        try on.net.fail(key, .answerDevice(device: 1, round: 1, root: .zero), "not challenged")
        try on.pass(key)
        try on.endRound()
        #expect(try on.failure(key, device: 1) == nil && on.duty(key, device: 1) == nil)
        try on.begin(full: false)
        #expect(try on.duty(key) == nil && on.duty(key, device: 1) != nil)
    }

    /// A round begins when the one before is over, whatever its beacon says; who still has time to show an answer then is not asked anew, and shows it.
    @Test func roundsDoNotOverlap() throws {
        var parameters = DeviceNet.parameters
        parameters.deviceFirstInterval = 10_000
        let on = try DeviceNet(2, parameters: parameters)
        let (key, other) = (on.net.providers[0], on.net.providers[1])
        try on.net.step(after: 10_000)
        try on.net.step(after: 10_000)
        #expect(try on.round.number == 1)
        let run = try on.run(key)
        try on.step(to: 20_500, [on.net.transaction(key, try on.answer(run))])
        #expect(try on.round.number == 1)
        try on.net.step(after: 1)
        #expect(try on.round.isOver && on.failure(other) == .silent)
        try on.net.step(after: 1)
        let show = try on.show(key, run)
        try on.net.step(after: 10_000)
        #expect(try on.round.number == 2 && !on.round.isOver)
        try on.net.fail(key, .answerDevice(device: 0, round: 2, root: run.root), "not challenged in round 2")
        try on.net.act(key, show)
        #expect(try on.measure(key)?.rate == DeviceNet.rate / 20)
        try on.endRound()
        #expect(try on.failure(key) == nil && on.net.provider(key).bond == .xpl(1000))
    }

    // MARK: What a block does

    /// However many devices there are, the block that asks them writes one object, and those that find who was silent look at so many.
    @Test func theWorkOfABlockIsBounded() throws {
        var parameters = DeviceNet.parameters
        parameters.timersPerBlock = 16
        let on = try DeviceNet(4, parameters: parameters)
        func offer(_ devices: Range<UInt16>) throws {
            var offers: [SignedTransaction] = []
            for key in on.net.providers {
                for device in devices {
                    offers.append(on.net.transaction(key, .setOffer(DeviceNet.terms(on.net, device: device))))
                }
            }
            try on.net.step(offers)
        }
        try offer(1..<32)
        try on.net.fail(on.net.providers[0], .setOffer(DeviceNet.terms(on.net, device: 64)), "devices 0 to 63")
        try on.net.step()
        let before = try Query.offers(in: on.net.store)
        #expect(before.count == 128)
        try on.begin(full: true)
        #expect(try Query.offers(in: on.net.store) == before)
        try on.step(to: DeviceNet.allowance + DeviceNet.patience)
        func silent() throws -> Int {
            try Query.offers(in: on.net.store).count { $0.device.failure == .silent }
        }
        #expect(try silent() == 0)
        var found: [Int] = []
        while try !on.round.isOver {
            try on.net.step(after: 1)
            found.append(try silent())
        }
        #expect(found == [16, 32, 48, 64, 80, 96, 112, 128, 128])
        // Draws and their ends, too.
        try offer(0..<8)
        try on.net.step()
        try on.begin(full: false)
        let round = try on.round.number
        var answers: [SignedTransaction] = []
        for key in on.net.providers {
            for device in UInt16(0)..<8 {
                answers.append(
                    on.net.transaction(key, .answerDevice(device: device, round: round, root: .zero)))
            }
        }
        try on.step(to: nil, answers)
        func drawn() throws -> Int {
            try Query.offers(in: on.net.store).count { $0.device.challenge?.answer?.beacon != nil }
        }
        try on.net.step(after: 1)
        #expect(try drawn() == 0)
        try on.net.step(after: 1)
        #expect(try drawn() == 16)
        try on.net.step(after: 1)
        #expect(try drawn() == 32)
        try on.net.step(after: 20_499)
        try on.net.step(after: 1)
        #expect(try drawn() == 16)
    }

    /// The state says when it wants a block for them: idle networks make one then.
    @Test func aRoundsTimesAreWork() throws {
        let on = try DeviceNet(1)
        let key = on.net.providers[0]
        func hasWork(in milliseconds: UInt64) throws -> Bool {
            try Query.hasWork(in: on.net.store, at: on.net.parent.time.adding(milliseconds: milliseconds))
        }
        try on.begin(full: false)
        let run = try on.run(key)
        #expect(try !hasWork(in: 20_500) && hasWork(in: 20_501))
        try on.net.act(key, try on.answer(run))
        #expect(try hasWork(in: 1))
        try on.draw()
        #expect(try !hasWork(in: 20_000))
        try on.endRound()
        #expect(try !hasWork(in: 1))
        #expect(try hasWork(in: 300))
    }

    /// A network whose genesis says so has none.
    @Test func withoutAnIntervalNobodyIsAsked() throws {
        var parameters = DeviceNet.parameters
        parameters.deviceChallengeInterval = 0
        let on = try DeviceNet(1, parameters: parameters)
        for _ in 0..<4 { try on.net.step(after: 7_200_000) }
        #expect(try Query.deviceRound(in: on.net.store) == nil)
    }

    @Test(arguments: [
        ("device_challenge_patience", "1498"), ("device_challenge_samples", "0"), ("device_challenge_samples", "9"),
        ("device_challenge_memory", "34359738369"), ("device_challenge_time", "0"), ("device_first_interval", "0"),
        ("device_false_per_mille", "1001"), ("device_challenge_interval", "31104000001"),
    ])
    func parametersAreBounded(_ name: String, _ text: String) {
        var parameters = DeviceNet.parameters
        #expect(parameters.problem == nil)
        #expect(parameters.set(name, to: text) == nil)
        #expect(parameters.problem != nil)
    }
}
