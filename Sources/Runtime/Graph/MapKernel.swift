internal import CKernels
internal import Programs

/// A map made ready for the kernels: its steps with registers, and the strides of its inputs. Bases are set where it runs.
struct MapKernel: Sendable {
    private let steps: MapSteps
    private let registers: Int
    private let shape: [Int]
    private let strides: [[Int]]
    private let isDirect: [Bool]
    let inputs: [Access]
    private let inputTypes: [ElementType]
    private let result: ElementType
    /// Whether the last step, f32 to i8, is done where the result is stored.
    private let narrows: Bool
    /// The op's place among all ops of the program.
    let operation: Int
    /// Whether it draws random words or reads the step: then it gives something else at every step.
    let readsStep: Bool

    /// `inputs` with the shapes of the values that they are.
    init(
        _ expression: MapExpression, inputs: [(access: Access, shape: [Int], element: ElementType)],
        result: TensorType, operation: Int
    ) {
        let full = result.dimensions
        let wide = inputs.map { $0.access.broadcast(from: $0.shape, to: full) }
        let rowMajor = Access.rowMajor(full)
        isDirect = wide.map { strides in
            zip(full.indices, strides).allSatisfy { full[$0] == 1 || rowMajor[$0] == $1 }
        }
        let joined = JoinedAxes(full, zip(wide, isDirect).filter { !$0.1 }.map(\.0))
        shape = joined.shape
        var rest = joined.strides[...]
        strides = isDirect.map { $0 ? [] : rest.removeFirst() }
        self.inputs = inputs.map(\.access)
        inputTypes = inputs.map(\.element)
        self.result = result.element
        self.operation = operation
        readsStep = expression.nodes.contains {
            switch $0 {
            case .step, .random: true
            default: false
            }
        }
        narrows = MapKernel.narrows(expression, inputTypes, result.element)
        let marks = MapKernel.marks(expression, inputTypes, full, rowMajor) { [isDirect, strides, shape] number, size in
            !isDirect[number] && strides[number].last == 0 && shape.last == size
        }
        let (made, registers) = MapKernel.steps(
            expression, inputTypes, full, rowMajor, isDirect, marks, narrows: narrows
        ) { [isDirect, strides] number in
            !isDirect[number] && strides[number].last == 0
        }
        steps = MapSteps(made)
        self.registers = registers
    }

    /// Bytes of registers.
    var scratch: Int { pk_map_scratch(Int32(registers)) }

    /// Whether input `number` is read at the very element that is written.
    func readsInPlace(_ number: Int) -> Bool { isDirect[number] }

    /// Writes all but the bases of the inputs.
    func fill(_ map: inout pk_map, random: RandomSource) {
        map.step = UnsafePointer(steps.base)
        map.steps = Int32(steps.count)
        map.inputs = Int32(inputs.count)
        map.rank = Int32(shape.count)
        map.registers = Int32(registers)
        map.type = result.rawValue
        map.narrows = narrows ? 1 : 0
        map.seed = random.seed
        map.operation = UInt32(clamping: operation)
        map.number = UInt32(truncatingIfNeeded: random.step)
        withUnsafeMutableBytes(of: &map.shape) { bytes in
            for (axis, size) in shape.enumerated() {
                bytes.storeBytes(of: Int64(size), toByteOffset: axis * 8, as: Int64.self)
            }
        }
        withUnsafeMutableBytes(of: &map.input) { bytes in
            for number in inputs.indices {
                var input = pk_map_input()
                input.type = inputTypes[number].rawValue
                input.direct = isDirect[number] ? 1 : 0
                withUnsafeMutableBytes(of: &input.stride) { bytes in
                    for (axis, stride) in strides[number].enumerated() {
                        bytes.storeBytes(of: Int64(stride), toByteOffset: axis * 8, as: Int64.self)
                    }
                }
                bytes.storeBytes(
                    of: input, toByteOffset: number * MemoryLayout<pk_map_input>.stride, as: pk_map_input.self)
            }
        }
    }

    // MARK: Steps

