internal import CKernels
internal import Programs

/// Makes constants of stored tensors: in place in the model's file or in a file beside it where alignment allows, else copied.
final class ONNXStoredTensors {
    /// Files of external data.
    static let fileLimit = 4_096

    /// What keeps the model's own bytes.
    private let file: AnyObject
    /// Where external data may lie; nil where the model has no folder.
    private let folder: String?
    private var others: [String: MappedFile] = [:]

    init(file: AnyObject, folder: String?) {
        self.file = file
        self.folder = folder
    }

    static let elements: [Int: ElementType] = [
        1: .f32, 2: .u8, 3: .i8, 6: .i32, 7: .i64, 9: .bool, 10: .f16, 11: .f32, 16: .bf16,
    ]

    private static let names: [Int: String] = [
        0: "undefined", 4: "uint16", 5: "int16", 8: "string", 11: "float64", 12: "uint32", 13: "uint64",
        14: "complex64",
        15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4",
        22: "int4", 23: "float4e2m1", 24: "float8e8m0", 25: "uint2", 26: "int2",
    ]

    /// What people call a TensorProto.DataType.
    static func name(ofType number: Int) -> String { names[number] ?? elements[number]?.name ?? "type \(number)" }

    /// The elements of a tensor.
    func constant(_ proto: ONNXTensorProto, refusesNaN: Bool) throws(ONNXFault) -> ConstantTensor {
        let title = proto.name.isEmpty ? "a constant" : proto.name
        guard let element = ONNXStoredTensors.elements[proto.type] else {
            throw .tensor(title, "holds \(ONNXStoredTensors.name(ofType: proto.type)), which is not taken")
        }
        let isDouble = proto.type == 11
        let width = isDouble ? 8 : element.size
        let size = try ONNXStoredTensors.byteCount(proto.dimensions, width, title)
        var (bytes, owner) = try stored(proto, title, element, isDouble, size)
        if bytes.count != size {
            throw .tensor(title, "holds \(bytes.count) bytes where its shape needs \(size)")
        }
        if isDouble {
            let values = (0..<size / 8).map {
                Float(Double(bitPattern: bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)))
            }
            let owned = OwnedBytes(values.withUnsafeBytes { Array($0) })
            return ConstantTensor(
                .f32, proto.dimensions, .bytes(owned.bytes, owner: owned), name: proto.name, isDouble: true)
        }
        // No kernel reads what is not aligned.
        if UInt(bitPattern: bytes.baseAddress) % UInt(width) != 0 {
            let owned = OwnedBytes(bytes)
            (bytes, owner) = (owned.bytes, owned)
        }
        if refusesNaN && element == .f32 {
            let words = bytes.bindMemory(to: UInt32.self)
            var greatest: UInt32 = 0
            for word in words { greatest = max(greatest, word & 0x7FFF_FFFF) }
            if greatest > 0x7F80_0000 {
                let place = words.firstIndex { $0 & 0x7FFF_FFFF > 0x7F80_0000 } ?? 0
                throw .tensor(title, "is not a number at element \(place)")
            }
        }
        return ConstantTensor(element, proto.dimensions, .bytes(bytes, owner: owner), name: proto.name)
    }

    /// The bytes of a shape that no program's tensor exceeds.
    static func byteCount(_ dimensions: [Int], _ width: Int, _ title: String) throws(ONNXFault) -> Int {
        if dimensions.count > ONNXLimit.rank { throw .tensor(title, "has \(dimensions.count) axes, more than 8") }
        guard let count = ONNXShape.count(dimensions) else {
            throw .tensor(title, "has a shape that no tensor can have")
        }
        return count * width
    }

    /// Where the elements of an f32 tensor lie one after another; nil for one that is kept in another way.
    func place(_ proto: ONNXTensorProto, in bytes: UnsafeRawBufferPointer) throws(ONNXFault) -> StoredPlace? {
        guard proto.type == 1 else { return nil }
        let size = try ONNXStoredTensors.byteCount(proto.dimensions, 4, proto.name)
        let (found, owner) = try stored(proto, proto.name, .f32, false, size)
        guard found.count == size, let address = found.baseAddress else { return nil }
        if proto.isExternal, let location = proto.external["location"], let mapped = others[location]?.bytes.baseAddress
        {
            return StoredPlace(location: location, offset: address - mapped, count: size)
        }
        guard owner === file, let start = bytes.baseAddress else { return nil }
        return StoredPlace(location: nil, offset: address - start, count: size)
    }

    private func stored(
        _ proto: ONNXTensorProto, _ title: String, _ element: ElementType, _ isDouble: Bool, _ size: Int
    ) throws(ONNXFault) -> (UnsafeRawBufferPointer, AnyObject?) {
        if proto.isExternal { return try external(proto, title, size) }
        if let raw = proto.raw { return (raw, file) }
        let field: UInt64 = isDouble ? 10 : element == .f32 ? 4 : element == .i64 ? 7 : 5
        var list = NumberList(width: isDouble ? 8 : element.size, limit: size)
        do throws(ProtobufReader.Fault) {
            try list.read(proto.message, field: field)
        } catch { throw .tensor(title, "does not follow the schema") }
        if list.isOfAnotherType { throw .tensor(title, "keeps its elements in the field of another type") }
        // One list of floats that is whole is as good as raw bytes.
        if let whole = list.whole { return (whole, file) }
        let owned = OwnedBytes(list.bytes)
        return (owned.bytes, owned)
    }

    /// Elements in a file of the model's folder, at an offset.
    private func external(
        _ proto: ONNXTensorProto, _ title: String, _ size: Int
    ) throws(ONNXFault) -> (UnsafeRawBufferPointer, AnyObject?) {
        guard let location = proto.external["location"], !location.isEmpty else {
            throw .tensor(title, "keeps its elements in another file and does not say in which")
        }
        let parts = location.split(separator: "/", omittingEmptySubsequences: false)
        if location.hasPrefix("/") || parts.contains("..") || location.utf8.contains(0) {
            throw .tensor(title, "keeps its elements outside the model's folder")
        }
        guard let folder else { throw .tensor(title, "keeps its elements in another file, and there is no folder") }
        let mapped: MappedFile
        if let held = others[location] {
            mapped = held
        } else {
            if others.count >= ONNXStoredTensors.fileLimit {
                throw .tooMany("files of weights", found: others.count + 1, limit: ONNXStoredTensors.fileLimit)
            }
            let path = "\(folder)/\(location)"
            if let real = FileProbe.resolved(path), let root = FileProbe.resolved(folder),
                !real.utf8.starts(with: (root.hasSuffix("/") ? root : root + "/").utf8)
            {
                throw .tensor(title, "keeps its elements outside the model's folder")
            }
            do throws(FileFault) { mapped = try MappedFile(path: path) } catch { throw .file(error) }
            others[location] = mapped
        }
        func number(_ key: String) throws(ONNXFault) -> Int? {
            guard let text = proto.external[key] else { return nil }
            guard let value = Int(text), value >= 0 else { throw .tensor(title, "has an \(key) that is no number") }
            return value
        }
        let offset = try number("offset") ?? 0
        if let length = try number("length"), length != size {
            throw .tensor(title, "has \(length) bytes in \(location) where its shape needs \(size)")
        }
        if offset > mapped.bytes.count || size > mapped.bytes.count - offset {
            throw .tensor(title, "ends behind the end of \(location)")
        }
        return (UnsafeRawBufferPointer(rebasing: mapped.bytes[offset..<offset + size]), mapped)
    }
}

