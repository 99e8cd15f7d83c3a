internal import Ledger
internal import Primitives

/// Gets what a job reads and looks it through, so that a run of it begins with nothing missing or wrong.
struct JobFetcher: Sendable {
    let blobs: any BlobAccess
    let runner: JobRunner

    /// Throws a refusal that says what could not be had or is wrong.
    func fetch(_ spec: JobSpec, progress: @escaping @Sendable (UInt64, UInt64) -> Void = { _, _ in }) async throws {
        do { try await blobs.fetch([spec.manifest], progress: { _, _ in }) } catch {
            throw WorkRefusal.unavailable("the model's manifest")
        }
        do { try await blobs.fetch(runner.blobs(of: spec), progress: progress) } catch let refusal as WorkRefusal {
            throw refusal
        } catch {
            throw WorkRefusal.unavailable("an input of the job")
        }
        try runner.check(spec)
    }
}
