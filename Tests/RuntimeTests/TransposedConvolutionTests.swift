import Primitives
import Runtime
import Testing

/// `ConvTranspose`, however it is written out, against its words: element i × filter place k is added at i·stride + k·dilation − before.
@Suite struct TransposedConvolutionTests {
    private struct Case {
        let batch, groups, channels, results: Int
        let image, kernel, strides, dilations, before, after, extra: [Int]

        init(_ random: inout SplitMix64) {
            func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
            let rank = 1 + below(3)
            func each(_ range: ClosedRange<Int>) -> [Int] {
                (0..<rank).map { _ in range.lowerBound + below(range.count) }
            }
            (batch, groups, channels, results) = (1 + below(2), 1 + below(2), 1 + below(3), 1 + below(3))
            image = each(1...5)
            kernel = each(1...4)
            strides = each(1...3)
            let isDilated = below(3) == 0
            dilations = isDilated ? each(1...2) : each(1...1)
            before = kernel.map { below($0 + 1) }
            after = kernel.map { below($0) }
            extra = strides.map { below($0) }
        }

        var sizes: [Int] {
            image.indices.map {
                (image[$0] - 1) * strides[$0] + extra[$0] + (kernel[$0] - 1) * dilations[$0] + 1 - before[$0]
                    - after[$0]
            }
        }

        var x: [Int] { [batch, groups * channels] + image }
        var weight: [Int] { [groups * channels, results] + kernel }

        func model(_ weights: [Float], _ bias: [Float]) throws -> ONNXModel {
            try ONNXModel(
                ONNXBuilder.model(
                    [
                        ONNXBuilder.node(
                            "ConvTranspose", ["x", "w", "b"], ["y"],
                            [
                                .integer("group", groups), .integers("strides", strides),
                                .integers("dilations", dilations), .integers("pads", before + after),
                                .integers("output_padding", extra),
                            ])
                    ],
                    initializers: [
                        ONNXBuilder.floats("w", weight, weights), ONNXBuilder.floats("b", [bias.count], bias),
                    ], x: x))
        }

        func expected(_ x: [Float], _ weights: [Float], _ bias: [Float]) -> [Double] {
            let (sizes, rank) = (sizes, image.count)
            let (places, taps, outs) = (image.reduce(1, *), kernel.reduce(1, *), sizes.reduce(1, *))
            func split(_ index: Int, _ shape: [Int]) -> [Int] {
                var (rest, at) = (index, [Int](repeating: 0, count: shape.count))
                for axis in shape.indices.reversed() {
                    at[axis] = rest % shape[axis]
                    rest /= shape[axis]
                }
                return at
            }
            var y = (0..<batch * groups * results * outs).map { Double(bias[$0 / outs % (groups * results)]) }
            for item in 0..<batch {
                for channel in 0..<groups * channels {
                    for place in 0..<places {
                        let value = Double(x[(item * groups * channels + channel) * places + place])
                        let at = split(place, image)
                        for tap in 0..<taps {
                            let of = split(tap, kernel)
                            let to = (0..<rank).map { at[$0] * strides[$0] + of[$0] * dilations[$0] - before[$0] }
                            guard zip(to, sizes).allSatisfy({ 0 <= $0 && $0 < $1 }) else { continue }
                            let out = zip(to, sizes).reduce(0) { $0 * $1.1 + $1.0 }
                            for result in 0..<results {
                                let filter = channel / channels * results + result
                                y[(item * groups * results + filter) * outs + out] +=
                                    value * Double(weights[(channel * results + result) * taps + tap])
                            }
                        }
                    }
                }
            }
            return y
        }
    }

    @Test(arguments: 0..<120) func aTransposedConvolutionIsItsWords(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed &* 977 &+ 5)
        let item = Case(&random)
        guard item.sizes.allSatisfy({ $0 > 0 }) else { return }
        func floats(_ count: Int) -> [Float] {
            (0..<count).map { _ in Float(Int(random.next() % 2_001) - 1_000) / 500 }
        }
        let x = floats(item.x.reduce(1, *))
        let weights = floats(item.weight.reduce(1, *))
        let bias = floats(item.groups * item.results)
        let graph = LocalGraph(try item.model(weights, bias))
        let array = try NumpyArray(type: .f32, shape: item.x, bytes: ONNXBuilder.bytes(x))
        let found = try GraphRun(graph, ["x": array], threads: 1).outputs[0].array
        let other = try GraphRun(graph, ["x": array], threads: 3).outputs[0].array
        #expect(found.bytes == other.bytes, "seed \(seed)")
        #expect(found.shape == [item.batch, item.groups * item.results] + item.sizes, "seed \(seed)")
        let numbers = found.bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        let expected = item.expected(x, weights, bias)
        let far = zip(numbers, expected).filter { abs(Double($0) - $1) > 1e-4 }.count
        #expect(far == 0 && numbers.count == expected.count, "seed \(seed): \(far) of \(expected.count) are far off")
    }
}
