/// How nodes find and hear one another, as machines: signed records, Kademlia discovery, deduplication, and content-addressed blobs.
///
/// Nothing here opens a socket: `Network` holds the shells.
