import API
import Foundation
import Ledger
import Node
import Primitives
import Programs
import Runtime
import Testing

/// The main job on seven real processes, as `scripts/devnet.sh demo` runs it.
@Suite(.serialized, .fewAtATime) struct MainJobTests {
    struct Reference {
        let text: String
        let embedding: [Float]
    }

    /// The fixture's texts that fit on one line of a file.
    static func references() throws -> [Reference] {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "Fixtures/minilm-reference.json")
        let json = try API.JSONValue(parsing: Array(try Data(contentsOf: url)))
        return (json["items"]?.array ?? []).compactMap { item in
            guard let text = item["text"]?.string, !text.contains("\n"),
                let embedding = item["embedding"]?.array?.compactMap(\.double)
            else { return nil }
            return Reference(text: text, embedding: embedding.map { Float($0) })
        }
    }

    static func rows(_ path: String) throws -> [[Float]] {
        let array = try NumpyFile.decode(Array(try Data(contentsOf: URL(fileURLWithPath: path))))
        let values = try #require(array.floats)
        let width = array.shape[1]
        return (0..<array.shape[0]).map { Array(values[$0 * width..<($0 + 1) * width]) }
    }

    static func cosine(_ a: [Float], _ b: [Float]) -> Double {
        var (dot, x, y) = (0.0, 0.0, 0.0)
        for (p, q) in zip(a, b) {
            dot += Double(p) * Double(q)
            x += Double(p) * Double(p)
            y += Double(q) * Double(q)
        }
        return dot / (x * y).squareRoot()
    }

    @Test func theDemoEmbedsProvesAndPays() async throws {
        let net = try TestDevnet()
        let references = try Self.references()
        #expect(references.count >= 20)
        let file = try net.folder.write(references.map(\.text).joined(separator: "\n") + "\n", to: "sentences.txt")
        let demo = try await net.devnet("demo", [file, "--model", Plasma.modelFolder, "--keep", "-o", "json"])
        do { try await check(demo, net, references, file) } catch {
            await net.end()
            throw error
        }
        await net.end()
        for name in TestDevnet.names { #expect(!net.isRunning(name)) }
    }

    private func check(
        _ demo: Plasma.Outcome, _ net: TestDevnet, _ references: [Reference], _ file: String
    ) async throws {
        #expect(demo.code == 0, "\(demo.errors)")
        let json = try #require(demo.json)
        #expect(json["state"]?.string == "settled")
        #expect(demo.errors.contains("longer than the 256 tokens"), "one text of the fixture is cut, and that is said")
        let states = (json["states"]?.array ?? []).compactMap { $0["state"]?.string }
        #expect(states == ["submitted", "assigned", "running", "committed", "auditing", "settled"])

        // The numbers are the model's.
        let rows = try Self.rows(try #require(json["embeddings"]?.string))
        #expect(rows.count == references.count)
        for (row, reference) in zip(rows, references) {
            let cosine = Self.cosine(row, reference.embedding)
            #expect(cosine >= 0.999999, "\(reference.text.prefix(40)): \(cosine)")
        }

        // The money is where the receipt says, and none was made or lost.
        func amount(_ when: String, _ who: String) throws -> Amount {
            try Amount(parsing: try #require(json["balances"]?[when]?[who]?.string))
        }
        let price = try Amount(parsing: try #require(json["price"]?.string))
        let fees = try Amount(parsing: try #require(json["auditFees"]?.string))
        let paid = try amount("before", "alice").subtracting(try amount("after", "alice"))
        #expect(paid >= (try price.adding(fees)))
        #expect(try paid.subtracting(try price.adding(fees)) < Amount(parsing: "0.01"), "the rest is fees")
        let provider = try #require(json["providerName"]?.string)
        let earned = try amount("after", provider).subtracting(try amount("before", provider))
        // Where the network challenges its device meanwhile, as it does a minute after the first offer, the provider pays the fee of its answers.
        let most = try price.scaled(96, over: 100).adding(Amount(baseUnits: 1))
        #expect(earned <= most)
        #expect(try most.subtracting(earned) < Amount(parsing: "0.05"), "\(earned) of \(price)")
        let totals = try #require(json["totals"])
        var sum = Amount.zero
        for name in [
            "liquid", "burned", "escrowed", "bonded", "staked", "stakersPool", "treasury", "auditPool",
        ] { sum = try sum.adding(try Amount(parsing: try #require(totals[name]?.string))) }
        #expect(sum == Genesis.totalSupply)
        #expect(json["totalSupply"]?.string == Genesis.totalSupply.description)

        // Another node serves the same result; the check needs the genesis only, and another genesis does not do.
        let job = try #require(json["job"]?.string)
        let copy = net.folder.path + "/copy.npy"
        let proof = net.folder.path + "/proof"
        let fetched = try await net.plasma(
            "job", "result", job, "--genesis", net.genesis, "--out", copy, "--proof", proof, "--rpc",
            "\(net.rpcPort(2))")
        #expect(fetched.code == 0, "\(fetched.errors)")
        #expect(try Self.rows(copy).map { $0.map(\.bitPattern) } == rows.map { $0.map(\.bitPattern) })
        let light = try await Plasma.run([
            "light", "verify-receipt", job, "--genesis", net.genesis, "--file", proof, "--rpc", "1",
        ])
        #expect(light.code == 0, "\(light.errors)")
        let text = try String(contentsOfFile: net.genesis, encoding: .utf8)
        let other = try net.folder.write(
            text.replacingOccurrences(of: "\"devnet\"", with: "\"other\""), to: "other.toml")
        let wrong = try await Plasma.run(["light", "verify-receipt", job, "--genesis", other, "--file", proof])
        #expect(wrong.code == 1)
        var damaged = try Data(contentsOf: URL(fileURLWithPath: proof))
        damaged[damaged.count / 2] ^= 1
        try damaged.write(to: URL(fileURLWithPath: proof))
        let forged = try await Plasma.run(["light", "verify-receipt", job, "--genesis", net.genesis, "--file", proof])
        #expect(forged.code == 1)

        try await allProvidersAndKernelsAgree(net, references)
        try await badRequests(net, file)
    }

    /// Three processes run the job, and every kernel variant here: one output root.
    private func allProvidersAndKernelsAgree(_ net: TestDevnet, _ references: [Reference]) async throws {
        let sentences = references.prefix(12).map(\.text)
        let file = try net.folder.write(sentences.joined(separator: "\n"), to: "twelve.txt")
        let job = try await net.json("job", "submit", file, "--policy", "replicated:2")
        #expect(job["state"]?.string == "settled")
        let workers = Set((job["auditors"]?.array ?? []).compactMap(\.string) + [job["provider"]?.string ?? ""])
        #expect(workers.count == 3)
        let model = try ModelImporter.importFolder(Plasma.modelFolder)
        let inputs = try EncoderInputs.make(sentences: Array(sentences), tokenizer: model.tokenizer)
        let program = try model.program().specialise(inputs.axes.map { ($0.name, UInt64($0.value)) })
        let weights = model.parameters.map { parameter in parameter.withBytes { Array($0) } }
        let bytes = inputs.inputs.map { input in input.values.withUnsafeBytes { Array($0) } }
        for variant in KernelVariant.allCases where variant.isSupported {
            let root = try withMemory(weights) { weights in
                let prepared = try PreparedModel(
                    program: program, parameters: weights, owners: [], variant: variant)
                let executor = Executor(program: program, model: prepared, threads: 2)
                return try withMemory(bytes) { bytes in
                    let output = try executor.run(inputs: zip(inputs.inputs.map(\.name), bytes).map { ($0, $1) })[0]
                    return ResultRoots.outputRoot([
                        [TensorRoot.of(.f32, output.shape.map { UInt64($0) }, output.bytes)]
                    ])
                }
            }
            #expect(root.hex == job["outputRoot"]?.string, "\(variant)")
        }
    }

    private func withMemory<R>(
        _ arrays: [[UInt8]], _ done: [UnsafeRawBufferPointer] = [], _ body: ([UnsafeRawBufferPointer]) throws -> R
    ) rethrows -> R {
        if done.count == arrays.count { return try body(done) }
        return try arrays[done.count].withUnsafeBytes { try withMemory(arrays, done + [$0], body) }
    }

    /// One clear sentence, exit code 1, and the network goes on.
    private func badRequests(_ net: TestDevnet, _ file: String) async throws {
        func expect(_ parts: [String], _ arguments: String...) async throws {
            let outcome = try await Plasma.run(arguments, environment: net.client)
            #expect(outcome.code == 1, "\(arguments) ended with \(outcome.code)")
            let lines = outcome.errors.split(separator: "\n").filter { $0.hasPrefix("Error:") }
            #expect(lines.count == 1, "\(outcome.errors)")
            for part in parts { #expect(outcome.errors.contains(part), "\(outcome.errors) lacks \"\(part)\"") }
        }
        let empty = try net.folder.write("", to: "empty.txt")
        try await expect(["is empty"], "job", "submit", empty)
        try await expect(["there is no file"], "job", "submit", net.folder.path + "/none.txt")
        try await expect(["more needed"], "job", "submit", file, "--max-price", "900000000")
        let alice = try await net.json("keys", "list")["keys"]?[0]?["address"]?.string ?? ""
        try await expect(["more needed"], "transfer", alice, "99999999")
        try await expect(["no model named"], "job", "submit", file, "--model", "nothing")
        try await expect(["expired", "no offer matched"], "job", "submit", file, "--max-price", "1", "--queue", "2")
        try await expect(["no node answers"], "status", "--rpc", "1")
        let plan = try await net.plasma("job", "plan", file, "--max-price", "1")
        #expect(plan.output.contains("the ask is 100 XPL per 1000 CU, the job pays at most 1"))
        let still = try await net.json("transfer", alice, "1")
        #expect(still["status"]?.string == "final")
    }
}
