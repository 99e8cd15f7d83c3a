public import Ledger
internal import Primitives

/// How a run goes on, beside what its device's rate gives: subnormal numbers can make one a hundred times slower, and no program shows that beforehand.
///
/// 1. It is slow if by what is done of it all would take `limit` times the job's own time.
/// 2. What is done is counted in whole steps, each by its cost: within a step nothing is known. While none is done, the time alone counts.
/// 3. Nobody is hasty: a report ends the run unpaid. Only after `patience`, and after the job's own time, is anything judged.
public struct RunPace: Hashable, Sendable {
    /// How many times its own time makes a run slow.
    public static let limit: UInt64 = 100

    let milliseconds: UInt64
    let patience: UInt64
    let spec: JobSpec

    /// - Parameters:
    ///   - milliseconds: the job's time by the rate of the device that it was matched on.
    ///   - patience: in milliseconds.
    public init(_ spec: JobSpec, milliseconds: UInt64, patience: UInt64) {
        self.spec = spec
        self.milliseconds = milliseconds
        self.patience = patience
    }

    /// - Parameters:
    ///   - elapsed: milliseconds since the run has begun on the device.
    ///   - millionths: the part of its steps that is done.
    public func isSlow(after elapsed: UInt64, done millionths: UInt64) -> Bool {
        if elapsed < max(patience, milliseconds) { return false }
        // At most 2^20 steps. A part may have been rounded down.
        let steps = spec.scans.reduce(UInt64(0)) { $0 + $1.steps }
        var left = (min(millionths, 1_000_000) + 1) * steps / 1_000_000
        var operations: UInt128 = 0
        for scan in spec.scans {
            operations += UInt128(min(left, scan.steps)) * UInt128(scan.weightedOperations)
            left -= min(left, scan.steps)
        }
        let limit = UInt128(RunPace.limit) * UInt128(milliseconds)
        if operations == 0 { return UInt128(elapsed) >= limit }
        // Own times are at most 30 days, so both products fit.
        return UInt128(elapsed) * UInt128(spec.computeUnits.weightedOperations) >= limit * operations
    }
}
