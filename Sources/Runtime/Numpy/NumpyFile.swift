/// Reading and writing .npy files, version 1.0.
public enum NumpyFile {
    /// The most dimensions an array may have (NumPy's own bound before 2.0).
    public static let rankLimit = 32

    /// The bytes of a .npy file; the header is padded so that data starts at a multiple of 64.
    public static func encode(_ array: NumpyArray) -> [UInt8] {
        var dimensions = array.shape.map(String.init).joined(separator: ", ")
        if array.shape.count == 1 { dimensions += "," }
        var header = "{'descr': '\(array.type.rawValue)', 'fortran_order': False, 'shape': (\(dimensions)), }"
        let unpadded = 10 + header.utf8.count + 1
        header += String(repeating: " ", count: (64 - unpadded % 64) % 64) + "\n"
        var output: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0]
        // At most 32 dimensions of 20 digits: always below the 65,535 bytes of version 1.0.
        output.append(UInt8(truncatingIfNeeded: header.utf8.count))
        output.append(UInt8(truncatingIfNeeded: header.utf8.count >> 8))
        output.reserveCapacity(output.count + header.utf8.count + array.bytes.count)
        output.append(contentsOf: header.utf8)
        output.append(contentsOf: array.bytes)
        return output
    }

    /// Reads a file of at most `limit` bytes.
    public static func read(path: String, limit: Int) throws(NumpyFileFault) -> NumpyArray {
        let file: MappedFile
        do throws(FileFault) { file = try MappedFile(path: path, limit: limit) } catch { throw .file(error) }
        do throws(NumpyFault) { return try decode(file.bytes) } catch { throw .contents(path: path, error) }
    }

    /// Reads a whole file.
    public static func decode(_ file: [UInt8]) throws(NumpyFault) -> NumpyArray {
        let result: Result<NumpyArray, NumpyFault> = file.withUnsafeBytes { raw in
            do throws(NumpyFault) { return .success(try decode(raw)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// Reads a whole file in place; nothing larger than the file is allocated, whatever its header says.
    public static func decode(_ file: UnsafeRawBufferPointer) throws(NumpyFault) -> NumpyArray {
        if file.isEmpty { throw .empty }
        guard file.count >= 10, file[0] == 0x93, file[1..<6].elementsEqual("NUMPY".utf8) else { throw .notNumpy }
        guard file[6] == 1, file[7] == 0 else { throw .version(file[6], file[7]) }
        let length = Int(file[8]) | Int(file[9]) << 8
        guard file.count >= 10 + length else { throw .header("is truncated") }
        var header = NumpyHeader(Array(file[10..<10 + length]))
        let (type, shape) = try header.read()
        let size = try byteCount(type: type, shape: shape)
        let found = file.count - 10 - length
        if found != size { throw .size(needed: size, found: found) }
        let bytes = Array(file[(10 + length)...])
        if type == .bool, bytes.contains(where: { $0 > 1 }) {
            throw .header("says bool but a value is neither 0 nor 1")
        }
        return try NumpyArray(type: type, shape: shape, bytes: bytes)
    }

    static func byteCount(type: NumpyType, shape: [Int]) throws(NumpyFault) -> Int {
        if shape.count > rankLimit { throw .shape }
        var size = type.byteCount
        for dimension in shape {
            let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
            if dimension < 0 || overflow { throw .shape }
            size = product
        }
        return size
    }
}

/// The Python dictionary that a .npy header is: the three keys, each once, in any order, and nothing else.
struct NumpyHeader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func read() throws(NumpyFault) -> (NumpyType, [Int]) {
        var type: NumpyType?
        var fortran: Bool?
        var shape: [Int]?
        try expect("{")
        while !take("}") {
            let key = try text()
            try expect(":")
            switch key {
            case "descr" where type == nil:
                let name = try text()
                guard let known = NumpyType(rawValue: name) else { throw .unsupportedType(name) }
                type = known
            case "fortran_order" where fortran == nil:
                fortran = take("True")
                if fortran == false { try expect("False") }
            case "shape" where shape == nil: shape = try sizes()
            default: throw .header("has an unknown or repeated key")
            }
            if !take(",") {
                try expect("}")
                break
            }
        }
        skipSpace()
        if position != bytes.count { throw .header("has something after its dictionary") }
        guard let type, let fortran, let shape else { throw .header("lacks descr, fortran_order or shape") }
        if fortran { throw .fortranOrder }
        return (type, shape)
    }

    private mutating func skipSpace() {
        while position < bytes.count, bytes[position] == 0x20 || bytes[position] == 0x0A { position += 1 }
    }

    private mutating func take(_ word: String) -> Bool {
        skipSpace()
        guard bytes[position...].starts(with: word.utf8) else { return false }
        position += word.utf8.count
        return true
    }

    private mutating func expect(_ word: String) throws(NumpyFault) {
        if !take(word) { throw .header("lacks \(word)") }
    }

    private mutating func text() throws(NumpyFault) -> String {
        try expect("'")
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: "'") { position += 1 }
        let name = String(decoding: bytes[start..<position], as: UTF8.self)
        try expect("'")
        return name
    }

    private mutating func sizes() throws(NumpyFault) -> [Int] {
        try expect("(")
        var output: [Int] = []
        while !take(")") {
            skipSpace()
            let start = position
            while position < bytes.count, bytes[position] >= 0x30, bytes[position] <= 0x39 { position += 1 }
            guard let value = Int(String(decoding: bytes[start..<position], as: UTF8.self)),
                output.count < NumpyFile.rankLimit
            else { throw .shape }
            output.append(value)
            if !take(",") {
                // (3) is a number in Python, not a shape.
                if output.count == 1 { throw .shape }
                try expect(")")
                break
            }
        }
        return output
    }
}
