internal import Programs

/// Steps that follow one another and take each image of a batch for itself: each thread takes an image through all of them before the next one, so that what
/// lies between the steps stays in its cache and needs memory for those few images alone, and no thread waits for others. Images that are too few for all
/// threads go together, and threads share out each step.
struct ImageChain: Sendable {
    let steps: Range<Int>
    let images: Int
    /// How many images have memory at once: as many as there are threads.
    let together: Int
    /// Bytes that lie between the same value of two images at once: each has its own lane, as one may be steps ahead of the other.
    var lane = 0

    /// Images that are taken by single threads.
    var single: Int { images / together * together }
}

/// Images that go through a step.
struct ImagesAtOnce: Sendable {
    let items: Range<Int>
    /// The lane of the first, and floats that lie between lanes.
    var place = 0
    var lane = 0

    /// Floats before one of these images in a tensor: by lanes, or in the whole batch, where images are `apart` floats from one another.
    func floats(before item: Int, _ isTogether: Bool, apart: Int) -> Int {
        isTogether ? (place + item) * lane : (items.lowerBound + item) * apart
    }
}

/// Which of a step's tensors have memory only for the images that go together.
struct TogetherPlaces: Sendable {
    var input = false
    var out = false
    var residual = false
}

extension PlanStep {
    /// Images of its batch, where the step takes each for itself.
    fileprivate var images: Int? {
        switch self {
        case .convolution(let step): step.holdsWindows ? nil : step.windows.batch
        case .pool(let step): step.windows.batch
        default: nil
        }
    }

    /// Whether a value of so many elements, where the step reads it, is read image by image.
    fileprivate func takesImages(of value: ValueID, count: Int) -> Bool {
        switch self {
        case .convolution(let step):
            if let residual = step.residual, residual.root == value {
                // It lies as the result does.
                let windows = step.windows
                guard residual.offset == 0, windows.batch * step.results * windows.places == count else { return false }
            }
            return step.bias?.root != value && step.filters?.root != value
                && (step.windows.input.root != value || step.windows.covers(count))
        case .pool(let step): return step.windows.input.root != value || step.windows.covers(count)
        default: return false
        }
    }

    fileprivate func placed(_ isTogether: (ValueID) -> Bool) -> PlanStep {
        switch self {
        case .convolution(var step):
            step.together = TogetherPlaces(
                input: isTogether(step.windows.input.root), out: isTogether(step.out),
                residual: step.residual.map { isTogether($0.root) } ?? false)
            return .convolution(step)
        case .pool(var step):
            step.together = TogetherPlaces(input: isTogether(step.windows.input.root), out: isTogether(step.out))
            return .pool(step)
        default: return self
        }
    }

    /// Runs for some images of the batch.
    func run(_ memory: StepMemory, images: ImagesAtOnce) {
        switch self {
        case .convolution(let step): step.run(memory, images)
        case .pool(let step): step.run(memory, images)
        default: preconditionFailure("only steps of a chain take single images")
        }
    }
}

extension GraphPlanner {
    /// Finds the chains, and which of their values nothing outside reads. A value that a chain makes for others is there from its start to its end, and so is
    /// what it reads of others.
    mutating func placeChains() -> (chains: [ImageChain], parts: [UInt32: Int]) {
        var chains: [ImageChain] = []
        var parts: [UInt32: Int] = [:]
        var start = 0
        while start < steps.count {
            guard let images = steps[start].images, images > 1, images >= threads else {
                start += 1
                continue
            }
            let end = steps[start...].firstIndex { $0.images != images } ?? steps.count
            if end - start > 1 {
                let chain = ImageChain(steps: start..<end, images: images, together: threads)
                for value in place(chain) { parts[value] = chains.count }
                chains.append(chain)
            }
            start = end
        }
        return (chains, parts)
    }

    private mutating func place(_ chain: ImageChain) -> Set<UInt32> {
        let own = made.filter { chain.steps.contains($0.value) }.map(\.key)
        let together = Set(own.filter { isTogether($0, chain) })
        for value in own where !together.contains(value) {
            made[value] = chain.steps.lowerBound
            lastRead[value] = max(chain.steps.upperBound - 1, lastRead[value] ?? 0)
        }
        for (value, last) in lastRead where chain.steps.contains(last) && !together.contains(value) {
            lastRead[value] = chain.steps.upperBound - 1
        }
        for index in chain.steps { steps[index] = steps[index].placed { together.contains($0.index) } }
        return together
    }

    /// Whether all that reads a value are this chain's steps, image by image.
    private func isTogether(_ value: UInt32, _ chain: ImageChain) -> Bool {
        guard storage[value] == nil, let last = lastRead[value], chain.steps.contains(last) else { return false }
        let count = Int(types[Int(value)].count)
        return chain.steps.allSatisfy { steps[$0].takesImages(of: ValueID(Int(value)), count: count) }
    }
}
