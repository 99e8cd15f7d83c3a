import Runtime
import Testing

/// Which convolutions and pools read their windows in place. A form of the importer that the planner no longer recognises would only be slower, and nothing
/// else would tell.
@Suite struct WindowKernelTests {
    private static let kinds: Set<String> = [
        "convolution", "held convolution", "channel convolution", "maximum pool", "sum pool",
    ]

    /// The kernels of windows that a case runs, in order.
    private func kernels(_ item: ONNXCases.Case) throws -> [String] {
        let graph = LocalGraph(try ONNXModel(item.model, name: item.name))
        return try graph.imported(arrays: item.inputs).executor(threads: 1).kernels.filter(Self.kinds.contains)
    }

    @Test func theseOperatorsDoNotAndAllOthersDo() throws {
        let names: Set<String> = [
            "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "com.microsoft.FusedConv", "MaxPool", "AveragePool",
            "LpPool",
        ]
        let cases = try ONNXCases.fixture("operators.safetensors").cases.filter { item in
            names.contains(item.name.split(separator: "-").first.map(String.init) ?? "")
        }
        #expect(cases.count == 34)
        let slow = try cases.filter { try kernels($0).isEmpty }.map(\.name)
        // Three spatial axes, filters shorter than their stride, whole numbers, and places besides the greatest elements.
        #expect(
            Set(slow) == [
                "Conv-3d", "Conv-3d groups", "MaxPool-3d", "AveragePool-3d", "ConvTranspose-strides",
                "ConvInteger-plain",
                "QLinearConv-groups", "MaxPool-indices",
            ])
        let channels = try cases.filter { try kernels($0) == ["channel convolution"] }.map(\.name)
        #expect(channels == ["Conv-depthwise"])
    }

    @Test func everyConvolutionOfAResidualNetworkDoes() throws {
        let models = try ONNXModelTests.models().filter { $0.name.hasPrefix("resnet") }
        #expect(!models.isEmpty)
        for item in models {
            let found = try kernels(item)
            #expect(found.count == 7, "\(item.name): \(found)")
        }
    }
}
