public import Primitives

/// What a provider offers on one device. Free to hold, changed by one transaction, active some blocks later.
public struct OfferTerms: Hashable, Sendable, CanonicalCodable {
    public static let maximumClassBytes = 32
    /// Of one provider.
    public static let maximumDevices = 64

    /// The provider's own number for the device.
    public var device: UInt16
    /// The kind of device: "cpu" in this version.
    public var deviceClass: String
    public var pricePer1000CUf32: Amount
    public var pricePer1000CUi8: Amount
    /// Bytes a job may use.
    public var memory: UInt64
    /// Jobs at a time.
    public var capacity: UInt16
    /// The last height at which it may be matched.
    public var expiry: Height
    /// Weighted operations a second, as its owner says; `Offer.rate` is what it has shown.
    public var measuredRate: UInt64

    public init(
        device: UInt16, deviceClass: String = "cpu", pricePer1000CUf32: Amount, pricePer1000CUi8: Amount,
        memory: UInt64, capacity: UInt16, expiry: Height, measuredRate: UInt64
    ) {
        self.device = device
        self.deviceClass = deviceClass
        self.pricePer1000CUf32 = pricePer1000CUf32
        self.pricePer1000CUi8 = pricePer1000CUi8
        self.memory = memory
        self.capacity = capacity
        self.expiry = expiry
        self.measuredRate = measuredRate
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        device = try reader.readUInt16()
        deviceClass = try reader.readString(max: OfferTerms.maximumClassBytes)
        pricePer1000CUf32 = try reader.read(Amount.self)
        pricePer1000CUi8 = try reader.read(Amount.self)
        memory = try reader.readUInt64()
        capacity = try reader.readUInt16()
        expiry = try reader.read(Height.self)
        measuredRate = try reader.readUInt64()
        if measuredRate == 0 { throw .invalid("a device's rate is above zero") }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(device)
        writer.write(string: deviceClass)
        writer.write(pricePer1000CUf32)
        writer.write(pricePer1000CUi8)
        writer.write(memory)
        writer.write(capacity)
        writer.write(expiry)
        writer.write(measuredRate)
    }
}
