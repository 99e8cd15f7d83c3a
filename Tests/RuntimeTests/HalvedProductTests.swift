import Primitives
import Programs
import Runtime
import Testing

/// fx15: a product in two halves of eight bits, against whole numbers written here, on every variant, by the leaf, and beside other types.
struct HalvedProductTests {
    /// A product of `x` with a weight, in fx15, and the parameters that were made of the weight.
    struct Product {
        let m: Int
        let n: Int
        let k: Int
        let program: SpecialisedProgram
        let whole: Program
        let parameters: [Tensor]

        init(_ weight: [Float], m: Int, n: Int, k: Int, hasBias: Bool = false) throws {
            (self.m, self.n, self.k) = (m, n, k)
            func dimensions(_ shape: [Int]) -> [Dimension] { shape.map { Dimension(UInt64($0)) } }
            let declared = [
                TensorDeclaration(name: "w", type: TensorType(.f32, dimensions([n, k]))),
                TensorDeclaration(name: "b", type: TensorType(.f32, dimensions([n]))),
            ]
            let input = TensorDeclaration(name: "x", type: TensorType(.f32, dimensions([m, k])))
            let used = hasBias ? 2 : 1
            var graph = GraphBuilder(leading: declared.prefix(used).map(\.type) + [input.type])
            var out = graph.contract(ValueID(used), ValueID(0))
            if hasBias { out = graph.sum(out, ValueID(1)) }
            let plain = try Program(
                axes: [], parameters: Array(declared.prefix(used)), inputs: [input],
                scans: [Scan(steps: 1, operations: graph.operations, outputs: [out])])
            let tensors = [Tensor(weight, shape: [n, k]), Tensor((0..<n).map { Float($0) / 8 - 1 }, shape: [n])]
            let stored = zip(declared.prefix(used), tensors).map { StoredParameter(name: $0.name, $1) }
            let made = try plain.quantized(.fx15, stored)
            whole = made.program
            parameters = made.parameters.map(\.tensor)
            program = try whole.specialise([])
        }

        /// By the definition of each op.
        func reference(_ x: [Float]) throws -> [Float] {
            try ExecutorTests.withPointers(parameters) { parameters in
                try ExecutorTests.withPointers([Tensor(x, shape: [m, k])]) { inputs in
                    try ReferenceExecutor(program).run(parameters: parameters, inputs: inputs).outputs[0][0].floats
                }
            }
        }

        func fast(_ x: [Float], _ variant: KernelVariant, threads: Int) throws -> [Float] {
            try ExecutorTests.withPointers(parameters) { parameters in
                try ExecutorTests.withPointers([Tensor(x, shape: [m, k])]) { inputs in
                    let executor = try GraphExecutor(
                        program: program, parameters: parameters, threads: threads, variant: variant)
                    #expect(executor.kernels == ["halving", "halved linear"])
                    return try executor.run(inputs: inputs).outputs[0][0].floats
                }
            }
        }
    }

    /// A row as the design says it: the least e with amax·2^(14 − e) ≤ 16255, and q = rint(x·2^(14 − e)); nil where it is not finite. Doubles hold it.
    static func rounded(_ row: ArraySlice<Float>) -> (exponent: Int, words: [Int])? {
        if !row.allSatisfy(\.isFinite) { return nil }
        let amax = Double(row.map { abs($0) }.max() ?? 0)
        if amax == 0 { return (0, row.map { _ in 0 }) }
        var exponent = -200
        while amax * Double(sign: .plus, exponent: 14 - exponent, significand: 1) > 16255 { exponent += 1 }
        let factor = Double(sign: .plus, exponent: 14 - exponent, significand: 1)
        return (exponent, row.map { Int((Double($0) * factor).rounded(.toNearestOrEven)) })
    }

    /// The product in whole numbers, four sums of halves each, and the two powers of the design.
    static func expected(_ x: [Float], _ weight: [Float], m: Int, n: Int, k: Int) -> [Float] {
        func halves(_ words: [Int]) -> (high: [Int], low: [Int]) {
            let high = words.map { ($0 + 64) >> 7 }
            return (high, zip(words, high).map { $0 - 128 * $1 })
        }
        let columns = (0..<n).map { rounded(weight[$0 * k..<($0 + 1) * k]).map { ($0.exponent, halves($0.words)) } }
        return (0..<m).flatMap { i -> [Float] in
            let row = rounded(x[i * k..<(i + 1) * k]).map { ($0.exponent, halves($0.words)) }
            return columns.map { column in
                guard let (a, left) = row, let (b, right) = column else { return .nan }
                func sum(_ x: [Int], _ y: [Int]) -> Int { zip(x, y).reduce(0) { $0 + $1.0 * $1.1 } }
                let middle = sum(left.high, right.low) + sum(left.low, right.high)
                let total = 16384 * sum(left.high, right.high) + 128 * middle + sum(left.low, right.low)
                let first = (a + b - 28) >> 1
                func power(_ exponent: Int) -> Float { Float(sign: .plus, exponent: exponent, significand: 1) }
                return Float(total) * power(first) * power(a + b - 28 - first)
            }
        }
    }

