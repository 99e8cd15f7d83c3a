import CKernels
import Testing

/// Convolutions and pooling read windows where the images lie, with the bits of products of windows that are written out.
@Suite struct ConvolutionTests {
    typealias Random = VariantTests.Random

    struct Shape: CustomTestStringConvertible {
        var channels = 3
        var image = (height: 9, width: 11)
        var kernel: (Int, Int) = (3, 3)
        var stride: (Int, Int) = (1, 1)
        var dilation: (Int, Int) = (1, 1)
        var before: (Int, Int) = (1, 1)
        var size: (Int, Int) = (9, 11)
        var filters = 10
        /// Elements after each row and each channel that belong to nobody.
        var gap = (row: 0, channel: 0)

        var k: Int { channels * kernel.0 * kernel.1 }
        var places: Int { size.0 * size.1 }
        var row: Int { image.width + gap.row }
        var channel: Int { image.height * row + gap.channel }
        var testDescription: String { "\(channels)×\(image) kernel \(kernel) stride \(stride) filters \(filters)" }

        var windows: pk_windows {
            func pair(_ numbers: (Int, Int)) -> (Int32, Int32) { (Int32(numbers.0), Int32(numbers.1)) }
            return pk_windows(
                channels: Int32(channels), height: Int32(image.height), width: Int32(image.width),
                channel: Int64(channel), row: Int64(row), kernel: pair(kernel), stride: pair(stride),
                dilation: pair(dilation), before: pair(before), size: pair(size))
        }

        /// All windows, [places, k], with `outside` where they leave the image.
        func rows(_ x: [Float], outside: Float = 0) -> [Float] {
            var rows: [Float] = []
            for y in 0..<size.0 {
                for x0 in 0..<size.1 {
                    for c in 0..<channels {
                        for u in 0..<kernel.0 {
                            for v in 0..<kernel.1 {
                                let i = y * stride.0 + u * dilation.0 - before.0
                                let j = x0 * stride.1 + v * dilation.1 - before.1
                                let isInside = (0..<image.height).contains(i) && (0..<image.width).contains(j)
                                rows.append(isInside ? x[c * channel + i * row + j] : outside)
                            }
                        }
                    }
                }
            }
            return rows
        }
    }

    static let shapes: [Shape] = [
        Shape(),
        Shape(channels: 7, image: (17, 17), before: (1, 1), size: (17, 17), filters: 21),
        // Two steps at a time, as a network's first convolution does, and beyond the image's end.
        Shape(image: (23, 23), kernel: (7, 7), stride: (2, 2), before: (3, 3), size: (12, 12), filters: 13),
        Shape(channels: 40, image: (14, 14), stride: (2, 2), size: (7, 7), filters: 16),
        Shape(channels: 5, image: (9, 40), stride: (2, 2), before: (0, 0), size: (5, 22), filters: 9),
        // Windows of one element: an image is one long row, or is not, for its rows lie apart.
        Shape(channels: 300, image: (9, 9), kernel: (1, 1), before: (0, 0), size: (9, 9), filters: 30),
        Shape(channels: 6, image: (9, 9), kernel: (1, 1), before: (0, 0), size: (9, 9), filters: 7, gap: (2, 5)),
        Shape(
            channels: 33, image: (29, 29), kernel: (1, 1), stride: (3, 3), before: (0, 0), size: (10, 10), filters: 33),
        // More than one segment, dilated, of a row alone, all padding.
        Shape(channels: 100, image: (7, 7), size: (7, 7), filters: 100),
        Shape(channels: 4, image: (12, 13), dilation: (2, 3), before: (2, 3), size: (12, 13), filters: 5),
        Shape(channels: 9, image: (1, 70), kernel: (1, 5), before: (0, 2), size: (1, 70), filters: 50),
        // Windows of many elements, and rows of windows that end within a vector, of a whole channel in the middle.
        Shape(channels: 3, image: (13, 13), kernel: (11, 11), before: (5, 5), size: (13, 13), filters: 9),
        Shape(channels: 5, image: (28, 28), size: (28, 28), filters: 8, gap: (1, 3)),
        Shape(channels: 4, image: (31, 31), kernel: (1, 1), stride: (2, 2), before: (0, 0), size: (16, 16), filters: 9),
        Shape(channels: 2, image: (2, 3), kernel: (2, 2), stride: (4, 4), before: (4, 4), size: (3, 3), filters: 3),
    ]

    func same(_ x: [Float], _ y: [Float]) -> Bool {
        x.count == y.count && zip(x, y).allSatisfy { $0.bitPattern == $1.bitPattern }
    }

    /// The parts of an epilogue that there are, by the bits of a number.
    func withEpilogue(
        _ parts: Int, _ bias: [Float], _ residual: [Float], _ body: (inout pk_convolution_epilogue) -> Void
    ) {
        bias.withUnsafeBufferPointer { bias in
            residual.withUnsafeBufferPointer { residual in
                var epilogue = pk_convolution_epilogue(
                    bias: parts & 1 != 0 ? bias.baseAddress : nil,
                    residual: parts & 2 != 0 ? residual.baseAddress : nil,
                    relu: parts & 4 == 0 ? 0 : parts & 8 == 0 ? 1 : 2,
                    most: 0.75)
                body(&epilogue)
            }
        }
    }

