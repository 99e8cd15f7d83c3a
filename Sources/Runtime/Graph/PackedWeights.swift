internal import Programs
internal import Synchronization

/// Weights in the kernels' own form, packed once and shared by the executors of one model, whatever their shapes.
public final class PackedWeights: Sendable {
    private struct Key: Hashable {
        let weight: WeightAccess
        let variant: KernelVariant
    }

    private let held = Mutex<[Key: PackedWeight]>([:])

    public init() {}

    /// Bytes of all.
    public var bytes: UInt64 { held.withLock { $0.values.reduce(0) { $0 + UInt64($1.memory.count) } } }

    /// What is held for a weight that is a parameter's, or what `make` gives.
    func weight(_ weight: WeightAccess, _ variant: KernelVariant, make: () -> PackedWeight) -> PackedWeight {
        let key = Key(weight: weight, variant: variant)
        if let found = held.withLock({ $0[key] }) { return found }
        let made = make()
        held.withLock { $0[key] = made }
        return made
    }
}

/// Memory of values that are made of parameters alone.
final class ConstantMemory: @unchecked Sendable {
    // Written before it is shared.
    private let arena: Block
    private let bases: [ValueID: UnsafeMutableRawPointer]

    init(arena: Block, bases: [ValueID: UnsafeMutableRawPointer]) {
        self.arena = arena
        self.bases = bases
    }

    var bytes: Int { arena.count }

    func base(_ value: ValueID) -> UnsafeMutableRawPointer? { bases[value] }
}

/// Makes what depends on parameters alone, once.
struct ConstantMaker {
    let program: SpecialisedProgram
    let parameters: [ParameterMemory]
    let team: ThreadTeam
    let variant: KernelVariant
    let weights: PackedWeights

    /// The values, from a plan of their own.
    func make(_ values: [ValueID], _ scan: Scan) -> ConstantMemory? {
        if values.isEmpty { return nil }
        let types = program.types(of: scan)
        var planner = GraphPlanner(
            types: types, operations: scan.operations, parameters: parameters.count,
            firstCarried: parameters.count + program.inputs.count, outputs: values, nextCarried: [], firstOperation: 0,
            threads: team.threads, variant: variant, hoists: false)
        let plan = planner.plan()
        let memory = StepMemory(
            types: types, team: team, variant: variant, threadScratch: plan.threadScratch,
            sharedScratch: plan.sharedScratch, spare: SpareScratch(threads: team.threads), seed: 0)
        let arena = Block(plan.arenaBytes)
        for (value, storage) in plan.storage {
            switch storage {
            case .leading(let number):
                // Nothing but parameters is read.
                if number < parameters.count { memory.bases[Int(value)] = parameters[number].base }
            case .arena(let offset): memory.bases[Int(value)] = arena.base + offset
            case .constant, .next: break
            }
        }
        plan.run(memory)
        var bases: [ValueID: UnsafeMutableRawPointer] = [:]
        for value in values {
            if let access = plan.accesses[Int(value.index)] { bases[value] = memory.pointer(access) }
        }
        return ConstantMemory(arena: arena, bases: bases)
    }

    /// Packs the weights of a plan's contractions.
    func pack(_ plan: inout GraphPlan, _ scan: Scan) {
        for (step, weight) in plan.weights {
            let root = weight.access.root
            if Int(root.index) < parameters.count {
                let packed = weights.weight(weight, variant) { self.packed(weight, parameters[Int(root.index)].base) }
                plan.setPacked(packed, step: step)
            } else if let made = make([root], scan), let base = made.base(root) {
                // Packed and let go: one after the other, so that no more than one is there twice.
                plan.setPacked(packed(weight, base), step: step)
            }
        }
    }

    private func packed(_ weight: WeightAccess, _ base: UnsafeMutableRawPointer) -> PackedWeight {
        if weight.element == .i8 {
            return PackedWeight(
                variant, base.assumingMemoryBound(to: Int8.self) + weight.access.offset, n: weight.n, k: weight.k)
        }
        if weight.isFilters {
            return PackedWeight(
                variant, filters: base.assumingMemoryBound(to: Float.self) + weight.access.offset, n: weight.n,
                k: weight.k, groups: weight.groups)
        }
        return PackedWeight(
            variant, base.assumingMemoryBound(to: Float.self) + weight.access.offset, row: weight.row,
            step: weight.step, n: weight.n, k: weight.k)
    }
}
