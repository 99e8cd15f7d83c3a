public import Primitives
internal import Programs

/// What a transformer in a folder is: its program, and what an example batch of it takes.
public struct TransformerSummary: Sendable {
    public let program: Digest
    /// Primitives by name with how often each occurs, `map` first.
    public let operations: [(kind: String, count: Int)]
    public let inputs: [ModelSummary.Shape]
    public let outputs: [ModelSummary.Shape]
    public let computeUnits: ComputeUnits
    /// Bytes that the example takes at most, weights included.
    public let peakMemory: UInt64

    /// Looks at a model, quantized where that is asked for, with an example batch; `length` is of no meaning to images.
    public init(
        _ model: TransformerModel, batch: Int, length: Int, threads: Int, quantization: Quantization? = nil
    ) throws(RunFault) {
        if batch < 1 || length < 1 { throw .inputRank("input_ids", shape: [batch, length]) }
        var axes: [(name: String, value: UInt64)] = [("batch", UInt64(batch))]
        switch model.kind {
        case .decoder(let configuration):
            if length > configuration.positions { throw .tooLong(length: length, limit: configuration.positions) }
            axes.append(("length", UInt64(length)))
        case .roberta(let configuration):
            if length > configuration.positions { throw .tooLong(length: length, limit: configuration.positions) }
            axes.append(("length", UInt64(length)))
        case .vision: break
        }
        let fixed: SpecialisedProgram
        let parameters: [StoredParameter]
        do throws(ProgramFault) {
            let program: Program
            (program, parameters) = try model.program().quantized(quantization, model.parameters)
            fixed = try program.specialise(axes)
            self.program = program.root
            operations = ModelSummary.counted(program)
            computeUnits = try fixed.cost()
            inputs = fixed.inputs.map {
                ModelSummary.Shape(name: $0.name, type: $0.type.element.name, shape: $0.type.dimensions)
            }
            let types = fixed.types(of: fixed.scans[0])
            outputs = zip(model.outputNames, fixed.scans[0].outputs).map { name, id in
                let type = types[Int(id.index)]
                return ModelSummary.Shape(name: name, type: type.element.name, shape: type.dimensions)
            }
        } catch { throw .program(error) }
        do throws(RunnerFault) {
            peakMemory = try ProgramRunner(fixed, parameters, threads: threads).peakMemory
        } catch {
            switch error {
            case .memory(let needed): throw .memory(needed: needed, available: .max)
            case .execution(let fault): throw .execution(fault)
            }
        }
    }
}