    /// By contractions and maps of their own.
    func expected(_ s: Shape, _ rows: [Float], _ filters: [Float], _ bias: [Float], _ residual: [Float], _ parts: Int)
        -> [Float]
    {
        var sums = [Float](repeating: 0, count: s.filters * s.places)
        pk_contract_f32(
            PK_SCALAR, Int32(s.filters), Int32(s.places), Int32(s.k), filters, s.k, rows, &sums, s.places, nil)
        for i in 0..<s.filters {
            for p in 0..<s.places {
                let at = i * s.places + p
                if parts & 1 != 0 { sums[at] += bias[i] }
                if parts & 2 != 0 { sums[at] += residual[at] }
            }
        }
        pk_canonicalize_f32(&sums, sums.count)
        if parts & 4 != 0 {
            let before = sums
            pk_unary_f32(PK_SCALAR, PK_RELU, sums.count, before, &sums)
        }
        if parts & 8 != 0 { sums = sums.map { $0 > 0.75 ? 0.75 : $0 } }
        return sums
    }

    @Test(arguments: shapes, [false, true])
    func convolutionsEqualProductsOfTheirWindows(_ s: Shape, special: Bool) {
        var random = Random(state: UInt64(s.k + s.places))
        let x = random.floats(s.channels * s.channel, special: special)
        let filters = random.floats(s.filters * s.k, special: special)
        let bias = random.floats(s.filters, special: special)
        let residual = random.floats(s.filters * s.places, special: special)
        let rows = s.rows(x)
        var windows = s.windows
        for parts in Array(0..<8) + [12, 15] {
            let wanted = expected(s, rows, filters, bias, residual, parts)
            for variant in VariantTests.variants + [PK_SCALAR] {
                var packed = [Float](repeating: 0, count: pk_pack_filters_size(variant, Int32(s.filters), Int32(s.k)))
                pk_pack_filters(variant, Int32(s.filters), Int32(s.k), filters, s.k, &packed)
                var scratch = [Float](repeating: .nan, count: pk_convolution_scratch(variant, Int32(s.k)))
                var out = [Float](repeating: -1, count: s.filters * s.places)
                // Filters and windows shared out as threads may do it.
                let height = Int(pk_filter_rows(variant)) * 2
                for top in stride(from: 0, to: s.filters, by: height) {
                    for first in stride(from: 0, to: s.places, by: 59) {
                        withEpilogue(parts, bias, residual) { epilogue in
                            pk_convolution_f32(
                                variant, &windows, x, Int32(top), Int32(min(s.filters, top + height)), Int32(first),
                                Int32(min(s.places, first + 59)), packed, &epilogue, &out, s.places, &scratch)
                        }
                    }
                }
                #expect(same(out, wanted), "\(variant), parts \(parts)")
            }
        }
    }

    @Test(arguments: shapes, [1, 3])
    func heldWindowsGiveTheSame(_ s: Shape, images: Int) {
        var random = Random(state: UInt64(s.k * images + s.places))
        let one = s.channels * s.channel
        let x = random.floats(images * one, special: true)
        let filters = random.floats(s.filters * s.k, special: true)
        let bias = random.floats(s.filters)
        let area = s.filters * s.places
        let residual = random.floats(images * area)
        var windows = s.windows
        for parts in [0, 1, 7, 15] {
            var wanted: [Float] = []
            for item in 0..<images {
                let rows = s.rows(Array(x.dropFirst(item * one).prefix(one)))
                let added = Array(residual.dropFirst(item * area).prefix(area))
                wanted += expected(s, rows, filters, bias, added, parts)
            }
            for variant in VariantTests.variants + [PK_SCALAR] {
                var packed = [Float](repeating: 0, count: pk_pack_size(variant, Int32(s.filters), Int32(s.k)))
                pk_pack(variant, Int32(s.filters), Int32(s.k), filters, s.k, &packed)
                let size = pk_held_size(variant, Int32(s.k), Int32(s.places))
                var held = [Float](repeating: .nan, count: images * size)
                let rows = Int(pk_held_rows(variant))
                for item in 0..<images {
                    for first in stride(from: 0, to: s.places, by: 2 * rows) {
                        x.withUnsafeBufferPointer { x in
                            held.withUnsafeMutableBufferPointer { held in
                                guard let image = x.baseAddress, let to = held.baseAddress else { return }
                                pk_hold_windows(
                                    variant, &windows, image + item * one, Int32(first),
                                    Int32(min(s.places, first + 2 * rows)), to + item * size + first * s.k)
                            }
                        }
                    }
                }
                var out = [Float](repeating: -1, count: images * area)
                let count = images * pk_held_scratch(variant, Int32(s.places))
                let scratch = UnsafeMutableRawPointer.allocate(byteCount: count * 4, alignment: 64)
                defer { scratch.deallocate() }
                let width = Int(pk_panel_columns(variant))
                for first in stride(from: 0, to: s.filters, by: width) {
                    withEpilogue(parts, bias, residual) { epilogue in
                        pk_held_convolution_f32(
                            variant, Int32(s.k), Int32(first), Int32(min(s.filters, first + width)), Int32(images),
                            Int32(s.places), held, packed, &epilogue, &out, s.places, area,
                            scratch.assumingMemoryBound(to: Float.self))
                    }
                }
                #expect(same(out, wanted), "\(variant), parts \(parts)")
            }
        }
    }

