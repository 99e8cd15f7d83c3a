public import Programs

extension DecoderConfiguration {
    /// The program of one pass over whole rows, before there are any weights: the same ops as a folder with these settings in f32 gives.
    public func program() throws(ProgramFault) -> Program {
        var list = ParameterList()
        let weights = DecoderWeights(self, &list)
        let parameters = list.sources.map { source in
            switch source {
            case .file(let need):
                TensorDeclaration(
                    name: need.names[0], type: TensorType(.f32, need.shape.map { Dimension(UInt64($0)) }))
            case .derived(let name, let values):
                TensorDeclaration(name: name, type: TensorType(.f32, [Dimension(UInt64(values.count))]))
            }
        }
        return try DecoderGraph(configuration: self, weights: weights).program(parameters)
    }
}
