public import Primitives

/// Where a job stands in a gang: jobs of one requester that one transaction posts, and that get their providers in one block or not at all.
///
/// A gang is no object of its own. Its name is its transaction's id, its members' ids follow from that, so each member leads to all others. It binds them from
/// their posting until all are placed for the first time, or until all end together; from then on each is a job like any other, and one that is given back is
/// placed again alone: the others have begun by then, and nobody's decline may take their work from them.
public struct GangPlace: Hashable, Sendable, CanonicalCodable {
    /// A gang of one is a job.
    public static let minimumJobs = 2
    /// A block looks at all of them or none, twice each (`Matching.place`).
    public static let maximumJobs = 32

    /// The id of the transaction that posted it.
    public let gang: Digest
    /// Counted from 0.
    public let index: UInt8
    /// Members of the gang.
    public let count: UInt8

    init(gang: Digest, index: Int, of count: Int) {
        self.gang = gang
        self.index = UInt8(index)
        self.count = UInt8(count)
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        gang = try reader.read(Digest.self)
        index = try reader.readUInt8()
        count = try reader.readUInt8()
        try GangPlace.check(Int(count))
        if index >= count { throw .invalid("member \(index) of a gang of \(count)") }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(gang)
        writer.write(index)
        writer.write(count)
    }

    static func check(_ count: Int) throws(DecodingFault) {
        if count < minimumJobs || count > maximumJobs {
            throw .invalid("a gang has \(minimumJobs) to \(maximumJobs) jobs, found \(count)")
        }
    }

    /// The ids of the jobs that a transaction posts as a gang, in its order.
    public static func jobs(of transaction: Digest, count: Int) -> [Digest] {
        (0..<count).map { index in
            var writer = ByteWriter(capacity: 33)
            writer.write(transaction)
            writer.write(UInt8(index))
            return Digest.of(.gang, writer.bytes)
        }
    }

    /// The ids of all members.
    public var jobs: [Digest] { GangPlace.jobs(of: gang, count: Int(count)) }
}

extension Job {
    /// The gang with which alone it can be placed; nil where there is none, or where it has been placed.
    public var boundGang: GangPlace? { attempt == 0 && (state == .waiting || state == .open) ? gang : nil }
}
