/// Runs one after the other, as a machine: side by side all would be done as late as the last. A run that nobody waits for any more holds nobody up, though its
/// thread goes on: the chain has given its job to another, and the next one's time has begun.
public struct RunQueue: Sendable {
    private var current: WorkTask?
    private var waiting: [(task: WorkTask, order: WorkOrder)] = []

    public init() {}

    /// Waits for its turn; gives what is to begin now.
    public mutating func add(_ task: WorkTask, _ order: WorkOrder) -> (task: WorkTask, order: WorkOrder)? {
        waiting.append((task, order))
        return next()
    }

    /// A run has ended, or nobody waits for it any more; gives what is to begin now.
    public mutating func remove(_ task: WorkTask) -> (task: WorkTask, order: WorkOrder)? {
        waiting.removeAll { $0.task == task }
        if current == task { current = nil }
        return next()
    }

    private mutating func next() -> (task: WorkTask, order: WorkOrder)? {
        if current != nil || waiting.isEmpty { return nil }
        let item = waiting.removeFirst()
        current = item.task
        return item
    }
}
