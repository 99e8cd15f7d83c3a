internal import Programs

/// One piece of a gather made simple: a box of the result as axes with their strides in it, and the source's coordinates over these axes.
///
/// Divisions and remainders are taken away by splitting and joining axes: a reshape, a head split or a merge of heads becomes even steps.
struct GatherForm: Sendable, Equatable {
    struct Axis: Sendable, Equatable {
        var count: Int
        /// Elements of the result between successive places.
        var stride: Int
    }

    struct Place: Sendable, Equatable {
        var offset: Int
        /// For each axis.
        var coefficients: [Int]
        var table: ValueID?
        /// For each axis; zeros without a table.
        var tableStrides: [Int]
        var quotient: Int
        /// 0 for none.
        var modulus: Int
        var exact: Bool
        /// The source's axis.
        let size: Int

        var isEven: Bool { table == nil && quotient == 1 && modulus == 0 }
    }

    let source: ValueID
    /// Elements of the result before the box.
    private(set) var start: Int
    private(set) var axes: [Axis]
    private(set) var places: [Place]

    /// A piece as the program has it.
    init(_ piece: GatherPiece, result: [Int], types: [TensorType]) {
        source = piece.source
        let strides = Access.rowMajor(result)
        let corner = piece.start.map { Int(clamping: $0.factor) }
        start = zip(corner, strides).reduce(0) { $0 + $1.0 * $1.1 }
        axes = zip(piece.size, strides).map { Axis(count: Int(clamping: $0.factor), stride: $1) }
        let sourceShape = types[Int(piece.source.index)].dimensions
        places = zip(piece.coordinates, sourceShape).map { coordinate, size in
            var coefficients = [Int](repeating: 0, count: result.count)
            for term in coordinate.terms { coefficients[Int(term.axis)] &+= Int(term.coefficient) }
            var tableStrides = [Int](repeating: 0, count: result.count)
            if let table = coordinate.table {
                let shape = types[Int(table.index)].dimensions
                for (axis, stride) in zip(coordinate.tableAxes, Access.rowMajor(shape)) {
                    tableStrides[Int(axis)] += stride
                }
            }
            // The box's corner goes into the numerator; a table is read from there too.
            let offset = zip(coefficients, corner).reduce(Int(coordinate.offset)) { $0 &+ $1.0 &* $1.1 }
            return Place(
                offset: offset, coefficients: coefficients, table: coordinate.table, tableStrides: tableStrides,
                quotient: Int(clamping: coordinate.quotient.factor), modulus: Int(clamping: coordinate.modulus.factor),
                exact: coordinate.exact, size: size)
        }
        tableCorner = zip(places, piece.coordinates).map { place, coordinate in
            coordinate.table == nil ? 0 : zip(place.tableStrides, corner).reduce(0) { $0 + $1.0 * $1.1 }
        }
        // A coefficient of an axis with one place says nothing and may be any number: it must not reach arithmetic.
        for axis in axes.indices where axes[axis].count <= 1 {
            for index in places.indices {
                places[index].coefficients[axis] = 0
                places[index].tableStrides[axis] = 0
            }
        }
        simplify()
    }

    /// For each place, where its table is read at the box's corner.
    let tableCorner: [Int]

    /// Elements of the box.
    var count: Int { axes.reduce(1) { $0 * $1.count } }

    // MARK: Simpler

    /// Largest rank that splitting may reach: that of the kernel.
    private static let maximumRank = 12

    private mutating func simplify() {
        // Numbers beyond this are left alone: nothing below may overflow.
        let bound = 1 << 40
        let large = places.contains { place in
            place.offset.magnitude > bound || place.coefficients.contains { $0.magnitude > bound }
                || place.quotient > bound
                || place.modulus > bound
        }
        if large || count == 0 { return }
        drop()
        join()
        for index in places.indices { reduce(index) }
        for _ in 0..<GatherForm.maximumRank {
            guard let (axis, part) = split() else { break }
            let whole = axes[axis]
            axes[axis] = Axis(count: whole.count / part, stride: whole.stride * part)
            axes.insert(Axis(count: part, stride: whole.stride), at: axis + 1)
            for index in places.indices {
                places[index].coefficients.insert(places[index].coefficients[axis], at: axis + 1)
                places[index].coefficients[axis] *= part
                places[index].tableStrides.insert(places[index].tableStrides[axis], at: axis + 1)
                places[index].tableStrides[axis] *= part
            }
            for index in places.indices { reduce(index) }
        }
        join()
    }

    /// Axes of one place say nothing.
    private mutating func drop() {
        for axis in axes.indices.reversed() where axes[axis].count == 1 { remove(axis) }
    }

    private mutating func remove(_ axis: Int) {
        axes.remove(at: axis)
        for index in places.indices {
            places[index].coefficients.remove(at: axis)
            places[index].tableStrides.remove(at: axis)
        }
    }

    /// Neighbours that all agree on become one axis.
    private mutating func join() {
        var axis = axes.count - 2
        while axis >= 0 {
            let inner = axes[axis + 1]
            let joins =
                axes[axis].stride == inner.stride * inner.count
                && places.allSatisfy { place in
                    place.coefficients[axis] == place.coefficients[axis + 1] * inner.count
                        && place.tableStrides[axis] == place.tableStrides[axis + 1] * inner.count
                }
            if joins {
                axes[axis + 1] = Axis(count: axes[axis].count * inner.count, stride: inner.stride)
                remove(axis)
            }
            axis -= 1
        }
    }

