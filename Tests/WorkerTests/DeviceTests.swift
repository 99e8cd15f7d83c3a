import Ledger
import Primitives
import Programs
import Runtime
import Testing
import Worker

/// How a provider's machine meets the challenges of its device: by the state alone, with the kernels that jobs run on.
@Suite struct DeviceTests {
    private let key: SecretKey
    private let offer = OfferTerms(
        device: 0, pricePer1000CUf32: .xpl(1), pricePer1000CUi8: .xpl(1), memory: 1 << 20, capacity: 1, expiry: 1_000,
        measuredRate: 1)
    private let chain = DeviceChain(seed: Digest.of(Domain("test"), [1]), rows: 16, steps: 4)
    private let numbers: [UInt64] = [3, 9_000, 16_000]

    init() throws { key = try SecretKey(seed: [UInt8](repeating: 1, count: 32)) }

    private var asked: DeviceDuty { DeviceDuty(device: 0, round: 7, chain: chain) }

    private func drawn(_ root: Digest) -> DeviceDuty {
        DeviceDuty(device: 0, round: 7, chain: chain, answered: root, numbers: numbers)
    }

    /// In a box, so that an expectation can ask what a question changes.
    private final class Machine {
        private var machine: ProviderMachine
        private let offer: OfferTerms

        init(_ key: SecretKey, _ offer: OfferTerms) {
            let registration = Payload.registerProvider(
                name: "p", node: key.publicKey, payout: key.publicKey.address, bond: .xpl(100))
            machine = ProviderMachine(key: key, registration: registration, offer: offer)
            self.offer = offer
        }

        func look(_ duties: [DeviceDuty], offers: Bool = true, failure: DeviceRecord.Failure? = nil) -> [String] {
            var view = ProviderView(registered: true, offer: offers ? offer : nil, items: [], jobs: [:])
            view.devices = duties
            view.deviceFailure = failure
            return machine.look(at: view).map { output in
                switch output {
                case .measure(let duty): return "run \(duty.numbers.count)"
                case .warn(let failure): return "warn \(failure)"
                case .submit(let payload, let submission):
                    payloads.append(payload)
                    submissions.append(submission)
                    switch payload {
                    case .answerDevice: return "answer"
                    case .showDevice: return "show"
                    case .setOffer: return "offer"
                    default: return "\(payload)"
                    }
                default: return "\(output)"
                }
            }
        }

        var payloads: [Payload] = []
        private var submissions: [ProviderMachine.Submission] = []

        func run(_ duty: DeviceDuty, variant: KernelVariant = .best) {
            let run = DeviceRun(duty.chain, showing: duty.numbers, threads: 2, variant: variant)
            machine.measured(duty, root: run.root, samples: run.samples)
        }

        func end() { machine.ended(submissions.removeLast()) }
    }

    private func machine() -> Machine { Machine(key, offer) }

    @Test func itAnswersAndShowsWhatIsDrawn() throws {
        let machine = machine()
        #expect(machine.look([asked]) == ["run 0"])
        #expect(machine.look([asked]) == [])
        machine.run(asked)
        #expect(machine.look([asked]) == ["answer"])
        #expect(machine.look([asked]) == [])
        // Refused or lost: once more, as long as the state asks.
        machine.end()
        #expect(machine.look([asked]) == ["answer"])
        machine.end()
        #expect(machine.look([]) == [])
        guard case .answerDevice(0, 7, let root) = machine.payloads[0] else {
            Issue.record("no answer")
            return
        }
        #expect(root == DeviceChainReference(chain).root)
        let duty = drawn(root)
        #expect(machine.look([duty]) == ["run 3"])
        machine.run(duty)
        #expect(machine.look([duty]) == ["show"])
        guard case .showDevice(0, 7, let samples)? = machine.payloads.last else {
            Issue.record("nothing is shown")
            return
        }
        for (number, sample) in zip(numbers, samples) { try chain.check(sample, at: number, under: root) }
        machine.end()
        #expect(machine.look([]) == [])
    }

    /// Nothing but the state is needed to go on.
    @Test func itGoesOnAfterARestart() {
        let root = DeviceRun(chain, threads: 1).root
        let duty = drawn(root)
        let machine = machine()
        #expect(machine.look([duty]) == ["run 3"])
        machine.run(duty)
        #expect(machine.look([duty]) == ["show"])
    }

    /// A run whose time is over says nothing, and the next one waits for it.
    @Test func oneChallengeIsRunAtATime() {
        let machine = machine()
        #expect(machine.look([asked]) == ["run 0"])
        let next = DeviceDuty(device: 0, round: 8, chain: chain)
        #expect(machine.look([next]) == [])
        machine.run(asked)
        #expect(machine.look([next]) == ["run 0"])
        machine.run(next)
        #expect(machine.look([next]) == ["answer"])
        guard case .answerDevice(0, 8, _)? = machine.payloads.last else {
            Issue.record("an answer to a round that is over")
            return
        }
    }

    @Test func itShowsNothingOfAnAnswerThatIsNotItsOwn() {
        let machine = machine()
        let duty = drawn(.zero)
        #expect(machine.look([duty]) == ["run 3"])
        machine.run(duty)
        #expect(machine.look([duty]) == [])
    }

    /// A device that was silent is offered again as often as it takes, which is free; one whose answers are wrong once, since that is not.
    @Test func aFaultyDeviceIsOfferedAgainOnce() {
        let silent = machine()
        for _ in 0..<3 {
            #expect(silent.look([], offers: false, failure: .silent).contains("offer"))
            silent.end()
        }
        let faulty = machine()
        #expect(faulty.look([], offers: false, failure: .unproven) == ["warn unproven", "offer"])
        faulty.end()
        #expect(faulty.look([], failure: .unproven) == [])
        #expect(faulty.look([], offers: false, failure: .unproven) == [])
        #expect(faulty.look([], offers: false, failure: .unproven) == [])
    }
}
