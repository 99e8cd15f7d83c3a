internal import Programs

/// Where a value's elements lie: among those of a value that has memory, from an offset, by strides. All in elements.
struct Access: Sendable, Hashable {
    let root: ValueID
    let offset: Int
    /// One for each axis of the value.
    let strides: [Int]

    /// A value with memory of its own, row-major.
    init(whole root: ValueID, shape: [Int]) {
        self.init(root: root, offset: 0, strides: Access.rowMajor(shape))
    }

    init(root: ValueID, offset: Int, strides: [Int]) {
        self.root = root
        self.offset = offset
        self.strides = strides
    }

    /// Strides of a row-major tensor.
    static func rowMajor(_ shape: [Int]) -> [Int] {
        var strides = [Int](repeating: 1, count: shape.count)
        for axis in shape.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * shape[axis + 1] }
        return strides
    }

    /// Whether element i of the value is element i of its root.
    func isWhole(_ shape: [Int]) -> Bool { offset == 0 && isRowMajor(shape) }

    /// Whether successive elements of the value are successive elements of its root.
    func isRowMajor(_ shape: [Int]) -> Bool {
        zip(strides, zip(Access.rowMajor(shape), shape)).allSatisfy { $0 == $1.0 || $1.1 == 1 }
    }

    /// The strides with which the value is read as one of `shape`, to which it broadcasts from the right.
    func broadcast(from own: [Int], to shape: [Int]) -> [Int] {
        let skip = shape.count - own.count
        return shape.indices.map { axis in
            axis < skip || own[axis - skip] == 1 ? 0 : strides[axis - skip]
        }
    }
}

/// Axes with the strides of several tensors over them, with neighbours joined where all of them allow it.
struct JoinedAxes: Sendable, Equatable {
    private(set) var shape: [Int]
    /// One list for each tensor.
    private(set) var strides: [[Int]]

    /// Axes of one place are dropped; the others stay in order.
    init(_ shape: [Int], _ strides: [[Int]]) {
        var kept: [Int] = []
        var out = [[Int]](repeating: [], count: strides.count)
        for axis in shape.indices where shape[axis] != 1 {
            let joins = !kept.isEmpty && zip(out, strides).allSatisfy { $0[$0.count - 1] == $1[axis] * shape[axis] }
            if joins {
                kept[kept.count - 1] *= shape[axis]
                for tensor in strides.indices { out[tensor][kept.count - 1] = strides[tensor][axis] }
            } else {
                kept.append(shape[axis])
                for tensor in strides.indices { out[tensor].append(strides[tensor][axis]) }
            }
        }
        self.shape = kept
        self.strides = out
    }

    /// A tensor's offset at the place of this number, row-major.
    func offset(_ place: Int, tensor: Int = 0) -> Int {
        if shape.count == 1 { return place * strides[tensor][0] }
        var rest = place
        var offset = 0
        for axis in shape.indices.reversed() {
            offset += rest % shape[axis] * strides[tensor][axis]
            rest /= shape[axis]
        }
        return offset
    }
}
