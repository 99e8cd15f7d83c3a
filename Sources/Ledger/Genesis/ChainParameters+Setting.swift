internal import Primitives

extension ChainParameters {
    /// Sets one number by its name in a genesis file.
    ///
    /// - Parameter text: a whole number, or XPL for an amount.
    /// - Returns: what is wrong with the name or the text, in words; nil where it was set. Whether the parameters still fit together is `problem`'s to say.
    public mutating func set(_ name: String, to text: String) -> String? {
        if let path = ChainParameters.wholeNumbers.first(where: { $0.name == name })?.path {
            guard let number = UInt64(text) else { return "\(name) is a whole number, not \"\(text)\"" }
            self[keyPath: path] = number
        } else if let path = ChainParameters.amounts.first(where: { $0.name == name })?.path {
            guard let amount = try? Amount(parsing: text) else { return "\(name) is an amount of XPL, not \"\(text)\"" }
            self[keyPath: path] = amount
        } else if name == "maximum_royalty_basis_points" {
            guard let points = UInt16(text) else { return "\(name) is a whole number, not \"\(text)\"" }
            maximumRoyaltyBasisPoints = points
        } else {
            return "no parameter of a genesis is called \"\(name)\": a genesis.toml has them all"
        }
        return nil
    }
}
