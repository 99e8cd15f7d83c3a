import Primitives
import Programs
import TestSupport
import Testing

/// A program's bytes and its name.
struct ProgramFormatTests {
    static func samples() throws -> [Program] { [try Samples.everyPrimitive(), try Samples.counter()] }

    @Test func aProgramHasOneEncoding() throws { try WireForm(Self.samples()).holds() }

    @Test func whatADamagedProgramSaysNeverTraps() throws {
        // What decodes is specialised, priced and measured too: shapes and counts may be anything.
        let form = WireForm(
            samples: try Self.samples(), encode: { $0.canonicalBytes },
            decode: { bytes in
                let program = try Program(canonicalBytes: bytes)
                for count in [1, 5, UInt64(1) << 33, .max] {
                    guard let fixed = try? Samples.fixed(program, count) else { continue }
                    _ = try? fixed.cost()
                    _ = fixed.memoryEstimate
                    _ = fixed.parameterCount
                }
                _ = program.root
                return program
            })
        #expect(form.survivesMutation(inputs: 10_000) > 0)
    }

    @Test func theRootNamesEveryOpAndAllThatIsBesides() throws {
        let program = try Samples.everyPrimitive()
        let scan = program.scans[0]
        var roots: Set<Digest> = [program.root]
        func other(_ change: (inout [TensorDeclaration], inout [String], inout Scan) -> Void) throws {
            var (inputs, axes, scan) = (program.inputs, program.axes, scan)
            change(&inputs, &axes, &scan)
            let changed = try Program(axes: axes, parameters: program.parameters, inputs: inputs, scans: [scan])
            #expect(roots.insert(changed.root).inserted)
        }
        try other { _, axes, _ in axes[1] = "batches" }
        try other { inputs, _, _ in inputs[1] = Samples.declare("lengths", .i32, [1]) }
        try other { _, _, changed in
            changed = Scan(steps: 2, operations: scan.operations, outputs: scan.outputs)
        }
        try other { _, _, changed in
            changed = Scan(steps: 1, operations: scan.operations, outputs: scan.outputs.reversed())
        }
        for number in scan.operations.indices {
            guard case .map(let expression, let inputs) = scan.operations[number].operation else { continue }
            var operations = scan.operations
            operations[number] = OperationRecord(
                .map(MapExpression(expression.nodes + [.input(0)]), inputs: inputs), operations[number].result)
            try other { _, _, changed in
                changed = Scan(steps: 1, operations: operations, outputs: scan.outputs)
            }
        }
        #expect(try Program(canonicalBytes: program.canonicalBytes).root == program.root)
    }

    @Test func tensorRootsNameTypeShapeAndBytes() {
        let bytes = [UInt8](repeating: 1, count: 4_096)
        var roots: Set<Digest> = []
        for (element, shape) in [(ElementType.f32, [1_024]), (.i32, [1_024]), (.f32, [32, 32])]
            as [(ElementType, [UInt64])]
        {
            #expect(roots.insert(TensorRoot.of(element, shape, bytes)).inserted)
        }
        for place in [0, 1_023, 1_024, 4_095] {
            var changed = bytes
            changed[place] ^= 1
            #expect(roots.insert(TensorRoot.of(.f32, [1_024], changed)).inserted)
        }
        // A short last block is filled with zeros; the shape keeps it apart from one that has them.
        #expect(TensorRoot.of(.u8, [1], [7]) != TensorRoot.of(.u8, [2], [7, 0]))
    }
}
