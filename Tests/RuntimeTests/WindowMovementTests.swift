import Primitives
import Programs
import Runtime
import Testing

/// Gathers whose last axis is short and whose source is read along another one: windows of convolutions, and tensors turned round. However the loops are laid, each
/// element is the definition's.
@Suite struct WindowMovementTests {
    /// What a graph over one random tensor gives by the definition, and by the executor on so many threads.
    private static func held(
        _ element: ElementType, _ shape: [Int], threads: Int, seed: UInt64,
        _ body: (inout GraphBuilder, ValueID) -> ValueID
    ) throws -> (expected: Tensor, found: Tensor) {
        let program = try SpecialisedProgram.over(element, shape, body)
        var random = SplitMix64(seed: seed)
        var bytes = (0..<shape.reduce(element.size, *)).map { _ in UInt8(truncatingIfNeeded: random.next() >> 9) }
        if element == .bool { bytes = bytes.map { $0 & 1 } }
        // Any bits at all are a whole number; an f32 is to be one that is compared.
        if element == .f32 {
            bytes = (0..<bytes.count / 4).map { Float($0) - 7 }.withUnsafeBytes { Array($0) }
        }
        return try bytes.withUnsafeBytes { raw in
            let expected = try ReferenceExecutor(program).run(parameters: [], inputs: [raw]).outputs[0][0]
            let executor = try GraphExecutor(program: program, parameters: [], threads: threads)
            return (expected, try executor.run(inputs: [raw]).outputs[0][0])
        }
    }

    private static let elements: [ElementType] = [.i8, .u8, .bool, .f32, .i32, .i64]

    @Test(arguments: [1, 3]) func windowsAreTheDefinitions(_ threads: Int) throws {
        for (number, element) in Self.elements.enumerated() {
            for (sides, kernel, stride, dilation, before) in [
                ([20, 33], [3, 3], 1, 1, 1), ([9, 40], [2, 5], 2, 1, 0), ([18, 61], [3, 3], 3, 2, 2),
                ([70], [7], 1, 1, 3),
                ([5, 6, 21], [2, 3, 3], 1, 1, 1), ([4, 4, 39], [3, 1, 2], 2, 1, 0),
            ] {
                let size = zip(sides, kernel).map { side, kernel in
                    UInt64((side + 2 * before - (kernel - 1) * dilation - 1) / stride + 1)
                }
                let window = SlidingWindow(
                    kernel: kernel.map { UInt64($0) }, strides: kernel.map { _ in Int64(stride) },
                    dilations: kernel.map { _ in Int64(dilation) }, before: kernel.map { _ in Int64(before) },
                    size: size)
                // As rows of windows, channel by channel, and as the pieces lie.
                for isRows in [false, true] {
                    let (expected, found) = try Self.held(
                        element, [2, 3] + sides, threads: threads, seed: UInt64(number)
                    ) { graph, x in
                        let windows = graph.windows(x, window, fill: element == .bool ? 1 : 3)
                        if !isRows { return windows }
                        let rank = sides.count
                        return graph.transpose(windows, [0] + (2..<2 + rank).map { $0 } + [1, 2 + rank])
                    }
                    #expect(expected == found, "\(element) \(sides) \(kernel) rows \(isRows) threads \(threads)")
                }
            }
        }
    }

    @Test(arguments: [1, 2]) func planesBecomePixelsAndBack(_ threads: Int) throws {
        for element in Self.elements {
            for shape in [[2, 3, 17, 40], [1, 4, 5, 16], [3, 15, 2, 2049], [2, 3, 1, 5000]] {
                let (pixels, found) = try Self.held(element, shape, threads: threads, seed: 3) { graph, x in
                    graph.transpose(x, [0, 2, 3, 1])
                }
                #expect(pixels == found, "\(element) \(shape)")
                let (planes, back) = try Self.held(
                    element, [shape[0], shape[2], shape[3], shape[1]], threads: threads, seed: 4
                ) { graph, x in graph.transpose(x, [0, 3, 1, 2]) }
                #expect(planes == back, "\(element) \(shape) back")
            }
        }
    }

    /// What reads only the beginning of sorted rows gets what it would of whole ones; what reads more, or the order itself, gets all.
    @Test(arguments: [1, 2]) func theBeginningOfSortedRowsIsThatOfTheWhole(_ threads: Int) throws {
        for element in [ElementType.f32, .i32, .i64] {
            for descending in [false, true] {
                for (first, second) in [(5, 9), (40, 1200), (1, 1)] {
                    let (expected, found) = try Self.held(element, [3, 1200], threads: threads, seed: 9) { graph, x in
                        let order = graph.append(
                            .sort(input: x, descending: descending), TensorType(.i32, [3, 1200]))
                        func begin(_ count: Int) -> ValueID {
                            graph.gather(order, [3, Dimension(UInt64(count))], [.axis(0), .axis(1)])
                        }
                        return graph.concat([begin(first), begin(second)], axis: 1)
                    }
                    #expect(expected == found, "\(element) \(descending) \(first) \(second)")
                }
            }
        }
    }
}
