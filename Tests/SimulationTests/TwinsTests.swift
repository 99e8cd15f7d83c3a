import Simulation
import Testing

@Suite struct TwinsTests {
    /// The literal is what Burnside's lemma and the list itself both give; raw are (4 leaders × 52 partitions)³.
    @Test func theListHasOneScenarioOfEachKind() {
        let enumeration = TwinEnumeration()
        #expect(enumeration.rounds.count == 208)
        #expect(enumeration.rawCount == 8_998_912)
        #expect(enumeration.representatives.count == enumeration.expectedCount)
        #expect(enumeration.representatives.count == 812_110)
    }

    @Test func aScenarioIsReadBackFromItsDescription() throws {
        let cases = try #require(TwinCases(validators: 10, count: 200, seed: 3))
        for number in 0..<cases.count {
            let scenario = cases[number].scenario
            #expect(TwinScenario(scenario.description) == scenario)
        }
        for text in ["", "4", "4+1", "4+5,0:0", "4+1,4:00000", "4+1,0:0000", "4+1,0:0000g", "4+x,0:00000"] {
            #expect(TwinScenario(text) == nil, "\(text)")
        }
    }

    /// 10,000 cases in all; what fails is printed with its replay.
    func survive(validators: Int, cases: Int, seed: UInt64) throws {
        let list = try #require(TwinCases(validators: validators, count: cases, seed: seed))
        #expect(list.count == cases)
        var setting = TwinSimulation.Setting(validators: validators)
        var finalizedBefore = 0
        var accused = 0
        for number in 0..<list.count {
            let one = list[number]
            var simulation = TwinSimulation(one, in: &setting)
            let verdict = simulation.run()
            if verdict.finalizedBefore { finalizedBefore += 1 }
            if verdict.accusations > 0 { accused += 1 }
            #expect(verdict.violations == [], "plasma simulate twins --scenario \(one.scenario) --seed \(one.seed)")
        }
        // The scenarios reach both ends: some finalize in a partition, and twins are caught.
        #expect(finalizedBefore > 0 && accused > 0)
    }

    @Test(arguments: 0..<16) func aTwinOfFourBreaksNothing(_ batch: Int) throws {
        try survive(validators: 4, cases: 500, seed: UInt64(batch))
    }

    @Test(arguments: 0..<4) func twinsOfSevenBreakNothing(_ batch: Int) throws {
        try survive(validators: 7, cases: 300, seed: UInt64(batch))
    }

    @Test(arguments: 0..<4) func twinsOfTenBreakNothing(_ batch: Int) throws {
        try survive(validators: 10, cases: 200, seed: UInt64(batch))
    }

    /// Two of four are more than the network bears: kept apart, each half with an honest one, they split the chain. Were this not found, the
    /// cases above would say nothing.
    @Test func twoTwinsOfFourSplitTheChainAndAreSeen() throws {
        let round = "0:001100"
        let scenario = try #require(TwinScenario("4+2,\(round),\(round),\(round)"))
        // Nodes 0, 1 and 2 hear one another, and so do 3 and the second halves 4 and 5.
        let split = try #require(TwinScenario("4+2,0:000111,0:000111,0:000111"))
        var setting = TwinSimulation.Setting(validators: 4)
        var seen = 0
        for seed in 0..<20 as Range<UInt64> {
            var simulation = TwinSimulation(TwinCase(scenario: split, seed: seed), in: &setting)
            if simulation.run().violations.contains(where: { $0.contains("two finalizations") }) { seen += 1 }
            var other = TwinSimulation(TwinCase(scenario: scenario, seed: seed), in: &setting)
            _ = other.run()
        }
        #expect(seen == 20)
    }

    @Test func aCaseReplays() throws {
        let list = try #require(TwinCases(validators: 7, count: 20, seed: 5))
        var setting = TwinSimulation.Setting(validators: 7)
        var fresh = TwinSimulation.Setting(validators: 7)
        for number in [3, 19, 3] {
            var first = TwinSimulation(list[number], in: &setting)
            var second = TwinSimulation(list[number], in: &fresh)
            let one = first.run()
            let other = second.run()
            #expect(one.events == other.events && one.recovery == other.recovery)
        }
    }
}
