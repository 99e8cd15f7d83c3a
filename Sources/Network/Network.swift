/// The sockets: TLS 1.3 sessions over TCP, discovery over UDP, on SwiftNIO. No protocol rule lives here beyond framing; `Gossip` decides.
