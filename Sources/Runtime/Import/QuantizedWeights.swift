internal import CKernels
internal import Programs
internal import Synchronization

/// The parameters of quantized programs of one model, each made once.
package final class QuantizedWeights: Sendable {
    private let parameters: [StoredParameter]
    private let made = Mutex<[QuantizedProgram.Source: StoredParameter]>([:])

    /// Of the f32 program's parameters.
    package init(_ parameters: [StoredParameter]) { self.parameters = parameters }

    /// In the order of the program's parameters.
    package func parameters(of program: QuantizedProgram) -> [StoredParameter] {
        zip(program.sources, program.program.parameters).map { source, declaration in
            switch source {
            case .parameter(let number): return parameters[number]
            case .part(let part, let matrix):
                if let held = made.withLock({ $0[source] }) { return held }
                let parts =
                    switch part {
                    case .words, .scales: rounded(matrix, name: declaration.name)
                    case .high, .low, .powers: halved(matrix, name: declaration.name)
                    }
                made.withLock { made in
                    for (part, parameter) in parts { made[.part(part, matrix)] = parameter }
                }
                guard let own = parts[part] else { preconditionFailure("a weight has all parts of its kind") }
                return own
            }
        }
    }

    /// Rows that are widened together.
    private static let block = 64

    /// Each row of a weight by itself: scale amax/127, rint(w·127/amax).
    private func rounded(_ matrix: QuantizedProgram.Matrix, name: String) -> [Quantization.Part: StoredParameter] {
        var words = [Int8](repeating: 0, count: matrix.n * matrix.k)
        var scales = [Float](repeating: 0, count: matrix.n)
        var rows = [Float](repeating: 0, count: QuantizedWeights.block * matrix.k)
        for first in stride(from: 0, to: matrix.n, by: QuantizedWeights.block) {
            let count = min(QuantizedWeights.block, matrix.n - first)
            widen(matrix, first, count, &rows)
            for row in 0..<count {
                let values = rows[row * matrix.k..<(row + 1) * matrix.k]
                let amax = values.reduce(Float(0)) { Swift.max($0, abs($1)) }
                let factor = amax > 0 ? 127 / amax : 0
                scales[first + row] = amax / 127
                for (place, value) in values.enumerated() {
                    // Infinite where all is subnormal, and 0 times that is no number: 0.
                    let scaled = value * factor
                    let clamped = scaled.isNaN ? 0 : Swift.min(127, Swift.max(-127, scaled))
                    words[(first + row) * matrix.k + place] = Int8(clamped.rounded(.toNearestOrEven))
                }
            }
        }
        return [
            .words: StoredParameter(name: name, element: .i8, shape: [matrix.n, matrix.k], HeldBytes.of(words)),
            .scales: StoredParameter(name: name, element: .f32, shape: [matrix.n], HeldBytes.of(scales)),
        ]
    }

    /// Each row of a weight in two halves, as rows of activations are.
    private func halved(_ matrix: QuantizedProgram.Matrix, name: String) -> [Quantization.Part: StoredParameter] {
        let count = QuantizedWeights.block * matrix.k
        var (high, low, powers): ([Int8], [Int8], [Float]) = ([], [], [])
        var rows = [Float](repeating: 0, count: count)
        var (upper, lower) = ([Int8](repeating: 0, count: count), [Int8](repeating: 0, count: count))
        var power = [Float](repeating: 0, count: QuantizedWeights.block)
        for first in stride(from: 0, to: matrix.n, by: QuantizedWeights.block) {
            let taken = min(QuantizedWeights.block, matrix.n - first)
            widen(matrix, first, taken, &rows)
            pk_halve_rows(
                KernelVariant.best.code, Int32(taken), Int32(matrix.k), rows, matrix.k, &upper, &lower, matrix.k, &power
            )
            high += upper.prefix(taken * matrix.k)
            low += lower.prefix(taken * matrix.k)
            powers += power.prefix(taken)
        }
        return [
            .high: StoredParameter(name: name, element: .i8, shape: [matrix.n, matrix.k], HeldBytes.of(high)),
            .low: StoredParameter(name: name, element: .i8, shape: [matrix.n, matrix.k], HeldBytes.of(low)),
            .powers: StoredParameter(name: name, element: .f32, shape: [matrix.n], HeldBytes.of(powers)),
        ]
    }

    /// Some rows of a weight as f32, one after another; columns that lie together are read together.
    private func widen(_ matrix: QuantizedProgram.Matrix, _ first: Int, _ count: Int, _ rows: inout [Float]) {
        let stored = parameters[matrix.parameter]
        let words = stored.bytes
        func value(_ place: Int) -> Float {
            switch stored.element {
            case .bf16: pk_bf16_to_f32(words.load(fromByteOffset: place * 2, as: UInt16.self))
            case .f16: pk_f16_to_f32(words.load(fromByteOffset: place * 2, as: UInt16.self))
            default: words.load(fromByteOffset: place * 4, as: Float.self)
            }
        }
        let start = matrix.offset + first * matrix.row
        if matrix.step == 1 {
            for row in 0..<count {
                for place in 0..<matrix.k { rows[row * matrix.k + place] = value(start + row * matrix.row + place) }
            }
        } else {
            for place in 0..<matrix.k {
                for row in 0..<count {
                    rows[row * matrix.k + place] = value(start + row * matrix.row + place * matrix.step)
                }
            }
        }
    }
}
