/// A strict reader of JSON from strangers: bounded in bytes, depth and count, no duplicate names, nothing after the value.
public struct JSONReader {
    /// How deep arrays and objects may nest.
    public static let depthLimit = 64
    /// How many values one text may hold.
    public static let valueLimit = 4_000_000
    /// How many bytes one text may have, where the caller names no other limit.
    public static let byteLimit = 100_000_000

    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var values = 0

    private init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// Reads one text.
    public static func read(_ bytes: [UInt8], limit: Int = byteLimit) throws(JSONFault) -> JSONValue {
        let result: Result<JSONValue, JSONFault> = bytes.withUnsafeBytes { raw in
            do throws(JSONFault) { return .success(try read(raw, limit: limit)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// Reads one text in place; strings are copied.
    public static func read(_ raw: UnsafeRawBufferPointer, limit: Int = byteLimit) throws(JSONFault) -> JSONValue {
        if raw.count > limit { throw .tooLarge(bytes: raw.count, limit: limit) }
        var reader = JSONReader(raw.bindMemory(to: UInt8.self))
        reader.skipSpace()
        if reader.position == raw.count { throw .empty }
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        if reader.position != raw.count { throw reader.fault("something follows the value") }
        return value
    }

    private func fault(_ what: String) -> JSONFault { .malformed(offset: position, what) }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func expect(_ word: StaticString) throws(JSONFault) {
        let count = word.utf8CodeUnitCount
        guard bytes.count - position >= count else { throw fault("the text ends early") }
        for i in 0..<count where bytes[position + i] != word.utf8Start[i] { throw fault("\(word) was expected") }
        position += count
    }

    private mutating func value(depth: Int) throws(JSONFault) -> JSONValue {
        if depth > JSONReader.depthLimit { throw .tooDeep(limit: JSONReader.depthLimit) }
        values += 1
        if values > JSONReader.valueLimit { throw .tooManyValues(limit: JSONReader.valueLimit) }
        switch next {
        case UInt8(ascii: "{"): return .object(try object(depth: depth))
        case UInt8(ascii: "["): return .array(try array(depth: depth))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"):
            try expect("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try expect("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try expect("null")
            return .null
        case nil: throw fault("the text ends early")
        default: return .number(try number())
        }
    }

    private mutating func object(depth: Int) throws(JSONFault) -> JSONObject {
        position += 1
        var members: [JSONObject.Member] = []
        var names: Set<JSONName> = []
        skipSpace()
        if next == UInt8(ascii: "}") {
            position += 1
            return JSONObject(members: [])
        }
        while true {
            skipSpace()
            if next != UInt8(ascii: "\"") { throw fault("a member's name was expected") }
            let name = try string()
            if !names.insert(JSONName(text: name)).inserted { throw .duplicate(name) }
            skipSpace()
            if next != UInt8(ascii: ":") { throw fault("a colon was expected") }
            position += 1
            skipSpace()
            members.append(JSONObject.Member(name: name, value: try value(depth: depth + 1)))
            skipSpace()
            switch next {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"):
                position += 1
                return JSONObject(members: members)
            case nil: throw fault("the text ends early")
            default: throw fault("a comma or a closing brace was expected")
            }
        }
    }

    private mutating func array(depth: Int) throws(JSONFault) -> [JSONValue] {
        position += 1
        var elements: [JSONValue] = []
        skipSpace()
        if next == UInt8(ascii: "]") {
            position += 1
            return []
        }
        while true {
            skipSpace()
            elements.append(try value(depth: depth + 1))
            skipSpace()
            switch next {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                position += 1
                return elements
            case nil: throw fault("the text ends early")
            default: throw fault("a comma or a closing bracket was expected")
            }
        }
    }

    private mutating func number() throws(JSONFault) -> String {
        let start = position
        func isDigit(_ byte: UInt8?) -> Bool { byte.map { $0 >= 0x30 && $0 <= 0x39 } ?? false }
        if next == UInt8(ascii: "-") { position += 1 }
        guard isDigit(next) else {
            position = start
            throw fault("a value was expected")
        }
        if next == UInt8(ascii: "0") {
            position += 1
        } else {
            while isDigit(next) { position += 1 }
        }
        if next == UInt8(ascii: ".") {
            position += 1
            guard isDigit(next) else { throw fault("a digit was expected") }
            while isDigit(next) { position += 1 }
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            position += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
            guard isDigit(next) else { throw fault("a digit was expected") }
            while isDigit(next) { position += 1 }
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func string() throws(JSONFault) -> String {
        position += 1
        let start = position
        while let byte = next, byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") { position += 1 }
        if next == UInt8(ascii: "\"") {
            defer { position += 1 }
            guard let text = String(validating: bytes[start..<position], as: UTF8.self) else {
                throw .malformed(offset: start, "a string is not UTF-8")
            }
            return text
        }
        var output = Array(bytes[start..<position])
        while true {
            guard let byte = next else { throw fault("a string does not end") }
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                guard let text = String(validating: output, as: UTF8.self) else {
                    throw .malformed(offset: start, "a string is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"):
                position += 1
                try escape(into: &output)
            case 0..<0x20: throw fault("a control character stands in a string")
            default:
                output.append(byte)
                position += 1
            }
        }
    }

    private mutating func escape(into output: inout [UInt8]) throws(JSONFault) {
        guard let byte = next else { throw fault("a string does not end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): output.append(byte)
        case UInt8(ascii: "b"): output.append(8)
        case UInt8(ascii: "f"): output.append(12)
        case UInt8(ascii: "n"): output.append(10)
        case UInt8(ascii: "r"): output.append(13)
        case UInt8(ascii: "t"): output.append(9)
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if code >= 0xD800 && code < 0xDC00 {
                try expect("\\u")
                let low = try hexadecimal()
                if low < 0xDC00 || low > 0xDFFF { throw fault("a surrogate stands alone") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw fault("a surrogate stands alone") }
            output.append(contentsOf: Array(String(Character(scalar)).utf8))
        default: throw fault("an unknown escape")
        }
    }

    private mutating func hexadecimal() throws(JSONFault) -> UInt32 {
        guard bytes.count - position >= 4 else { throw fault("the text ends early") }
        var code: UInt32 = 0
        for _ in 0..<4 {
            switch bytes[position] {
            case let digit where digit >= 0x30 && digit <= 0x39: code = code << 4 | UInt32(digit - 0x30)
            case let digit where digit >= 0x41 && digit <= 0x46: code = code << 4 | UInt32(digit - 0x37)
            case let digit where digit >= 0x61 && digit <= 0x66: code = code << 4 | UInt32(digit - 0x57)
            default: throw fault("four hexadecimal digits were expected")
            }
            position += 1
        }
        return code
    }
}

/// A member's name compared by its bytes: Swift's strings are equal under canonical equivalence, which vocabularies are not.
private struct JSONName: Hashable {
    let text: String

    static func == (a: JSONName, b: JSONName) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

    func hash(into hasher: inout Hasher) {
        for byte in text.utf8 { hasher.combine(byte) }
    }
}
