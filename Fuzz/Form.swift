import Primitives

/// One kind of bytes from outside: samples to begin with, and what must hold of any bytes at all.
struct Form {
    let seeds: [[UInt8]]
    /// Ends the process where a law is broken.
    let check: ([UInt8]) -> Void

    init(seeds: [[UInt8]], check: @escaping ([UInt8]) -> Void) {
        self.seeds = seeds
        self.check = check
    }

    /// A canonical form: whatever decodes must encode to the same bytes. `also` looks further at what was read; `repair` makes changed bytes plausible
    /// again (a signature over them).
    init<T: CanonicalCodable>(
        _ samples: [T], also: @escaping (T) -> Void = { _ in }, repair: @escaping ([UInt8]) -> [UInt8] = { $0 }
    ) {
        seeds = samples.map(\.canonicalBytes)
        check = { input in
            let bytes = repair(input)
            guard let value = try? T(canonicalBytes: bytes) else { return }
            require(value.canonicalBytes == bytes, "these bytes of a \(T.self) are its second encoding")
            also(value)
        }
    }
}

/// What is fuzzed together. The first byte of an input chooses the form, the rest is for it.
protocol FuzzTarget {
    static var name: String { get }
    static func forms() throws -> [Form]
}

/// Ends the process with a sentence, which the fuzzer takes for a crash.
func require(_ holds: Bool, _ law: @autoclosure () -> String) {
    if !holds { fatalError("broken law: \(law())") }
}
