internal import Foundation
public import Ledger
internal import Primitives
internal import TOMLKit

/// `genesis.toml`: a network's definition as people read and write it. Comments and layout do not count: the network's name is the digest of what
/// the file says, not of its text.
public enum GenesisFile {
    /// Reads and checks a genesis.
    ///
    /// - Throws: `ConfigurationFault` with the file, the line and the key; `NodeFault` where there is no file.
    public static func load(_ path: String) throws -> Genesis {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw ConfigurationFault(path, "there is no such file: copy the network's genesis.toml there")
        }
        return try parse(text, path: path)
    }

    /// The same from text; `path` is for messages.
    public static func parse(_ text: String, path: String) throws -> Genesis {
        if text.utf8.count > 32 << 20 { throw ConfigurationFault(path, "it is larger than 32 MiB: this is no genesis") }
        let file = try TOMLSection.parse(path, text)
        guard let chain = try file.string("chain") else { throw file.missing("chain") }
        guard let time = try file.integer("time_ms", 0...Int.max) else { throw file.missing("time_ms") }
        var parameters = ChainParameters()
        if let section = try file.section("parameters") {
            for (name, keyPath) in ChainParameters.wholeNumbers {
                if let value = try section.integer(name, 0...Int.max) { parameters[keyPath: keyPath] = UInt64(value) }
            }
            for (name, keyPath) in ChainParameters.amounts {
                if let value = try section.amount(name) { parameters[keyPath: keyPath] = value }
            }
            if let value = try section.integer("maximum_royalty_basis_points", 0...10_000) {
                parameters.maximumRoyaltyBasisPoints = UInt16(value)
            }
            try section.finish()
        }
        let validators = try file.sections("validators").map { section in
            let validator = Ledger.Validator(
                consensusKey: try key(section, "consensus_key"), vrfKey: try key(section, "vrf_key"),
                stake: try required(section, "stake", section.amount), operatorAddress: try address(section, "operator")
            )
            try section.finish()
            return validator
        }
        let accounts = try file.sections("accounts").map { section in
            let account = GenesisAccount(
                address: try address(section, "address"), balance: try required(section, "balance", section.amount))
            try section.finish()
            return account
        }
        var treasury = try file.amount("treasury")
        try file.finish()
        if treasury == nil {
            // What nobody else has.
            var rest = Genesis.totalSupply
            for amount in validators.map(\.stake) + accounts.map(\.balance) {
                guard let less = try? rest.subtracting(amount) else {
                    throw ConfigurationFault(
                        path, "stakes and balances add up to more than the supply of \(Genesis.totalSupply) XPL")
                }
                rest = less
            }
            treasury = rest
        }
        let genesis = Genesis(
            chainName: chain, timestamp: Timestamp(milliseconds: UInt64(time)), parameters: parameters,
            validators: validators, accounts: accounts, treasury: treasury ?? .zero)
        do { try genesis.validate() } catch { throw ConfigurationFault(path, "\(error)") }
        return genesis
    }

    /// The text that `load` reads.
    public static func text(_ genesis: Genesis) -> String {
        var lines = [
            "# The genesis of a Plasma network. Every node of the network has the same; `plasma genesis show` prints its digest,",
            "# which is the network's name. Comments and layout do not count. Amounts are XPL, times milliseconds.",
            "chain = \"\(genesis.chainName)\"", "time_ms = \(genesis.timestamp.milliseconds)",
            "# The supply is \(Genesis.totalSupply) XPL; what no stake and no account has is the treasury's.", "",
            "# Every number that the protocol reads. What is left out has the default shown here.", "[parameters]",
        ]
        for (name, keyPath) in ChainParameters.wholeNumbers {
            lines.append("\(name) = \(genesis.parameters[keyPath: keyPath])")
        }
        for (name, keyPath) in ChainParameters.amounts {
            lines.append("\(name) = \"\(genesis.parameters[keyPath: keyPath])\"")
        }
        lines.append("maximum_royalty_basis_points = \(genesis.parameters.maximumRoyaltyBasisPoints)")
        for validator in genesis.validators {
            lines += [
                "", "[[validators]]", "consensus_key = \"\(validator.consensusKey.hex)\"",
                "vrf_key = \"\(validator.vrfKey.hex)\"", "stake = \"\(validator.stake)\"",
                "operator = \"\(validator.operatorAddress)\"",
            ]
        }
        for account in genesis.accounts {
            lines += [
                "", "[[accounts]]", "address = \"\(account.address)\"", "balance = \"\(account.balance)\"",
            ]
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func required<T>(_ section: TOMLSection, _ name: String, _ read: (String) throws -> T?) throws -> T {
        guard let value = try read(name) else { throw section.missing(name) }
        return value
    }

    private static func key(_ section: TOMLSection, _ name: String) throws -> PublicKey {
        guard let key = PublicKey(hex: try required(section, name, section.string)) else {
            throw section.fault(name, "must be a public key of 64 hexadecimal digits")
        }
        return key
    }

    private static func address(_ section: TOMLSection, _ name: String) throws -> Address {
        do { return try Address(parsing: try required(section, name, section.string)) } catch let error as AddressFault
        { throw section.fault(name, "is no address: \(error)") }
    }
}