/// Where a stored tensor's elements lie.
struct StoredPlace: Sendable {
    /// The file beside the model's own; nil for that.
    let location: String?
    let offset: Int
    let count: Int
}

/// The elements of a tensor that stand in the list of its type.
private struct NumberList {
    let width: Int
    /// Bytes that the tensor needs; what is read beyond them only has to be seen.
    let limit: Int
    var bytes: [UInt8] = []
    /// The one block in which all floats stand, where that is how they stand.
    var whole: UnsafeRawBufferPointer?
    var isOfAnotherType = false
    private var blocks = 0

    init(width: Int, limit: Int) {
        self.width = width
        self.limit = limit
    }

    mutating func read(_ message: UnsafeRawBufferPointer, field wanted: UInt64) throws(ProtobufReader.Fault) {
        var reader = ProtobufReader(message)
        let isFixed = wanted == 4 || wanted == 10
        while !reader.isAtEnd && bytes.count <= limit {
            let (field, wire) = try reader.key()
            guard [4, 5, 6, 7, 10, 11].contains(field) else {
                try reader.skip(wire)
                continue
            }
            if field != wanted { isOfAnotherType = true }
            switch wire {
            case .bytes:
                let block = try reader.block()
                blocks += 1
                if isFixed {
                    // No writer cuts a list of floats in two.
                    if blocks > 1 || !bytes.isEmpty { throw ProtobufReader.Fault() }
                    whole = block
                    continue
                }
                var packed = ProtobufReader(block)
                while !packed.isAtEnd && bytes.count <= limit { add(try packed.varint()) }
            case .varint: add(try reader.varint())
            case .fixed32:
                if whole != nil { throw ProtobufReader.Fault() }
                add(UInt64(try reader.fixed32()))
            case .fixed64:
                if whole != nil { throw ProtobufReader.Fault() }
                add(try reader.fixed64())
            }
        }
    }

    private mutating func add(_ number: UInt64) {
        for place in 0..<width { bytes.append(UInt8(truncatingIfNeeded: number >> (8 * place))) }
    }
}