    static func same(_ x: [Float], _ y: [Float]) -> Bool {
        x.count == y.count && zip(x, y).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }
    }

    /// Numbers around 0 with a spread of one.
    static func normal(_ random: inout SplitMix64) -> Float {
        (0..<4).reduce(Float(0)) { sum, _ in sum + Float(random.next() >> 40) * 0x1p-23 - 1 }
    }

    /// Rows of every kind: usual, zero, huge, tiny, subnormal, of all magnitudes, with one number that is far greater, not finite, at the bound of e.
    static func rows(_ count: Int, _ k: Int, _ random: inout SplitMix64) -> [Float] {
        (0..<count).flatMap { row -> [Float] in
            var numbers = (0..<k).map { _ in normal(&random) }
            switch row % 10 {
            case 1: numbers = numbers.map { _ in 0 }
            case 2: numbers = numbers.map { $0 * 0x1p125 }
            case 3: numbers = numbers.map { $0 * 0x1p-100 }
            case 4: numbers = numbers.map { _ in Float(bitPattern: UInt32(random.next() % 40_000)) }
            case 5:
                numbers = numbers.map {
                    $0 * Float(sign: .plus, exponent: Int(random.next() % 240) - 120, significand: 1)
                }
            case 6: numbers[k / 2] = 30_000
            case 7: numbers[k / 3] = row % 20 < 10 ? .infinity : .nan
            case 8: numbers = numbers.map { _ in random.next() % 2 == 0 ? 16255 : -16255 }
            case 9: numbers = numbers.map { _ in .greatestFiniteMagnitude }
            default: break
            }
            return numbers
        }
    }

    @Test(arguments: [1, 2, 255, 256, 257, 1536]) func theCompositionIsTheProductOfWholeNumbers(_ k: Int) throws {
        var random = SplitMix64(seed: UInt64(k))
        let (m, n) = (23, 41)
        let (x, weight) = (Self.rows(m, k, &random), Self.rows(n, k, &random))
        let product = try Product(weight, m: m, n: n, k: k)
        let found = try product.reference(x)
        #expect(Self.same(found, Self.expected(x, weight, m: m, n: n, k: k)))
        // Every kind of result is met: NaN, infinities, subnormals, zeros.
        #expect(found.contains { $0.isNaN } && found.contains { $0 == 0 } && found.contains { $0.isNormal })
        #expect(found.contains { $0.isInfinite } && found.contains { $0.isSubnormal })
        for variant in KernelVariant.allCases where variant.isSupported {
            for threads in 1...4 {
                let fast = try product.fast(x, variant, threads: threads)
                #expect(
                    zip(fast, found).allSatisfy { $0.bitPattern == $1.bitPattern }, "\(variant), \(threads) threads")
            }
        }
    }

    /// A row's result does not depend on the rows beside it, nor on how many there are.
    @Test func aRowsBitsDoNotDependOnItsBatch() throws {
        var random = SplitMix64(seed: 5)
        let (m, n, k) = (70, 130, 300)
        let (x, weight) = (Self.rows(m, k, &random), Self.rows(n, k, &random))
        let all = try Product(weight, m: m, n: n, k: k, hasBias: true).fast(x, .best, threads: 2)
        for (first, count) in [(0, 1), (13, 1), (20, 6), (31, 13), (69, 1)] {
            let part = try Product(weight, m: count, n: n, k: k, hasBias: true)
                .fast(Array(x[first * k..<(first + count) * k]), .best, threads: 1)
            #expect(part.map(\.bitPattern) == all[first * n..<(first + count) * n].map(\.bitPattern))
        }
    }

    /// Random products of small random shapes with a bias, by the general executor and the reference.
    @Test func randomShapesHaveTheBitsOfTheReference() throws {
        var random = SplitMix64(seed: 77)
        for _ in 0..<40 {
            let (m, n, k) = (Int(random.next() % 30 + 1), Int(random.next() % 70 + 1), Int(random.next() % 90 + 1))
            let (x, weight) = (Self.rows(m, k, &random), Self.rows(n, k, &random))
            let product = try Product(weight, m: m, n: n, k: k, hasBias: true)
            let expected = try product.reference(x)
            for variant in KernelVariant.allCases where variant.isSupported {
                let found = try product.fast(x, variant, threads: Int(random.next() % 4 + 1))
                #expect(found.map(\.bitPattern) == expected.map(\.bitPattern), "\(m) \(n) \(k) \(variant)")
            }
        }
    }

    /// Every element of every op, judged in integers, and every op's evidence within what a program's dispute may take.
    @Test func everyElementIsWhatTheLeafGives() throws {
        var random = SplitMix64(seed: 9)
        let (m, n, k) = (10, 10, 37)
        let product = try Product(Self.rows(n, k, &random), m: m, n: n, k: k, hasBias: true)
        let x = Tensor(Self.rows(m, k, &random), shape: [m, k])
        var held = 0
        try ExecutorTests.withPointers(product.parameters) { parameters in
            try ExecutorTests.withPointers([x]) { inputs in
                let tracer = try Tracer(product.program, parameters: parameters, inputs: inputs, seed: 0)
                var position = tracer.start
                let trace = try tracer.trace(&position)
                for number in product.program.scans[0].operations.indices {
                    let leaf = try trace.leaf(number)
                    let tensor = trace.tensor(trace.value(ofOperation: number))
                    for element in 0..<tensor.bytes.count / tensor.element.size {
                        try LeafTests.hold(
                            leaf, element: UInt64(element), claim: LeafTests.bits(tensor, element),
                            trace.operands(number))
                        held += 1
                    }
                }
            }
        }
        // Seven ops of rounding, six of the product, the bias.
        #expect(product.program.scans[0].operations.count == 14 && held == 4 * m * k + 3 * m + 7 * m * n)
    }

    /// Beside the exact product: the largest error, over the largest number of the result. bf16's products are added without any rounding.
    @Test(arguments: [64, 384, 1536]) func itIsFarNearerThanHalfPrecision(_ k: Int) throws {
        var random = SplitMix64(seed: UInt64(k) + 1)
        let (m, n) = (16, 48)
        let x = (0..<m * k).map { _ in Self.normal(&random) }
        let weight = (0..<n * k).map { _ in Self.normal(&random) }
        func bf16(_ x: Float) -> Double {
            let bits = x.bitPattern
            return Double(Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000))
        }
        func product(_ convert: (Float) -> Double) -> [Double] {
            let (a, b) = (x.map(convert), weight.map(convert))
            return (0..<m * n).map { place in
                (0..<k).reduce(0.0) { $0 + a[place / n * k + $1] * b[place % n * k + $1] }
            }
        }
        let exact = product { Double($0) }
        let most = exact.map { abs($0) }.max() ?? 0
        func error(_ found: [Double]) -> Double { (zip(found, exact).map { abs($0 - $1) }.max() ?? 0) / most }
        let halves = try Product(weight, m: m, n: n, k: k).fast(x, .best, threads: 1).map { Double($0) }
        let (ours, theirs) = (error(halves), error(product(bf16)))
        #expect(ours < 1e-4, "the largest relative error is \(ours)")
        #expect(ours * 20 < theirs, "fx15 \(ours), bf16 \(theirs)")
        #expect(ours > 0)
    }

    /// Two imports of one model are one program with the same weights; neither is the f32 program nor w8a8.
    @Test func twoImportsGiveTheSameProgram() throws {
        let fixture = try TransformerFixture("gpt2")
        let (model, again) = (try fixture.model(), try fixture.model())
        let first = try model.program().quantized(.fx15, model.parameters)
        let second = try again.program().quantized(.fx15, again.parameters)
        #expect(first.program.root == second.program.root)
        #expect(first.parameters.map(\.tensor) == second.parameters.map(\.tensor))
        let others = [try model.program().root, try model.program().quantized(.w8a8, model.parameters).program.root]
        #expect(!others.contains(first.program.root))
        let plain = try model.program().quantized(nil, model.parameters)
        #expect(plain.program.root == others[0] && plain.parameters.count == model.parameters.count)
    }

    /// A stranger's program may name as the weight's powers what the composition itself makes: it runs by its ops.
    @Test func powersThatAreMadeWithinAreNoWeight() throws {
        var random = SplitMix64(seed: 3)
        let product = try Product(Self.rows(4, 4, &random), m: 4, n: 4, k: 4)
        let last = try #require(product.whole.scans[0].operations.last)
        guard case .map(let expression, let inputs) = last.operation else {
            Issue.record("the last op is \(last)")
            return
        }
        let changed = OperationRecord(.map(expression, inputs: [inputs[0], inputs[1], inputs[0]]), last.result)
        let scan = product.whole.scans[0]
        let program = try Program(
            axes: [], parameters: product.whole.parameters, inputs: product.whole.inputs,
            scans: [Scan(steps: 1, operations: scan.operations.dropLast() + [changed], outputs: scan.outputs)]
        ).specialise([])
        let x = Tensor(Self.rows(4, 4, &random), shape: [4, 4])
        try ExecutorTests.withPointers(product.parameters) { parameters in
            try ExecutorTests.withPointers([x]) { inputs in
                let expected = try ReferenceExecutor(program).run(parameters: parameters, inputs: inputs)
                #expect(
                    try GraphExecutor(program: program, parameters: parameters, threads: 1).run(inputs: inputs)
                        == expected)
            }
        }
    }
}
