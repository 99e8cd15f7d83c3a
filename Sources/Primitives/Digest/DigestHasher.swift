internal import CSodium

/// Digests what comes in pieces. Equal to `Digest.of` over the pieces joined. Not to be shared between threads.
public final class DigestHasher {
    private let state: OpaquePointer

    public init(_ domain: Domain) {
        Sodium.ensureReady()
        let memory = UnsafeMutableRawPointer.allocate(byteCount: crypto_generichash_blake2b_statebytes(), alignment: 64)
        state = OpaquePointer(memory)
        withUnsafeBytes(of: (domain.low, domain.high)) { personal in
            _ = crypto_generichash_blake2b_init_salt_personal(state, nil, 0, 32, nil, personal.baseAddress)
        }
    }

    deinit { UnsafeMutableRawPointer(state).deallocate() }

    public func update(_ bytes: [UInt8]) {
        _ = crypto_generichash_blake2b_update(state, bytes, UInt64(bytes.count))
    }

    public func update(_ bytes: UnsafeRawBufferPointer) {
        _ = crypto_generichash_blake2b_update(state, bytes.baseAddress, UInt64(bytes.count))
    }

    /// The digest of all that was given. The hasher is spent.
    public func finalize() -> Digest {
        var bytes = [UInt8](repeating: 0, count: 32)
        _ = crypto_generichash_blake2b_final(state, &bytes, 32)
        // 32 bytes are a digest.
        guard let digest = try? Digest(bytes: bytes) else { preconditionFailure("32 bytes are a digest") }
        return digest
    }
}
