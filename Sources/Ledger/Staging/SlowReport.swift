public import Primitives

/// A provider's word that subnormals made a run far slower than its machine is. It answers for it until the job is over.
public struct SlowReport: Hashable, Sendable, CanonicalCodable {
    public let provider: Address
    /// What the job goes on to hold of its bond.
    public let stake: Amount

    init(provider: Address, stake: Amount) {
        self.provider = provider
        self.stake = stake
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        provider = try reader.read(Address.self)
        stake = try reader.read(Amount.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(provider)
        writer.write(stake)
    }
}
