import API
import Foundation
import Ledger
import Primitives
import Programs
import Runtime

/// A job that continues texts, made ready: tokenized, sized, and costed.
struct GenerationJob {
    let spec: JobSpec
    let program: SpecialisedProgram
    let request: GenerationRequest
    let decoder: PublishedDecoder
    let settings: GenerationSettings
    let prompts: [[Int32]]

    static func make(
        _ decoder: PublishedDecoder, prompts texts: [String], settings: GenerationSettings, terms: JobTerms,
        storageHint: PublicKey
    ) throws -> GenerationJob {
        var settings = settings
        settings.stops = decoder.configuration.endTokens
        let prompts = texts.map { decoder.tokenizer.encode($0) }
        let request = try GenerationRequest(prompts, settings, decoder.sampling, decoder.configuration)
        let published = decoder.published
        let specialised = try published.program.specialise(request.axes)
        let spec = JobSpec(
            program: published.manifest.programRoot, manifest: published.manifestID,
            axes: request.axes.map { JobAxis(name: $0.name, size: $0.value) },
            parameters: AgreedList(published.manifest.parameterRoots),
            inputs: request.inputs.map { input in
                JobInput(
                    name: input.name,
                    root: TensorRoot.of(input.element, input.shape.map { UInt64($0) }, input.bytes))
            },
            initialState: specialised.initialState(), seed: settings.seed, scans: try JobScan.all(of: specialised),
            computeUnits: try specialised.cost(), memory: specialised.memoryEstimate,
            maximumPricePer1000CU: terms.maximumPricePer1000CU, policy: terms.policy,
            queueMilliseconds: terms.queueMilliseconds, deadlineMilliseconds: terms.deadlineMilliseconds,
            storageHint: storageHint)
        return GenerationJob(
            spec: spec, program: specialised, request: request, decoder: decoder, settings: settings, prompts: prompts)
    }

    /// Brings the inputs to the node, which serves them to providers.
    func upload(to node: NodeClient) async throws {
        for (input, named) in zip(request.inputs, spec.inputs) {
            let answer = try await node.rpc.upload(
                input.bytes, as: .tensor(type: input.element.name, shape: input.shape.map { UInt64($0) }))
            if answer["id"]?.string != named.root?.hex {
                throw Failure("the node computed another root for the input \(input.name): do not trust it")
            }
        }
    }

    /// The tokens of each prompt, its stop token included, out of those of each step.
    func rows(_ steps: [[Int32]]) -> [[Int32]] {
        prompts.indices.map { row in
            var tokens: [Int32] = []
            for step in steps.prefix(settings.maximumTokens) where row < step.count {
                tokens.append(step[row])
                if settings.stops.contains(step[row]) { break }
            }
            return tokens
        }
    }
}
