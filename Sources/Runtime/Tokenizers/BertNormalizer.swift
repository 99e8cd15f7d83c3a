/// The cleaning that BERT gives a text before it is cut into words, in this order.
struct BertNormalizer: Sendable {
    /// Drop control characters, make every space one blank.
    var cleansText = true
    /// Put blanks around ideographs.
    var separatesIdeographs = true
    /// Decompose and drop accents.
    var stripsAccents = true
    /// Lower case, letter by letter.
    var lowercases = true

    func normalize(_ text: [UInt32], _ unicode: BertUnicode) -> [UInt32] {
        var current = text
        if cleansText {
            current.removeAll(keepingCapacity: true)
            for scalar in text where !unicode.isRemoved(scalar) {
                current.append(unicode.isSpace(scalar) ? 0x20 : scalar)
            }
        }
        if separatesIdeographs, current.contains(where: unicode.isIdeograph) {
            var spaced: [UInt32] = []
            spaced.reserveCapacity(current.count * 3)
            for scalar in current {
                if unicode.isIdeograph(scalar) {
                    spaced.append(contentsOf: [0x20, scalar, 0x20])
                } else {
                    spaced.append(scalar)
                }
            }
            current = spaced
        }
        // Below U+00C0 nothing decomposes and nothing is a mark.
        if stripsAccents, current.contains(where: { $0 >= 0xC0 }) {
            current = unicode.decomposed(current)
            current.removeAll(where: unicode.isMark)
        }
        if lowercases {
            var lowered: [UInt32] = []
            lowered.reserveCapacity(current.count)
            for scalar in current { unicode.appendLowercase(scalar, to: &lowered) }
            current = lowered
        }
        return current
    }
}
