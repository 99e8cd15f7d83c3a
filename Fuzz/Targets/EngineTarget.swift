import Consensus
import Primitives

/// One real engine among three validators that the input plays: its bytes are a script of messages, answers, time-outs and restarts. Whatever the others
/// say, the engine must keep its own word (`EngineOracle`).
///
/// The first byte of a script says how many of the others lie: with an even one a single validator does and the other two keep the rules of votes, so
/// that what is final must be final for good; with an odd one all three say anything.
enum EngineTarget: FuzzTarget {
    static let name = "engine"

    static func forms() throws -> [Form] {
        // The leader's vote, the application's word, certificates, and so over some views; then noise.
        let view: [UInt8] = [0, 0, 0, 1, 2, 4, 1, 5, 0, 1, 7, 1, 1, 5, 1, 2]
        let happy: [UInt8] = Array([[UInt8]](repeating: view, count: 6).joined())
        let pause: [UInt8] = [3, 200, 0, 2, 1, 2, 1]
        let idle: [UInt8] = Array([[UInt8]](repeating: pause, count: 6).joined())
        var seeds: [[UInt8]] = []
        for mode: UInt8 in [0, 1] {
            for script in [happy, idle, happy + idle + [9] + happy] { seeds.append([mode] + script) }
            for seed in 1...6 as ClosedRange<UInt64> {
                var random = SplitMix64(seed: seed)
                var script = [mode]
                for _ in 0..<200 { script.append(UInt8(truncatingIfNeeded: random.next())) }
                seeds.append(script)
            }
        }
        return [
            Form(seeds: seeds) { script in
                guard let mode = script.first else { return }
                var play = EnginePlay(everyoneLies: mode % 2 == 1, script: script.dropFirst())
                play.run()
            }
        ]
    }
}
