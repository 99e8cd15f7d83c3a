import Primitives
import Programs
import Runtime

/// Disputes with a stranger's moves. Whatever a challenger says, an honest defender is not convicted; whatever a liar reveals, an honest challenger is not the
/// loser.
enum WalkTarget: FuzzTarget {
    static let name = "walk"

    /// Twenty steps over a state of two tensors, ended by a flag; a row of 600, a tensor of two blocks.
    private static func program() throws -> Program {
        let leading = [
            TensorType(.f32, [1, 600]), TensorType(.f32, [300]), TensorType(.i64, []), TensorType(.bool, []),
        ]
        var graph = GraphBuilder(leading: leading)
        let product = graph.contract(ValueID(0), ValueID(0))
        let scalar = graph.gather(product, [], [Coordinate(), Coordinate()])
        let drawn = graph.map(.f32, [300], [ValueID(1), scalar]) { e in
            let word = e.apply(.toF32, e.node(.random(0)))
            let part = e.apply(.multiply, word, e.constant(bits: 0x2F00_0000))
            _ = e.apply(.fma, part, e.input(1), e.input(0))
        }
        let order = graph.append(.sort(input: drawn, descending: false), TensorType(.i32, [300]))
        let count = graph.map(.i64, [], [ValueID(2)]) { e in
            _ = e.apply(.add, e.input(0), e.node(.constant(.i64, bits: 1)))
        }
        let over = graph.map(.bool, [], [count]) { e in
            _ = e.apply(.less, e.node(.constant(.i64, bits: 18)), e.input(0))
        }
        func declared(_ names: [String], _ types: ArraySlice<TensorType>) -> [TensorDeclaration] {
            zip(names, types).map { TensorDeclaration(name: $0, type: $1) }
        }
        return try Program(
            axes: [], parameters: [], inputs: declared(["x"], leading[..<1]),
            carried: declared(["s", "n", "stop"], leading[1...]), kept: [0, 1],
            scans: [
                Scan(
                    steps: 40, operations: graph.operations, outputs: [order, product], carried: [drawn, count, over],
                    stop: 2)
            ])
    }

    private static func run(_ program: Program, _ shift: Float) throws -> DisputeRun {
        let input = (0..<600).flatMap { place in
            withUnsafeBytes(of: (Float(place % 23) - 11 + shift).bitPattern.littleEndian) { Array($0) }
        }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: input.count, alignment: 64)
        memory.copyBytes(from: input)
        defer { memory.deallocate() }
        return try DisputeRun(
            program, axes: [], parameters: [], inputs: [UnsafeRawBufferPointer(memory)], seed: 9)
    }

    private static func list(_ moves: [[UInt8]]) -> [UInt8] { moves.flatMap { $0 } }

    static func forms() throws -> [Form] {
        let program = try program()
        let (honest, other) = (try run(program, 0), try run(program, 1))
        let truth = honest.subject(claiming: try honest.commitment())
        let lie = honest.subject(claiming: try other.commitment())
        let opening = DisputeOpening(program)
        // A whole game, from which the fuzzer begins.
        var walk = try Walk(lie, opening)
        var (picks, reveals, walks) = ([[UInt8]](), [[UInt8]](), [Walk]())
        var moves: [DisputeMove] = []
        while walk.outcome == nil {
            walks.append(walk)
            if let point = walk.point {
                let reveal = try other.reveal(at: point)
                reveals.append(reveal.canonicalBytes)
                moves.append(.reveal(reveal))
                try walk.reveal(reveal, lie)
            } else {
                let pick = try honest.pick(for: walk, lie)
                picks.append(pick.canonicalBytes)
                moves.append(.pick(pick))
                try walk.pick(pick, lie)
            }
        }
        let transcript = DisputeTranscript(opening: opening, moves: moves)
        return [
            Form(seeds: [list(picks), Pick.list(.kept).canonicalBytes, Pick.list(.carried).canonicalBytes]) { bytes in
                guard var walk = try? Walk(truth, opening) else { return }
                var reader = ByteReader(bytes)
                while walk.outcome == nil {
                    if let point = walk.point {
                        guard let reveal = try? honest.reveal(at: point) else {
                            return require(false, "an honest defender has no answer at \(point)")
                        }
                        try? walk.reveal(reveal, truth)
                    } else {
                        guard let pick = try? reader.read(Pick.self) else { return }
                        try? walk.pick(pick, truth)
                    }
                }
                if case .convicted(let reason)? = walk.outcome { require(false, "the truth is convicted: \(reason)") }
            },
            Form(seeds: [list(reveals)]) { bytes in
                guard var walk = try? Walk(lie, opening) else { return }
                var reader = ByteReader(bytes)
                while walk.outcome == nil {
                    if walk.point != nil {
                        guard let reveal = try? reader.read(Reveal.self) else { return }
                        try? walk.reveal(reveal, lie)
                    } else {
                        guard let pick = try? honest.pick(for: walk, lie) else {
                            return require(false, "an honest challenger has nothing to say at \(walk.stage)")
                        }
                        try? walk.pick(pick, lie)
                    }
                }
                if case .acquitted(let reason)? = walk.outcome { require(false, "a lie is acquitted: \(reason)") }
            },
            Form([transcript]) { transcript in
                _ = try? transcript.walk(truth)
                _ = try? transcript.walk(lie)
            },
            Form(walks),
        ]
    }
}
