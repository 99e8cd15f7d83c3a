/// For each of the first sentences, its nearest other by cosine.
enum Neighbours {
    struct Pair {
        let sentence: Int
        let nearest: Int
        let similarity: Double
    }

    static func nearest(_ rows: [[Float]], first count: Int) -> [Pair] {
        let norms = rows.map { row in row.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() }
        return rows.indices.prefix(count).compactMap { index in
            var best: Pair?
            for other in rows.indices where other != index {
                var dot = 0.0
                for (a, b) in zip(rows[index], rows[other]) { dot += Double(a) * Double(b) }
                let similarity = dot / max(norms[index] * norms[other], .leastNormalMagnitude)
                if best.map({ similarity > $0.similarity }) ?? true {
                    best = Pair(sentence: index, nearest: other, similarity: similarity)
                }
            }
            return best
        }
    }
}