    @Test(arguments: shapes, [false, true])
    func theGreatestOfAWindowIsThatOfARow(_ s: Shape, special: Bool) {
        var random = Random(state: UInt64(s.k + s.places + 1))
        let x = random.floats(s.channels * s.channel, special: special)
        let rows = s.rows(x, outside: -.infinity)
        let width = s.kernel.0 * s.kernel.1
        var wanted = [Float](repeating: 0, count: s.channels * s.places)
        for c in 0..<s.channels {
            for p in 0..<s.places {
                let window = Array(rows.dropFirst((p * s.channels + c) * width).prefix(width))
                wanted[c * s.places + p] = pk_row_max_f32(window, width)
            }
        }
        var windows = s.windows
        for variant in VariantTests.variants + [PK_SCALAR] {
            var out = [Float](repeating: -1, count: s.channels * s.places)
            for top in 0..<s.channels {
                pk_maximum_pool_f32(variant, &windows, x, Int32(top), Int32(top + 1), &out, s.places)
            }
            #expect(same(out, wanted), "\(variant)")
        }
    }

    /// Filters of one channel: each is the convolution of an image of that channel alone.
    @Test(arguments: shapes, [1, 3])
    func filtersOfOneChannelEqualProductsOfTheirWindows(_ s: Shape, each: Int) {
        var random = Random(state: UInt64(s.k + s.places + each))
        let x = random.floats(s.channels * s.channel, special: each == 1)
        let count = s.channels * each
        var one = s
        (one.channels, one.filters) = (1, each)
        let filters = random.floats(count * one.k, special: true)
        let bias = random.floats(count)
        let residual = random.floats(count * s.places, special: true)
        var windows = s.windows
        for parts in [0, 1, 7, 15] {
            var wanted: [Float] = []
            for c in 0..<s.channels {
                let first = c * each
                wanted += expected(
                    one, one.rows(Array(x.dropFirst(c * s.channel).prefix(s.channel))),
                    Array(filters.dropFirst(first * one.k).prefix(each * one.k)),
                    Array(bias.dropFirst(first).prefix(each)),
                    Array(residual.dropFirst(first * s.places).prefix(each * s.places)), parts)
            }
            for variant in VariantTests.variants + [PK_SCALAR] {
                var scratch = [Float](repeating: .nan, count: pk_channel_scratch(variant, &windows))
                var out = [Float](repeating: -1, count: count * s.places)
                for top in stride(from: 0, to: count, by: 2 * each) {
                    withEpilogue(parts, bias, residual) { epilogue in
                        pk_channel_convolution_f32(
                            variant, &windows, x, Int32(each), Int32(top), Int32(min(count, top + 2 * each)), filters,
                            &epilogue, &out, s.places, &scratch)
                    }
                }
                #expect(same(out, wanted), "\(variant), parts \(parts)")
            }
        }
    }

    static let wide = [
        Shape(channels: 2, image: (20, 20), kernel: (17, 16), before: (8, 8), size: (20, 20), filters: 1),
        Shape(channels: 1, image: (40, 7), kernel: (40, 7), before: (0, 0), size: (1, 1), filters: 1),
    ]

    @Test(arguments: shapes + wide, [false, true])
    func theSumOfAWindowIsThatOfARow(_ s: Shape, special: Bool) {
        var random = Random(state: UInt64(s.k + s.places + 2))
        let x = random.floats(s.channels * s.channel, special: special)
        let rows = s.rows(x)
        let width = s.kernel.0 * s.kernel.1
        var wanted = [Float](repeating: 0, count: s.channels * s.places)
        for c in 0..<s.channels {
            for p in 0..<s.places {
                let window = Array(rows.dropFirst((p * s.channels + c) * width).prefix(width))
                wanted[c * s.places + p] = pk_row_sum_f32(PK_SCALAR, window, width)
            }
        }
        var windows = s.windows
        for variant in VariantTests.variants + [PK_SCALAR] {
            var scratch = [Float](repeating: .nan, count: pk_channel_scratch(variant, &windows))
            var out = [Float](repeating: -1, count: s.channels * s.places)
            for top in 0..<s.channels {
                pk_window_sum_f32(variant, &windows, x, Int32(top), Int32(top + 1), &out, s.places, &scratch)
            }
            #expect(same(out, wanted), "\(variant)")
        }
    }

    /// Filters of one channel with more than one segment.
    @Test func longFiltersOfOneChannelAreCutIntoSegments() {
        for s in Self.wide { filtersOfOneChannelEqualProductsOfTheirWindows(s, each: 1) }
    }
}
