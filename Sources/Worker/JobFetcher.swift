internal import Ledger
internal import Primitives

/// Gets what a job reads and looks it through, so that a run of it begins with nothing missing or wrong.
struct JobFetcher: Sendable {
    let blobs: any BlobAccess
    let runner: JobRunner

    /// Gives what shows where the results of others stand that the job reads. Throws a refusal that says what could not be had or is wrong.
    func fetch(
        _ order: WorkOrder, progress: @escaping @Sendable (UInt64, UInt64) -> Void = { _, _ in }
    ) async throws -> Resolution? {
        do { try await blobs.fetch([order.spec.manifest] + order.lists, progress: { _, _ in }) } catch {
            throw WorkRefusal.unavailable(
                order.lists.isEmpty ? "the model's manifest" : "the model's manifest, or what other jobs left")
        }
        do { try await blobs.fetch(runner.blobs(of: order), progress: progress) } catch let refusal as WorkRefusal {
            throw refusal
        } catch {
            throw WorkRefusal.unavailable("an input of the job")
        }
        let (spec, resolution) = try runner.resolved(order)
        try runner.check(spec)
        return resolution
    }
}
