import Foundation
import Runtime

/// An independent evaluation of an encoder's graph, at once and in f32 with plain loops: judges the graph, the weights'
/// order and the inputs. Its bits are not those of the executor.
struct EagerEncoder: EncoderGraph {
    /// f32 rows, or i32 values.
    struct Value {
        var rows = 0
        var width = 0
        var floats: [Float] = []
        var integers: [Int32] = []
    }

    let model: ImportedModel
    let batch: EncoderInputs
    var used = 0

    init(_ model: ImportedModel, _ batch: EncoderInputs) {
        self.model = model
        self.batch = batch
    }

    mutating func parameter(_ name: String, shape: [Int]) -> Value {
        let parameter = model.parameters[used]
        used += 1
        precondition(parameter.name.hasSuffix(name) && parameter.shape == shape)
        let floats = parameter.withBytes { Array($0.bindMemory(to: Float.self)) }
        return Value(rows: floats.count / (shape.last ?? 1), width: shape.last ?? 1, floats: floats)
    }

    mutating func input(_ name: String, axes: [String]) -> Value {
        guard let input = batch.inputs.first(where: { $0.name == name }) else { preconditionFailure(name) }
        precondition(input.shape == axes.map { axis in batch.axes.first { $0.name == axis }?.value ?? -1 })
        return Value(rows: input.shape[0], width: input.shape.count == 2 ? input.shape[1] : 1, integers: input.values)
    }

    mutating func rows(of table: Value, at indices: Value) -> Value {
        var output = Value(rows: indices.integers.count, width: table.width)
        for index in indices.integers {
            let start = Int(index) * table.width
            output.floats += table.floats[start..<start + table.width]
        }
        return output
    }

    mutating func row(_ row: Int, of table: Value) -> Value {
        Value(rows: 1, width: table.width, floats: Array(table.floats[row * table.width..<(row + 1) * table.width]))
    }

    mutating func sum(_ a: Value, _ b: Value) -> Value {
        var output = a
        for i in output.floats.indices { output.floats[i] += b.floats[i % b.floats.count] }
        return output
    }

    mutating func linear(_ x: Value, weight: Value, bias: Value) -> Value {
        var output = Value(rows: x.rows, width: weight.rows)
        output.floats = Array(repeating: 0, count: x.rows * weight.rows)
        let width = x.width
        x.floats.withUnsafeBytes { a in
            weight.floats.withUnsafeBytes { b in
                for row in 0..<x.rows {
                    for column in 0..<weight.rows {
                        var total = SIMD16<Float>.zero
                        for k in stride(from: 0, to: width, by: 16) {
                            let p = a.loadUnaligned(fromByteOffset: (row * width + k) * 4, as: SIMD16<Float>.self)
                            let q = b.loadUnaligned(fromByteOffset: (column * width + k) * 4, as: SIMD16<Float>.self)
                            total += p * q
                        }
                        output.floats[row * weight.rows + column] = total.sum() + bias.floats[column]
                    }
                }
            }
        }
        return output
    }

    mutating func layerNorm(_ x: Value, gain: Value, bias: Value, epsilon: Float) -> Value {
        var output = x
        for row in 0..<x.rows {
            let range = row * x.width..<(row + 1) * x.width
            let mean = x.floats[range].reduce(0, +) / Float(x.width)
            let variance = x.floats[range].reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(x.width)
            let scale = 1 / (variance + epsilon).squareRoot()
            for i in range {
                let column = i - range.lowerBound
                output.floats[i] = (x.floats[i] - mean) * scale * gain.floats[column] + bias.floats[column]
            }
        }
        return output
    }

    mutating func gelu(_ x: Value) -> Value {
        var output = x
        for i in output.floats.indices { output.floats[i] *= 0.5 * (1 + erff(output.floats[i] * 0.70710677)) }
        return output
    }

    mutating func attention(
        query: Value, key: Value, value: Value, slots: Value, lengths: Value, places: Value, heads: Int, scale: Float
    ) -> Value {
        let hidden = query.width
        let width = hidden / heads
        var output = Value(rows: places.rows, width: hidden)
        output.floats = Array(repeating: 0, count: places.rows * hidden)
        for (token, place) in places.integers.enumerated() {
            let sentence = Int(place) / slots.width
            let members = (0..<Int(lengths.integers[sentence])).map {
                Int(slots.integers[sentence * slots.width + $0]) * hidden
            }
            for head in 0..<heads {
                let start = head * width
                var scores = members.map { other in
                    (start..<start + width).reduce(Float(0)) {
                        $0 + query.floats[token * hidden + $1] * key.floats[other + $1]
                    } * scale
                }
                let greatest = scores.max() ?? 0
                for i in scores.indices { scores[i] = expf(scores[i] - greatest) }
                let total = scores.reduce(0, +)
                for (i, other) in members.enumerated() {
                    let weight = scores[i] / total
                    for k in start..<start + width {
                        output.floats[token * hidden + k] += weight * value.floats[other + k]
                    }
                }
            }
        }
        return output
    }

    mutating func meanPooled(_ x: Value, slots: Value, lengths: Value) -> Value {
        var output = Value(rows: lengths.rows, width: x.width)
        for sentence in 0..<lengths.rows {
            let count = Int(lengths.integers[sentence])
            for column in 0..<x.width {
                let total = (0..<count).reduce(Float(0)) {
                    $0 + x.floats[Int(slots.integers[sentence * slots.width + $1]) * x.width + column]
                }
                output.floats.append(total / Float(count))
            }
        }
        return output
    }

    mutating func normalized(_ x: Value, floor: Float) -> Value {
        var output = x
        for row in 0..<x.rows {
            let range = row * x.width..<(row + 1) * x.width
            let norm = max(x.floats[range].reduce(0) { $0 + $1 * $1 }.squareRoot(), floor)
            for i in range { output.floats[i] /= norm }
        }
        return output
    }
}
