import Foundation
import Primitives
import Programs
import Runtime
import Testing

/// Every element of every op, judged in integers, against what the reference executor gave.
@Suite struct LeafTests {
    /// Counts what a leaf asks for.
    final class Watched: LeafOperands {
        let operands: TensorOperands
        var asked: Set<LeafRange> = []

        init(_ operands: TensorOperands) { self.operands = operands }

        func bits(operand: Int, element: UInt64) throws(LeafFault) -> UInt64 {
            asked.insert(LeafRange(operand: operand, first: element, count: 1))
            return try operands.bits(operand: operand, element: element)
        }
    }

    struct Found: Error, CustomStringConvertible {
        let description: String
    }

    /// Holds one element against the leaf, segment by segment, and what was read against what was announced.
    static func hold(_ leaf: Leaf, element: UInt64, claim: UInt64, _ operands: TensorOperands) throws {
        func expect(_ holds: Bool, _ what: @autoclosure () -> String) throws {
            if !holds { throw Found(description: "element \(element): \(what())") }
        }
        try expect(leaf.isPossible(claim), "\(claim) is called impossible")
        let watched = Watched(operands)
        let value = try leaf.value(of: element, claim: claim, from: watched)
        try expect(
            value == claim,
            "the leaf gives \(value.map { String($0, radix: 16) } ?? "nothing"), the run \(String(claim, radix: 16))")
        let count = leaf.segmentCount(of: element)
        var announced: Set<LeafRange> = []
        var total = leaf.start
        for segment in 0..<max(1, count) {
            let ranges = try leaf.reads(segment: segment, of: element, claim: claim, from: operands)
            var blocks: Set<LeafRange> = []
            for range in ranges {
                // Looked at in detail for one element of five: it takes longer than the leaf.
                if element % 5 != 0 { continue }
                for offset in 0..<range.count {
                    announced.insert(LeafRange(operand: range.operand, first: range.first + offset, count: 1))
                }
                let size = UInt64(leaf.operandTypes[range.operand].element.size)
                let first = range.first * size / 1_024
                let last = ((range.first + range.count) * size - 1) / 1_024
                for block in first...last { blocks.insert(LeafRange(operand: range.operand, first: block, count: 1)) }
            }
            try expect(blocks.count <= Leaf.blockLimit, "segment \(segment) needs \(blocks.count) blocks")
            if count > 0 {
                total = try leaf.advanced(total, segment: segment, of: element, claim: claim, from: operands)
                // A total survives its encoding.
                var writer = ByteWriter(capacity: 16)
                leaf.write(total, into: &writer)
                try expect(writer.bytes.count == leaf.totalSize, "a total of \(writer.bytes.count) bytes")
                var reader = ByteReader(writer.bytes)
                try expect(try leaf.readTotal(from: &reader) == total, "total \(total) has another encoding")
            }
        }
        try expect(element % 5 != 0 || watched.asked.isSubset(of: announced), "it reads more than it announced")
        if count > 0 {
            try expect(try leaf.finished(total, element: element, claim: claim) == claim, "the segments end elsewhere")
        }
    }

    static func bits(_ tensor: Tensor, _ index: Int) -> UInt64 { tensor.bits(UInt64(index)) ?? 0 }

    /// Two elements of each op in the first steps of a run of one scan, drawn at random; how many were held, and the roots of what is carried after them.
    static func hold(
        _ program: SpecialisedProgram, firstSteps: Int, parameters: [Tensor] = [], inputs: [Tensor], carried: [Tensor],
        seed: UInt64
    ) throws -> (held: Int, carried: [Digest]) {
        var random = SplitMix64(seed: SoftfloatTests.seed)
        var held = 0
        return try ExecutorTests.withPointers(carried) { carried in
            try ExecutorTests.withPointers(inputs) { inputs in
                try ExecutorTests.withPointers(parameters) { parameters in
                    let tracer = try Tracer(
                        program, parameters: parameters, inputs: inputs,
                        carried: Dictionary(uniqueKeysWithValues: zip(carried.indices, carried)), seed: seed)
                    var position = tracer.start
                    for step in 0..<firstSteps {
                        let trace = try tracer.trace(&position)
                        for number in program.scans[0].operations.indices {
                            let leaf = try trace.leaf(number)
                            let tensor = trace.tensor(trace.value(ofOperation: number))
                            let count = UInt64(tensor.bytes.count / tensor.element.size)
                            for _ in 0..<min(count, 2) {
                                let element = random.next() % count
                                do {
                                    try hold(
                                        leaf, element: element, claim: bits(tensor, Int(element)),
                                        trace.operands(number))
                                } catch { throw Found(description: "step \(step), op \(number): \(error)") }
                                held += 1
                            }
                        }
                    }
                    return (held, position.carriedRoots)
                }
            }
        }
    }

