internal import CKernels
public import Programs

/// Which kernels to use. All give the same bits.
public enum KernelVariant: Sendable, CaseIterable, Hashable, CustomStringConvertible {
    case scalar
    case avx2
    case avx512
    case neon

    var code: pk_variant {
        switch self {
        case .scalar: PK_SCALAR
        case .avx2: PK_AVX2
        case .avx512: PK_AVX512
        case .neon: PK_NEON
        }
    }

    /// Whether this processor has it.
    public var isSupported: Bool { pk_variant_supported(code) != 0 }

    /// The fastest that this processor has.
    public static var best: KernelVariant { allCases.first { $0.code == pk_best_variant() } ?? .scalar }

    public var description: String { String(cString: pk_variant_name(code)) }
}

/// A model's weights, packed once for the kernels and shared by every run.
///
/// Unchecked: all is written in `init`; what it points to is kept by `owners`.
public final class PreparedModel: @unchecked Sendable {
    let variant: KernelVariant
    let parameters: [UnsafeRawBufferPointer]
    private let owners: [any Sendable]
    /// What the general executor packed of them.
    let general = PackedWeights()
    private var packed: [UInt32: UnsafeMutablePointer<Float>] = [:]
    private var words: [UInt32: Block] = [:]
    /// Bytes of the packed copies.
    public private(set) var packedBytes: UInt64 = 0

    /// Packs what the program's linear layers read. `owners` keep the memory of `parameters` alive.
    public init(
        program: SpecialisedProgram, parameters: [UnsafeRawBufferPointer], owners: [any Sendable],
        variant: KernelVariant = .best
    ) throws(ExecutionFault) {
        if parameters.count != program.parameters.count {
            throw .inputCount(expected: program.parameters.count, found: parameters.count)
        }
        for (declaration, bytes) in zip(program.parameters, parameters)
        where bytes.count != Int(clamping: declaration.type.byteCount) {
            throw .parameterSize(name: declaration.name, expected: declaration.type.byteCount, found: bytes.count)
        }
        self.variant = variant
        self.parameters = parameters
        self.owners = owners
        guard program.scans.count == 1, let plan = FusedPlan(program, program.scans[0]) else { return }
        for step in plan.steps {
            for weight in step.wholeWeights where words[weight.index] == nil && Int(weight.index) < parameters.count {
                let shape = program.parameters[Int(weight.index)].type.dimensions
                let (n, k) = (Int32(shape[0]), Int32(shape[1]))
                let memory = Block(pk_pack_size_i8(variant.code, n, k))
                pk_pack_i8(
                    variant.code, n, k, parameters[Int(weight.index)].bindMemory(to: Int8.self).baseAddress, shape[1],
                    memory.base.assumingMemoryBound(to: UInt8.self))
                words[weight.index] = memory
                packedBytes += UInt64(memory.count)
            }
            guard case .linear(_, let weight, _, _, _, _) = step, packed[weight.index] == nil,
                Int(weight.index) < parameters.count
            else { continue }
            let shape = program.parameters[Int(weight.index)].type.dimensions
            let size = pk_pack_size(variant.code, Int32(shape[0]), Int32(shape[1]))
            let memory = UnsafeMutableRawPointer.allocate(byteCount: max(64, size * 4), alignment: 64)
                .bindMemory(to: Float.self, capacity: size)
            pk_pack(
                variant.code, Int32(shape[0]), Int32(shape[1]),
                parameters[Int(weight.index)].bindMemory(to: Float.self).baseAddress, shape[1], memory)
            packed[weight.index] = memory
            packedBytes += UInt64(size * 4)
        }
    }

    /// Bytes of all that was packed of it so far, by the general executor too.
    public var heldBytes: UInt64 { packedBytes + general.bytes }

    deinit { for memory in packed.values { memory.deallocate() } }

    func packedWeight(_ id: ValueID) -> UnsafeMutablePointer<Float>? { packed[id.index] }

    func packedWords(_ id: ValueID) -> UnsafeMutablePointer<UInt8>? {
        words[id.index]?.base.assumingMemoryBound(to: UInt8.self)
    }

    func floats(_ id: ValueID) -> UnsafePointer<Float>? {
        Int(id.index) < parameters.count ? parameters[Int(id.index)].bindMemory(to: Float.self).baseAddress : nil
    }
}
