import API
import Foundation
import Ledger
import Primitives
import Programs
import Runtime

/// What the demo shows of a lie: the number that was wrong, what it should have been, and who paid.
extension Demo {
    /// Providers' bonds by name.
    func bonds(_ node: NodeClient) async throws -> [String: JSONValue] {
        var bonds: [String: JSONValue] = [:]
        for provider in try await node.call("provider.list")["providers"]?.array ?? [] {
            bonds[provider["name"]?.string ?? ""] = provider["bond"] ?? .null
        }
        return bonds
    }

    func showBonds(_ before: [String: JSONValue], _ after: [String: JSONValue]) {
        for name in before.keys.sorted() where before[name] != after[name] {
            say("  \(name)'s bond: \(before[name]?.string ?? "") XPL before, \(after[name]?.string ?? "") XPL now")
        }
    }

    /// Computes the disputed number here, with nothing of the network's but the program's inputs.
    func showTruth(_ dispute: JSONValue, _ imported: ImportedModel, _ request: JobRequest) throws -> JSONValue {
        guard let number = dispute["number"], let step = number["step"]?.uint64,
            let operation = number["operation"]?.uint64, let element = number["element"]?.uint64,
            let type = number["type"]?.string.flatMap(ElementType.init(name:)),
            let told = number["bits"]?.string.flatMap({ UInt64($0, radix: 16) })
        else { return .null }
        let program = try imported.program()
        let inputs = request.inputs.inputs.map(\.values)
        // The model's own memory, which the run keeps.
        let run = try inputs.withPointers { inputs in
            try DisputeRun(
                program, axes: request.spec.axes.map(\.size),
                parameters: imported.parameters.map { $0.withBytes { $0 } }, inputs: inputs, seed: request.spec.seed,
                owners: [imported])
        }
        let perBlock = UInt64(TensorRoot.blockLength / type.size)
        let point = RevealPoint.values(
            step: step, operation: UInt32(clamping: operation), block: element / perBlock)
        guard case .values(let bytes) = try run.reveal(at: point) else { return .null }
        let start = Int(element % perBlock) * type.size
        let own = bytes[start..<start + type.size].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let (said, truth) = (DisputeText.number(type, told), DisputeText.number(type, own))
        say("")
        say("The lie: number \(element) of op \(operation) was given as \(said). It is \(truth).")
        say(String(format: "         bits %08llx instead of %08llx", told, own))
        return [
            "step": JSONValue(step), "operation": JSONValue(operation), "element": JSONValue(element),
            "told": .string(said), "truth": .string(truth), "toldBits": .string(String(told, radix: 16)),
            "truthBits": .string(String(own, radix: 16)),
        ]
    }
}

extension [[Int32]] {
    /// All of them as memory, for as long as the body runs.
    fileprivate func withPointers<R>(_ body: ([UnsafeRawBufferPointer]) throws -> R) rethrows -> R {
        func next(_ place: Int, _ pointers: [UnsafeRawBufferPointer]) throws -> R {
            if place == count { return try body(pointers) }
            return try self[place].withUnsafeBytes { try next(place + 1, pointers + [$0]) }
        }
        return try next(0, [])
    }
}
