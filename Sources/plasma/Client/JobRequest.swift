import API
import Foundation
import Ledger
import Primitives
import Programs
import Runtime

/// What a requester asks for, before anything is signed.
struct JobTerms {
    var maximumPricePer1000CU: Amount
    var policy: AuditPolicy
    var queueMilliseconds: UInt64
    var deadlineMilliseconds: UInt64
}

/// A job of sentences to embed, made ready: tokenized, sized, and costed.
struct JobRequest {
    let spec: JobSpec
    let inputs: EncoderInputs
    let sentences: [String]
    let limit: Int

    /// The notice about sentences that lost their end; nil where none did.
    var truncationNotice: String? {
        guard let first = inputs.truncated.first else { return nil }
        let which = inputs.truncated.prefix(5).map { String($0 + 1) }.joined(separator: ", ")
        let more = inputs.truncated.count > 5 ? " and \(inputs.truncated.count - 5) more" : ""
        let words = inputs.truncated.count == 1 ? "sentence \(first + 1) is" : "sentences \(which)\(more) are"
        return "\(words) longer than the \(limit) tokens that the model takes: the rest is cut off"
    }

    /// Tokenizes and costs. Nothing is uploaded yet: the inputs' roots are computed here.
    static func make(
        _ model: PublishedModel, sentences: [String], terms: JobTerms, storageHint: PublicKey
    ) throws -> JobRequest {
        let inputs = try EncoderInputs.make(sentences: sentences, tokenizer: model.tokenizer)
        let published = model.published
        let specialised = try published.program.specialise(inputs.axes.map { ($0.name, UInt64($0.value)) })
        let spec = JobSpec(
            program: published.manifest.programRoot, manifest: published.manifestID,
            axes: inputs.axes.map { JobAxis(name: $0.name, size: UInt64($0.value)) },
            parameters: AgreedList(published.manifest.parameterRoots),
            inputs: inputs.inputs.map { JobInput(name: $0.name, root: root(of: $0)) },
            initialState: specialised.initialState(), scans: try JobScan.all(of: specialised),
            computeUnits: try specialised.cost(), memory: specialised.memoryEstimate,
            maximumPricePer1000CU: terms.maximumPricePer1000CU, policy: terms.policy,
            queueMilliseconds: terms.queueMilliseconds, deadlineMilliseconds: terms.deadlineMilliseconds,
            storageHint: storageHint)
        return JobRequest(spec: spec, inputs: inputs, sentences: sentences, limit: model.tokenizer.limit)
    }

    private static func bytes(of input: EncoderInputs.Input) -> [UInt8] {
        input.values.flatMap { value in
            let bits = UInt32(bitPattern: value)
            return [UInt8(bits & 255), UInt8(bits >> 8 & 255), UInt8(bits >> 16 & 255), UInt8(bits >> 24)]
        }
    }

    private static func root(of input: EncoderInputs.Input) -> Digest {
        TensorRoot.of(.i32, input.shape.map { UInt64($0) }, bytes(of: input))
    }

    /// Brings the inputs to the node, which serves them to providers.
    func upload(to node: NodeClient) async throws {
        for (input, named) in zip(inputs.inputs, spec.inputs) {
            let answer = try await node.rpc.upload(
                JobRequest.bytes(of: input), as: .tensor(type: "i32", shape: input.shape.map { UInt64($0) }))
            if answer["id"]?.string != named.root?.hex {
                throw Failure("the node computed another root for the input \(input.name): do not trust it")
            }
        }
    }

    /// What the market says of it now.
    func plan(on node: NodeClient) async throws -> JSONValue {
        try await node.call("job.plan", ["spec": .string(Hexadecimal.encode(spec.canonicalBytes))])
    }
}
