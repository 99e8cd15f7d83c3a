public import Primitives

/// The roots of one step, as a dispute descends through them (docs/verification.md).
public struct StepRoots: Hashable, Sendable {
    /// Of every op's tensor, in the step's order.
    public let operations: [Digest]
    /// Of the tensors that the step gives out.
    public let outputs: [Digest]
    /// Of the carried tensors after the step, kept or not.
    public let carried: [Digest]

    public init(operations: [Digest], outputs: [Digest], carried: [Digest]) {
        self.operations = operations
        self.outputs = outputs
        self.carried = carried
    }

    /// Over the ops' tensors.
    public var operationsRoot: Digest { MerkleTree.root(operations) }
    /// The step's part of the output root.
    public var outputsRoot: Digest { MerkleTree.root(outputs) }
    /// The state after the step.
    public var carriedRoot: Digest { MerkleTree.root(carried) }
    /// What ties the ops to the step's ends: its two children are the roots of a step that the walk has already agreed to look at.
    public var bindRoot: Digest { MerkleTree.node(outputsRoot, carriedRoot) }
}
