public import Primitives

/// Where an epoch begins, known once the last block of the one before is final.
public struct EpochStart: Hashable, Sendable, CanonicalCodable {
    public let epoch: Epoch
    /// The height of its first block.
    public let firstHeight: Height
    /// The digest of the last block of the epoch before: what its engine stands on.
    public let base: Digest
    /// From which leaders are drawn. It comes from the last block's beacon, so the set is fixed before its seed is known.
    public let seed: Digest
    /// The chain's clock there.
    public let clock: UInt64

    public init(epoch: Epoch, firstHeight: Height, base: Digest, seed: Digest, clock: UInt64) {
        self.epoch = epoch
        self.firstHeight = firstHeight
        self.base = base
        self.seed = seed
        self.clock = clock
    }

    /// The epoch after one whose last block has this header.
    public init(after last: Header, clock: UInt64) {
        let next = last.epoch.next()
        var writer = ByteWriter(capacity: 40)
        writer.write(last.beacon)
        writer.write(next)
        self.init(
            epoch: next, firstHeight: last.height.next(), base: last.digest,
            seed: Digest.of(.epochSeed, writer.bytes), clock: clock)
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        epoch = try reader.read(Epoch.self)
        firstHeight = try reader.read(Height.self)
        base = try reader.read(Digest.self)
        seed = try reader.read(Digest.self)
        clock = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(epoch)
        writer.write(firstHeight)
        writer.write(base)
        writer.write(seed)
        writer.write(clock)
    }
}

/// The heights at which an epoch does what epochs do.
public struct EpochSchedule: Hashable, Sendable {
    public let epoch: Epoch
    public let firstHeight: Height
    /// The execution of this height fixes the next epoch's record.
    public let snapshotHeight: Height
    /// The epoch ends with the first block at or above this height that attests the snapshot.
    public let endHeight: Height

    public init(epoch: Epoch, firstHeight: Height, parameters: ChainParameters) {
        self.epoch = epoch
        self.firstHeight = firstHeight
        // `ChainParameters.problem` sees to length > margin.
        endHeight = firstHeight.advanced(by: parameters.epochLength - 1)
        snapshotHeight = firstHeight.advanced(by: parameters.epochLength - 1 - parameters.epochMargin)
    }

    public init(_ start: EpochStart, _ parameters: ChainParameters) {
        self.init(epoch: start.epoch, firstHeight: start.firstHeight, parameters: parameters)
    }

    /// Whether a block of this epoch is its last.
    public func endsWith(_ header: Header) -> Bool {
        header.epoch == epoch && header.height >= endHeight && header.executedHeight >= snapshotHeight
    }
}