    /// Whether the result is an f32 made i8, by the last node, of the one before it, which is what the steps then end with.
    private static func narrows(_ expression: MapExpression, _ inputs: [ElementType], _ result: ElementType) -> Bool {
        let nodes = expression.nodes
        guard result == .i8, nodes.count > 1, case .operation(.toI8, let arguments)? = nodes.last,
            Int(arguments[0]) == nodes.count - 2
        else { return false }
        return MapInterpreter.types(expression, inputs)[nodes.count - 2] == .f32
    }

    /// An operation that reads an input in one go with what leads to it.
    private struct Mark {
        let code: Int
        let input: UInt8
    }

    /// Nodes that stand for several: comparisons of the place on the last axis with an i32 input that is the same along it, as masks are made of, and an i32
    /// input as f32. `isColumn` says of an input and the size of the last axis whether it is the same along it.
    private static func marks(
        _ expression: MapExpression, _ inputs: [ElementType], _ shape: [Int], _ rowMajor: [Int],
        isColumn: (Int, Int) -> Bool
    ) -> [Int: Mark] {
        let nodes = expression.nodes
        var found: [Int: Mark] = [:]
        for (place, node) in nodes.enumerated() {
            if case .operation(.toF32, let arguments) = node, case .input(let number) = nodes[Int(arguments[0])],
                inputs[Int(number)] == .i32
            {
                found[place] = Mark(code: Int(PK_MAP_INPUT_FLOAT), input: number)
                continue
            }
            guard case .operation(let operation, let arguments) = node, operation == .less || operation == .equal,
                case .index(let axis) = nodes[Int(arguments[0])], rowMajor[Int(axis)] == 1, shape[Int(axis)] > 1,
                case .operation(.toI64, let converted) = nodes[Int(arguments[1])],
                case .input(let number) = nodes[Int(converted[0])], inputs[Int(number)] == .i32,
                isColumn(Int(number), shape[Int(axis)])
            else { continue }
            let code = operation == .equal ? PK_MAP_AT : PK_MAP_WITHIN
            found[place] = Mark(code: Int(code), input: number)
        }
        return found
    }

    /// A node, or what is the same along each row given to all of its places.
    private struct Work {
        let place: Int
        let isSpread: Bool
        var arguments: [Int] = []
        var isOnce = false
    }

    /// The expression's wanted nodes in order, with what is the same along each row worked out once a row. `isColumn` says of an input whether it is.
    private static func works(
        _ expression: MapExpression, _ marks: [Int: Mark], narrows: Bool, isColumn: (Int) -> Bool
    ) -> [Work] {
        let nodes = expression.nodes
        let end = nodes.count - (narrows ? 2 : 1)
        // Only what is wanted: nodes that nothing reads are left out, but for the result.
        var wanted = [Bool](repeating: false, count: nodes.count)
        wanted[end] = true
        for place in nodes.indices.reversed() where wanted[place] && marks[place] == nil {
            if case .operation(_, let arguments) = nodes[place] { for a in arguments { wanted[Int(a)] = true } }
        }
        var works: [Work] = []
        // Where a node's value is: once a row, and at every place.
        var once = [Int?](repeating: nil, count: nodes.count)
        var full = [Int?](repeating: nil, count: nodes.count)
        func whole(_ place: Int) -> Int {
            if let found = full[place] { return found }
            guard let from = once[place] else { preconditionFailure("a node is read before it is made") }
            works.append(Work(place: place, isSpread: true, arguments: [from]))
            full[place] = works.count - 1
            return works.count - 1
        }
        for place in nodes.indices where wanted[place] {
            var work = Work(place: place, isSpread: false)
            switch nodes[place] {
            case .input(let number): work.isOnce = isColumn(Int(number))
            case .operation(_, let arguments) where marks[place] == nil:
                let read = arguments.map { Int($0) }
                // Constants are there for as many elements as are asked for.
                let isConstant = read.map { argument in
                    if case .constant = nodes[argument] { return true }
                    return false
                }
                work.isOnce =
                    zip(read, isConstant).allSatisfy { once[$0] != nil || $1 } && isConstant.contains(false)
                let isOnce = work.isOnce
                work.arguments = read.map { isOnce ? once[$0] ?? full[$0] ?? whole($0) : whole($0) }
            default: break
            }
            works.append(work)
            if work.isOnce { once[place] = works.count - 1 } else { full[place] = works.count - 1 }
        }
        // The result is the last.
        if full[end] == nil { _ = whole(end) }
        return works
    }

