extension [Double] {
    /// The middle one; nil where there is none.
    var median: Double? { isEmpty ? nil : sorted()[count / 2] }
}
