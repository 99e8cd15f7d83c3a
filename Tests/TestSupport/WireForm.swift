public import Primitives
public import Testing

/// What must hold of every form that comes from the wire: one encoding a value, and no bytes that do harm.
public struct WireForm<Value: Equatable & Sendable>: Sendable {
    public let samples: [Value]
    public let encode: @Sendable (Value) -> [UInt8]
    public let decode: @Sendable ([UInt8]) throws -> Value
    /// Makes changed bytes plausible again (a signature over them), so that the change is looked at and not only its signature.
    public var repair: @Sendable ([UInt8]) -> [UInt8] = { $0 }

    public init(
        samples: [Value], encode: @escaping @Sendable (Value) -> [UInt8],
        decode: @escaping @Sendable ([UInt8]) throws -> Value,
        repair: @escaping @Sendable ([UInt8]) -> [UInt8] = { $0 }
    ) {
        self.samples = samples
        self.encode = encode
        self.decode = decode
        self.repair = repair
    }

    /// Every law, each on every sample.
    public func holds(inputs: Int = 20_000, _ location: SourceLocation = #_sourceLocation) throws {
        try roundTrips(location)
        refusesEveryTruncationAndWhatTrails(location)
        survivesMutation(inputs: inputs, location)
    }

    public func roundTrips(_ location: SourceLocation = #_sourceLocation) throws {
        for sample in samples {
            let bytes = encode(sample)
            let read = try decode(bytes)
            #expect(read == sample, sourceLocation: location)
            #expect(encode(read) == bytes, sourceLocation: location)
        }
    }

    public func refusesEveryTruncationAndWhatTrails(_ location: SourceLocation = #_sourceLocation) {
        for sample in samples {
            let bytes = encode(sample)
            for length in 0..<bytes.count {
                let cut = Array(bytes[..<length])
                #expect(throws: DecodingFault.self, "cut at \(length)", sourceLocation: location) { try decode(cut) }
                let repaired = repair(cut)
                if repaired != bytes, let read = try? decode(repaired) {
                    #expect(encode(read) == repaired, "repaired, cut at \(length)", sourceLocation: location)
                }
            }
            for tail in [[0], [1], [UInt8](repeating: 0, count: 64)] as [[UInt8]] {
                #expect(throws: DecodingFault.self, sourceLocation: location) { try decode(bytes + tail) }
            }
        }
    }

    /// Changed samples never trap, and what is read of them is written as it was. Returns how many could be read.
    @discardableResult
    public func survivesMutation(inputs: Int = 20_000, _ location: SourceLocation = #_sourceLocation) -> Int {
        let run = UInt64.random(in: 0...UInt64.max)
        print("\(Value.self): inputs of seeds \(run) to \(run &+ UInt64(inputs - 1))")
        let originals = samples.map(encode)
        var understood = 0
        for index in 0..<inputs {
            let seed = run &+ UInt64(index)
            var random = SplitMix64(seed: seed)
            var bytes = originals[Int.random(in: 0..<originals.count, using: &random)]
            for _ in 0...Int.random(in: 0...3, using: &random) { change(&bytes, originals, &random) }
            if Bool.random(using: &random) { bytes = repair(bytes) }
            guard let read = try? decode(bytes) else { continue }
            understood += 1
            #expect(encode(read) == bytes, "the input of seed \(seed) has a second encoding", sourceLocation: location)
        }
        return understood
    }

    private func change(_ bytes: inout [UInt8], _ originals: [[UInt8]], _ random: inout SplitMix64) {
        if bytes.isEmpty {
            bytes = [UInt8.random(in: 0...255, using: &random)]
            return
        }
        let at = Int.random(in: 0..<bytes.count, using: &random)
        let end = min(bytes.count, at + Int.random(in: 1...40, using: &random))
        switch Int.random(in: 0..<8, using: &random) {
        case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 2: bytes[at] = [0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 127, 128, 255].randomElement(using: &random) ?? 0
        case 3: bytes.removeSubrange(at..<end)
        case 4: bytes.insert(contentsOf: bytes[at..<end], at: at)
        case 5: bytes.removeSubrange(at...)
        case 6:
            // A count or length at its extremes.
            let value = [0, 1, 65_535, 65_536, .max, .max - 1, 1 << 31].randomElement(using: &random) ?? UInt32(0)
            for (offset, byte) in value.canonicalBytes.enumerated() where at + offset < bytes.count {
                bytes[at + offset] = byte
            }
        default:
            guard let other = originals.randomElement(using: &random), at < other.count else { return }
            bytes.replaceSubrange(at..<end, with: other[at..<min(end, other.count)])
        }
    }
}

extension WireForm where Value: CanonicalCodable {
    public init(_ samples: [Value], repair: @escaping @Sendable ([UInt8]) -> [UInt8] = { $0 }) {
        self.init(
            samples: samples, encode: { $0.canonicalBytes }, decode: { try Value(canonicalBytes: $0) }, repair: repair)
    }
}