    /// The expression's nodes, each with a register that is free when it is made.
    private static func steps(
        _ expression: MapExpression, _ inputs: [ElementType], _ shape: [Int], _ rowMajor: [Int], _ isDirect: [Bool],
        _ marks: [Int: Mark], narrows: Bool, isColumn: (Int) -> Bool
    ) -> ([pk_map_step], registers: Int) {
        let nodes = expression.nodes
        let types = MapInterpreter.types(expression, inputs)
        let works = works(expression, marks, narrows: narrows, isColumn: isColumn)
        var lastUse = Array(works.indices)
        for (place, work) in works.enumerated() { for argument in work.arguments { lastUse[argument] = place } }
        var register = [UInt8](repeating: 0, count: works.count)
        // Free registers by the bytes of an element, since one of another width may not be written while it is read.
        var free: [Int: [UInt8]] = [:]
        var owner: [UInt8: (isShared: Bool, width: Int)] = [:]
        var registers = 0
        var steps: [pk_map_step] = []
        for (place, work) in works.enumerated() {
            var step = pk_map_step()
            let type = types[work.place]
            step.result = type.rawValue
            step.type = type.rawValue
            step.once = work.isOnce ? 1 : 0
            // Constants are written once, and an input's register may be the input's own memory: neither is given to another.
            var isShared = false
            /// What its arguments' registers are from here on.
            func release() {
                for argument in Set(work.arguments.map { register[$0] }).sorted() {
                    let isLast = work.arguments.allSatisfy { register[$0] != argument || lastUse[$0] == place }
                    if isLast, let held = owner[argument], !held.isShared {
                        free[held.width, default: []].append(argument)
                    }
                }
            }
            switch nodes[work.place] {
            case _ where work.isSpread:
                // Not into the register that it reads: its elements are read after others are written. That one is free only for what follows.
                step.code = UInt8(PK_MAP_SPREAD)
                step.a = register[work.arguments[0]]
            case .input(let number):
                step.code = UInt8(PK_MAP_INPUT)
                step.a = number
                isShared = isDirect[Int(number)] && inputs[Int(number)] == .f32
            case .constant(let type, let bits):
                step.code = UInt8(PK_MAP_CONSTANT)
                step.number = UInt64(bitPattern: MapInterpreter.signed(bits, type))
                isShared = true
            case .index(let axis):
                step.code = UInt8(PK_MAP_INDEX)
                step.number = UInt64(max(1, rowMajor[Int(axis)]))
                step.other = UInt64(max(1, shape[Int(axis)]))
            case .step:
                step.code = UInt8(PK_MAP_STEP)
            case .random(let draw):
                step.code = UInt8(PK_MAP_RANDOM)
                step.number = UInt64(draw)
            case .operation where marks[work.place] != nil:
                step.code = UInt8(marks[work.place]?.code ?? 0)
                step.a = marks[work.place]?.input ?? 0
            case .operation(let operation, let arguments):
                step.code = operation.rawValue
                step.type = types[Int(arguments[operation == .select ? 1 : 0])].rawValue
                step.a = register[work.arguments[0]]
                if work.arguments.count > 1 { step.b = register[work.arguments[1]] }
                if work.arguments.count > 2 { step.c = register[work.arguments[2]] }
                release()
            }
            let own: UInt8
            if !isShared, let reused = free[width(type)]?.popLast() {
                own = reused
            } else {
                own = UInt8(registers)
                registers += 1
            }
            if work.isSpread { release() }
            register[place] = own
            step.out = own
            owner[own] = (isShared, width(type))
            steps.append(step)
        }
        return (steps, registers)
    }

    /// Bytes of an element in a register.
    private static func width(_ type: ElementType) -> Int {
        switch type {
        case .f32, .bf16, .f16, .bool: 4
        default: 8
        }
    }
}

/// A map's steps in memory that kernels may keep a pointer to.
final class MapSteps: @unchecked Sendable {
    // Written once, read after.
    let base: UnsafeMutablePointer<pk_map_step>
    let count: Int

    init(_ steps: [pk_map_step]) {
        count = steps.count
        base = .allocate(capacity: max(1, steps.count))
        base.initialize(from: steps, count: steps.count)
    }

    deinit { base.deallocate() }
}
