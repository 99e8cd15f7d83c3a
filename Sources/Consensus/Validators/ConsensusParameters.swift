public import Primitives

/// The timing of an epoch. All of it is in the epoch record, so that every validator waits alike.
public struct ConsensusParameters: Hashable, Sendable, CanonicalCodable {
    /// The delay within which a message is expected.
    public var delta: Interval
    /// How long an idle chain may sleep between blocks.
    public var heartbeat: Interval
    /// How often a nullify vote is repeated while a view does not end.
    public var retry: Interval
    /// By how much time-outs grow per failed view, in thousandths of Δ.
    public var growth: UInt32
    /// The most that growth can make of Δ, in multiples of it.
    public var cap: UInt32
    /// How many views below the last finalized one are remembered.
    public var retention: UInt32
    /// After how many views without a vote a leader's turn is passed at once; never, nor for a missed turn, where it is the greatest number.
    public var inactivity: UInt32

    public init(
        delta: Interval, heartbeat: Interval, retry: Interval, growth: UInt32 = 250, cap: UInt32 = 16,
        retention: UInt32 = 10,
        inactivity: UInt32 = 24
    ) {
        self.delta = delta
        self.heartbeat = heartbeat
        self.retry = retry
        self.growth = growth
        self.cap = cap
        self.retention = retention
        self.inactivity = inactivity
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        delta = try reader.read(Interval.self)
        heartbeat = try reader.read(Interval.self)
        retry = try reader.read(Interval.self)
        growth = try reader.readUInt32()
        cap = try reader.readUInt32()
        retention = try reader.readUInt32()
        inactivity = try reader.readUInt32()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(delta)
        writer.write(heartbeat)
        writer.write(retry)
        writer.write(growth)
        writer.write(cap)
        writer.write(retention)
        writer.write(inactivity)
    }
}
