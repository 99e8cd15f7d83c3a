import API
import ArgumentParser
import Foundation
import Ledger
import Primitives

extension JobCommand {
    /// Says to the chain that a result's bytes are handed to nobody.
    struct Claim: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Claim the output of your job, where its provider hands it to nobody.",
            discussion: """
                Before a job settles its requester may claim its output with a deposit: providers that are drawn try to fetch it. If half of them hold it, or the provider shows the
                bytes to the chain, the output is there for you too, and the deposit is lost. Else the provider is convicted, the deposit comes back, and the job runs elsewhere.
                The output is looked for first: where it can be had, nothing is claimed.
                Example: plasma job claim JOB --wait --home devnet/client
                """)

        @OptionGroup var options: ClientOptions
        @OptionGroup var keys: KeyOptions

        @Argument(help: "The job's id.")
        var job: String

        @Option(help: "What is staked, in XPL; the least that the chain takes if left out.")
        var deposit: String?

        @Option(
            help:
                "Seconds in which the output is looked for first; 0 claims without a look. The window of a short job is a few seconds."
        )
        var patience: Double = 1

        @Flag(
            help:
                "Wait until the result is open, and claim only what cannot be had then: for jobs whose window is short."
        )
        var wait = false

        @Flag(inversion: .prefixedNo, help: "Follow the claim until it is decided.")
        var watch = true

        func validate() throws {
            guard patience >= 0 else { throw ValidationError("--patience is a number of seconds, 0 or more") }
        }

        func run() async throws {
            let id = try JobCommand.id(job)
            let key = try keys.open()
            let (end, names) = try await options.withNode { node -> (JSONValue, [String: String]) in
                var found = try await node.call("job.get", ["job": .string(id.hex)])
                while wait, found["claimDeposit"]?.string == nil, !JobWatch.ends.contains(found["state"]?.string ?? "")
                {
                    try await Task.sleep(nanoseconds: 100_000_000)
                    found = try await node.call("job.get", ["job": .string(id.hex)])
                }
                let payload = try payload(id, found)
                if try await JobCommand.hasOutput(found, node, within: patience) {
                    if wait { return (found, [:]) }
                    throw Failure(
                        "the output can be had, and nothing was claimed: get it with plasma job result \(id.hex)")
                }
                let finality = try await node.submit(payload, as: key)
                if !options.isJSON { print("claimed at height \(finality.height)") }
                let names = try await node.providerNames()
                var job = try await node.call("job.get", ["job": .string(id.hex)])
                while watch, job["claim"]?["state"]?.string == "open" {
                    try await Task.sleep(nanoseconds: 200_000_000)
                    job = try await node.call("job.get", ["job": .string(id.hex)])
                }
                return (job, names)
            }
            options.show(end) { job in
                job["claim"]?["state"] == nil
                    ? "the output is here, and nothing was claimed"
                    : ClaimText.lines(job, names: names).joined(separator: "\n")
            }
        }

        private func payload(_ id: Digest, _ job: JSONValue) throws -> Payload {
            guard let attempt = job["attempt"]?.uint64.flatMap(UInt32.init(exactly:)),
                let least = job["claimDeposit"]?.string
            else {
                let state = job["state"]?.string ?? "unknown"
                throw Failure(
                    "the job is \(state): an output is claimed once the result is open and before it settles: see plasma job show \(id.hex)"
                )
            }
            let amount: Amount
            do { amount = try Amount(parsing: deposit ?? least) } catch { throw Failure(describing: error) }
            return .claimUndelivered(job: id, attempt: attempt, deposit: amount)
        }
    }

    /// Whether a node gets all that a job's open result names, in so many seconds. Given none it does not look: a node that holds the output already would
    /// answer before the time is seen to be over, or after, by chance.
    static func hasOutput(_ job: JSONValue, _ node: NodeClient, within seconds: Double) async throws -> Bool {
        guard seconds > 0, let root = job["outputRoot"]?.string else { return false }
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                guard let listing = try? await node.call("blob.get", ["id": .string(root)]) else { return false }
                for tensor in (listing["steps"]?.array ?? []).flatMap({ $0.array ?? [] }) {
                    guard (try? await node.call("blob.get", ["id": tensor])) != nil else { return false }
                }
                return true
            }
            group.addTask {
                try? await Task.sleep(nanoseconds: UInt64(max(0, min(seconds, 3600)) * 1_000_000_000))
                return false
            }
            let first = await group.next() ?? false
            group.cancelAll()
            return first
        }
    }

    /// What may be done where a job's output could not be had.
    static func missing(_ id: Digest, _ job: JSONValue?, _ error: any Error) -> Failure {
        let words = "\(Failure(describing: error))"
        guard let job, job["claimDeposit"]?.string != nil else {
            return Failure(words)
        }
        return Failure(
            "\(words). The job has not settled: if its output is handed to nobody, claim it with plasma job claim \(id.hex)"
        )
    }
}
