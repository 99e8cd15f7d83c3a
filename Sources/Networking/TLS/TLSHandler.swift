internal import COpenSSL
internal import NIOCore
internal import Primitives

/// Tells the handlers after it who the peer is.
struct TLSHandshakeCompleted: Sendable {
    let peer: PublicKey
}

/// Why a session ended before it began.
enum TLSFault: Error, CustomStringConvertible {
    case handshake(String)
    case wrongIdentity(expected: PublicKey, found: PublicKey)
    case noIdentity
    case noProtocol
    case broken(String)

    var description: String {
        switch self {
        case .handshake(let reason): "the TLS handshake failed: \(reason)"
        case .wrongIdentity(let expected, let found):
            "the peer is \(found.hex.prefix(16))…, expected \(expected.hex.prefix(16))…"
        case .noIdentity: "the peer's certificate has no Ed25519 key"
        case .noProtocol: "the peer does not name this protocol (ALPN)"
        case .broken(let reason): "the TLS session broke: \(reason)"
        }
    }
}

/// TLS through two memory buffers: bytes from the socket go into one, bytes for the socket come out of the other.
final class TLSHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let ssl: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    private let expected: PublicKey?
    private var established = false
    private var closed = false
    private var waiting: [(ByteBuffer, EventLoopPromise<Void>?)] = []

    init(context: TLSContext, isServer: Bool, expected: PublicKey?) throws(NetworkFault) {
        guard let ssl = SSL_new(context.pointer), let incoming = BIO_new(BIO_s_mem()),
            let outgoing = BIO_new(BIO_s_mem())
        else { throw .tls("no memory for a session") }
        self.ssl = ssl
        self.incoming = incoming
        self.outgoing = outgoing
        self.expected = expected
        // The session owns both buffers from here on.
        SSL_set_bio(ssl, incoming, outgoing)
        if isServer { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
    }

    deinit { SSL_free(ssl) }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { handshake(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        handshake(context)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        if closed { return }
        buffer.withUnsafeReadableBytes { bytes in
            _ = BIO_write(incoming, bytes.baseAddress, Int32(clamping: bytes.count))
        }
        if !established { handshake(context) }
        if established && !closed { readPlaintext(context) }
    }

    private func handshake(_ context: ChannelHandlerContext) {
        if established || closed { return }
        ERR_clear_error()
        let status = SSL_do_handshake(ssl)
        sendCiphertext(context)
        if status == 1 {
            guard let peer = peerKey() else { return fail(context, .noIdentity) }
            // A peer that offers no protocol at all is not asked to choose: it is found out here.
            if !namesProtocol { return fail(context, .noProtocol) }
            if let expected, expected != peer { return fail(context, .wrongIdentity(expected: expected, found: peer)) }
            established = true
            context.fireUserInboundEventTriggered(TLSHandshakeCompleted(peer: peer))
            for (buffer, promise) in waiting { encrypt(context, buffer, promise) }
            waiting.removeAll()
            context.flush()
            return
        }
        let error = SSL_get_error(ssl, status)
        if error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE { fail(context, .handshake(reason())) }
    }

    private func reason() -> String {
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(ERR_get_error(), &text, text.count)
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func fail(_ context: ChannelHandlerContext, _ fault: TLSFault) {
        closed = true
        context.fireErrorCaught(fault)
        context.close(promise: nil)
    }

    /// Whether a protocol was chosen. There is one to choose.
    private var namesProtocol: Bool {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &length)
        return length > 0
    }

    private func peerKey() -> PublicKey? {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return nil }
        defer { X509_free(certificate) }
        guard let key = X509_get0_pubkey(certificate), EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 32)
        var length = 32
        guard EVP_PKEY_get_raw_public_key(key, &bytes, &length) == 1, length == 32 else { return nil }
        return try? PublicKey(bytes: bytes)
    }

    private func readPlaintext(_ context: ChannelHandlerContext) {
        var buffer = context.channel.allocator.buffer(capacity: 17_408)
        var isOver = false
        var fault: TLSFault?
        while true {
            ERR_clear_error()
            var status: Int32 = 0
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 16_384) { memory in
                status = SSL_read(ssl, memory.baseAddress, Int32(clamping: memory.count))
                return Int(max(0, status))
            }
            if status > 0 { continue }
            switch SSL_get_error(ssl, status) {
            case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: break
            case SSL_ERROR_ZERO_RETURN: isOver = true
            default: fault = .broken(reason())
            }
            break
        }
        // What came before the end is heard before it.
        if buffer.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(buffer)) }
        if closed { return }
        sendCiphertext(context)
        if let fault { return fail(context, fault) }
        if isOver {
            closed = true
            context.close(promise: nil)
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let buffer = unwrapOutboundIn(data)
        if established { encrypt(context, buffer, promise) } else { waiting.append((buffer, promise)) }
    }

    private func encrypt(_ context: ChannelHandlerContext, _ buffer: ByteBuffer, _ promise: EventLoopPromise<Void>?) {
        if closed {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        var failed = false
        buffer.withUnsafeReadableBytes { bytes in
            var offset = 0
            while offset < bytes.count {
                ERR_clear_error()
                // A memory buffer takes everything, so a write never waits.
                let part = UnsafeRawBufferPointer(rebasing: bytes[offset...])
                let status = SSL_write(ssl, part.baseAddress, Int32(clamping: part.count))
                if status <= 0 {
                    failed = true
                    return
                }
                offset += Int(status)
            }
        }
        if failed {
            promise?.fail(TLSFault.handshake(reason()))
            return fail(context, .broken("a write failed"))
        }
        let ciphertext = takeCiphertext(context)
        context.write(wrapOutboundOut(ciphertext), promise: promise)
    }

    private func takeCiphertext(_ context: ChannelHandlerContext) -> ByteBuffer {
        let pending = plasma_bio_pending(outgoing)
        var buffer = context.channel.allocator.buffer(capacity: pending)
        if pending > 0 {
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: pending) { memory in
                Int(max(0, BIO_read(outgoing, memory.baseAddress, Int32(clamping: pending))))
            }
        }
        return buffer
    }

    private func sendCiphertext(_ context: ChannelHandlerContext) {
        let buffer = takeCiphertext(context)
        if buffer.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(buffer), promise: nil) }
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if established && !closed {
            SSL_shutdown(ssl)
            sendCiphertext(context)
        }
        closed = true
        for (_, promise) in waiting { promise?.fail(ChannelError.ioOnClosedChannel) }
        waiting.removeAll()
        context.close(mode: mode, promise: promise)
    }
}
