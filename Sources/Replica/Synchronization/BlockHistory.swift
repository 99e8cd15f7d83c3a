/// How much of the past a node keeps.
public enum BlockHistory: Hashable, Sendable, CustomStringConvertible {
    case archive
    case blocks(UInt64)
    case days(UInt64)

    /// Fewer could be needed by a peer that is a moment behind, or by a restart.
    public static let leastBlocks: UInt64 = 1_024

    /// Reads `archive`, `100000 blocks` or `30 days`.
    public init?(_ text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        if text == "archive" {
            self = .archive
        } else if words.count == 2, let count = UInt64(words[0]), count > 0 {
            switch words[1] {
            case "blocks" where count >= BlockHistory.leastBlocks: self = .blocks(count)
            case "days" where count <= 36_500: self = .days(count)
            default: return nil
            }
        } else {
            return nil
        }
    }

    public var description: String {
        switch self {
        case .archive: "archive"
        case .blocks(let count): "\(count) blocks"
        case .days(let count): "\(count) days"
        }
    }
}
