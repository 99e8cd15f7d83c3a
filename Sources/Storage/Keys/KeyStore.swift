internal import FoundationEssentials
public import Primitives

/// What a key file tells without its password.
public struct StoredKey: Sendable, Equatable {
    public let name: String
    public let address: Address
    public let publicKey: PublicKey
}

/// Secret keys under passwords: `keys/<name>.json` in a home, for its owner's eyes only (mode 0600).
///
/// The seed is sealed by Argon2id and XChaCha20-Poly1305 (`SealedSecret`). An empty password is allowed, for development
/// networks; the file then keeps nothing secret.
public struct KeyStore: Sendable {
    public let directory: String

    private struct KeyFile: Codable {
        var version: Int
        var address: String
        var publicKey: String
        var strength: UInt8
        var salt: String
        var nonce: String
        var sealed: String
    }

    /// The key store of a home.
    public init(home: String) throws(StorageFault) {
        directory = home + "/keys"
        try File.makeDirectory(directory, permissions: 0o700)
    }

    /// The names of all keys, sorted.
    public func names() throws(StorageFault) -> [String] {
        try File.names(in: directory).filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }
    }

    /// What the key's file tells without a password.
    public func key(_ name: String) throws(StorageFault) -> StoredKey {
        let file = try read(name)
        do {
            let publicKey = try PublicKey(bytes: Hexadecimal.decode(file.publicKey) ?? [])
            return StoredKey(name: name, address: publicKey.address, publicKey: publicKey)
        } catch { throw .badKeyFile(path: path(name), reason: "its public key is not 32 bytes of hexadecimal") }
    }

    /// Generates a key and stores it.
    public func create(
        _ name: String, password: String, strength: SealedSecret.Strength = .interactive
    ) throws(StorageFault) -> SecretKey {
        let key = SecretKey.generate()
        _ = try store(key, as: name, password: password, strength: strength)
        return key
    }

    /// Stores a key.
    ///
    /// - Throws: `keyExists`: a key is never overwritten.
    @discardableResult
    public func store(
        _ key: SecretKey, as name: String, password: String, strength: SealedSecret.Strength = .interactive
    ) throws(StorageFault) -> StoredKey {
        try check(name)
        if File.exists(path(name)) { throw .keyExists(name: name) }
        let salt = random(SealedSecret.saltLength)
        let nonce = random(SealedSecret.nonceLength)
        let sealed: [UInt8]
        do throws(SealFault) {
            sealed = try SealedSecret.seal(key.seed, password: password, salt: salt, nonce: nonce, strength: strength)
        } catch { throw .badKeyFile(path: path(name), reason: "\(error)") }
        let file = KeyFile(
            version: 1, address: "\(key.publicKey.address)", publicKey: key.publicKey.hex, strength: strength.rawValue,
            salt: Hexadecimal.encode(salt), nonce: Hexadecimal.encode(nonce), sealed: Hexadecimal.encode(sealed))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        do {
            try File.replace(path(name), with: [UInt8](encoder.encode(file)) + [10], permissions: 0o600)
        } catch let fault as StorageFault { throw fault } catch {
            throw .badKeyFile(path: path(name), reason: "\(error)")
        }
        return StoredKey(name: name, address: key.publicKey.address, publicKey: key.publicKey)
    }

    /// The secret key.
    ///
    /// - Throws: `wrongPassword`, `keyMissing`, `badKeyFile`.
    public func open(_ name: String, password: String) throws(StorageFault) -> SecretKey {
        let file = try read(name)
        guard let salt = Hexadecimal.decode(file.salt), salt.count == SealedSecret.saltLength,
            let nonce = Hexadecimal.decode(file.nonce), nonce.count == SealedSecret.nonceLength,
            let sealed = Hexadecimal.decode(file.sealed), let strength = SealedSecret.Strength(rawValue: file.strength)
        else { throw .badKeyFile(path: path(name), reason: "a field is malformed") }
        let seed: [UInt8]
        do throws(SealFault) {
            seed = try SealedSecret.open(sealed, password: password, salt: salt, nonce: nonce, strength: strength)
        } catch {
            if error == .wrongPassword { throw .wrongPassword(name: name) }
            throw .badKeyFile(path: path(name), reason: "\(error)")
        }
        guard let key = try? SecretKey(seed: seed), key.publicKey.hex == file.publicKey else {
            throw .badKeyFile(path: path(name), reason: "its secret does not belong to its public key")
        }
        return key
    }

    private func read(_ name: String) throws(StorageFault) -> KeyFile {
        try check(name)
        if !File.exists(path(name)) { throw .keyMissing(name: name, path: directory) }
        let bytes = try File.contents(path(name), limit: 64 << 10)
        guard let file = try? JSONDecoder().decode(KeyFile.self, from: Data(bytes)) else {
            throw .badKeyFile(path: path(name), reason: "it is not the JSON of a key")
        }
        if file.version != 1 {
            throw .badKeyFile(path: path(name), reason: "version \(file.version), 1 is known")
        }
        return file
    }

    private func check(_ name: String) throws(StorageFault) {
        let good = name.utf8.allSatisfy {
            (97...122).contains($0) || (65...90).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 95
        }
        if !good || name.isEmpty || name.utf8.count > 64 { throw .badKeyName(name) }
    }

    private func path(_ name: String) -> String { directory + "/" + name + ".json" }

    private func random(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }
}
