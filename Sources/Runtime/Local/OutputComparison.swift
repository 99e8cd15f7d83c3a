/// How far an output may be from what is expected. At least one bound is set.
public struct OutputBound: Sendable, Equatable {
    /// With both, an element may differ by `absolute + relative × |expected|`; with one, by that alone.
    public let relative: Double?
    public let absolute: Double?
    /// The least cosine between a row and its expected row.
    public let cosine: Double?

    public init(relative: Double? = nil, absolute: Double? = nil, cosine: Double? = nil) {
        self.relative = relative
        self.absolute = absolute
        self.cosine = cosine
    }
}

/// An output held against an expected one, element by element and row by row of the last axis.
public struct OutputComparison: Sendable, Equatable {
    public let name: String
    public let bound: OutputBound
    /// The greatest |found − expected|; infinite where the output is not a finite number.
    public let greatestAbsolute: Double
    /// The greatest |found − expected| ÷ |expected|; infinite where only the expected one is zero.
    public let greatestRelative: Double
    /// The least cosine of two rows; 1 where both are zero, 0 where one is.
    public let leastCosine: Double
    /// Elements that were compared, and those beyond the bound.
    public let elements: Int
    public let elementsBeyond: Int

    /// Whether every bound holds.
    public var holds: Bool { elementsBeyond == 0 && leastCosine >= (bound.cosine ?? -.infinity) }

    /// Compares; rows that are padding take no part.
    public init(_ output: LocalRun.Output, expected: NumpyArray, bound: OutputBound) throws(RunFault) {
        guard let wanted = expected.floats else { throw .outputType(output.name, found: expected.type) }
        if expected.shape != output.array.shape {
            throw .outputShape(output.name, found: output.array.shape, expected: expected.shape)
        }
        guard let found = output.array.floats else { preconditionFailure("a run's outputs are f32") }
        let width = found.count / output.rows.count
        var absolute = 0.0
        var relative = 0.0
        var cosine = 1.0
        var elements = 0
        var beyond = 0
        for (row, counts) in output.rows.enumerated() where counts {
            var (dot, a, b) = (0.0, 0.0, 0.0)
            for place in row * width..<(row + 1) * width {
                let (x, y) = (Double(found[place]), Double(wanted[place]))
                if !y.isFinite { throw .notFinite(output.name, element: place) }
                let difference = x.isFinite ? abs(x - y) : .infinity
                absolute = max(absolute, difference)
                if difference > 0 { relative = max(relative, difference / abs(y)) }
                if !OutputComparison.isWithin(difference, of: y, bound) { beyond += 1 }
                (dot, a, b) = (dot + x * y, a + x * x, b + y * y)
            }
            elements += width
            let product = (a * b).squareRoot()
            let value = a == 0 && b == 0 ? 1 : product > 0 ? dot / product : 0
            // A NaN, of an output that is not finite, is below every bound.
            cosine = min(cosine, value.isNaN ? -1 : min(1, value))
        }
        name = output.name
        self.bound = bound
        greatestAbsolute = absolute
        greatestRelative = relative
        leastCosine = cosine
        self.elements = elements
        elementsBeyond = beyond
    }

    private static func isWithin(_ difference: Double, of expected: Double, _ bound: OutputBound) -> Bool {
        if bound.absolute == nil && bound.relative == nil { return difference.isFinite }
        return difference <= (bound.absolute ?? 0) + (bound.relative ?? 0) * abs(expected)
    }
}
