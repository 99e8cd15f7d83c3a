package import Ledger
internal import Primitives
internal import Programs

/// Gets what a job reads and looks it through, so that a run of it begins with nothing missing or wrong.
package struct JobFetcher: Sendable {
    let blobs: any BlobAccess
    let runner: JobRunner

    package init(blobs: any BlobAccess, runner: JobRunner) {
        self.blobs = blobs
        self.runner = runner
    }

    /// Gives what shows where the results of others stand that the job reads. Throws a refusal that says what could not be had or is wrong. No more bytes are
    /// taken than the job says to need: else its requester could fill the disks of all that look at it.
    package func fetch(
        _ order: WorkOrder, progress: @escaping @Sendable (UInt64, UInt64) -> Void = { _, _ in }
    ) async throws -> Resolution? {
        // A list is no bytes but a name's.
        try await take(
            [order.spec.manifest] + order.lists, atMost: UInt64(JobRunner.maximumManifestBytes),
            order.lists.isEmpty ? "the model's manifest" : "the model's manifest, or what other jobs left")
        let (limit, isPast) = order.spec.memory.addingReportingOverflow(UInt64(Program.maximumBytes))
        try await take(runner.blobs(of: order), atMost: isPast ? .max : limit, "an input of the job", progress)
        let (spec, resolution) = try runner.resolved(order)
        try runner.check(spec)
        return resolution
    }

    private func take(
        _ ids: [Digest], atMost limit: UInt64, _ what: String,
        _ progress: @escaping @Sendable (UInt64, UInt64) -> Void = { _, _ in }
    ) async throws {
        do { try await blobs.fetch(ids, atMost: limit, progress: progress) } catch let fault as BlobsTooLarge {
            throw WorkRefusal.malformed(
                "\(what) is larger than the job may need: \(fault.bytes) bytes, \(fault.limit) are allowed")
        } catch { throw WorkRefusal.unavailable(what) }
    }
}
