import Foundation
import Ledger
import Primitives

/// The jobs of a round that is under way. A copy lies in the run's folder, so that a training that was stopped goes on with them.
struct PostedRound {
    /// Of what the round computes: jobs of another round, or of other settings, are not its.
    let fingerprint: Digest
    /// The gangs that the workers' first jobs were posted as, while they may still be bound.
    var gangs: [Gang] = []
    var workers: [JobRow] = []
    var outer: JobRow?
    /// The workers that the outer step reads.
    var counted: [Int] = []

    struct Gang {
        let id: Digest
        /// Of its workers, in its order.
        var workers: [Int]
    }

    /// What the file says.
    struct Saved: Codable {
        var fingerprint: String
        var workers: [[String]]
        var outer: String?
        var counted: [Int]
    }

    /// Written after each posting. Between a posting and this a crash leaves a job that nobody follows.
    func save(to path: String) throws {
        let saved = Saved(
            fingerprint: fingerprint.hex, workers: workers.map { $0.jobs.map(\.hex) },
            outer: outer?.jobs.first?.hex, counted: counted)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        do { try encoder.encode(saved).write(to: URL(fileURLWithPath: path), options: .atomic) } catch {
            throw Failure("\(path) cannot be written: make room, or choose another folder under [output].")
        }
    }

    /// The jobs that were posted for this very round; nil where none were, or the file is damaged: it only saves paying twice.
    static func saved(at path: String, for fingerprint: Digest, workers: Int) -> (
        workers: [[Digest]], outer: Digest?, counted: [Int]
    )? {
        guard let data = FileManager.default.contents(atPath: path),
            let saved = try? JSONDecoder().decode(Saved.self, from: data), saved.fingerprint == fingerprint.hex,
            saved.workers.count == workers, saved.counted == Set(saved.counted).sorted(),
            saved.counted.allSatisfy((0..<workers).contains)
        else { return nil }
        let jobs = saved.workers.map { $0.compactMap(Digest.init(hex:)) }
        if jobs.map(\.count) != saved.workers.map(\.count) || jobs.contains(where: \.isEmpty) { return nil }
        let outer = saved.outer.flatMap(Digest.init(hex:))
        return (jobs, outer, outer == nil ? [] : saved.counted)
    }
}