    /// All elements of all ops of a program's steps; every op's tensor must be an output.
    static func hold(
        _ program: SpecialisedProgram, _ inputs: [Tensor], seed: UInt64, element isTaken: (Int) -> Bool = { _ in true }
    ) throws -> (elements: Int, kinds: Set<String>) {
        let result = try ExecutorTests.withPointers(inputs) { pointers in
            try ReferenceExecutor(program).run(parameters: [], inputs: pointers, seed: seed)
        }
        let fast = try ExecutorTests.withPointers(inputs) { pointers in
            try GraphExecutor(program: program, parameters: [], threads: 2).run(inputs: pointers, seed: seed)
        }
        if fast != result { throw Found(description: "seed \(seed): the general executor gives other bits") }
        var elements = 0
        var kinds: Set<String> = []
        for (step, outputs) in result.outputs.enumerated() {
            let values = inputs + outputs
            for (number, record) in program.scans[0].operations.enumerated() {
                let ids = record.operation.operands
                let leaf = try Leaf(
                    record, operands: ids.map { program.types(of: program.scans[0])[Int($0.index)] },
                    context: .init(seed: seed, operation: UInt32(number), step: UInt64(step)))
                let operands = TensorOperands(ids.map { values[Int($0.index)] })
                let expected = values[inputs.count + number]
                for element in 0..<Int(record.result.count) where isTaken(element) {
                    do {
                        try hold(leaf, element: UInt64(element), claim: bits(expected, element), operands)
                    } catch {
                        throw Found(description: "seed \(seed), step \(step), op \(number) \(record): \(error)")
                    }
                    elements += 1
                }
                kinds.insert(kind(record.operation, leaf.operandTypes))
                if case .map(let expression, _) = record.operation {
                    for node in expression.nodes {
                        if case .operation(let operation, _) = node { kinds.insert("\(operation)") }
                    }
                }
            }
        }
        return (elements, kinds)
    }

    /// The primitive, its form, and the type of what it goes through.
    static func kind(_ operation: Programs.Operation, _ types: [TensorType]) -> String {
        switch operation {
        case .map: "map"
        case .reduce(let reduction, _, let extent, let prefix):
            "\(types[0].element) \(reduction)\(extent == nil ? "" : " extent")\(prefix ? " prefix" : "")"
        case .contract(_, _, let extent, let selected):
            selected ? "selected contract" : "\(types[0].element) contract\(extent == nil ? "" : " extent")"
        case .gather: "\(types.first?.element ?? .f32) gather"
        case .sort(_, let descending): "\(types[0].element) sort\(descending ? " descending" : "")"
        }
    }

    static let allKinds: Set<String> = {
        var kinds: Set<String> = ["map", "selected contract"]
        for element in ["f32", "i8"] { for extent in ["", " extent"] { kinds.insert("\(element) contract\(extent)") } }
        for element in ["f32", "i32", "i64"] {
            for order in ["", " descending"] { kinds.insert("\(element) sort\(order)") }
            for reduction in Reduction.allCases {
                for extent in ["", " extent"] {
                    for prefix in ["", " prefix"] { kinds.insert("\(element) \(reduction)\(extent)\(prefix)") }
                }
            }
        }
        for element in ElementType.allCases { kinds.insert("\(element) gather") }
        for operation in ScalarOperation.allCases { kinds.insert("\(operation)") }
        return kinds
    }()

