import Simulation
import Testing

@Suite struct SearchTests {
    /// The liar leads both views, one of them, or none.
    static let kinds = [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2]]

    func search(
        _ leaders: [Int], byzantine: Int = 1, states: Int, _ order: EngineSearch.Order = .depth,
        onlyDecisions: Bool = true
    ) throws -> EngineSearch {
        var search = try #require(
            EngineSearch(
                leaders: leaders, byzantine: byzantine, maximumDistinct: states, order: order,
                onlyDecisions: onlyDecisions))
        while !search.isOver && search.violations.isEmpty { search.run(500) }
        return search
    }

    @Test(arguments: kinds) func noOrderOfTwoViewsBreaksAgreement(_ leaders: [Int]) throws {
        for order in EngineSearch.Order.allCases {
            for onlyDecisions in [true, false] {
                let search = try search(leaders, states: 10_000, order, onlyDecisions: onlyDecisions)
                #expect(search.violations == [])
                #expect(search.distinct >= 10_000)
            }
        }
    }

    /// What the search can see when there is something: two liars of four are more than the protocol bears.
    @Test(arguments: [[0], [2], [0, 1], [2, 3]]) func withTwoLiarsItFindsWhatIsWrong(_ leaders: [Int]) throws {
        let search = try search(leaders, byzantine: 2, states: 200_000, .breadth)
        #expect(search.violations.contains { $0.contains("are both possible") })
    }

    @Test func aSearchIsTheSameEveryTime() throws {
        let first = try search([1, 2], states: 5_000)
        let second = try search([1, 2], states: 5_000)
        #expect(first.met == second.met && first.depth == second.depth && first.nodeStates == second.nodeStates)
        // The real engine is behind it, asked once for each state of a node and each event.
        #expect(first.engineSteps > 1_000)
    }

    @Test func whatMakesNoSenseIsRefused() {
        #expect(EngineSearch(leaders: [], maximumDistinct: 10) == nil)
        #expect(EngineSearch(leaders: [0, 0, 0, 0], maximumDistinct: 10) == nil)
        #expect(EngineSearch(leaders: [4], maximumDistinct: 10) == nil)
        #expect(EngineSearch(leaders: [0], byzantine: 3, maximumDistinct: 10) == nil)
        #expect(EngineSearch(leaders: [0], maximumDistinct: 0) == nil)
    }
}
