import Gossip
import Primitives

/// Discovery machines over a network that is a queue: every delay and loss comes from the seed, time passes only here.
struct VirtualNetwork {
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private(set) var machines: [Endpoint: Discovery] = [:]
    private var order: [Endpoint] = []
    private var flying: [(at: Instant, from: Endpoint, to: Endpoint, bytes: [UInt8])] = []
    private var random: SplitMix64
    private let lossPercent: Int
    private(set) var discovered: [Endpoint: Set<PublicKey>] = [:]
    /// How many datagrams have been sent to each address, lost ones included.
    private(set) var datagramsSent: [Endpoint: Int] = [:]

    init(seed: UInt64, lossPercent: Int = 0) {
        random = SplitMix64(seed: seed)
        self.lossPercent = lossPercent
    }

    mutating func add(
        _ key: SecretKey, at endpoint: Endpoint, network: Digest = Actors.network, sequence: UInt64 = 1,
        bootstrap: [Endpoint], saved: [NodeRecord] = []
    ) {
        machines[endpoint] = Discovery(
            key: key, record: Actors.record(key, network: network, sequence: sequence, at: endpoint),
            bootstrap: bootstrap, saved: saved, seed: random.next())
        if !order.contains(endpoint) { order.append(endpoint) }
    }

    mutating func remove(_ endpoint: Endpoint) { machines[endpoint] = nil }

    /// A datagram from whoever claims to be at an address.
    mutating func inject(_ bytes: [UInt8], from: Endpoint, to: Endpoint) {
        flying.append((now.adding(.milliseconds(Int64.random(in: 5...50, using: &random))), from, to, bytes))
    }

    func known(at endpoint: Endpoint) -> Set<PublicKey> {
        Set(machines[endpoint]?.table.entries.map(\.record.identity) ?? [])
    }

    /// Lets time pass until the condition holds. Returns whether it came to hold in that time.
    mutating func run(for span: Interval, until done: (VirtualNetwork) -> Bool = { _ in false }) -> Bool {
        let end = now.adding(span)
        while now < end {
            if done(self) { return true }
            for endpoint in order { carry(machines[endpoint]?.tick(at: now) ?? [], from: endpoint) }
            let next = now.adding(.milliseconds(100))
            while let first = flying.indices.min(by: { flying[$0].at < flying[$1].at }), flying[first].at < next {
                let datagram = flying.remove(at: first)
                now = max(now, datagram.at)
                carry(
                    machines[datagram.to]?.receive(datagram.bytes, from: datagram.from, at: now) ?? [],
                    from: datagram.to)
            }
            now = next
        }
        return done(self)
    }

    private mutating func carry(_ outputs: [Discovery.Output], from sender: Endpoint) {
        for output in outputs {
            switch output {
            case .discovered(let record): discovered[sender, default: []].insert(record.identity)
            case .send(let bytes, let endpoint):
                datagramsSent[endpoint, default: 0] += 1
                if Int.random(in: 0..<100, using: &random) >= lossPercent {
                    inject(bytes, from: sender, to: endpoint)
                }
            }
        }
    }
}
