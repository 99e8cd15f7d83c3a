internal import Programs

/// Where each intermediate of a fused plan lies: planned before anything runs, reusing what is no longer read.
struct ArenaPlan: Sendable {
    struct Place: Sendable, Equatable {
        let offset: Int
        let rows: Int
        let width: Int
    }

    /// By value number. Offsets are in floats, aligned to 16.
    let places: [UInt32: Place]
    /// Floats in all.
    let size: Int

    /// `rows` gives the row count of a value at the widest group; values that are not made by a step have no place.
    init(_ plan: FusedPlan, outputs: Set<ValueID>, shape: (ValueID) -> (rows: Int, width: Int)) {
        var lastUse: [UInt32: Int] = [:]
        for (index, step) in plan.steps.enumerated() { for operand in step.operands { lastUse[operand.index] = index } }
        for output in outputs { lastUse[output.index] = plan.steps.count }
        var free: [(offset: Int, size: Int)] = []
        var places: [UInt32: Place] = [:]
        var end = 0
        for (index, step) in plan.steps.enumerated() {
            let (rows, width) = shape(step.out)
            let size = (rows * width + 15) / 16 * 16
            // First fit; what is left over stays free.
            if let slot = free.firstIndex(where: { $0.size >= size }) {
                places[step.out.index] = Place(offset: free[slot].offset, rows: rows, width: width)
                if free[slot].size == size {
                    free.remove(at: slot)
                } else {
                    free[slot] = (free[slot].offset + size, free[slot].size - size)
                }
            } else {
                places[step.out.index] = Place(offset: end, rows: rows, width: width)
                end += size
            }
            // Only after the result has its place: a kernel may not write over what it reads.
            for operand in Set(step.operands) where lastUse[operand.index] == index {
                guard let place = places[operand.index] else { continue }
                free.append((place.offset, (place.rows * place.width + 15) / 16 * 16))
            }
            free = ArenaPlan.joined(free)
        }
        self.places = places
        size = end
    }

    /// Neighbouring free pieces become one.
    private static func joined(_ pieces: [(offset: Int, size: Int)]) -> [(offset: Int, size: Int)] {
        var out: [(offset: Int, size: Int)] = []
        for piece in pieces.sorted(by: { $0.offset < $1.offset }) {
            if let last = out.last, last.offset + last.size == piece.offset {
                out[out.count - 1].size += piece.size
            } else {
                out.append(piece)
            }
        }
        return out
    }
}
