internal import Consensus
internal import Primitives

/// Walks every order of events of four validators, of which three are real engines and one is a liar that may say any of a few things to anyone at any
/// time, and looks at every state for what must never be possible together.
///
/// A state is the states of the three engines. What has been said follows from them, and stays: a word said can be heard by anyone at any later time, any
/// number of times, or never, so loss, duplication and reorder are all in it. An event is one message heard by one node, a node's time-out, or an
/// answer of its application. Views past the bound are entered and no more.
///
/// Reduction: a step by which a node casts no vote concerns nobody else. It enables and prevents nothing elsewhere, and stays possible whatever others do.
/// So every order of events has an equal one in which such steps stand right before the next vote of the same node, and only those orders are
/// walked: once a node has made a quiet step, it alone goes on until it votes. What is looked for is a matter of votes cast, so nothing is missed.
public struct EngineSearch: Sendable {
    public enum Order: String, Sendable, CaseIterable {
        /// The newest state goes on first: soon deep.
        case depth
        /// The oldest goes on first: every state of a depth before any deeper one.
        case breadth
    }

    /// Who leads views 1, 2, ….
    public let leaders: [Int]
    public let byzantine: Int
    public let maximumDistinct: Int
    private let order: Order
    private let words: SearchWords
    private var nodes: [NodeStates]
    private var states = StateSet()
    /// Numbers of states that are to go on; in breadth the states from `next` on.
    private var stack: [Int] = []
    private var next = 0
    /// States met, those met before counted again.
    public private(set) var met = 0
    public private(set) var depth = 0
    public private(set) var violations: [String] = []
    private var judgedFaults: [Int]

    /// Leaders of views 1, 2, … by validator; validators `0..<byzantine` lie. With `onlyDecisions`, states of a node that decide alike are one
    /// (`Simplex.decisionFingerprint`). Nil where the numbers are out of bounds.
    public init?(
        leaders: [Int], byzantine: Int = 1, maximumDistinct: Int, order: Order = .depth, onlyDecisions: Bool = true
    ) {
        guard (1...3).contains(leaders.count), (1...2).contains(byzantine), maximumDistinct >= 1,
            leaders.allSatisfy({ (0..<SearchWords.validators).contains($0) })
        else { return nil }
        self.leaders = leaders
        self.byzantine = byzantine
        self.order = order
        self.maximumDistinct = min(maximumDistinct, StateSet.capacity)
        let words = SearchWords(byzantine: byzantine, leaders: leaders)
        self.words = words
        var draw = TwinLeaders(words.validators)
        let seed = draw.seed(for: leaders)
        nodes = (byzantine..<SearchWords.validators).map {
            NodeStates(own: $0, words, seed: seed, onlyDecisions: onlyDecisions)
        }
        judgedFaults = nodes.map { _ in 0 }
        met = 1
        _ = states.insert(0, parent: nil, depth: 0)
        stack.append(0)
    }

    public var distinct: Int { states.count }
    public var frontier: Int { order == .depth ? stack.count : states.count - next }
    /// States of single nodes, all nodes together, and how often an engine was asked.
    public var nodeStates: Int { nodes.reduce(0) { $0 + $1.states.count } }
    public var engineSteps: Int { nodes.reduce(0) { $0 + $1.steps } }
    /// Whether there is nothing left to look at.
    public var isComplete: Bool { frontier == 0 }
    public var isOver: Bool {
        isComplete || states.count >= maximumDistinct || violations.count >= 10 || nodes.contains { $0.isFull }
    }

    /// Goes on from so many states.
    public mutating func run(_ count: Int) {
        for _ in 0..<count {
            if isOver { return }
            let number: Int
            if order == .depth {
                guard let last = stack.popLast() else { return }
                number = last
            } else {
                number = next
                next += 1
            }
            goOn(from: number)
        }
    }

    /// Three numbers of node states, and which node alone goes on, plus one.
    private static func place(_ key: UInt64, _ node: Int) -> Int { Int(key >> UInt64(node * 20)) & 0xF_FFFF }

    private static func key(_ key: UInt64, _ node: Int, _ state: Int, alone: Int) -> UInt64 {
        let shift = UInt64(node * 20)
        return key & ~(0xF_FFFF << shift) & ~(3 << 60) | UInt64(state) << shift | UInt64(alone) << 60
    }

    private mutating func goOn(from number: Int) {
        let key = states.keys[number]
        let places = nodes.indices.map { EngineSearch.place(key, $0) }
        let alone = Int(key >> 60)
        let offer = words.offer(nodes.indices.map { nodes[$0].states[places[$0]].said })
        for node in nodes.indices where alone == 0 || alone == node + 1 {
            var messages = offer
            messages.subtract(nodes[node].states[places[node]].idle)
            while let message = messages.popFirst() { take(message, node, places, from: number, key) }
            for event in nodes[node].events(in: places[node]) { take(event, node, places, from: number, key) }
        }
    }

    private mutating func take(_ event: Int, _ node: Int, _ places: [Int], from number: Int, _ key: UInt64) {
        guard let next = nodes[node].successor(of: places[node], after: event, words) else {
            judgeNode(node, from: number)
            return
        }
        judgeNode(node, from: number)
        met += 1
        let isQuiet = nodes[node].states[next].said == nodes[node].states[places[node]].said
        let depth = states.depth(of: number) + 1
        guard
            states.insert(
                EngineSearch.key(key, node, next, alone: isQuiet ? node + 1 : 0), parent: number, depth: depth)
        else { return }
        self.depth = max(self.depth, depth)
        if order == .depth { stack.append(states.count - 1) }
        judge(states.count - 1)
    }

    /// What a single engine did wrong.
    private mutating func judgeNode(_ node: Int, from number: Int) {
        while judgedFaults[node] < nodes[node].faults.count {
            let fault = nodes[node].faults[judgedFaults[node]]
            judgedFaults[node] += 1
            let last = nodes[node].describe(fault.event, in: fault.state, words)
            violations.append("node \(nodes[node].own) \(fault.text): \(story(to: number)); \(last)")
        }
    }

    /// Agreement, in every state: no two certificates that exclude one another can both be made, and no node holds one that cannot.
    private mutating func judge(_ number: Int) {
        let key = states.keys[number]
        let current = nodes.indices.map { nodes[$0].states[EngineSearch.place(key, $0)] }
        let possible = words.possible(current.map(\.said))
        for state in current where state.certified & ~possible != 0 {
            violations.append("a node holds a certificate for which too few voted: \(story(to: number))")
        }
        var left = possible
        while left != 0 {
            let subject = left.trailingZeroBitCount
            left &= left - 1
            if subject >= words.subjects.count { break }
            let beside = possible & words.excluded[subject]
            if beside == 0 { continue }
            let other = words.subjects[beside.trailingZeroBitCount]
            violations.append(
                "\(words.describe(words.subjects[subject])) and \(words.describe(other)) are both possible: \(story(to: number))"
            )
            return
        }
    }

    /// The events that led to a state, in words.
    private func story(to number: Int) -> String {
        var copy = nodes
        var told: [String] = []
        let path = states.path(to: number)
        for (before, after) in zip(path, path.dropFirst()) {
            for node in nodes.indices {
                let state = EngineSearch.place(before, node)
                let next = EngineSearch.place(after, node)
                if state == next { continue }
                let events = Array(words.messages.indices) + copy[node].events(in: state)
                let event = events.first { copy[node].successor(of: state, after: $0, words) == next }
                told.append(event.map { copy[node].describe($0, in: state, words) } ?? "node \(node) goes on")
            }
        }
        return "leaders \(leaders); " + told.joined(separator: "; ")
    }
}
