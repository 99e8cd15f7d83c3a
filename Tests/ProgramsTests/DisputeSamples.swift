import Primitives
import Programs
import TestSupport

/// Small programs whose walks go through every level, and runs of them.
struct DisputeSample {
    let name: String
    let program: Program
    let axes: [UInt64]
    let parameters: [[UInt8]]
    let inputs: [[UInt8]]
    let carried: [Int: [UInt8]]

    func run(_ faults: LeafRun.Faults = LeafRun.Faults()) throws -> LeafRun {
        try LeafRun(
            program, axes: axes, parameters: parameters, inputs: inputs, carried: carried, seed: 77, faults: faults)
    }

    static func floats(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SplitMix64(seed: seed)
        return (0..<count).flatMap { _ -> [UInt8] in
            let value = Float(Int64(bitPattern: random.next()) >> 40) * 0x1p-20
            return withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
        }
    }

    static func integers(_ values: [Int32]) -> [UInt8] {
        values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    }

    /// One step of each primitive.
    static func encoder() throws -> DisputeSample {
        DisputeSample(
            name: "every primitive", program: try Samples.everyPrimitive(), axes: [5, 1],
            parameters: [floats(40, seed: 1), floats(12, seed: 2)],
            inputs: [integers([3, 0, 9, 3, 7]), integers([3])], carried: [:])
    }

    /// Forty steps, drawn words, a flag that ends it after fifteen.
    static func counter() throws -> DisputeSample {
        DisputeSample(
            name: "counter", program: try Samples.counter(), axes: [1, 1, 20], parameters: [], inputs: [], carried: [:])
    }

    /// Rows of 70,000 terms, a tensor of 66 blocks, more than 32 ops, all reductions and a sort.
    static func long() throws -> DisputeSample {
        let length: UInt64 = 70_000
        let leading = [
            Samples.declare("w", .f32, [1, Dimension(length)]), Samples.declare("x", .f32, [1, Dimension(length)]),
            Samples.declare("y", .f32, [2, 300]), Samples.declare("n", .i32, [2]),
        ]
        var graph = GraphBuilder(leading: leading.map(\.type))
        let (w, x, y, n) = (ValueID(0), ValueID(1), ValueID(2), ValueID(3))
        var outputs = [
            graph.contract(x, w), graph.reduce(.sum, x), graph.reduce(.argumentOfMaximum, x),
            graph.reduce(.minimum, y, extent: n),
            graph.append(.sort(input: y, descending: true), TensorType(.i32, [2, 300])),
            graph.append(
                .reduce(.sum, input: y, extent: nil, prefix: true), TensorType(.f32, [2, 300])),
        ]
        let wide = graph.map(.f32, [Dimension(16_700)], [outputs[1]]) { e in
            let place = e.apply(.toF32, e.node(.index(0)))
            _ = e.apply(.multiply, place, e.input(0))
        }
        outputs.append(graph.reduce(.sum, wide))
        var value = outputs[0]
        for _ in 0..<34 {
            value = graph.map(.f32, [1, 1], [value]) { e in _ = e.apply(.add, e.input(0), e.constant(bits: 0x3F80_0000))
            }
        }
        outputs.append(value)
        return DisputeSample(
            name: "long",
            program: try Program(
                axes: [], parameters: [leading[0]], inputs: Array(leading[1...]),
                scans: [Scan(steps: 1, operations: graph.operations, outputs: outputs)]),
            axes: [], parameters: [floats(Int(length), seed: 3)],
            inputs: [floats(Int(length), seed: 4), floats(600, seed: 5), integers([300, 17])], carried: [:])
    }

    /// Two scans over one state of three tensors, of which two are kept: three steps, then up to three hundred, ended by a flag.
    static func scans() throws -> DisputeSample {
        let leading = [
            Samples.declare("w", .f32, [4, 4]), Samples.declare("s", .f32, [4]), Samples.declare("n", .i32, []),
            Samples.declare("done", .bool, []),
        ]
        func scan(_ steps: Dimension, last: UInt64) -> Scan {
            var graph = GraphBuilder(leading: leading.map(\.type))
            let row = graph.gather(ValueID(1), [1, 4], [.axis(1)])
            let product = graph.contract(row, ValueID(0))
            let drawn = graph.map(.f32, [4], [graph.gather(product, [4], [Coordinate(), .axis(0)])]) { e in
                let noise = e.apply(.toF32, e.node(.random(0)))
                let scaled = e.apply(.multiply, noise, e.constant(bits: 0x2F80_0000))
                let bounded = e.apply(.tanh, e.input(0))
                _ = e.apply(.add, bounded, scaled)
            }
            let next = graph.map(.i32, [], [ValueID(2)]) { e in
                _ = e.apply(.add, e.input(0), e.node(.constant(.i32, bits: 1)))
            }
            let done = graph.map(.bool, [], [next]) { e in
                _ = e.apply(.less, e.node(.constant(.i32, bits: last)), e.input(0))
            }
            return Scan(
                steps: steps, operations: graph.operations, outputs: [drawn, next], carried: [drawn, next, done],
                stop: 2)
        }
        return DisputeSample(
            name: "scans",
            program: try Program(
                axes: [], parameters: [leading[0]], inputs: [], carried: Array(leading[1...]), kept: [0, 1],
                scans: [scan(3, last: 100), scan(300, last: 23)]),
            axes: [], parameters: [floats(16, seed: 6)], inputs: [], carried: [0: floats(4, seed: 7)])
    }

    static func all() throws -> [DisputeSample] { [try encoder(), try counter(), try long(), try scans()] }
}

/// A dispute from the first move to the last.
struct DisputeGame {
    let subject: DisputeSubject
    let opening: DisputeOpening
    private(set) var walk: Walk
    private(set) var bytes: Int
    private(set) var moves: [DisputeMove] = []

    init(_ subject: DisputeSubject, _ program: Program) throws {
        self.subject = subject
        opening = DisputeOpening(program)
        walk = try Walk(subject, opening)
        bytes = opening.canonicalBytes.count
    }

    mutating func reveal(_ reveal: Reveal) throws {
        bytes += reveal.canonicalBytes.count
        moves.append(.reveal(reveal))
        try walk.reveal(try Reveal(canonicalBytes: reveal.canonicalBytes), subject)
    }

    mutating func pick(_ pick: Pick) throws {
        bytes += pick.canonicalBytes.count
        moves.append(.pick(pick))
        try walk.pick(try Pick(canonicalBytes: pick.canonicalBytes), subject)
    }

    /// Plays on to the end, or to where a side has nothing to say; whoever is to move then has lost.
    mutating func play(
        defender: (RevealPoint, Walk) throws -> Reveal?, challenger: (Walk) throws -> Pick?
    ) throws -> DisputeOutcome {
        for _ in 0..<100 {
            if let outcome = walk.outcome { return outcome }
            // What is stored between two moves is the encoding.
            walk = try Walk(canonicalBytes: walk.canonicalBytes)
            if let point = walk.point {
                guard let reveal = try defender(point, walk) else { return .convicted("silence") }
                try self.reveal(reveal)
            } else {
                guard let pick = try challenger(walk) else { return .acquitted("silence") }
                try self.pick(pick)
            }
        }
        return .acquitted("endless")
    }
}

extension DisputeOutcome {
    var isConvicted: Bool { if case .convicted = self { true } else { false } }
}
