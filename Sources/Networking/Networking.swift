/// The sockets: TLS 1.3 sessions over TCP, discovery over UDP, on SwiftNIO. No protocol rule lives here beyond framing; `Gossip` decides.
///
/// Not named `Network`: other packages import Apple's framework of that name wherever a module of that name can be found.
