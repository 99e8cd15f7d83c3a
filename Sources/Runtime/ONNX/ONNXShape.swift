/// Arithmetic of shapes that come from a file: nothing here may overflow.
enum ONNXShape {
    /// Elements that a tensor may have, and that the product of its axes other than the empty ones may be.
    static let elementLimit = 1 << 40

    /// The elements of a shape, or nil where no tensor can have it.
    static func count(_ shape: [Int]) -> Int? {
        var product = 1
        for size in shape {
            let (next, overflow) = product.multipliedReportingOverflow(by: max(1, size))
            if size < 0 || overflow || next > elementLimit { return nil }
            product = next
        }
        return shape.contains(0) ? 0 : product
    }

    /// The shape that two broadcast to, from the right, or nil.
    static func broadcast(_ x: [Int], _ y: [Int]) -> [Int]? {
        let rank = max(x.count, y.count)
        var shape: [Int] = []
        for place in 0..<rank {
            let a = place < rank - x.count ? 1 : x[place - (rank - x.count)]
            let b = place < rank - y.count ? 1 : y[place - (rank - y.count)]
            if a != b && a != 1 && b != 1 { return nil }
            shape.append(a == 1 ? b : a)
        }
        return shape
    }
}
