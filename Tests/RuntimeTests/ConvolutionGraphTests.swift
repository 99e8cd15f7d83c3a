import Programs
import Runtime
import Testing

/// Convolutions and pooling as the general executor recognises them, against the reference, bit for bit.
struct ConvolutionGraphTests {
    /// Networks of random convolutions, biases, sums, rectifiers and pools, some of whose intermediate results are read twice.
    @Test(arguments: 1...60)
    func randomNetworksHaveTheBitsOfTheReference(_ seed: UInt64) throws {
        var network = RandomNetwork(seed: seed)
        let fixed = try network.program()
        let parameters = fixed.parameters.map { network.tensor($0.type) }
        let inputs = fixed.inputs.map { network.tensor($0.type) }
        try ExecutorTests.withPointers(parameters) { parameters in
            try ExecutorTests.withPointers(inputs) { inputs in
                let expected = try ReferenceExecutor(fixed).run(parameters: parameters, inputs: inputs)
                for variant in KernelVariant.allCases where variant.isSupported {
                    for threads in [1, 2, 3] {
                        let executor = try GraphExecutor(
                            program: fixed, parameters: parameters, threads: threads, variant: variant)
                        // The second run has the first one's memory.
                        for run in 0..<2 {
                            let found = try executor.run(inputs: inputs)
                            #expect(found == expected, "\(variant), \(threads) threads, run \(run)")
                        }
                    }
                }
            }
        }
    }

