import Foundation

/// Which workers counted in each round, as a table that a person and `plasma train --replay` read: a round a line, then the workers' numbers from 1.
enum RoundTable {
    static func write(_ rounds: [[Int]], to path: String) throws {
        let lines = rounds.enumerated().map { round, workers in
            "\(round + 1)," + workers.map { "\($0 + 1)" }.joined(separator: " ")
        }
        do {
            try Data(("round,workers\n" + lines.joined(separator: "\n") + "\n").utf8).write(
                to: URL(fileURLWithPath: path), options: .atomic)
        } catch { throw Failure("\(path) cannot be written: make room, or choose another folder under [output].") }
    }

    /// The first `needed` rounds' workers, counted from 0.
    static func read(_ path: String, workers: Int, needed: Int) throws -> [[Int]] {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw Failure("\(path) cannot be read: it is the rounds.csv of a training in rounds.")
        }
        let lines = text.split(separator: "\n").dropFirst()
        if lines.count < needed { throw Failure("\(path) has \(lines.count) rounds of \(needed).") }
        return try lines.prefix(needed).enumerated().map { round, line in
            let fields = line.split(separator: ",", omittingEmptySubsequences: false)
            let numbers = fields.last?.split(separator: " ").map { Int($0) ?? 0 } ?? []
            if fields.count != 2 || Int(fields[0]) != round + 1 || numbers.isEmpty || numbers != Set(numbers).sorted()
                || numbers.contains(where: { !(1...workers).contains($0) })
            {
                throw Failure(
                    "\(path), line \(round + 2): expected \(round + 1), a comma and some of 1 to \(workers) in order.")
            }
            return numbers.map { $0 - 1 }
        }
    }
}
