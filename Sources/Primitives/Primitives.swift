/// The ground that every other module stands on: digests, keys, amounts, canonical bytes, Merkle trees, time.
///
/// Everything here is a value. Nothing here knows a socket, a file or a clock; the two functions that draw randomness from the
/// operating system (`SecretKey.generate`, `SystemRandom.bytes`) are for shells alone. C is reached only through
/// libsodium, and through `CDigest` for many digests at once.
internal import CSodium

/// Starts libsodium once per process. Every entry point that needs it goes through here.
enum Sodium {
    /// Whether libsodium is ready. `sodium_init` fails only where the machine has no source of randomness at all.
    static let ready: Bool = sodium_init() >= 0

    @inline(__always)
    static func ensureReady() {
        precondition(ready, "libsodium could not start: the machine offers no random source")
    }
}

/// Randomness from the operating system. Shells only: a machine takes its seeds as inputs.
public enum SystemRandom {
    /// `count` bytes that nobody can predict.
    public static func bytes(_ count: Int) -> [UInt8] {
        Sodium.ensureReady()
        var out = [UInt8](repeating: 0, count: count)
        out.withUnsafeMutableBytes { buffer in
            if let base = buffer.baseAddress { randombytes_buf(base, count) }
        }
        return out
    }
}
