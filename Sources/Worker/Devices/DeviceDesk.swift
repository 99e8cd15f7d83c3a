import Ledger
import Primitives
import Programs

/// What challenges ask of this provider's devices, and how far it is with that: a part of `ProviderMachine`.
///
/// 1. What the state asks is run, once at a time, and posted; it is posted again while the state still asks.
/// 2. What was drawn of an answer is cut out of another run, since nothing but the chain's state is kept: so a machine that began anew goes on where it was.
/// 3. An answer that is not its own is not shown: another machine with this key has given it.
struct DeviceDesk {
    enum Output {
        case run(DeviceDuty)
        case submit(Payload, DeviceDuty)
    }

    private enum Progress {
        case running
        case done(Payload)
        case underWay(Payload)
        /// There is nothing to be said.
        case over
    }

    private var progress: [DeviceDuty: Progress] = [:]

    mutating func look(at duties: [DeviceDuty]) -> [Output] {
        let asked = Set(duties)
        // A run goes on, whether it is still asked for or not: two at a time would make both late.
        progress = progress.filter { duty, state in
            if case .running = state { return true }
            return asked.contains(duty)
        }
        var isRunning = progress.values.contains { if case .running = $0 { true } else { false } }
        var outputs: [Output] = []
        for duty in duties {
            switch progress[duty] {
            case nil:
                if isRunning { continue }
                isRunning = true
                progress[duty] = .running
                outputs.append(.run(duty))
            case .done(let payload):
                progress[duty] = .underWay(payload)
                outputs.append(.submit(payload, duty))
            case .running, .underWay, .over: break
            }
        }
        return outputs
    }

    mutating func finished(_ duty: DeviceDuty, root: Digest, samples: [DeviceSample]) {
        guard case .running = progress[duty] else { return }
        guard let answered = duty.answered else {
            progress[duty] = .done(.answerDevice(device: duty.device, round: duty.round, root: root))
            return
        }
        progress[duty] =
            answered == root
            ? .done(.showDevice(device: duty.device, round: duty.round, samples: samples)) : .over
    }

    mutating func ended(_ duty: DeviceDuty) {
        if case .underWay(let payload) = progress[duty] { progress[duty] = .done(payload) }
    }
}
