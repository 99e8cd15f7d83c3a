internal import Glibc
internal import Gossip

/// Whom a node asks first: IP addresses, and names that the system's resolver is asked for, since what a name means may change.
struct BootstrapAddresses: Sendable {
    struct Name: Hashable, Sendable, CustomStringConvertible {
        let host: String
        let port: Int

        var description: String { "\(host):\(port)" }
    }

    private(set) var fixed: [Endpoint] = []
    private(set) var names: [Name] = []

    /// Of the addresses of one name no more are asked.
    static let maximumAddresses = 16

    /// Reads `203.0.113.7:27600`, `[::1]:27600` or `seed.example.org:27600`.
    init(_ texts: [String]) throws(NetworkFault) {
        for text in texts {
            if let name = BootstrapAddresses.name(text) { names.append(name) } else { fixed.append(try .parse(text)) }
        }
    }

    /// A name has a letter before its port, and no colon: what has neither is an IP address or nothing.
    private static func name(_ text: String) -> Name? {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (1...65_535).contains(port)
        else { return nil }
        let host = text[..<colon]
        let isName =
            host != "localhost" && host.utf8.count <= 253 && host.contains { $0.isLetter }
            && host.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) }
        return isName ? Name(host: String(host), port: port) : nil
    }

    /// Asks for all names, which takes as long as the resolver takes. Answers the addresses, and which names have none.
    func resolve() -> (found: [Endpoint], missing: [Name]) {
        var found: [Endpoint] = []
        var missing: [Name] = []
        for name in names {
            let own = BootstrapAddresses.resolve(name)
            if own.isEmpty { missing.append(name) }
            for endpoint in own where !found.contains(endpoint) { found.append(endpoint) }
        }
        return (found, missing)
    }

    private static func resolve(_ name: Name) -> [Endpoint] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name.host, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var found: [Endpoint] = []
        var next = list
        while let entry = next?.pointee, found.count < maximumAddresses {
            next = entry.ai_next
            guard let address = entry.ai_addr else { continue }
            // The address stands at byte 4 of a sockaddr_in and at byte 8 of a sockaddr_in6.
            let place: Range<Int>
            switch entry.ai_family {
            case AF_INET: place = 4..<8
            case AF_INET6: place = 8..<24
            default: continue
            }
            let bytes = UnsafeRawBufferPointer(start: address, count: Int(entry.ai_addrlen))
            guard place.upperBound <= bytes.count,
                let endpoint = try? Endpoint(address: Array(bytes[place]), port: UInt16(clamping: name.port))
            else { continue }
            found.append(endpoint)
        }
        return found
    }
}