    @Test func everyElementOfRandomProgramsIsWhatTheLeafGives() throws {
        let count = SoftfloatTests.count("PLASMA_LEAF_PROGRAMS", otherwise: 120)
        let first = SoftfloatTests.count("PLASMA_LEAF_SEED", otherwise: 1)
        var kinds: Set<String> = []
        var elements = 0
        for seed in first..<first + count {
            var random = AdversarialGraph(seed: UInt64(seed))
            let program = try random.program().specialise([])
            let found = try Self.hold(program, random.tensors(), seed: UInt64(seed))
            kinds.formUnion(found.kinds)
            elements += found.elements
        }
        // What was never met was never tested.
        if count >= 120 { #expect(kinds == Self.allKinds, "missing: \(Self.allKinds.subtracting(kinds))") }
        #expect(elements > count * 100)
    }

    /// Numerators, divisors and remainders up to their bound, in every combination; one beyond is no program.
    @Test func coordinatesUpToTheirBoundAreComputed() throws {
        let edge = Int64(1) << 62
        let inputs = [Tensor([Float](repeating: 2, count: 3), shape: [3])]
        func program(_ coordinates: [Coordinate]) throws -> SpecialisedProgram {
            var graph = GraphBuilder(leading: [TensorType(.f32, [3])])
            for coordinate in coordinates {
                let piece = GatherPiece(start: [0], size: [3], source: ValueID(0), coordinates: [coordinate])
                _ = graph.append(.gather([piece], fill: 7), TensorType(.f32, [3]))
            }
            let outputs = coordinates.indices.map { ValueID(1 + $0) }
            return try Program(
                axes: [], parameters: [], inputs: [TensorDeclaration(name: "x", type: graph.type(ValueID(0)))],
                scans: [Scan(steps: 1, operations: graph.operations, outputs: outputs)]
            ).specialise([])
        }
        var coordinates: [Coordinate] = []
        for offset in [-edge, -edge + 1, -2, -1, 0, 1, 2, edge - 1, edge] {
            for divisor in [1, 2, 3, 1 << 40, UInt64(edge) - 1, UInt64(edge)] {
                for isExact in [false, true] {
                    let quotient = Dimension(divisor)
                    coordinates += [
                        Coordinate(offset: offset, quotient: quotient, exact: isExact),
                        Coordinate(offset: offset, modulus: quotient, exact: isExact),
                        Coordinate(
                            terms: [.init(axis: 0, coefficient: offset / 2)], quotient: 2, modulus: quotient,
                            exact: isExact),
                        Coordinate(
                            offset: offset / 4, terms: [.init(axis: 0, coefficient: 1)], quotient: quotient,
                            modulus: quotient),
                    ]
                }
            }
        }
        for start in stride(from: 0, to: coordinates.count, by: 200) {
            let part = Array(coordinates[start..<min(start + 200, coordinates.count)])
            _ = try Self.hold(try program(part), inputs, seed: 0)
        }
        for coordinate in [
            Coordinate(offset: edge + 1), Coordinate(offset: -edge - 1), Coordinate(offset: .min),
            Coordinate(terms: [.init(axis: 0, coefficient: edge / 2 + 1)]),
            Coordinate(terms: [.init(axis: 0, coefficient: .min), .init(axis: 0, coefficient: .min)]),
            Coordinate(quotient: Dimension(UInt64(edge) + 1)), Coordinate(modulus: Dimension(UInt64(edge) + 1)),
            Coordinate(quotient: Dimension(.max), modulus: Dimension(.max)),
        ] {
            #expect(throws: ProgramFault.self, "\(coordinate)") { try program([coordinate]) }
        }
    }

    @Test func onlyAMapStoresInFewerBits() throws {
        // 1 + 2⁻¹² needs more bits than bf16 or f16 has: what is read after a map stored it is 1.
        let row = Tensor([1 + 0x1p-12, 0], shape: [1, 2])
        for storage in [ElementType.bf16, .f16] {
            var graph = GraphBuilder(leading: [TensorType(.f32, [1, 2])])
            let stored = graph.map(storage, [1, 2], [ValueID(0)]) { e in _ = e.input(0) }
            let read = graph.map(.f32, [1, 2], [stored]) { e in _ = e.input(0) }
            let inputs = [TensorDeclaration(name: "x", type: TensorType(.f32, [1, 2]))]
            let program = try Program(
                axes: [], parameters: [], inputs: inputs,
                scans: [Scan(steps: 1, operations: graph.operations, outputs: [stored, read])])
            #expect(try ReferenceExecutorTests.run(program, [row]).outputs[0][1].floats == [1, 0])
            _ = try Self.hold(program.specialise([]), [row], seed: 0)
            for (operation, shape) in [
                (Programs.Operation.reduce(.sum, input: ValueID(0), extent: nil, prefix: false), [1]),
                (
                    Programs.Operation.contract(left: ValueID(0), right: ValueID(0), extent: nil, selected: false),
                    [1, 1]
                ),
            ] as [(Programs.Operation, [Programs.Dimension])] {
                let record = OperationRecord(operation, TensorType(storage, shape))
                #expect(throws: ProgramFault.self) {
                    try Program(
                        axes: [], parameters: [], inputs: inputs,
                        scans: [Scan(steps: 1, operations: [record], outputs: [])])
                }
            }
        }
    }

