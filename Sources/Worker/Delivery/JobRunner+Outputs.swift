package import Ledger
package import Primitives
internal import Programs

/// What a result names, as blobs.
extension JobRunner {
    /// The lists under which a result's tensors are found: blobs that are read before it is known which tensors these are.
    package func lists(of result: ResultCommitment) -> [Digest] {
        result.stateRoot == ResultRoots.stateRoot([]) ? [result.outputRoot] : [result.outputRoot, result.stateRoot]
    }

    /// All tensors of a result whose lists are here. Throws a refusal where a list is none of this result's.
    package func tensors(of result: ResultCommitment) throws -> [Digest] {
        try outputs(of: result).flatMap { $0 } + kept(result)
    }

    /// The bytes of a result, as they are shown to the chain; nil where they are too many for that. Throws a refusal where they are not here.
    package func posted(_ result: ResultCommitment) throws -> PostedOutput? {
        var (count, bytes) = (0, 0)
        func list(_ roots: [Digest]) throws -> PostedOutput.List? {
            count += roots.count
            if count > PostedOutput.maximumTensors { return nil }
            var tensors: [PostedTensor] = []
            for root in roots {
                guard let type = try blobs.tensorType(of: root), let element = ElementType(rawValue: type.type),
                    let blob = try? blobs.mapped(root)
                else { throw WorkRefusal.unavailable("a tensor of the job's result") }
                bytes += blob.bytes.count
                if bytes > PostedOutput.maximumBytes { return nil }
                tensors.append(PostedTensor(element: element, shape: type.shape, bytes: Array(blob.bytes)))
                withExtendedLifetime(blob) {}
            }
            return PostedOutput.List(tensors)
        }
        var steps: [PostedOutput.List] = []
        for roots in try outputs(of: result) {
            guard let step = try list(roots) else { return nil }
            steps.append(step)
        }
        guard let kept = try list(try kept(result)) else { return nil }
        let output = PostedOutput(steps: steps, kept: kept)
        // Many small tensors have more of types and shapes than of bytes.
        return output.canonicalBytes.count + JobRunner.transactionBytes > Transaction.maximumOutputBytes ? nil : output
    }

    /// What a transaction has besides an output: at most.
    private static let transactionBytes = 512
}

extension JobFetcher {
    /// Makes sure that all tensors of a result are here, of at most so many bytes: whoever asks for them has them from here on. Throws a refusal where they
    /// could not be had. A result that is larger than its job may leave is none: else a provider and its friend could fill the witnesses' disks.
    func hold(
        _ result: ResultCommitment, atMost limit: UInt64,
        progress: @escaping @Sendable (UInt64, UInt64) -> Void = { _, _ in }
    ) async throws {
        do {
            try await blobs.fetch(runner.lists(of: result), progress: { _, _ in })
            try await blobs.fetch(runner.tensors(of: result), atMost: limit, progress: progress)
        } catch { throw WorkRefusal.unavailable("what the job gave out") }
    }
}
