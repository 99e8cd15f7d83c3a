/// ModelProto: a file's graph, functions and operator versions.
struct ONNXModelFile {
    var graph: ONNXGraph
    var functions: [ONNXFunction] = []
    var opsets: [(domain: String, version: Int)] = []

    init(_ bytes: UnsafeRawBufferPointer) throws(ONNXFault) {
        var budget = ONNXBudget()
        var message = ONNXMessage(bytes, "the file")
        var found: ONNXGraph?
        var version: Int?
        while let (field, wire) = try message.next() {
            switch (field, wire) {
            case (1, .varint): version = try message.integer()
            case (7, .bytes):
                // A second graph would be merged with the first; no exporter writes that.
                if found != nil { throw .malformed("it has two graphs") }
                found = try ONNXGraph(try message.block(), depth: 0, &budget)
            case (8, .bytes):
                opsets.append(try ONNXModelFile.opset(try message.block()))
                if opsets.count > ONNXLimit.opsets {
                    throw .tooMany("operator sets", found: opsets.count, limit: ONNXLimit.opsets)
                }
            case (20, .bytes): throw .unsupported("carries training information")
            case (25, .bytes):
                functions.append(try ONNXFunction(try message.block(), &budget))
                if functions.count > ONNXLimit.functions {
                    throw .tooMany("functions", found: functions.count, limit: ONNXLimit.functions)
                }
            case (1, _), (7, _), (8, _), (20, _), (25, _): throw message.fault
            default: try message.skip(wire)
            }
        }
        guard let graph = found, let version, version >= 3 else { throw .malformed("it has no graph") }
        self.graph = graph
        for (domain, version) in opsets where ["", "ai.onnx"].contains(domain) && !(11...25).contains(version) {
            throw .opset(domain: "ai.onnx", found: version)
        }
        if !opsets.contains(where: { ["", "ai.onnx"].contains($0.domain) }) {
            throw .malformed("it does not say which version of ONNX's operators it uses")
        }
    }

    /// OperatorSetIdProto.
    static func opset(_ bytes: UnsafeRawBufferPointer) throws(ONNXFault) -> (domain: String, version: Int) {
        var message = ONNXMessage(bytes, "an operator set")
        var (domain, version) = ("", 0)
        while let (field, wire) = try message.next() {
            switch (field, wire) {
            case (1, .bytes): domain = try message.string()
            case (2, .varint): version = try message.integer()
            case (1, _), (2, _): throw message.fault
            default: try message.skip(wire)
            }
        }
        return (domain, version)
    }
}
