public import Primitives

/// The steps of one scan that a job takes: so many from a first one, counted from 0 in the scan.
public struct StepRange: Hashable, Sendable, CanonicalCodable {
    public let first: UInt64
    public let count: UInt64

    public init(first: UInt64, count: UInt64) {
        self.first = first
        self.count = count
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        first = try reader.readUInt64()
        count = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(first)
        writer.write(count)
    }
}

extension SpecialisedProgram {
    /// A part of a run, as a program of its own: of each scan the steps of its range, which know their numbers in the whole, and all carried tensors kept, so
    /// that another part goes on from there. A scan with no steps in the part is passed over.
    public func segment(_ ranges: [StepRange]) throws(ProgramFault) -> SpecialisedProgram {
        if ranges.count != scans.count {
            throw .invalid(op: nil, "\(ranges.count) ranges of steps were given for \(scans.count) scans")
        }
        for (range, scan) in zip(ranges, scans) {
            let (end, overflow) = range.first.addingReportingOverflow(range.count)
            if overflow || end > scan.steps.factor {
                throw .invalid(
                    op: nil, "a scan of \(scan.steps.factor) steps has no \(range.count) from \(range.first)")
            }
        }
        return SpecialisedProgram(
            parameters: parameters, inputs: inputs, carried: carried, kept: carried.indices.map { UInt16($0) },
            scans: zip(scans, ranges).map {
                Scan(
                    steps: Dimension($1.count), operations: $0.operations, outputs: $0.outputs, carried: $0.carried,
                    stop: $0.stop)
            }, firstSteps: ranges.map(\.first))
    }

    /// The ranges of all steps in parts of at most `steps` each, counted over all scans.
    public func segments(ofSteps steps: UInt64) -> [[StepRange]] {
        var parts: [[StepRange]] = []
        var part = scans.map { _ in StepRange(first: 0, count: 0) }
        var room = max(1, steps)
        for (place, scan) in scans.enumerated() {
            var first: UInt64 = 0
            while first < scan.steps.factor {
                let count = min(room, scan.steps.factor - first)
                part[place] = StepRange(first: first, count: count)
                first += count
                room -= count
                // What may end before its steps are taken ends its part: the next one begins either in it or after it.
                if room == 0 || scan.stop != nil && first == scan.steps.factor {
                    parts.append(part)
                    part = scans.map { _ in StepRange(first: 0, count: 0) }
                    room = max(1, steps)
                }
            }
        }
        if part.contains(where: { $0.count > 0 }) { parts.append(part) }
        return parts
    }
}
