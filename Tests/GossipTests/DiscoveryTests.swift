import Gossip
import Primitives
import Testing

@Suite struct DiscoveryTests {
    static let count = 7
    static let keys = (0..<count).map { Actors.key(100 + $0) }
    static let endpoints = (0..<count).map { Actors.endpoint(UInt16(5_000 + $0)) }

    /// Whom each of seven asks first: all the same one, the one before it in a line, or one another in a ring.
    enum Shape: CaseIterable {
        case star, line, ring

        func bootstrap(of index: Int) -> Int {
            switch self {
            case .star: index == 0 ? 1 : 0
            case .line: max(index - 1, 0) == index ? 1 : index - 1
            case .ring: (index + 1) % DiscoveryTests.count
            }
        }
    }

    static func everyoneKnowsEveryone(_ network: VirtualNetwork) -> Bool {
        endpoints.indices.allSatisfy { index in
            var others = Set(keys.map(\.publicKey))
            others.remove(keys[index].publicKey)
            return network.known(at: endpoints[index]) == others
        }
    }

    static func network(_ shape: Shape, seed: UInt64, lossPercent: Int = 0) -> VirtualNetwork {
        var network = VirtualNetwork(seed: seed, lossPercent: lossPercent)
        for index in 0..<count {
            network.add(keys[index], at: endpoints[index], bootstrap: [endpoints[shape.bootstrap(of: index)]])
        }
        return network
    }

    @Test(arguments: Shape.allCases)
    func sevenNodesWithOneBootstrapEachFindOneAnother(shape: Shape) {
        for seed in 0..<4 as Range<UInt64> {
            var network = Self.network(shape, seed: seed)
            let found = network.run(for: .seconds(60), until: Self.everyoneKnowsEveryone)
            #expect(found, "seed \(seed)")
            for (index, endpoint) in Self.endpoints.enumerated() {
                #expect(network.discovered[endpoint]?.count == Self.count - 1, "seed \(seed), node \(index)")
            }
        }
    }

    @Test(arguments: Shape.allCases)
    func theyDoSoWhenAThirdOfTheDatagramsIsLost(shape: Shape) {
        for seed in 100..<106 as Range<UInt64> {
            var network = Self.network(shape, seed: seed, lossPercent: 30)
            let found = network.run(for: .seconds(300), until: Self.everyoneKnowsEveryone)
            #expect(found, "seed \(seed)")
        }
    }

    @Test func whoFallsSilentIsForgottenAndFoundAgainAtAnotherAddress() {
        var network = Self.network(.star, seed: 1)
        let found = network.run(for: .seconds(60), until: Self.everyoneKnowsEveryone)
        #expect(found)
        network.remove(Self.endpoints[3])
        let gone = Self.keys[3].publicKey
        let forgotten = network.run(for: .seconds(120)) { network in
            !Self.endpoints.contains { network.known(at: $0).contains(gone) }
        }
        #expect(forgotten)
        network.add(Self.keys[3], at: Actors.endpoint(6_000), sequence: 2, bootstrap: [Self.endpoints[5]])
        let back = network.run(for: .seconds(120)) { network in
            Self.endpoints.indices.allSatisfy { $0 == 3 || network.known(at: Self.endpoints[$0]).contains(gone) }
        }
        #expect(back)
    }

    @Test func whoMovesIsFoundThereBeforeItsOldAddressHasFailed() {
        var network = Self.network(.star, seed: 2)
        _ = network.run(for: .seconds(60), until: Self.everyoneKnowsEveryone)
        let moved = Actors.endpoint(6_000)
        // The old address goes on answering with the old record.
        network.add(Self.keys[3], at: moved, sequence: 2, bootstrap: [Self.endpoints[0]])
        let followed = network.run(for: .seconds(120)) { network in
            Self.endpoints.indices.allSatisfy { index in
                index == 3
                    || network.machines[Self.endpoints[index]]?.table.record(of: Self.keys[3].publicKey)?.endpoint
                        == moved
            }
        }
        #expect(followed)
    }

    @Test func aNodeAloneAsksItsBootstrapForEverAndWithPauses() {
        var network = VirtualNetwork(seed: 3)
        network.add(Self.keys[0], at: Self.endpoints[0], bootstrap: [Self.endpoints[1]])
        _ = network.run(for: .seconds(600))
        let asked = network.datagramsSent[Self.endpoints[1], default: 0]
        // Twice as long each time up to 8 s for as long as it knows nobody.
        #expect((70...90).contains(asked))
        network.add(Self.keys[1], at: Self.endpoints[1], bootstrap: [])
        let found = network.run(for: .seconds(31)) { !$0.known(at: Self.endpoints[0]).isEmpty }
        #expect(found)
    }

    /// Seed 101 of a lossy line found it: four nodes that knew one another never asked the bootstrap address of one of them again.
    @Test func aGroupContentWithItselfStillFindsTheRestThroughABootstrapThatWasDown() {
        var network = VirtualNetwork(seed: 6)
        for index in 3..<7 {
            network.add(Self.keys[index], at: Self.endpoints[index], bootstrap: [Self.endpoints[index == 3 ? 0 : 3]])
        }
        let group = network.run(for: .seconds(60)) { network in
            (3..<7).allSatisfy { network.known(at: Self.endpoints[$0]).count == 3 }
        }
        #expect(group)
        for index in 0..<3 {
            network.add(Self.keys[index], at: Self.endpoints[index], bootstrap: [Self.endpoints[index == 0 ? 1 : 0]])
        }
        let joined = network.run(for: .seconds(120), until: Self.everyoneKnowsEveryone)
        #expect(joined)
    }

    @Test func savedRecordsServeAsBootstrapUnlessOfAnotherNetwork() {
        for (network, expected) in [(Actors.network, true), (Actors.otherNetwork, false)] {
            var virtual = VirtualNetwork(seed: 4)
            let saved = Actors.record(Self.keys[1], network: network, at: Self.endpoints[1])
            virtual.add(Self.keys[0], at: Self.endpoints[0], bootstrap: [], saved: [saved])
            virtual.add(Self.keys[1], at: Self.endpoints[1], bootstrap: [])
            let found = virtual.run(for: .seconds(10)) { !$0.known(at: Self.endpoints[0]).isEmpty }
            #expect(found == expected)
        }
    }

    @Test func twoNetworksOnOneMachineDoNotMix() {
        var network = VirtualNetwork(seed: 5)
        for index in 0..<6 {
            network.add(
                Self.keys[index], at: Self.endpoints[index],
                network: index < 3 ? Actors.network : Actors.otherNetwork, bootstrap: Self.endpoints)
        }
        _ = network.run(for: .seconds(30))
        for index in 0..<6 {
            let own = index < 3 ? 0..<3 : 3..<6
            let expected = Set(own.filter { $0 != index }.map { Self.keys[$0].publicKey })
            #expect(network.known(at: Self.endpoints[index]) == expected, "node \(index)")
        }
    }
}
