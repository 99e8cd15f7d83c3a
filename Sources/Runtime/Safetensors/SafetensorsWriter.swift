internal import Foundation
internal import Programs

/// Writes tensors as a safetensors file, whole or not at all: what stood there before is there until the new file is on the disk.
public enum SafetensorsWriter {
    /// Why nothing was written.
    public enum Fault: Error, Equatable, Sendable {
        case file
        /// A name that other readers might not take.
        case name(String)
    }

    /// A tensor of the file, whose bytes are read when they are written: they need not be in memory a second time.
    public struct Entry {
        let name: String
        let element: ElementType
        let shape: [Int]
        let withBytes: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void

        public init(_ name: String, _ tensor: Tensor) {
            self.name = name
            element = tensor.element
            shape = tensor.shape
            withBytes = { try tensor.bytes.withUnsafeBytes($0) }
        }

        /// A weight under its own name.
        public init(_ parameter: StoredParameter) {
            name = parameter.name
            element = parameter.element
            shape = parameter.shape
            withBytes = { try parameter.withBytes($0) }
        }

        /// What is declared, its bytes given by a function.
        init(
            _ declaration: TensorDeclaration,
            withBytes: @escaping ((UnsafeRawBufferPointer) throws -> Void) throws -> Void
        ) {
            name = declaration.name
            element = declaration.type.element
            shape = declaration.type.dimensions
            self.withBytes = withBytes
        }

        fileprivate var byteCount: Int { shape.reduce(element.size, *) }
    }

    /// Tensors under their names, in this order.
    public static func write(
        _ tensors: [Entry], metadata: [(name: String, value: String)] = [], to path: String
    ) throws(Fault) {
        let header = try header(tensors, metadata: metadata)
        let part = path + ".part"
        guard FileManager.default.createFile(atPath: part, contents: nil),
            let file = FileHandle(forWritingAtPath: part)
        else { throw .file }
        do {
            defer { try? file.close() }
            try file.write(contentsOf: header)
            for tensor in tensors {
                try tensor.withBytes { bytes in
                    guard let base = bytes.baseAddress, bytes.count == tensor.byteCount else {
                        if tensor.byteCount == 0 { return }
                        throw Fault.file
                    }
                    let data = Data(
                        bytesNoCopy: UnsafeMutableRawPointer(mutating: base), count: bytes.count, deallocator: .none)
                    try file.write(contentsOf: data)
                }
            }
            try file.synchronize()
        } catch {
            try? FileManager.default.removeItem(atPath: part)
            throw .file
        }
        // The folder's entry is on the disk when its file system says so: a rename is either there or not.
        if rename(part, path) != 0 { throw .file }
    }

    /// What stands before the tensors' bytes.
    private static func header(
        _ tensors: [Entry], metadata: [(name: String, value: String)]
    ) throws(Fault) -> Data {
        var entries: [String] = []
        if !metadata.isEmpty {
            var notes: [String] = []
            for note in metadata { notes.append("\(try quoted(note.name)):\(try quoted(note.value))") }
            entries.append("\"__metadata__\":{\(notes.joined(separator: ","))}")
        }
        var offset = 0
        for tensor in tensors {
            let end = offset + tensor.byteCount
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            entries.append(
                "\(try quoted(tensor.name)):{\"dtype\":\"\(type(tensor.element))\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}"
            )
            offset = end
        }
        var header = "{" + entries.joined(separator: ",") + "}"
        header += String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
        var data = Data(capacity: 8 + header.utf8.count)
        withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { data.append(contentsOf: $0) }
        data.append(contentsOf: header.utf8)
        return data
    }

    /// A plain name needs no escapes; others are refused.
    private static func quoted(_ name: String) throws(Fault) -> String {
        if name.utf8.contains(where: { $0 < 0x20 || $0 > 0x7E || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") })
        {
            throw .name(name)
        }
        return "\"\(name)\""
    }

    private static func type(_ element: ElementType) -> String {
        switch element {
        case .f32: "F32"
        case .f16: "F16"
        case .bf16: "BF16"
        case .i64: "I64"
        case .i32: "I32"
        case .i8: "I8"
        case .u8: "U8"
        case .bool: "BOOL"
        }
    }
}
