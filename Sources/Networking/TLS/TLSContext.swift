internal import COpenSSL
internal import Primitives

/// OpenSSL, set to what the protocol allows: TLS 1.3 alone, a self-signed Ed25519 certificate on both sides, one ALPN name, no resumption.
final class TLSContext: @unchecked Sendable {
    // Immutable after init; OpenSSL counts references to it from several threads by itself.
    let pointer: OpaquePointer

    /// `plasma/1` with its length before it. Never freed: OpenSSL keeps the address.
    // The memory is written once, before anyone reads it.
    nonisolated(unsafe) private static let alpnWire: UnsafeMutablePointer<UInt8> = {
        let name = Array("plasma/1".utf8)
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: name.count + 1)
        memory[0] = UInt8(name.count)
        for (index, byte) in name.enumerated() { memory[index + 1] = byte }
        return memory
    }()

    init(identity: SecretKey) throws(NetworkFault) {
        guard let context = SSL_CTX_new(TLS_method()) else { throw .tls("no context") }
        pointer = context
        guard plasma_ssl_ctx_tls13_only(context) == 1 else { throw .tls("this OpenSSL has no TLS 1.3") }
        plasma_ssl_ctx_require_peer(context)
        plasma_ssl_ctx_no_resumption(context)
        plasma_ssl_ctx_set_alpn(context, TLSContext.alpnWire, UInt32(TLSContext.alpnWire[0]) + 1)
        guard let key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, identity.seed, 32) else {
            throw .tls("the node key cannot be used")
        }
        defer { EVP_PKEY_free(key) }
        guard let certificate = X509_new() else { throw .tls("no certificate") }
        defer { X509_free(certificate) }
        let name = X509_get_subject_name(certificate)
        let label = Array("plasma node".utf8)
        guard
            X509_set_version(certificate, 2) == 1,
            ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1,
            plasma_x509_validity(certificate, 10 * 365 * 86_400) == 1,
            X509_NAME_add_entry_by_txt(name, "CN", latin1Text, label, Int32(label.count), -1, 0) == 1,
            X509_set_issuer_name(certificate, name) == 1,
            X509_set_pubkey(certificate, key) == 1,
            X509_sign(certificate, key, nil) > 0,
            SSL_CTX_use_certificate(context, certificate) == 1,
            SSL_CTX_use_PrivateKey(context, key) == 1
        else { throw .tls("the certificate cannot be made") }
    }

    deinit { SSL_CTX_free(pointer) }

    /// MBSTRING_ASC, a macro with a cast that Swift does not see.
    private var latin1Text: Int32 { 0x1001 }
}
