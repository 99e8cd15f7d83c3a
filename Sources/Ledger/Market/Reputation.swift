public import Primitives

/// What a provider is known for, in XPL and not in jobs: any number of jobs for next to nothing, which it may well have given itself, is worth next to nothing.
///
/// What a provider is drawn by grows with verified work alone. Somebody who trades with itself gets back what it pays for its runs, but for the protocol's fee;
/// what others get for their audits it does not. So it pays about what it wants to be known for, and what that brings it is less (docs/economics.md).
///
/// All of it fades: what was earned or lost thirty days ago counts for half.
public struct Reputation: Hashable, Sendable, CanonicalCodable {
    /// Prices of settled jobs.
    public private(set) var settled = Amount.zero
    /// Of these, what somebody else has run again and agrees with.
    public private(set) var verified = Amount.zero
    /// Prices of attempts that were lost.
    public private(set) var lost = Amount.zero
    /// The day of the chain clock that these are of.
    public private(set) var day: UInt64 = 0

    /// Values stop growing here, so that no sum or product overflows: 2¹⁰⁰ base units are a hundred billion times all XPL.
    private static let most: UInt128 = 1 << 100
    /// Jobs in everybody's favour to begin with.
    private static let head: UInt128 = 10
    public static let halfLifeDays: UInt64 = 30
    /// What is left of a value after a day, in millionths: the thirtieth root of a half.
    private static let leftOfADay: UInt128 = 977_160

    public init() {}

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        settled = try reader.read(Amount.self)
        verified = try reader.read(Amount.self)
        lost = try reader.read(Amount.self)
        day = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(settled)
        writer.write(verified)
        writer.write(lost)
        writer.write(day)
    }

    /// As it stands at a later chain clock, in whole days, so that it is the same however often it was looked at between.
    public func aged(to clock: UInt64) -> Reputation {
        let today = clock / 86_400_000
        if today <= day { return self }
        let days = today - day
        func fade(_ amount: Amount) -> Amount {
            var value = Reputation.capped(amount)
            // Nothing is left of 2¹⁰⁰ after a hundred halvings.
            value >>= UInt128(min(days / Reputation.halfLifeDays, 127))
            for _ in 0..<days % Reputation.halfLifeDays { value = value * Reputation.leftOfADay / 1_000_000 }
            return Amount(baseUnits: value)
        }
        var aged = self
        aged.day = today
        aged.settled = fade(settled)
        aged.verified = fade(verified)
        aged.lost = fade(lost)
        return aged
    }

    private static func capped(_ amount: Amount) -> UInt128 { min(amount.baseUnits, most) }

    private static func add(_ amount: Amount, to sum: inout Amount) {
        sum = Amount(baseUnits: min(capped(sum) + capped(amount), most))
    }

    mutating func settle(_ price: Amount, isVerified: Bool, at clock: UInt64) {
        self = aged(to: clock)
        Reputation.add(price, to: &settled)
        if isVerified { Reputation.add(price, to: &verified) }
    }

    mutating func lose(_ price: Amount, at clock: UInt64) {
        self = aged(to: clock)
        Reputation.add(price, to: &lost)
    }

    /// A conviction leaves two thirds of what was earned.
    mutating func disgrace() {
        settled = Amount(baseUnits: settled.baseUnits / 3 * 2)
        verified = Amount(baseUnits: verified.baseUnits / 3 * 2)
    }

    /// Settled of all for a job of this price, in thousandths; ten such jobs are in its favour to begin with.
    public func reliabilityPerMille(at price: Amount) -> UInt64 {
        let good = Reputation.capped(settled) + Reputation.head * max(1, Reputation.capped(price))
        return UInt64(max(1, good * 1000 / (good + Reputation.capped(lost))))
    }

    /// One, and one more for each verified job of this price, up to `cap`.
    public func weight(at price: Amount, cap: UInt64) -> UInt64 {
        UInt64(min(Reputation.capped(verified) / max(1, Reputation.capped(price)), UInt128(max(1, cap) - 1))) + 1
    }
}
