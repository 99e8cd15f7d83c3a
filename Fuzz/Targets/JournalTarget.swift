import Glibc
import Primitives
import Storage

/// A journal as a crash or a bad disk may leave it. Opened it gives back a beginning of what was written, or says that it is damaged.
enum JournalTarget: FuzzTarget {
    static let name = "journal"

    static func forms() throws -> [Form] {
        let folder = "/dev/shm/plasma-fuzz-\(getpid())"
        mkdir(folder, 0o700)
        atexit { _ = rmdir("/dev/shm/plasma-fuzz-\(getpid())") }
        let path = folder + "/journal"
        func write(_ bytes: [UInt8]) {
            guard let file = fopen(path, "w") else { fatalError("\(folder) cannot be written to") }
            fwrite(bytes, 1, bytes.count, file)
            fclose(file)
        }
        func read() -> [UInt8] {
            guard let file = fopen(path, "r") else { fatalError("the journal is gone") }
            defer { fclose(file) }
            var bytes = [UInt8](repeating: 0, count: 1 << 20)
            return Array(bytes.prefix(fread(&bytes, 1, bytes.count, file)))
        }
        /// Opens what is there, appends, and opens again.
        func checkOpens(_ mayHold: ([[UInt8]]) -> Bool) {
            defer { unlink(path) }
            guard let journal = try? Journal.open(path), let found = try? journal.replay() else { return }
            require(mayHold(found), "a journal gives back what was never written")
            guard (try? journal.append([[1], [2, 3]])) != nil, let again = try? Journal.open(path) else {
                fatalError("broken law: a journal that opens does not take a record")
            }
            require(again.cutBytes == 0, "a whole journal was cut")
            require((try? again.replay()) == found + [[1], [2, 3]], "a journal forgot")
        }
        unlink(path)
        let made = try Journal.create(path)
        let steps: [[[UInt8]]] = [[[1, 2, 3]], [[4], []], [[UInt8](repeating: 5, count: 40)], [[6]]]
        var ends = [0]
        for step in steps {
            try made.append(step)
            ends.append(read().count)
        }
        let whole = read()
        unlink(path)
        let beginnings = (0...steps.count).map { Array(steps.prefix($0).joined()) }
        /// A frame with a true checksum around any payload, made here by the format's description and not by its writer.
        func framed(_ payload: [UInt8]) -> [UInt8] {
            let length = UInt32(payload.count).canonicalBytes
            let hasher = DigestHasher(Domain("plasma.frame"))
            hasher.update(UInt64(16).canonicalBytes)
            hasher.update(length)
            hasher.update(payload)
            return Array("plasma.journal.1".utf8) + [0xF1, 0x50, 0x4C, 0x53] + length
                + hasher.finalize().bytes.prefix(8) + payload
        }
        return [
            Form(seeds: [whole, Array(whole.prefix(ends[2])), Array(whole.dropLast(3)), [], Array(whole.prefix(9))]) {
                write($0)
                checkOpens { _ in true }
            },
            // Pairs of place and change, then perhaps a cut: nothing but whole first steps may come back.
            Form(seeds: [[], [40, 1], [200], [0, 1], [100, 7, 120, 7, 90]]) { script in
                var bytes = whole
                for pair in stride(from: 0, to: script.count - 1, by: 2) {
                    bytes[Int(script[pair]) % bytes.count] ^= script[pair + 1]
                }
                if script.count % 2 == 1 { bytes.removeLast(Int(script[script.count - 1]) % bytes.count) }
                write(bytes)
                checkOpens { beginnings.contains($0) }
            },
            Form(seeds: [[1, 0, 0, 0, 2, 0, 0, 0, 7, 7], [0, 0, 0, 0], []]) {
                write(framed($0))
                checkOpens { _ in true }
            },
        ]
    }
}
