import Primitives
import Programs
import Testing

/// What is no program, and why.
struct ProgramRulesTests {
    static let matrix = TensorType(.f32, [Samples.tokens, 4])
    static let table = TensorType(.f32, [10, 4])

    struct Wrong: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let reason: String
        let operation: Programs.Operation
        let result: TensorType
        let types: [TensorType]

        init(
            _ name: String, _ operation: Programs.Operation, _ result: TensorType, over types: [TensorType],
            says reason: String
        ) {
            testDescription = name
            self.operation = operation
            self.result = result
            self.types = types
            self.reason = reason
        }
    }

    static func map(_ nodes: [MapNode], _ inputs: Int = 1) -> Programs.Operation {
        .map(MapExpression(nodes), inputs: (0..<inputs).map { ValueID($0) })
    }

    static func pick(_ coordinates: [Coordinate], size: [Dimension], fill: UInt64 = 0) -> Programs.Operation {
        .gather(
            [GatherPiece(start: size.map { _ in 0 }, size: size, source: ValueID(0), coordinates: coordinates)],
            fill: fill)
    }

    static let wrong: [Wrong] = [
        Wrong(
            "an operand that is not there yet", .sort(input: ValueID(1), descending: false), TensorType(.i32, [4]),
            over: [TensorType(.f32, [4])], says: "not there yet"),
        Wrong("an empty map", map([]), matrix, over: [matrix], says: "a map is empty"),
        Wrong("a map input that is not given", map([.input(1)]), matrix, over: [matrix], says: "input 1 of 1"),
        Wrong(
            "a node that reads itself", map([.operation(.exp, [0])]), matrix, over: [matrix], says: "comes later"),
        Wrong(
            "65 operations in a map", map([.input(0)] + (0..<65).map { .operation(.exp, [UInt8($0)]) }), matrix,
            over: [matrix], says: "65 operations, at most 64"),
        Wrong(
            "exp of whole numbers", map([.input(0), .operation(.exp, [0])]), TensorType(.i32, [4]),
            over: [TensorType(.i32, [4])], says: "exp does not take"),
        Wrong(
            "another type than it says", map([.input(0)]), TensorType(.i32, [Samples.tokens, 4]), over: [matrix],
            says: "makes f32 and says i32"),
        Wrong("a bool of two", map([.constant(.bool, bits: 2)], 0), TensorType(.bool, [4]), over: [], says: "0 or 1"),
        Wrong(
            "a constant wider than its type", map([.constant(.i8, bits: 256)], 0), TensorType(.i8, [4]), over: [],
            says: "more bits"),
        Wrong("a coordinate of no axis", map([.index(2)], 0), TensorType(.i64, [4, 4]), over: [], says: "rank 2"),
        Wrong(
            "shapes that do not broadcast", map([.input(0)]), TensorType(.f32, [3]), over: [TensorType(.f32, [2])],
            says: "does not broadcast"),
        Wrong(
            "a sum of bools", .reduce(.sum, input: ValueID(0), extent: nil, prefix: false), TensorType(.bool, []),
            over: [TensorType(.bool, [4])], says: "reduce of bool"),
        Wrong(
            "a reduce of nothing", .reduce(.sum, input: ValueID(0), extent: nil, prefix: false), TensorType(.f32, []),
            over: [TensorType(.f32, [])], says: "needs an axis"),
        Wrong(
            "a prefix of the wrong shape", .reduce(.sum, input: ValueID(0), extent: nil, prefix: true),
            TensorType(.f32, []), over: [TensorType(.f32, [4])], says: "does not make"),
        Wrong(
            "an extent of floats", .reduce(.sum, input: ValueID(0), extent: ValueID(1), prefix: false),
            TensorType(.f32, [4]), over: [TensorType(.f32, [4, 4]), TensorType(.f32, [4])], says: "extent is i32"),
        Wrong(
            "a contract of unlike lengths",
            .contract(left: ValueID(0), right: ValueID(1), extent: nil, selected: false), TensorType(.f32, [2, 2]),
            over: [TensorType(.f32, [2, 3]), TensorType(.f32, [2, 4])], says: "no common last axis"),
        Wrong(
            "a contract of unlike batches",
            .contract(left: ValueID(0), right: ValueID(1), extent: nil, selected: false), TensorType(.f32, [5, 2, 2]),
            over: [TensorType(.f32, [5, 2, 3]), TensorType(.f32, [6, 2, 3])], says: "different batches"),
        Wrong(
            "an i8 contract that could overflow",
            .contract(left: ValueID(0), right: ValueID(1), extent: nil, selected: false), TensorType(.i32, [1, 1]),
            over: [TensorType(.i8, [1, 131_072]), TensorType(.i8, [1, 131_072])], says: "could overflow"),
        Wrong(
            "a contract of floats and bytes",
            .contract(left: ValueID(0), right: ValueID(1), extent: nil, selected: false), TensorType(.f32, [1, 1]),
            over: [TensorType(.f32, [1, 4]), TensorType(.i8, [1, 4])], says: "contract of f32 and i8"),
        Wrong(
            "a gather that changes the type", pick([.axis(0), .axis(1)], size: [10, 4]), TensorType(.i32, [10, 4]),
            over: [table], says: "changes the element type"),
        Wrong(
            "too few coordinates", pick([.axis(0)], size: [10]), TensorType(.f32, [10]), over: [table],
            says: "gives 1 coordinates"),
        Wrong(
            "a box that leaves its result", pick([.axis(0), .axis(1)], size: [11, 4]), TensorType(.f32, [10, 4]),
            over: [table], says: "leaves its result"),
        Wrong(
            "a division by zero", pick([Coordinate(quotient: 0), .axis(0)], size: [4]), TensorType(.f32, [4]),
            over: [table], says: "divided by zero"),
        Wrong(
            "a coordinate on no axis", pick([.axis(0), .axis(1)], size: [4]), TensorType(.f32, [4]), over: [table],
            says: "an axis that is not there"),
        Wrong(
            "a sort of another shape", .sort(input: ValueID(0), descending: false), TensorType(.i32, [3]),
            over: [TensorType(.f32, [4])], says: "a sort of"),
    ]

    @Test(arguments: wrong) func isRefusedWithTheReason(_ item: Wrong) {
        #expect {
            let program = try Samples.single(item.operation, item.result, over: item.types)
            _ = try Samples.fixed(program)
        } throws: { fault in
            "\(fault)".contains(item.reason)
        }
    }

    @Test func axesAreNamedOnceGivenOnceAndAboveZero() throws {
        let program = try Samples.everyPrimitive()
        #expect(throws: ProgramFault.missingAxis("sentences")) { try program.specialise([("tokens", 1)]) }
        #expect(throws: ProgramFault.unknownAxis("words")) {
            try program.specialise([("tokens", 1), ("sentences", 1), ("words", 1)])
        }
        #expect(throws: ProgramFault.self) { try program.specialise([("tokens", 0), ("sentences", 1)]) }
        #expect(throws: ProgramFault.self) {
            try Program(axes: ["a", "a"], parameters: [], inputs: [], scans: program.scans)
        }
        #expect(throws: ProgramFault.self) { try Program(axes: [], parameters: [], inputs: [], scans: []) }
    }

    @Test func tensorsAreBoundedAtTheirNumberOfElements() throws {
        let edge = SpecialisedProgram.maximumElements
        func rows(_ count: UInt64) throws -> SpecialisedProgram {
            let shape: [Dimension] = [Samples.tokens]
            let program = try Samples.single(
                Self.map([.input(0)]), TensorType(.f32, shape), over: [TensorType(.f32, shape)])
            return try program.specialise([("tokens", count), ("sentences", 1)])
        }
        #expect(try rows(edge).inputs[0].type.count == edge)
        #expect(throws: ProgramFault.self) { try rows(edge + 1) }
        #expect(throws: ProgramFault.self) { try rows(.max) }
    }

    @Test func whatIsCarriedKeepsItsTypeAndTheStopFlagIsABool() throws {
        let counter = try Samples.counter()
        let scan = counter.scans[0]
        func with(carried: [ValueID], stop: UInt16?) throws -> SpecialisedProgram {
            try Samples.fixed(
                Program(
                    axes: counter.axes, parameters: [], inputs: [], carried: counter.carried, kept: counter.kept,
                    scans: [
                        Scan(
                            steps: scan.steps, operations: scan.operations, outputs: scan.outputs, carried: carried,
                            stop: stop)
                    ]))
        }
        _ = try with(carried: scan.carried, stop: 1)
        #expect(throws: ProgramFault.self) { try with(carried: scan.carried, stop: 0) }
        #expect(throws: ProgramFault.self) { try with(carried: scan.carried, stop: 2) }
        #expect(throws: ProgramFault.self) { try with(carried: scan.carried.reversed(), stop: 1) }
        #expect(throws: ProgramFault.self) { try with(carried: [scan.carried[0]], stop: nil) }
    }

    @Test func anAxisIsBoundedThoughItsTensorIsEmpty() throws {
        func program(_ length: UInt64) throws -> SpecialisedProgram {
            try Program(
                axes: [], parameters: [],
                inputs: [Samples.declare("x", .f32, [0, Dimension(length)])],
                scans: [Scan(steps: 1, operations: [], outputs: [])]
            ).specialise([])
        }
        _ = try program(SpecialisedProgram.maximumElements)
        #expect(throws: ProgramFault.overflow("an axis")) { try program(SpecialisedProgram.maximumElements + 1) }
    }

    /// What one element of a gather may make a judge look at.
    @Test func aGathersEvidenceIsBounded() throws {
        func piece(tables: Int, exact: Bool) -> GatherPiece {
            let coordinate = Coordinate(
                table: tables > 0 ? ValueID(1) : nil, tableAxes: tables > 0 ? [0] : [], quotient: 2, exact: exact)
            return GatherPiece(start: [0], size: [4], source: ValueID(0), coordinates: [coordinate])
        }
        func program(_ pieces: [GatherPiece]) throws -> SpecialisedProgram {
            try Samples.fixed(
                Samples.single(
                    .gather(pieces, fill: 0), TensorType(.f32, [4]),
                    over: [TensorType(.f32, [4]), TensorType(.i32, [4])]))
        }
        let (tables, exact) = (Programs.Operation.maximumTables, Programs.Operation.maximumExactPieces)
        _ = try program(Array(repeating: piece(tables: 1, exact: false), count: tables))
        #expect(throws: ProgramFault.self) {
            try program(Array(repeating: piece(tables: 1, exact: false), count: tables + 1))
        }
        _ = try program(Array(repeating: piece(tables: 0, exact: true), count: exact))
        #expect(throws: ProgramFault.self) {
            try program(Array(repeating: piece(tables: 0, exact: true), count: exact + 1))
        }
    }

    @Test func placesInARowFitAnI32() throws {
        func row(_ operation: Programs.Operation, _ result: (Dimension) -> TensorType, _ length: UInt64) throws {
            let dimension = Dimension(length)
            _ = try Samples.fixed(Samples.single(operation, result(dimension), over: [TensorType(.f32, [dimension])]))
        }
        let edge: UInt64 = 1 << 31
        let sort = Programs.Operation.sort(input: ValueID(0), descending: false)
        try row(sort, { TensorType(.i32, [$0]) }, edge)
        #expect(throws: ProgramFault.self) { try row(sort, { TensorType(.i32, [$0]) }, edge + 1) }
        let most = Programs.Operation.reduce(
            .argumentOfMaximum, input: ValueID(0), extent: nil, prefix: false)
        try row(most, { _ in TensorType(.i32, []) }, edge)
        #expect(throws: ProgramFault.self) { try row(most, { _ in TensorType(.i32, []) }, edge + 1) }
        // A sum has no places.
        let sum = Programs.Operation.reduce(.sum, input: ValueID(0), extent: nil, prefix: false)
        try row(sum, { _ in TensorType(.f32, []) }, edge + 1)
    }
}
