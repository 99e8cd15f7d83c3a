import Foundation
import Runtime
import Testing

/// Operators, one model each, against what ONNX Runtime gave (scripts/fixtures/onnx.sh makes the file).
@Suite struct ONNXOperatorTests {
    @Test func everyOperatorGivesWhatONNXRuntimeGave() throws {
        let cases = try ONNXCases.fixture("operators.safetensors").cases
        #expect(cases.count > 400)
        for item in cases {
            let problem = item.problem()
            #expect(problem == nil, "\(item.name): \(problem ?? "")")
        }
    }

    @Test func everyOperatorIsTried() throws {
        var tried: Set<String> = []
        for item in try ONNXCases.fixture("operators.safetensors").cases {
            tried.formUnion(try ONNXModel(item.model).operators.map(\.name))
        }
        for item in try ONNXCases.fixture("models.safetensors").cases {
            tried.formUnion(try ONNXModel(item.model).operators.map(\.name))
        }
        // Tried in ONNXModelTests (branches, loops, casts), or of the same code as another that is tried.
        let others: Set<String> = [
            "If", "Loop",
            "Swish", "SimplifiedLayerNormalization", "com.microsoft.SimplifiedLayerNormalization", "CastLike",
            "com.microsoft.FusedGemm", "com.microsoft.QuantizeLinear", "com.microsoft.DequantizeLinear",
        ]
        let untried = Set(ONNXModel.operatorNames).subtracting(tried).subtracting(others)
        #expect(untried.isEmpty, "\(untried.sorted())")
    }

    /// PLASMA_ONNX_CASES names a file of more cases, such as those of ONNX's own test suite; each result is printed.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["PLASMA_ONNX_CASES"] != nil))
    func casesFromOutside() throws {
        let path = ProcessInfo.processInfo.environment["PLASMA_ONNX_CASES"] ?? ""
        let cases = try ONNXCases(path: path).cases
        var passed = 0
        for item in cases {
            let problem = item.problem()
            if problem == nil { passed += 1 }
            print("case \(item.name): \(problem ?? "passed")")
        }
        print("\(passed) of \(cases.count) cases passed")
        #expect(passed > 0)
    }
}
