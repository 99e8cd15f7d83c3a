/// Why bytes were refused. Decoding is strict: each value has exactly one encoding.
public enum DecodingFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The input ended: `needed` more bytes were expected and `left` remained.
    case truncated(needed: Int, left: Int)
    /// A length or count is above its bound.
    case tooLong(found: Int, limit: Int)
    /// `count` bytes follow the value.
    case trailing(Int)
    /// The bytes are of the right size and mean nothing, or are not the canonical form.
    case invalid(String)

    public var description: String {
        switch self {
        case .truncated(let needed, let left): "the data ends early: \(needed) more bytes expected, \(left) left"
        case .tooLong(let found, let limit): "a length of \(found) is above the limit of \(limit)"
        case .trailing(let count): "\(count) bytes follow the end of the value"
        case .invalid(let reason): reason
        }
    }
}
