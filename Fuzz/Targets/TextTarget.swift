import Primitives

/// What people write: addresses, amounts, digits.
enum TextTarget: FuzzTarget {
    static let name = "text"

    static func forms() throws -> [Form] {
        let address = try Fixture.key(1).publicKey.address
        return [
            Form(seeds: [Array(address.description.utf8), Array(address.description.uppercased().utf8)]) { bytes in
                let text = String(decoding: bytes, as: UTF8.self)
                if let decoded = try? Bech32m.decode(text) {
                    require(
                        Bech32m.encode(prefix: decoded.prefix, bytes: decoded.bytes) == text.lowercased(),
                        "\"\(text)\" is written otherwise")
                }
                guard let address = try? Address(parsing: text) else { return }
                require((try? Address(parsing: address.description)) == address, "\(address) is not read as written")
            },
            Form(
                seeds: ["0", "1", "12.5", "10000000000", "0.000000001", "99999999999999999999999999999.999999999"].map {
                    Array($0.utf8)
                }
            ) { bytes in
                guard let amount = try? Amount(parsing: String(decoding: bytes, as: UTF8.self)) else { return }
                require((try? Amount(parsing: amount.description)) == amount, "\(amount) is not read as written")
            },
            Form(seeds: [Array("00fFa9".utf8)]) { bytes in
                let text = String(decoding: bytes, as: UTF8.self)
                guard let decoded = Hexadecimal.decode(text) else { return }
                require(Hexadecimal.encode(decoded) == text.lowercased(), "\"\(text)\" is written otherwise")
            },
        ]
    }
}