    /// The least and the greatest of Σ coefficient × coordinate over these axes.
    private func range(_ place: Place, _ chosen: [Int]) -> ClosedRange<Int> {
        var (low, high) = (0, 0)
        for axis in chosen {
            let end = place.coefficients[axis] * (axes[axis].count - 1)
            if end < 0 { low += end } else { high += end }
        }
        return low...high
    }

    /// Takes a division or a remainder away where the numbers show that it is even.
    private mutating func reduce(_ index: Int) {
        var place = places[index]
        guard place.table == nil else { return }
        if place.quotient != 1 {
            let q = place.quotient
            let rest = axes.indices.filter { place.coefficients[$0] % q != 0 }
            // offset = q·whole + small, small in [0, q).
            let small = ((place.offset % q) + q) % q
            let span = range(place, rest)
            if span.lowerBound + small >= 0 && span.upperBound + small < q
                && !(place.exact && (small != 0 || !rest.isEmpty))
            {
                place.offset = (place.offset - small) / q
                for axis in axes.indices {
                    place.coefficients[axis] = rest.contains(axis) ? 0 : place.coefficients[axis] / q
                }
                place.quotient = 1
                place.exact = false
            }
        }
        if place.quotient == 1 && place.modulus != 0 {
            let m = place.modulus
            let rest = axes.indices.filter { place.coefficients[$0] % m != 0 }
            let small = ((place.offset % m) + m) % m
            let span = range(place, rest)
            if span.lowerBound + small >= 0 && span.upperBound + small < m {
                place.offset = small
                for axis in axes.indices where !rest.contains(axis) { place.coefficients[axis] = 0 }
                place.modulus = 0
            }
        }
        places[index] = place
    }

    /// An axis to cut, and the size of its inner part, that lets a division or a remainder go.
    private func split() -> (axis: Int, part: Int)? {
        if axes.count >= GatherForm.maximumRank { return nil }
        for place in places where place.table == nil && !place.isEven {
            // A product that is longer than a number is longer than any axis too.
            let (product, isLong) = place.quotient.multipliedReportingOverflow(by: place.modulus)
            let divisors =
                place.quotient == 1
                ? [place.modulus] : place.modulus == 0 || isLong ? [place.quotient] : [place.quotient, product]
            for divisor in divisors {
                for axis in axes.indices {
                    let coefficient = place.coefficients[axis]
                    guard coefficient > 0, divisor % coefficient == 0 else { continue }
                    let part = divisor / coefficient
                    if part > 1 && part < axes[axis].count && axes[axis].count % part == 0 { return (axis, part) }
                }
            }
        }
        return nil
    }

    // MARK: What it is

    /// The axis of which at most one place applies, and the source's coordinate that says so: an update of a cache at a position.
    var pinned: (axis: Int, place: Int)? {
        guard let place = places.firstIndex(where: { $0.exact }), places[place].modulus == 0 else { return nil }
        let named = axes.indices.filter { places[place].coefficients[$0] != 0 }
        guard named.count == 1, let axis = named.first, places[place].coefficients[axis] == 1,
            axes[axis].count <= places[place].quotient, places[place].tableStrides[axis] == 0,
            axis == axes.count - 1 || places[place].tableStrides[axes.count - 1] == 0
        else { return nil }
        let others = places.indices.filter { $0 != place }
        let stay = others.allSatisfy { index in
            guard places[index].isEven else { return false }
            let span = range(places[index], Array(axes.indices))
            return places[index].offset + span.lowerBound >= 0
                && places[index].offset + span.upperBound < places[index].size
        }
        return stay ? (axis, place) : nil
    }

    /// For each axis the source's elements between successive places, and those before the first, by the strides of the source; nil where some coordinate is
    /// not in even steps or leaves the source.
    func evenSteps(_ sourceStrides: [Int]) -> (offset: Int, strides: [Int])? {
        var offset = 0
        var strides = [Int](repeating: 0, count: axes.count)
        for (place, stride) in zip(places, sourceStrides) {
            guard place.isEven else { return nil }
            let span = range(place, Array(axes.indices))
            guard place.offset + span.lowerBound >= 0, place.offset + span.upperBound < place.size else { return nil }
            offset += place.offset * stride
            for axis in axes.indices { strides[axis] += place.coefficients[axis] * stride }
        }
        return (offset, strides)
    }

    /// The strides over the result's own axes, where the box is the whole result and each axis goes in even steps.
    func view(result shape: [Int], source: Access) -> Access? {
        guard start == 0, count == shape.reduce(1, *), count > 0 else { return nil }
        guard let (offset, steps) = evenSteps(source.strides) else { return nil }
        let own = Access.rowMajor(shape)
        var strides = [Int](repeating: 0, count: shape.count)
        for axis in shape.indices where shape[axis] > 1 {
            guard
                let part = axes.indices.first(where: {
                    axes[$0].stride <= own[axis] && own[axis] < axes[$0].stride * axes[$0].count
                }), own[axis] % axes[part].stride == 0
            else { return nil }
            strides[axis] = steps[part] * (own[axis] / axes[part].stride)
        }
        // Every part of an axis must go on as its first does.
        for part in axes.indices {
            for axis in shape.indices
            where shape[axis] > 1 && axes[part].stride > own[axis] && axes[part].stride < own[axis] * shape[axis] {
                let places = axes[part].stride / own[axis]
                if axes[part].stride % own[axis] != 0 || steps[part] != strides[axis] * places { return nil }
            }
        }
        return Access(root: source.root, offset: source.offset + offset, strides: strides)
    }
}
