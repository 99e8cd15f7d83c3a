/// One JSON value (RFC 8259), read strictly by `JSONReader`.
public indirect enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A number in its own text, so that nothing is rounded before its reader decides.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// The value of a member, or nil where this is no object or has no such member.
    public subscript(_ name: String) -> JSONValue? {
        if case .object(let object) = self { return object[name] }
        return nil
    }

    /// The text of a string.
    public var string: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    /// The truth value of a bool.
    public var bool: Bool? {
        if case .bool(let flag) = self { return flag }
        return nil
    }

    /// The value of an integer that fits; nil for fractions, exponents and everything else.
    public var integer: Int? {
        if case .number(let text) = self { return Int(text) }
        return nil
    }

    /// The nearest double of a number.
    public var double: Double? {
        if case .number(let text) = self { return Double(text) }
        return nil
    }

    /// The elements of an array.
    public var array: [JSONValue]? {
        if case .array(let values) = self { return values }
        return nil
    }

    /// The members of an object.
    public var object: JSONObject? {
        if case .object(let object) = self { return object }
        return nil
    }
}

/// The members of a JSON object in their file's order; no two names have equal bytes.
public struct JSONObject: Sendable, Equatable {
    /// One member.
    public struct Member: Sendable, Equatable {
        public let name: String
        public let value: JSONValue
    }

    public let members: [Member]

    init(members: [Member]) { self.members = members }

    /// The value of the member with these bytes as its name. Linear: meant for small objects.
    public subscript(_ name: String) -> JSONValue? {
        members.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }
}

/// Why a text is not the JSON that was expected.
public enum JSONFault: Error, Equatable, Sendable {
    case empty
    case tooLarge(bytes: Int, limit: Int)
    case tooDeep(limit: Int)
    case tooManyValues(limit: Int)
    /// A sentence's end: what was found at a byte.
    case malformed(offset: Int, String)
    case duplicate(String)
}

extension JSONFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .empty: "is empty"
        case .tooLarge(let bytes, let limit): "has \(bytes) bytes, more than the \(limit) that are read"
        case .tooDeep(let limit): "nests deeper than \(limit) levels"
        case .tooManyValues(let limit): "holds more than \(limit) values"
        case .malformed(let offset, let what): "is not valid JSON at byte \(offset): \(what)"
        case .duplicate(let name): "names \"\(name.prefix(80))\" twice in one object"
        }
    }
}
