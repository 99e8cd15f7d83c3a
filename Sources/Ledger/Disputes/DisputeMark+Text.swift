import Primitives
import Programs

extension DisputeMark: CustomStringConvertible {
    /// Whether it is the provider's move; else the challenger's.
    public var isReveal: Bool { if case .revealed = self { true } else { false } }

    /// On which level of the walk a reveal stands; nil for a challenger's move.
    public var level: String? {
        guard case .revealed(let point, _) = self else { return nil }
        return switch point {
        case .steps: "steps"
        case .operations: "ops"
        case .entries: "entries"
        case .blocks: "blocks"
        case .values: "values"
        case .totals: "totals"
        }
    }

    public var description: String {
        switch self {
        case .revealed(let point, let isShared): (isShared ? "known already: " : "reveals ") + DisputeMark.text(point)
        case .named(let place): "disagrees with number \(place) of these"
        case .namedOperation(let place): "disagrees with op \(place) of these"
        case .namedList(let list): "disagrees with the \(list) of the step"
        case .showedFlag: "shows the flag that ends the scan"
        case .finished: "disagrees with what the last total makes"
        case .witnessed: "shows the numbers that it is computed from"
        }
    }

    static func text(_ point: RevealPoint) -> String {
        func under(_ node: TreeNode) -> String {
            let leaves = node.leaves(of: .max)
            return leaves.count == 1
                ? "\(leaves.lowerBound)" : "\(leaves.lowerBound) to at most \(leaves.upperBound - 1)"
        }
        return switch point {
        case .steps(let node): "the state and outputs under steps \(under(node))"
        case .operations(let step, let node): "the roots under ops \(under(node)) of step \(step)"
        case .entries(let step, let list, let node): "the roots under \(list) \(under(node)) of step \(step)"
        case .blocks(let step, let operation, let node):
            "the digests under blocks \(under(node)) of op \(operation) of step \(step)"
        case .values(let step, let operation, let block):
            "the numbers of block \(block) of op \(operation) of step \(step)"
        case .totals(let step, let operation, let element, _, _):
            "running totals of element \(element) of op \(operation) of step \(step)"
        }
    }
}
