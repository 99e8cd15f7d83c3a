/// Reads settings out of a JSON file from strangers, each with its bounds.
struct SettingsReader {
    let file: String
    let settings: JSONValue

    init(_ settings: JSONValue, file: String = "config.json") {
        self.file = file
        self.settings = settings
    }

    func fault(_ key: String, _ what: String) -> ImportFault { .setting(file: file, key: key, what) }

    /// A member that is there and not null.
    subscript(_ key: String) -> JSONValue? {
        guard let value = settings[key], value != .null else { return nil }
        return value
    }

    /// A whole number from `least` to `limit`; `usual` where the file leaves it out.
    func size(_ key: String, least: Int = 1, limit: Int, usual: Int? = nil) throws(ImportFault) -> Int {
        guard let entry = self[key] else {
            guard let usual else { throw fault(key, "is missing") }
            return usual
        }
        guard let value = entry.integer, value >= least, value <= limit else {
            throw fault(key, "is not a whole number from \(least) to \(limit)")
        }
        return value
    }

    /// A number between two bounds, both outside, as the nearest f32.
    func number(
        _ key: String, above least: Double, below limit: Double, usual: Double? = nil
    ) throws(ImportFault) -> Float {
        guard let entry = self[key] else {
            guard let usual else { throw fault(key, "is missing") }
            return Float(usual)
        }
        guard let value = entry.double, value > least, value < limit, Float(value) > Float(least) else {
            throw fault(key, "is not a number between \(least) and \(limit)")
        }
        return Float(value)
    }

    func flag(_ key: String, usual: Bool) throws(ImportFault) -> Bool {
        guard let entry = self[key] else { return usual }
        guard let value = entry.bool else { throw fault(key, "is not true or false") }
        return value
    }

    func text(_ key: String, usual: String) throws(ImportFault) -> String {
        guard let entry = self[key] else { return usual }
        guard let value = entry.string else { throw fault(key, "is not text") }
        return value
    }

    /// Refuses a setting that asks for what there is not.
    func require(_ key: String, is expected: Bool, usual: Bool) throws(ImportFault) {
        if try flag(key, usual: usual) != expected { throw .unsupported(key, found: "\(!expected)") }
    }

    /// The settings that every transformer has: how many heads divide the width.
    func check(heads: Int, divide width: Int, _ key: String, _ widthKey: String) throws(ImportFault) {
        if width % heads != 0 { throw fault(key, "does not divide \(widthKey) (\(width))") }
    }
}