    /// Nine windows' elements for each of the image's would be 16 MiB here.
    @Test func windowsAreNotWrittenOut() throws {
        let image = TensorType(.f32, [1, 64, 85, 85])
        let filters = TensorType(.f32, [64, 64, 3, 3])
        var graph = GraphBuilder(leading: [filters, image])
        let window = SlidingWindow(
            kernel: [3, 3], strides: [1, 1], dilations: [1, 1], before: [1, 1], size: [85, 85])
        let sums = graph.convolution(ValueID(1), weight: ValueID(0), bias: nil, window)
        let most = graph.reduce(.maximum, graph.windows(sums, window, fill: 0xFF80_0000))
        let program = try Program(
            axes: [], parameters: [TensorDeclaration(name: "filters", type: filters)],
            inputs: [TensorDeclaration(name: "image", type: image)],
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [most])])
        let fixed = try program.specialise([])
        let weights = Tensor([Float](repeating: 1, count: 64 * 576), shape: [64, 64, 3, 3])
        try ExecutorTests.withPointers([weights]) { weights in
            let executor = try GraphExecutor(program: fixed, parameters: weights, threads: 1)
            #expect(executor.peakMemory < 12 << 20)
        }
    }

    /// Sixteen images' results between the convolutions would be 32 MiB each. Threads are at different steps with their images: none may write where another's
    /// image lies.
    @Test func imagesGoThroughConvolutionsAFewAtATime() throws {
        let image = TensorType(.f32, [16, 8, 64, 64])
        let filters = TensorType(.f32, [128, 8, 3, 3])
        let back = TensorType(.f32, [8, 128, 1, 1])
        var graph = GraphBuilder(leading: [filters, back, image])
        let around = SlidingWindow(
            kernel: [3, 3], strides: [1, 1], dilations: [1, 1], before: [1, 1], size: [64, 64])
        let one = SlidingWindow(
            kernel: [1, 1], strides: [1, 1], dilations: [1, 1], before: [0, 0], size: [64, 64])
        var x = ValueID(2)
        for _ in 0..<2 {
            x = graph.convolution(x, weight: ValueID(0), bias: nil, around)
            x = graph.convolution(x, weight: ValueID(1), bias: nil, one)
        }
        let program = try Program(
            axes: [],
            parameters: [
                TensorDeclaration(name: "filters", type: filters), TensorDeclaration(name: "back", type: back),
            ], inputs: [TensorDeclaration(name: "image", type: image)],
            scans: [Scan(steps: 1, operations: graph.operations, outputs: [x])])
        let fixed = try program.specialise([])
        var network = RandomNetwork(seed: 5)
        let weights = [network.tensor(filters), network.tensor(back)]
        let images = [network.tensor(image)]
        try ExecutorTests.withPointers(weights) { weights in
            try ExecutorTests.withPointers(images) { images in
                var digests: Set<[UInt8]> = []
                for threads in [1, 2, 3, 16] {
                    let executor = try GraphExecutor(program: fixed, parameters: weights, threads: threads)
                    if threads < 3 { #expect(executor.peakMemory < 16 << 20) }
                    for _ in 0..<4 { digests.insert(try executor.run(inputs: images).outputs[0][0].bytes) }
                }
                #expect(digests.count == 1)
            }
        }
    }

    /// A program of one to four convolutions.
    struct RandomNetwork {
        private var state: UInt64

        init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

        mutating func next(_ below: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(below))
        }

        mutating func tensor(_ type: TensorType) -> Tensor {
            let odd: [Float] = [.nan, .infinity, -.infinity, -0.0, 0, 0x1p-140]
            let hasOdd = next(4) == 0
            let values = (0..<Int(type.count)).map { _ -> Float in
                if hasOdd && next(300) == 0 { return odd[next(odd.count)] }
                return (Float(next(2_000_001)) - 1_000_000) / 300_000
            }
            return Tensor(values, shape: type.dimensions)
        }

        mutating func program() throws -> SpecialisedProgram {
            let spatial = 1 + next(2)
            let batch = UInt64(1 + next(10))
            var channels = UInt64(1 + next(20))
            var sides = (0..<spatial).map { _ in UInt64(3 + next(12)) }
            var leading: [TensorType] = []
            var layers: [(filters: Int, bias: Int?, groups: UInt64, window: SlidingWindow)] = []
            let image = TensorType(.f32, ([batch, channels] + sides).map { Dimension($0) })
            for _ in 0...next(4) {
                let kernel = sides.map { _ in UInt64([1, 1, 3, 2, 5][next(5)]) }
                let strides = sides.map { _ in Int64([1, 1, 1, 2, 3][next(5)]) }
                let dilations = sides.map { _ in Int64([1, 1, 2][next(3)]) }
                let before = kernel.map { Int64(next(Int($0))) }
                let size = sides.indices.map { axis -> UInt64 in
                    // As many as would be, sometimes some beyond the image.
                    let reach = Int64(kernel[axis] - 1) * dilations[axis] + 1
                    let room = max(0, Int64(sides[axis]) + 2 * before[axis] - reach)
                    return UInt64(room / strides[axis] + 1) + UInt64(next(5) / 4)
                }
                // One group, a channel each, or as many as divide the channels.
                let groups = [1, 1, channels, channels % 3 == 0 ? 3 : channels % 2 == 0 ? 2 : 1][next(4)]
                let results =
                    groups == 1 ? UInt64([3, 8, 17, 50, 70][next(5)]) : groups * UInt64([1, 2, 5][next(3)])
                let window = SlidingWindow(
                    kernel: kernel, strides: strides, dilations: dilations, before: before, size: size)
                leading.append(TensorType(.f32, ([results, channels / groups] + kernel).map { Dimension($0) }))
                let filters = leading.count - 1
                if next(3) > 0 { leading.append(TensorType(.f32, [Dimension(results)])) }
                layers.append((filters, leading.count - 1 > filters ? leading.count - 1 : nil, groups, window))
                (channels, sides) = (results, size)
            }
            let parameters = leading.enumerated().map { TensorDeclaration(name: "p\($0)", type: $1) }
            let input = ValueID(leading.count)
            var graph = GraphBuilder(leading: leading + [image])
            var outputs: [ValueID] = []
            var x = input
            for layer in layers {
                let source = x
                func convolution() -> ValueID {
                    graph.convolution(
                        source, weight: ValueID(layer.filters), bias: layer.bias.map { ValueID($0) },
                        groups: layer.groups, layer.window)
                }
                x = convolution()
                let shape = graph.type(x).shape
                // A sum with another convolution, or with something of the same shape that is there before or comes after.
                switch next(5) {
                case 0: x = graph.sum(x, convolution())
                case 1:
                    let other = graph.map(.f32, shape, [x]) { e in _ = e.apply(.exp, e.input(0)) }
                    x = graph.sum(other, x)
                case 2: x = graph.sum(x, x)
                default: break
                }
                if next(4) == 0 { outputs.append(x) }
                if next(2) == 0 {
                    x = graph.map(.f32, shape, [x]) { e in
                        _ = e.apply(.maximum, e.input(0), e.constant(bits: 0))
                    }
                    if next(2) == 0 {
                        x = graph.map(.f32, shape, [x]) { e in
                            _ = e.apply(.minimum, e.input(0), e.constant(bits: Float(6).bitPattern))
                        }
                    }
                }
                if next(4) == 0 {
                    let ones = layer.window.kernel.map { _ in Int64(1) }
                    let pool = SlidingWindow(
                        kernel: ones.map { _ in UInt64(1 + next(3)) }, strides: ones.map { _ in Int64(1 + next(2)) },
                        dilations: ones, before: ones.map { _ in Int64(next(2)) }, size: layer.window.size)
                    let isSum = next(2) == 0
                    outputs.append(
                        graph.reduce(
                            isSum ? .sum : .maximum, graph.windows(x, pool, fill: isSum ? 0 : 0xFF80_0000)))
                }
            }
            outputs.append(x)
            let program = try Program(
                axes: [], parameters: parameters, inputs: [TensorDeclaration(name: "image", type: image)],
                scans: [Scan(steps: 1, operations: graph.operations, outputs: outputs)])
            return try program.specialise([])
        }
    }
}
