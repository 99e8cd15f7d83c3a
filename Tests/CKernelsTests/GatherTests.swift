import CKernels
import Testing

/// Gathers and sorts: each against its words, element by element.
@Suite struct GatherTests {
    typealias Random = VariantTests.Random

    /// A box with its coordinates, as arrays.
    struct Box {
        struct Coordinate {
            var offset = 0
            var coefficients: [Int] = []
            var table: [Int32]?
            var tableStrides: [Int] = []
            var quotient = 1
            var modulus = 0
            var isExact = false
            var size = 1
        }

        var counts: [Int] = []
        var coordinates: [Coordinate] = []

        static func random(_ random: inout Random) -> Box {
            func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
            var box = Box()
            let rank = 1 + below(5)
            box.counts = (0..<rank).map { _ in 1 + below(below(4) == 0 ? 40 : 6) }
            for _ in 0..<1 + below(4) {
                var one = Coordinate()
                one.size = 1 + below(12)
                one.coefficients = (0..<rank).map { _ in below(2) == 0 ? 0 : below(7) - 3 }
                one.offset = below(2 * one.size + 6) - one.size
                if below(3) == 0 { one.quotient = 1 + below(4) }
                one.isExact = below(2) == 0
                if below(4) == 0 { one.modulus = 1 + below(9) }
                one.tableStrides = [Int](repeating: 0, count: rank)
                if below(4) == 0 {
                    var count = 1
                    for axis in (0..<rank).reversed() where below(2) == 0 {
                        one.tableStrides[axis] = count
                        count *= box.counts[axis]
                    }
                    one.table = (0..<count).map { _ in Int32(below(30) - 10) }
                }
                box.coordinates.append(one)
            }
            return box
        }

        /// The source's element for a place; nil outside, and "skipped" where an exact coordinate forbids it.
        enum Found: Equatable {
            case at(Int)
            case outside
            case skipped
        }

        func found(_ at: [Int], strides: [Int]) -> Found {
            var from = 0
            for (one, stride) in zip(coordinates, strides) {
                var x = one.offset + zip(one.coefficients, at).reduce(0) { $0 + $1.0 * $1.1 }
                if let table = one.table { x += Int(table[zip(one.tableStrides, at).reduce(0) { $0 + $1.0 * $1.1 }]) }
                let (quotient, rest) = x.quotientAndRemainder(dividingBy: one.quotient)
                if one.isExact && rest != 0 && one.quotient != 1 { return .skipped }
                x = rest < 0 ? quotient - 1 : quotient
                if one.modulus != 0 { x = ((x % one.modulus) + one.modulus) % one.modulus }
                if x < 0 || x >= one.size { return .outside }
                from += x * stride
            }
            return .at(from)
        }
    }

