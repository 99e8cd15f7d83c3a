/// Which weights of a model are trained, by patterns of their names in which `*` stands for any letters.
public struct WeightSelection: Sendable, Hashable {
    /// Only what one of these names; all where there is none.
    public var only: [String] = []
    /// Nothing of what one of these names.
    public var frozen: [String] = []

    public init(only: [String] = [], frozen: [String] = []) {
        self.only = only
        self.frozen = frozen
    }

    /// For each name whether it is trained. A pattern that names nothing is a slip of the pen.
    public func isTrained(_ names: [String]) throws(TrainingFault) -> [Bool] {
        for (key, patterns) in [("train_only", only), ("freeze", frozen)] {
            for pattern in patterns where !names.contains(where: { WeightSelection.matches(pattern, $0) }) {
                throw .setting(
                    key, "has \"\(pattern)\", which names no weight: the model's are \(names.first ?? "none"), …")
            }
        }
        let found = names.map { name in
            (only.isEmpty || only.contains { WeightSelection.matches($0, name) })
                && !frozen.contains { WeightSelection.matches($0, name) }
        }
        if !found.contains(true) {
            throw .setting("freeze", "leaves no weight to be trained: take a pattern of it or of train_only away")
        }
        return found
    }

    /// Whether the pattern is the whole name. In a time of pattern × name.
    static func matches(_ pattern: String, _ name: String) -> Bool {
        let (pattern, name) = (Array(pattern.utf8), Array(name.utf8))
        let star = UInt8(ascii: "*")
        var (i, j) = (0, 0)
        // The last star, and how far what it stands for reaches.
        var last: (pattern: Int, name: Int)?
        while j < name.count {
            if i < pattern.count, pattern[i] == star {
                last = (i, j)
                i += 1
            } else if i < pattern.count, pattern[i] == name[j] {
                i += 1
                j += 1
            } else if let held = last {
                last = (held.pattern, held.name + 1)
                (i, j) = (held.pattern + 1, held.name + 1)
            } else {
                return false
            }
        }
        return pattern[i...].allSatisfy { $0 == star }
    }
}
