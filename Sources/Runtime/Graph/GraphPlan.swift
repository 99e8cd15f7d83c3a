internal import CKernels
internal import Programs

/// One step of a scan made ready to run.
enum PlanStep: Sendable {
    case rows(RowGroup)
    case contract(ContractStep)
    case wholeContract(WholeContractStep)
    case roundRows(RoundRowsStep)
    case wholeLinear(WholeLinearStep)
    case halveRows(HalveRowsStep)
    case halvedLinear(HalvedLinearStep)
    case selected(SelectedContractStep)
    case gather(GatherStep)
    case sort(SortStep)
    case columnSum(ColumnSumStep)
    case convolution(ConvolutionStep)
    case pool(PoolStep)

    func run(_ memory: StepMemory) {
        switch self {
        case .rows(let step): step.run(memory)
        case .contract(let step): step.run(memory)
        case .wholeContract(let step): step.run(memory)
        case .roundRows(let step): step.run(memory)
        case .wholeLinear(let step): step.run(memory)
        case .halveRows(let step): step.run(memory)
        case .halvedLinear(let step): step.run(memory)
        case .selected(let step): step.run(memory)
        case .gather(let step): step.run(memory)
        case .sort(let step): step.run(memory)
        case .columnSum(let step): step.run(memory)
        case .convolution(let step): step.run(memory)
        case .pool(let step): step.run(memory)
        }
    }

    /// The name of what does it.
    var kernel: String {
        switch self {
        case .rows: "rows"
        case .contract: "contraction"
        case .wholeContract: "whole contraction"
        case .roundRows: "rounding"
        case .wholeLinear: "whole linear"
        case .halveRows: "halving"
        case .halvedLinear: "halved linear"
        case .selected: "selected contraction"
        case .gather: "gather"
        case .sort: "sort"
        case .columnSum: "column sum"
        case .convolution(let step):
            step.filters != nil ? "channel convolution" : step.holdsWindows ? "held convolution" : "convolution"
        case .pool(let step): step.isSum ? "sum pool" : "maximum pool"
        }
    }

    /// Bytes of scratch: for each thread, and for all.
    func scratch(threads: Int) -> (thread: Int, shared: Int) {
        switch self {
        case .rows(let step): (step.scratch, 0)
        case .contract(let step): step.scratch(threads: threads)
        case .wholeContract(let step): step.scratch
        case .wholeLinear(let step): (step.scratch, 0)
        case .halvedLinear(let step): (step.scratch, 0)
        case .selected(let step): (step.scratch, 0)
        case .sort(let step): (step.scratch, 0)
        case .convolution(let step): step.scratch
        case .pool(let step): (step.scratch, 0)
        case .gather, .columnSum, .roundRows, .halveRows: (0, 0)
        }
    }
}

/// Where the values with memory lie.
enum Storage: Sendable, Equatable {
    /// Parameters, inputs, carried tensors, by their number among the leading values.
    case leading(Int)
    /// A value of parameters alone, made once.
    case constant
    case arena(Int)
    /// The memory that a carried tensor has in the next step.
    case next(Int)
}

/// A scan's steps in order, and where every value lies.
struct GraphPlan: Sendable {
    let types: [TensorType]
    /// How a value is read; nil for one that nothing needs or that never leaves its group.
    let accesses: [Access?]
    let storage: [UInt32: Storage]
    private(set) var steps: [PlanStep]
    /// In order; they have no step in common.
    let chains: [ImageChain]
    let arenaBytes: Int
    let threadScratch: Int
    let sharedScratch: Int
    /// Values of parameters alone that steps, outputs or carried tensors read.
    let constants: [ValueID]
    /// Weights that contractions want packed, by the number of their step.
    let weights: [(step: Int, weight: WeightAccess)]
    /// Carried tensors whose next value is copied at the end of the step.
    let copied: [(carried: Int, from: Access)]
    /// Carried tensors that get other memory at the end of the step, as it holds the next value.
    let swapped: [Int]
    /// Carried tensors that were changed where they lie.
    let updated: [Int]

    /// Runs all steps, those of a chain image by image.
    func run(_ memory: StepMemory) {
        var next = 0
        for chain in chains {
            for step in self.steps[next..<chain.steps.lowerBound] { step.run(memory) }
            let (steps, single, lane) = (self.steps[chain.steps], chain.single, chain.lane / 4)
            memory.team.run(single) { image, thread in
                let own = memory.alone(thread)
                let images = ImagesAtOnce(items: image..<image + 1, place: thread, lane: lane)
                for step in steps { step.run(own, images: images) }
            }
            if single < chain.images {
                let images = ImagesAtOnce(items: single..<chain.images, lane: lane)
                for step in steps { step.run(memory, images: images) }
            }
            next = chain.steps.upperBound
        }
        for step in steps[next...] { step.run(memory) }
    }

    /// Gives a contraction its packed weight, or the next of them.
    mutating func setPacked(_ packed: PackedWeight, step index: Int) {
        switch steps[index] {
        case .contract(var step):
            step.packed = packed
            steps[index] = .contract(step)
        case .wholeContract(var step):
            step.packed = packed
            steps[index] = .wholeContract(step)
        case .wholeLinear(var step):
            step.packed = packed
            steps[index] = .wholeLinear(step)
        case .halvedLinear(var step):
            step.packed.append(packed)
            steps[index] = .halvedLinear(step)
        case .convolution(var step):
            step.packed = packed
            steps[index] = .convolution(step)
        default: return
        }
    }
}

/// A right side [n, k] that is a weight, or made of weights alone.
struct WeightAccess: Sendable, Hashable {
    let access: Access
    /// f32, or i8 with its rows one after another.
    let element: ElementType
    let n: Int
    let k: Int
    /// Between successive n, and successive k.
    let row: Int
    let step: Int
    /// Whether it is packed as the filters of a convolution, which is another form.
    var isFilters = false
    /// Filters fall into so many groups of n, which are packed each for itself.
    var groups = 1
}
