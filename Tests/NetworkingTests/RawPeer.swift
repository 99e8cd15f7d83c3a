import COpenSSL
import Foundation
import Gossip
import Networking
import Primitives

/// A peer that says whatever a test wants: TLS on a blocking socket, frames made by hand.
final class RawPeer {
    struct Fault: Error { let reason: String }

    private let socket: Int32
    private var isOpen = true
    private var context: OpaquePointer?
    private var ssl: OpaquePointer?

    /// A bare TCP connection.
    init(tcp port: Int) throws {
        // OpenSSL writes to its socket without asking that no signal come of it.
        signal(SIGPIPE, SIG_IGN)
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if status != 0 { throw Fault(reason: "cannot connect to port \(port): \(errno)") }
        setTimeout(10)
    }

    /// A TLS session, whole only if the other side agrees with what is offered.
    convenience init(
        port: Int, identity: SecretKey?, protocolName: String? = "plasma/1", version: Int32 = TLS1_3_VERSION
    ) throws {
        try self.init(tcp: port)
        guard let context = SSL_CTX_new(TLS_method()), let ssl = SSL_new(context) else {
            throw Fault(reason: "no TLS")
        }
        self.context = context
        self.ssl = ssl
        _ = SSL_ctrl(ssl, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(version), nil)
        _ = SSL_ctrl(ssl, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(version), nil)
        if let protocolName {
            let wire = [UInt8(protocolName.utf8.count)] + Array(protocolName.utf8)
            SSL_set_alpn_protos(ssl, wire, UInt32(wire.count))
        }
        if let identity { try use(identity, on: ssl) }
        SSL_set_fd(ssl, socket)
        if SSL_connect(ssl) != 1 { throw Fault(reason: "the handshake failed") }
    }

    deinit { close() }

    /// Ends the connection. A second time does nothing: the number may be another's by then.
    func close() {
        if isOpen {
            isOpen = false
            if let ssl { SSL_free(ssl) }
            if let context { SSL_CTX_free(context) }
            ssl = nil
            context = nil
            shutdown(socket, Int32(SHUT_RDWR))
            Glibc.close(socket)
        }
    }

    private func use(_ identity: SecretKey, on ssl: OpaquePointer) throws {
        let key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, identity.seed, 32)
        defer { EVP_PKEY_free(key) }
        let certificate = X509_new()
        defer { X509_free(certificate) }
        guard
            X509_set_version(certificate, 2) == 1, plasma_x509_validity(certificate, 86_400) == 1,
            X509_set_pubkey(certificate, key) == 1, X509_sign(certificate, key, nil) > 0,
            SSL_use_certificate(ssl, certificate) == 1, SSL_use_PrivateKey(ssl, key) == 1
        else { throw Fault(reason: "no certificate") }
    }

    /// Sends what stands there, through TLS where there is any.
    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = Array(bytes[sent...]).withUnsafeBytes { rest -> Int in
                if let ssl { return Int(SSL_write(ssl, rest.baseAddress, Int32(rest.count))) }
                return Glibc.send(socket, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { throw Fault(reason: "the connection ended after \(sent) bytes") }
            sent += count
        }
    }

    /// Reads until the other side ends the connection. False where it is still open after so many seconds of silence.
    func isClosed(within seconds: Int) -> Bool {
        setTimeout(seconds)
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let deadline = Date().addingTimeInterval(Double(seconds))
        while Date() < deadline {
            errno = 0
            let count: Int
            if let ssl {
                count = Int(SSL_read(ssl, &bytes, Int32(bytes.count)))
            } else {
                count = recv(socket, &bytes, bytes.count, 0)
            }
            if count > 0 { continue }
            return errno != EAGAIN && errno != EWOULDBLOCK
        }
        return false
    }

    private func setTimeout(_ seconds: Int) {
        var span = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &span, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &span, socklen_t(MemoryLayout<timeval>.size))
    }

    // MARK: Frames

    static func frame(
        channel: UInt8 = 0, kind: UInt8, id: UInt64? = nil, _ content: [UInt8], length: UInt32? = nil
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: content.count + 32)
        writer.write(length ?? UInt32(2 + (id == nil ? 0 : 8) + content.count))
        writer.write(channel)
        writer.write(kind)
        if let id { writer.write(id) }
        return writer.bytes + content
    }

    static func hello(record: NodeRecord, network: Digest = TestPeer.network, version: UInt16 = 1) -> [UInt8] {
        frame(kind: 4, Hello(network: network, version: version, headHeight: 0, record: record).canonicalBytes)
    }

    /// A record of an address where nobody listens.
    static func record(_ key: SecretKey, network: Digest = TestPeer.network) throws -> NodeRecord {
        NodeRecord(
            key: key, network: network, sequence: 1, endpoint: try Endpoint(address: [127, 0, 0, 1], port: 9),
            tcpPort: 9, roles: .follower)
    }

    func greet(_ key: SecretKey? = nil, network: Digest = TestPeer.network, version: UInt16 = 1) throws {
        let key = try key ?? TestPeer.key(3)
        try send(RawPeer.hello(record: try RawPeer.record(key, network: network), network: network, version: version))
    }
}
