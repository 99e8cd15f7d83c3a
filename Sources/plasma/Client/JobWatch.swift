import API
import Foundation
import Primitives

/// Follows a job on chain until nothing more happens to it.
struct JobWatch {
    /// One new stage of the job.
    struct Event: Sendable {
        let state: String
        let height: UInt64
        /// Milliseconds since 1970, by the block's clock.
        let time: UInt64
        /// Whether it is the job's second stage.
        let isSecond: Bool
        /// The job as it was when the stage was seen.
        let job: JSONValue
    }

    static let ends: Set<String> = ["settled", "expired", "cancelled", "failed"]

    let node: NodeClient
    let id: Digest

    /// Calls `event` once a stage, in order, and `tick` after every look; returns the job at its end.
    ///
    /// - Throws: when `timeout` seconds pass first; the job goes on without us.
    func follow(
        timeout: TimeInterval, tick: (JSONValue) async -> Void = { _ in }, event: (Event) async -> Void
    ) async throws -> JSONValue {
        let deadline = Date().addingTimeInterval(timeout)
        var seen = 0
        while true {
            let job = try await node.call("job.get", ["job": .string(id.hex)])
            let history = job["history"]?.array ?? []
            for (place, step) in history.enumerated().dropFirst(seen) {
                await event(
                    Event(
                        state: step["state"]?.string ?? "", height: step["height"]?.uint64 ?? 0,
                        time: step["time"]?.uint64 ?? 0, isSecond: place == 1, job: job))
            }
            seen = max(seen, history.count)
            if JobWatch.ends.contains(job["state"]?.string ?? "") { return job }
            await tick(job)
            if Date() > deadline {
                throw Failure(
                    "the job is \(job["state"]?.string ?? "unknown") after \(Int(timeout)) s and goes on: "
                        + "follow it with plasma job watch \(id.hex)")
            }
            try await Task.sleep(nanoseconds: 100_000_000)
        }
    }
}
