import Glibc

/// Coverage-guided fuzzing of whatever takes bytes from outside (docs/fuzzing.md). The variable PLASMA_FUZZ_TARGET names the
/// target, and with PLASMA_FUZZ_SEEDS its seeds are written to that folder and nothing is run; the arguments are libFuzzer's.
@main
enum Fuzz {
    static let targets: [any FuzzTarget.Type] = [
        ConsensusTarget.self, BlockTarget.self, TransactionTarget.self, StateTarget.self, ReplicaTarget.self,
        LightTarget.self, GossipTarget.self, BlobTarget.self, FrameTarget.self, JournalTarget.self, TOMLTarget.self,
        JSONTarget.self, ImportTarget.self, ProgramTarget.self, WitnessTarget.self, WalkTarget.self, AskTarget.self,
        TextTarget.self,
        TokenizerTarget.self, EngineTarget.self, ONNXTarget.self,
    ]

    /// Chosen once, before the first input.
    nonisolated(unsafe) static var forms: [Form] = []

    static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    static func stop(_ sentence: String) -> Never {
        _ = (sentence + "\n").withCString { write(STDERR_FILENO, $0, strlen($0)) }
        exit(64)
    }

    static func main() {
        let names = targets.map { $0.name }
        guard let name = variable("PLASMA_FUZZ_TARGET"), let target = targets.first(where: { $0.name == name }) else {
            stop("PLASMA_FUZZ_TARGET must be one of \(names.joined(separator: " "))")
        }
        do { forms = try target.forms() } catch { stop("the seeds of \(name) cannot be made: \(error)") }
        if let folder = variable("PLASMA_FUZZ_SEEDS") {
            writeSeeds(to: folder)
            return
        }
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        exit(runDriver(&count, &arguments, testOneInput))
    }

    static func writeSeeds(to folder: String) {
        for (number, form) in forms.enumerated() {
            for (index, seed) in form.seeds.enumerated() {
                guard let file = fopen("\(folder)/seed-\(number)-\(index)", "w") else {
                    stop("cannot write to \(folder)")
                }
                let bytes = [UInt8(number)] + seed
                fwrite(bytes, 1, bytes.count, file)
                fclose(file)
            }
        }
    }
}

/// libFuzzer's loop. It hands every input to `testOneInput`, and ends the process itself.
@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count > 0 else { return 0 }
    let form = Fuzz.forms[Int(start[0]) % Fuzz.forms.count]
    form.check(Array(UnsafeBufferPointer(start: start + 1, count: count - 1)))
    return 0
}