    static func rowMajor(_ shape: [Int]) -> [Int] {
        var strides = [Int](repeating: 1, count: shape.count)
        for axis in shape.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * shape[axis + 1] }
        return strides
    }

    /// Long boxes, short ones, rows cut anywhere, padding, quotients, tables, elements of each width.
    @Test(arguments: 0..<300) func aBoxIsWhatItsCoordinatesSay(_ seed: Int) {
        var random = Random(state: UInt64(seed) &* 7_919 &+ 1)
        let box = Box.random(&random)
        let element = [1, 2, 4, 8][Int(random.next() % 4)]
        let strides = GatherTests.rowMajor(box.coordinates.map(\.size))
        let targets = GatherTests.rowMajor(box.counts)
        let length = box.coordinates.map(\.size).reduce(1, *)
        let source = (0..<length * element).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let before = (0..<box.counts.reduce(1, *) * element).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let fill: UInt64 = 0xA1B2_C3D4_E5F6_0718
        var expected = before
        for index in 0..<box.counts.reduce(1, *) {
            let at = zip(box.counts, targets).map { index / $1 % $0 }
            for byte in 0..<element {
                switch box.found(at, strides: strides) {
                case .at(let from): expected[index * element + byte] = source[from * element + byte]
                case .outside:
                    expected[index * element + byte] = UInt8(truncatingIfNeeded: fill >> UInt64(8 * byte))
                case .skipped: break
                }
            }
        }
        var gather = pk_gather()
        gather.rank = Int32(box.counts.count)
        gather.coordinates = Int32(box.coordinates.count)
        gather.pinned = -1
        gather.element = Int32(element)
        gather.fill = fill
        func write<T>(_ numbers: [Int], _ tuple: inout T) {
            withUnsafeMutableBytes(of: &tuple) {
                for (index, number) in numbers.enumerated() {
                    $0.storeBytes(of: Int64(number), toByteOffset: 8 * index, as: Int64.self)
                }
            }
        }
        write(box.counts, &gather.count)
        write(targets, &gather.stride)
        let tables = box.coordinates.map { $0.table.map { UnsafeMutableBufferPointer.copy(of: $0) } }
        defer { for table in tables { table?.deallocate() } }
        for (index, one) in box.coordinates.enumerated() {
            var coordinate = pk_coordinate()
            coordinate.offset = Int64(one.offset)
            coordinate.quotient = Int64(one.quotient)
            coordinate.modulus = Int64(one.modulus)
            coordinate.exact = one.isExact ? 1 : 0
            coordinate.size = Int64(one.size)
            coordinate.stride = Int64(strides[index])
            write(one.coefficients, &coordinate.coefficient)
            write(one.tableStrides, &coordinate.table_stride)
            coordinate.table = tables[index].flatMap { UnsafePointer($0.baseAddress) }
            withUnsafeMutableBytes(of: &gather.coordinate) {
                $0.storeBytes(
                    of: coordinate, toByteOffset: index * MemoryLayout<pk_coordinate>.stride, as: pk_coordinate.self)
            }
        }
        let rows = Int(pk_gather_rows(&gather))
        for cut in [0, rows / 3, rows / 2, rows - 1] {
            var result = before
            source.withUnsafeBytes { source in
                gather.source = source.baseAddress
                result.withUnsafeMutableBytes {
                    pk_gather_run(&gather, 0, Int64(cut), $0.baseAddress)
                    pk_gather_run(&gather, Int64(cut), Int64(rows), $0.baseAddress)
                }
            }
            #expect(result == expected, "seed \(seed), cut at \(cut)")
        }
    }

    /// Short rows are merged, long ones sorted by bytes: both stable, NaN above all.
    @Test(arguments: [0, 1, 7, 8, 100, 511, 512, 513, 5_000]) func aSortIsStable(_ count: Int) {
        var random = Random(state: UInt64(count))
        for distinct in [2, 50, 1 << 30] {
            var floats: [Float] = []
            var words: [Int32] = []
            var longs: [Int64] = []
            for _ in 0..<count {
                let chosen = Int(random.next() % UInt64(distinct)) - distinct / 2
                let odd: [Float] = [.nan, -.infinity, .infinity, -0.0]
                let which = Int(random.next() % 50)
                floats.append(which < odd.count ? odd[which] : Float(chosen) / 3)
                words.append(Int32(truncatingIfNeeded: chosen))
                longs.append(which == 0 ? .min : Int64(chosen) * (which % 2 == 0 ? 1 << 33 : -3))
            }
            let keys = floats.map(GatherTests.key)
            for descending in [false, true] {
                let (x, y, z) = (keys, words.map { Int64($0) }, longs)
                #expect(sorted(PK_F32, floats, descending) == order(x, descending))
                #expect(sorted(PK_I32, words, descending) == order(y, descending))
                #expect(sorted(PK_I64, longs, descending) == order(z, descending))
            }
        }
    }

    /// Of long rows of which little is wanted only that is sorted: the same places, however many are equal at the edge.
    @Test func theFirstPlacesOfASortAreThoseOfTheWhole() {
        var random = Random(state: 77)
        for count in [511, 512, 3000, 20_000] {
            let plain = random.floats(count, special: true)
            let few = (0..<count).map { _ in Float(Int(random.next() % 5)) - 2 }
            let same = [Float](repeating: .nan, count: count)
            let words = (0..<count).map { _ in Int32(truncatingIfNeeded: random.next()) }
            let longs = (0..<count).map { _ in Int64(bitPattern: random.next()) >> Int64(random.next() % 60) }
            for limit in [0, 1, 7, count / 8, count / 8 + 1] {
                for descending in [false, true] {
                    for x in [plain, few, same] {
                        #expect(
                            sorted(PK_F32, x, descending, limit: limit).prefix(limit)
                                == order(x.map(Self.key), descending).prefix(limit), "\(count) \(limit)")
                    }
                    #expect(
                        sorted(PK_I32, words, descending, limit: limit).prefix(limit)
                            == order(words.map { Int64($0) }, descending).prefix(limit), "\(count) \(limit)")
                    #expect(
                        sorted(PK_I64, longs, descending, limit: limit).prefix(limit)
                            == order(longs, descending).prefix(limit), "\(count) \(limit)")
                }
            }
        }
    }

    /// NaN above all, and both zeros alike.
    private static func key(_ x: Float) -> Int64 {
        if x.isNaN { return .max }
        let size = Int64(x.bitPattern & 0x7FFF_FFFF)
        return x.sign == .minus ? -size : size
    }

    private func sorted<T>(_ type: pk_type, _ x: [T], _ descending: Bool, limit: Int? = nil) -> [Int32] {
        var out = [Int32](repeating: -1, count: x.count)
        let scratch = UnsafeMutableRawPointer.allocate(byteCount: pk_sort_scratch(Int64(x.count)) + 64, alignment: 64)
        defer { scratch.deallocate() }
        x.withUnsafeBytes {
            pk_sort_row(
                Int32(type.rawValue), Int64(x.count), Int64(limit ?? x.count), $0.baseAddress, descending ? 1 : 0, &out,
                scratch)
        }
        return out
    }

    private func order(_ keys: [Int64], _ descending: Bool) -> [Int32] {
        keys.indices.sorted { x, y in
            if keys[x] == keys[y] { return x < y }
            return descending ? keys[x] > keys[y] : keys[x] < keys[y]
        }.map { Int32($0) }
    }
}

extension UnsafeMutableBufferPointer<Int32> {
    fileprivate static func copy(of numbers: [Int32]) -> Self {
        let copied = allocate(capacity: numbers.count)
        _ = copied.initialize(from: numbers)
        return copied
    }
}
