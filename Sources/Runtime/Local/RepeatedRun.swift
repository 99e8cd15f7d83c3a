/// A run that may be done several times, to be timed.
enum RepeatedRun {
    /// What the last run gives, and how long one takes: the middle of those after the first, which finds memory that nobody has touched, or the first where it
    /// is the only one.
    static func timed<R>(_ times: Int, _ run: () throws(ExecutionFault) -> R) throws(ExecutionFault) -> (R, Duration) {
        func once() throws(ExecutionFault) -> (R, Duration) {
            let began = ContinuousClock.now
            let result = try run()
            return (result, ContinuousClock.now - began)
        }
        var (result, first) = try once()
        var others: [Duration] = []
        for _ in 0..<max(0, times - 1) {
            let (again, took) = try once()
            result = again
            others.append(took)
        }
        return (result, others.isEmpty ? first : others.sorted()[others.count / 2])
    }
}
