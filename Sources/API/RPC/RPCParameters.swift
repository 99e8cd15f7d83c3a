/// Reading named parameters, with errors that say which one is wrong and what it should be.
extension [String: JSONValue] {
    /// - Throws: `invalidParams` where it is missing or not a string.
    public func requiredString(_ name: String) throws(RPCError) -> String {
        guard let value = self[name] else { throw .invalidParams("parameter '\(name)' (a string) is missing") }
        guard let string = value.string else { throw .invalidParams("parameter '\(name)' must be a string") }
        return string
    }

    public func optionalString(_ name: String) throws(RPCError) -> String? {
        guard let value = self[name], !value.isNull else { return nil }
        guard let string = value.string else { throw .invalidParams("parameter '\(name)' must be a string") }
        return string
    }

    public func requiredUInt64(_ name: String) throws(RPCError) -> UInt64 {
        guard let value = self[name] else { throw .invalidParams("parameter '\(name)' (an integer) is missing") }
        guard let number = value.uint64 else {
            throw .invalidParams("parameter '\(name)' must be an integer of 0 or more")
        }
        return number
    }

    public func optionalUInt64(_ name: String) throws(RPCError) -> UInt64? {
        guard let value = self[name], !value.isNull else { return nil }
        guard let number = value.uint64 else {
            throw .invalidParams("parameter '\(name)' must be an integer of 0 or more")
        }
        return number
    }

    public func optionalBool(_ name: String) throws(RPCError) -> Bool? {
        guard let value = self[name], !value.isNull else { return nil }
        guard let flag = value.bool else { throw .invalidParams("parameter '\(name)' must be true or false") }
        return flag
    }
}
