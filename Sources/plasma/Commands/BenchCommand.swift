import API
import ArgumentParser
import Foundation
import Runtime

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure this machine. scripts/bench.sh prints it beside its peers.",
        subcommands: [
            Model.self, Graph.self, Cores.self, Memory.self, Network.self, Market.self, Verification.self,
            LoadCommand.self,
            ConsensusBenchCommand.self,
        ])

    private static func check(_ rounds: Int, _ seconds: Double) throws {
        if rounds < 1 || !(seconds > 0) { throw ValidationError("--rounds must be 1 or more, and --seconds above 0") }
    }

    struct Model: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Time a sentence encoder: one JSON line for each of batch 1 and 32, sequence 32 and 128.")

        @Argument(help: "A folder with config.json, model.safetensors and a tokenizer.")
        var folder = ".cache/all-MiniLM-L6-v2"

        @Option(help: "Seconds for each measurement.")
        var seconds = 2.0

        @Option(parsing: .upToNextOption, help: "Numbers of threads.")
        var threads = [1, 2]

        @Option(help: "Linear layers on whole numbers. \(Quantization.help)")
        var quantize: Quantization?

        func run() throws {
            let model: ImportedModel
            do { model = try ModelImporter.importFolder(folder) } catch { throw Failure(describing: error) }
            for threads in threads {
                for batch in [1, 32] {
                    for length in [32, 128] {
                        let line = try ModelBench.measure(
                            model, threads: threads, batch: batch, length: length, seconds: seconds,
                            quantization: quantize)
                        print(line.text(pretty: false))
                        fflush(nil)
                    }
                }
            }
        }
    }

    struct Graph: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Time an ONNX model: one JSON line.")

        @Argument(help: "An ONNX file.")
        var file: String

        @Option(help: "NAME=FILE.npy, once for each input.")
        var input: [String] = []

        @Option(help: "Seconds to measure for.")
        var seconds = 2.0

        @Option(help: "Threads.")
        var threads = 1

        func run() throws {
            do {
                let graph = try LocalGraph(path: file)
                let arrays = try graph.arrays(arguments: input)
                let line = try GraphBench.measure(graph, arrays, threads: threads, seconds: seconds)
                print(line.text(pretty: false))
            } catch { throw Failure(describing: error) }
        }
    }

    struct Cores: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What two threads that share nothing do, to what one does: one JSON line.",
            discussion:
                "Less than 1.8 means that this machine has no two whole cores at the moment: measure again later.")

        @Option(help: "How often each is timed, by turns.")
        var rounds = 5

        @Option(help: "Seconds for each measurement.")
        var seconds = 0.02

        func validate() throws { try BenchCommand.check(rounds, seconds) }

        func run() { print(CoresBench.measure(rounds: rounds, seconds: seconds).text(pretty: false)) }
    }

    struct Memory: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Gigabytes a second that one thread and two read of memory: one JSON line.",
            discussion: "What reads every weight once for each token, as decoding does, is bound by it.")

        @Option(help: "How often each is timed, by turns.")
        var rounds = 5

        @Option(help: "Seconds for each measurement.")
        var seconds = 0.1

        func validate() throws { try BenchCommand.check(rounds, seconds) }

        func run() { print(CoresBench.measureMemory(rounds: rounds, seconds: seconds).text(pretty: false)) }
    }

    struct Verification: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Time what proving a result costs: commitments, and disputes from the challenge to the verdict.")

        @Argument(help: "A folder with config.json, model.safetensors and a tokenizer.")
        var folder = ".cache/all-MiniLM-L6-v2"

        @Option(help: "Seconds for each measurement.")
        var seconds = 4.0

        @Option(help: "Threads.")
        var threads = ProcessInfo.processInfo.activeProcessorCount

        @Option(name: .shortAndLong, help: "text or json")
        var output: OutputFormat = .text

        func run() throws {
            let found: JSONValue
            do {
                found = try VerificationBench(folder: folder, threads: threads, seconds: seconds).run()
            } catch { throw Failure(describing: error) }
            if output == .json { return print(found.text(pretty: true)) }
            for item in found["commitments"]?.array ?? [] {
                print(
                    "\(item["job"]?.string ?? ""): commitment \(item["percent"]?.double ?? 0) % of a run of "
                        + "\(item["runSeconds"]?.double ?? 0) s")
            }
            for item in found["disputes"]?.array ?? [] {
                func number(_ key: String) -> String { item[key]?.text(pretty: false) ?? "?" }
                print(
                    "\(item["job"]?.string ?? ""): \(item["outcome"]?.string ?? ""), \(number("rounds")) rounds of at most "
                        + "\(number("roundsBound")), \(number("evidenceBytes")) bytes of at most \(number("evidenceBound")), moves "
                        + "\(number("movesSeconds")) s beside a run of \(number("runSeconds")) s, verdict "
                        + "\(number("verdictMicroseconds")) µs")
            }
        }
    }

    struct Market: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Time the market on a network of this machine: jobs settled a second, pay beside computing, a dispute.")

        @OptionGroup var options: DevnetOptions

        @Option(help: "Jobs of four additions to settle.")
        var jobs = 3_000

        @Option(help: "Of these, at most so many that are not settled.")
        var outstanding = 2_500

        @Option(help: "Jobs of MiniLM, for each policy.")
        var rounds = 5

        @Option(help: "The model, a Hugging Face folder.")
        var model = ".cache/all-MiniLM-L6-v2"

        func run() async throws {
            let bench = MarketBench(layout: options.layout, modelFolder: model)
            do {
                print(
                    try await bench.run(jobs: jobs, rounds: rounds, outstanding: outstanding).text(pretty: true))
            } catch { throw Failure(describing: error) }
        }
    }

    struct Network: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Time a network of this machine: transfers a second, finality, and what a job takes beside computing.")

        @OptionGroup var options: DevnetOptions

        @Option(help: "Transfers to finalize.")
        var transfers = 20_000

        @Option(help: "Transfers sent one by one for the latency.")
        var probes = 100

        @Option(help: "Jobs to run.")
        var jobs = 3

        @Option(help: "The model, a Hugging Face folder.")
        var model = ".cache/all-MiniLM-L6-v2"

        func run() async throws {
            let bench = NetworkBench(layout: options.layout, modelFolder: model)
            do {
                print(
                    try await bench.run(transfers: transfers, probes: probes, jobs: jobs).text(pretty: true))
            } catch { throw Failure(describing: error) }
        }
    }
}
