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
            case .words(let matrix), .scales(let matrix):
                if let held = made.withLock({ $0[source] }) { return held }
                let pair = quantized(matrix, name: declaration.name)
                made.withLock {
                    $0[.words(matrix)] = pair.words
                    $0[.scales(matrix)] = pair.scales
                }
                if case .words = source { return pair.words }
                return pair.scales
            }
        }
    }

    /// Rows that are widened together.
    private static let block = 64

    /// Each row of a weight by itself: scale amax/127, rint(w·127/amax).
    private func quantized(
        _ matrix: QuantizedProgram.Matrix, name: String
    ) -> (words: StoredParameter, scales: StoredParameter) {
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
        return (
            StoredParameter(name: name, element: .i8, shape: [matrix.n, matrix.k], HeldBytes.of(words)),
            StoredParameter(name: name, element: .f32, shape: [matrix.n], HeldBytes.of(scales))
        )
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
