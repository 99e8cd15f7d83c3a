/// The header of a safetensors file, apart from the file so that bytes from anywhere can be checked.
public struct SafetensorsHeader: Sendable {
    /// The tensors in the order of their bytes.
    public let tensors: [SafetensorsFile.Tensor]
    /// What the file says of itself.
    public let metadata: [(name: String, value: String)]
    /// Where the data starts in the file.
    public let dataStart: Int

    /// Reads and checks the header of a whole file.
    public init(_ bytes: UnsafeRawBufferPointer) throws(SafetensorsFault) {
        if bytes.count == 0 { throw .empty }
        if bytes.count < 8 { throw .truncated(needed: 8, found: bytes.count) }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        if length > UInt64(SafetensorsFile.headerLimit) {
            throw .headerTooLong(length, limit: SafetensorsFile.headerLimit)
        }
        let start = 8 + Int(length)
        if bytes.count < start { throw .truncated(needed: start, found: bytes.count) }
        let header = UnsafeRawBufferPointer(rebasing: bytes[8..<start])
        let root: JSONValue
        do throws(JSONFault) {
            root = try JSONReader.read(header, limit: SafetensorsFile.headerLimit)
        } catch { throw .header(error) }
        guard let members = root.object?.members else {
            throw .header(.malformed(offset: 0, "an object was expected"))
        }
        var found: [SafetensorsFile.Tensor] = []
        var notes: [(name: String, value: String)] = []
        for member in members {
            if member.name == "__metadata__" {
                guard let entries = member.value.object?.members else { throw .entry(member.name, "is not an object") }
                for entry in entries {
                    guard let text = entry.value.string else { throw .entry(member.name, "holds what is not a string") }
                    notes.append((entry.name, text))
                }
            } else {
                found.append(try SafetensorsHeader.tensor(member))
            }
        }
        found.sort {
            ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
        }
        var end = 0
        for tensor in found {
            if tensor.range.lowerBound < end { throw .entry(tensor.name, "overlaps the tensor before it") }
            if tensor.range.lowerBound > end { throw .entry(tensor.name, "leaves a hole of unused bytes before it") }
            end = tensor.range.upperBound
        }
        let data = bytes.count - start
        if end > data { throw .truncated(needed: start + end, found: bytes.count) }
        if end < data { throw .trailing(data - end) }
        tensors = found
        metadata = notes
        dataStart = start
    }

    private static func tensor(_ member: JSONObject.Member) throws(SafetensorsFault) -> SafetensorsFile.Tensor {
        guard let fields = member.value.object?.members, fields.count == 3,
            let typeName = member.value["dtype"]?.string, let dimensions = member.value["shape"]?.array,
            let offsets = member.value["data_offsets"]?.array
        else { throw .entry(member.name, "does not have exactly a dtype, a shape and data_offsets") }
        guard let type = SafetensorsType(rawValue: typeName) else {
            throw .entry(member.name, "has the unknown dtype \(typeName.prefix(20))")
        }
        if dimensions.count > SafetensorsFile.rankLimit {
            throw .entry(member.name, "has \(dimensions.count) dimensions, more than \(SafetensorsFile.rankLimit)")
        }
        var shape: [Int] = []
        var size = type.byteCount
        for dimension in dimensions {
            guard let value = dimension.integer, value >= 0 else {
                throw .entry(member.name, "has a dimension that is not a size")
            }
            let (product, overflow) = size.multipliedReportingOverflow(by: value)
            if overflow { throw .entry(member.name, "has a shape too large for any file") }
            size = product
            shape.append(value)
        }
        guard offsets.count == 2, let from = offsets[0].integer, let to = offsets[1].integer, from >= 0, from <= to,
            to <= 1 << 50
        else { throw .entry(member.name, "has data_offsets that are not a range") }
        if to - from != size {
            throw .entry(member.name, "has \(to - from) bytes where its dtype and shape need \(size)")
        }
        return SafetensorsFile.Tensor(name: member.name, type: type, shape: shape, range: from..<to)
    }
}

/// Why a safetensors file is refused.
public enum SafetensorsFault: Error, Equatable, Sendable {
    case file(FileFault)
    case empty
    case truncated(needed: Int, found: Int)
    case trailing(Int)
    case headerTooLong(UInt64, limit: Int)
    case header(JSONFault)
    /// A tensor's name and what is wrong with it.
    case entry(String, String)
}

extension SafetensorsFault: CustomStringConvertible {
    public var description: String {
        let again = "download the file again."
        switch self {
        case .file(let fault): return fault.description
        case .empty: return "The safetensors file is empty: \(again)"
        case .truncated(let needed, let found):
            return "The safetensors file is truncated (\(found) of at least \(needed) bytes): \(again)"
        case .trailing(let count):
            return "The safetensors file has \(count) bytes after its last tensor: \(again)"
        case .headerTooLong(let length, let limit):
            return
                "The safetensors header claims \(length) bytes, more than \(limit): check that the file is safetensors."
        case .header(let fault): return "The safetensors header \(fault): \(again)"
        case .entry(let name, let what):
            return "The safetensors entry \"\(name.prefix(120))\" \(what): save the model again with a current tool."
        }
    }
}
