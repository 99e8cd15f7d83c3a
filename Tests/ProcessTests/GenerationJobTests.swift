import API
import Foundation
import Primitives
import Testing

/// A decoder on the network: published, run over its steps by a provider, audited, and paid for the steps that it took.
@Suite(.serialized, .fewAtATime) struct GenerationJobTests {
    /// The small GPT-2 of the runtime's fixtures, with a tokenizer of letters.
    private static func model(in net: TestDevnet) throws -> String {
        let folder = net.folder.path + "/gpt2"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for file in ["config.json", "generation_config.json", "model.safetensors"] {
            try FileManager.default.copyItem(
                atPath: Plasma.root + "/Tests/RuntimeTests/Fixtures/transformers/gpt2/" + file,
                toPath: folder + "/" + file)
        }
        let letters = ["<unk>", "▁"] + "abcdefghijklmnopqrstuvwxyz".map { String($0) }
        let others = (letters.count..<96).map { "x\($0)" }
        let vocabulary = (letters + others).enumerated().map { "\"\($1)\":\($0)" }.joined(separator: ",")
        let tokenizer =
            #"{"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"never","split":true},"#
            + #""decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"never","split":true},"#
            + #""model":{"type":"BPE","unk_token":"<unk>","merges":[],"vocab":{\#(vocabulary)}}}"#
        try Data(tokenizer.utf8).write(to: URL(fileURLWithPath: folder + "/tokenizer.json"))
        return folder
    }

    @Test func aTextIsContinuedByOthersAsItIsHere() async throws {
        let net = try TestDevnet()
        do { try await generate(net) } catch {
            await net.end()
            throw error
        }
        await net.end()
    }

    private func generate(_ net: TestDevnet) async throws {
        let folder = try Self.model(in: net)
        try await net.up()
        let published = try await net.plasma("model", "publish", folder, "--name", "small")
        #expect(published.code == 0, "\(published.errors)")
        try await net.waitForOffers()
        let prompts = ["--prompt", "abc de", "--prompt", "hello", "--max-tokens", "12"]
        let run = try await Plasma.run(
            ["job", "run", "small"] + prompts + ["--genesis", net.genesis, "-o", "json"], environment: net.client)
        #expect(run.code == 0, "\(run.errors)")
        let here = try await Plasma.run(
            ["model", "generate", folder] + prompts + ["-o", "json"], environment: net.client)
        #expect(here.code == 0, "\(here.errors)")
        func tokens(_ outcome: Plasma.Outcome) -> [[UInt64]] {
            (outcome.json?["answers"]?.array ?? []).map { ($0["tokens"]?.array ?? []).compactMap(\.uint64) }
        }
        #expect(tokens(run) == tokens(here) && tokens(run).count == 2)
        let listed = try #require(run.json?["steps"]?.array)
        let steps = listed.compactMap(\.uint64)
        #expect(steps.count == 2 && steps[0] == 1 && (1...11).contains(steps[1]))
        // An encoder's command says what to do with it, and the other way round.
        let file = Plasma.root + "/examples/sentences.txt"
        let wrong = try await net.plasma("job", "plan", file, "--model", "small")
        #expect(wrong.code == 1 && wrong.errors.contains("plasma job run small"))
    }
}