    /// A claim that is not the element is never confirmed: each bit flipped, and every other index of a sort.
    @Test func aWrongElementIsNeverConfirmed() throws {
        for seed in UInt64(1)...12 {
            var random = AdversarialGraph(seed: seed)
            let program = try random.program().specialise([])
            let inputs = random.tensors()
            let outputs = try ExecutorTests.withPointers(inputs) { pointers in
                try ReferenceExecutor(program).run(parameters: [], inputs: pointers, seed: seed).outputs[0]
            }
            let values = inputs + outputs
            let types = program.types(of: program.scans[0])
            for (number, record) in program.scans[0].operations.enumerated() where record.result.count > 0 {
                let ids = record.operation.operands
                let leaf = try Leaf(
                    record, operands: ids.map { types[Int($0.index)] },
                    context: .init(seed: seed, operation: UInt32(number), step: 0))
                let operands = TensorOperands(ids.map { values[Int($0.index)] })
                let element = (seed &* 31 &+ UInt64(number)) % record.result.count
                let right = Self.bits(outputs[number], Int(element))
                for bit in 0..<record.result.element.size * 8 {
                    let wrong = right ^ 1 << UInt64(bit)
                    let value = try leaf.value(of: element, claim: wrong, from: operands)
                    #expect(value != wrong, "seed \(seed) op \(number) bit \(bit)")
                }
            }
        }
    }

    @Test func whatIsOutsideIsRefused() throws {
        let record = OperationRecord(
            .reduce(.sum, input: ValueID(0), extent: nil, prefix: false), TensorType(.f32, [2]))
        let leaf = try Leaf(
            record, operands: [TensorType(.f32, [2, 257])], context: .init(seed: 0, operation: 0, step: 0))
        let operands = TensorOperands([Tensor([Float](repeating: 1, count: 514), shape: [2, 257])])
        #expect(leaf.segmentCount(of: 1) == 2)
        #expect(throws: LeafFault.outside("element")) { try leaf.value(of: 2, claim: 0, from: operands) }
        #expect(throws: LeafFault.outside("segment")) {
            try leaf.advanced(leaf.start, segment: 2, of: 1, claim: 0, from: operands)
        }
        #expect(throws: LeafFault.outside("segment")) { try leaf.reads(segment: 2, of: 1, claim: 0, from: operands) }
        #expect(throws: LeafFault.missing(operand: 0, element: 257)) {
            let short = TensorOperands([Tensor([Float](repeating: 1, count: 257), shape: [257])])
            _ = try leaf.value(of: 1, claim: 0, from: short)
        }
        // Types that no program has.
        #expect(throws: ProgramFault.self) {
            try Leaf(record, operands: [TensorType(.i8, [2, 257])], context: .init(seed: 0, operation: 0, step: 0))
        }
        #expect(throws: ProgramFault.self) {
            try Leaf(
                record, operands: [TensorType(.f32, [2, Dimension(1, axis: 0)])],
                context: .init(seed: 0, operation: 0, step: 0))
        }
        #expect(throws: ProgramFault.self) {
            try Leaf(record, operands: [], context: .init(seed: 0, operation: 0, step: 0))
        }
        #expect(throws: ProgramFault.self) {
            try Leaf(
                record, operands: [TensorType(.f32, [2, 257])], context: .init(seed: 0, operation: 1 << 24, step: 0))
        }
    }
}
