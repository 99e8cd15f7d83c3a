internal import Foundation
internal import Primitives
internal import TOMLKit

/// One table of a TOML file, read key by key.
final class TOMLSection {
    private let file: String
    private let text: String
    private let table: TOMLTable
    private let name: String
    private var known: Set<String> = []

    /// The lines above the section's first key.
    private let first: Int

    private init(_ file: String, _ text: String, _ table: TOMLTable, _ name: String, first: Int) {
        self.first = first
        self.file = file
        self.text = text
        self.table = table
        self.name = name
    }

    /// The whole file.
    static func parse(_ path: String, _ text: String) throws -> TOMLSection {
        do { try TOMLGuard.check(text) } catch { throw ConfigurationFault(path, "line \(error.line): \(error.what)") }
        do { return TOMLSection(path, text, try TOMLTable(string: text), "", first: 0) } catch let error
            as TOMLParseError
        {
            throw ConfigurationFault(
                path, "line \(error.source.begin.line): \(error.description.split(separator: "\n").first ?? "not TOML")"
            )
        }
    }

    /// The line on which a key of this section stands; the section's own where it is missing.
    private func line(_ key: String) -> Int {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let found = lines.dropFirst(first).firstIndex { line in
            let rest = line.drop { $0 == " " || $0 == "[" || $0 == "\"" }
            return rest.hasPrefix(key) && rest.dropFirst(key.count).first.map { " =]\"\t".contains($0) } ?? false
        }
        return (found ?? max(first - 1, 0)) + 1
    }

    /// How many lines lead up to and include the header of the `index`th section of a name.
    private func lines(through header: String, _ index: Int) -> Int {
        var left = index
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
        where line.filter({ $0 != " " }).hasPrefix(header) {
            if left == 0 { return number + 1 }
            left -= 1
        }
        return 0
    }

    func fault(_ key: String, _ what: String) -> ConfigurationFault {
        ConfigurationFault(file, "line \(line(key)): \"\(name)\(key)\" \(what)")
    }

    func missing(_ key: String) -> ConfigurationFault { ConfigurationFault(file, "\"\(name)\(key)\" is missing") }

    func string(_ key: String) throws -> String? {
        known.insert(key)
        guard let value = table[key] else { return nil }
        guard let text = value.string else { throw fault(key, "must be a text in quotes") }
        return text
    }

    func bool(_ key: String) throws -> Bool? {
        known.insert(key)
        guard let value = table[key] else { return nil }
        guard let flag = value.bool else { throw fault(key, "must be true or false") }
        return flag
    }

    func integer(_ key: String, _ range: ClosedRange<Int>) throws -> Int? {
        known.insert(key)
        guard let value = table[key] else { return nil }
        guard let number = value.int, range.contains(number) else {
            throw fault(key, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func number(_ key: String, _ range: ClosedRange<Double>) throws -> Double? {
        known.insert(key)
        guard let value = table[key] else { return nil }
        guard let number = value.double ?? value.int.map(Double.init), range.contains(number) else {
            throw fault(key, "must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func amount(_ key: String) throws -> Amount? {
        guard let text = try string(key) else { return nil }
        do { return try Amount(parsing: text) } catch { throw fault(key, "must be an amount in quotes: \(error)") }
    }

    func strings(_ key: String) throws -> [String]? {
        known.insert(key)
        guard let value = table[key] else { return nil }
        guard let array = value.array else { throw fault(key, "must be a list of texts") }
        return try array.map { element in
            guard let text = element.string else { throw fault(key, "must be a list of texts") }
            return text
        }
    }

    func section(_ key: String) throws -> TOMLSection? {
        known.insert(key)
        guard let value = table[key] else { return nil }
        guard let inner = value.table else { throw fault(key, "must be a section") }
        return TOMLSection(file, text, inner, "\(key).", first: lines(through: "[\(key)]", 0))
    }

    /// The tables of a `[[key]]` list.
    func sections(_ key: String) throws -> [TOMLSection] {
        known.insert(key)
        guard let value = table[key] else { return [] }
        guard let array = value.array else { throw fault(key, "must be sections, each headed [[\(key)]]") }
        return try array.enumerated().map { index, element in
            guard let inner = element.table else { throw fault(key, "must be sections, each headed [[\(key)]]") }
            return TOMLSection(
                file, text, inner, "\(key)[\(index)].", first: lines(through: "[[\(key)]]", index))
        }
    }

    func finish() throws {
        for key in table.keys.sorted() where !known.contains(key) {
            throw fault(key, "is no setting that this version knows: remove it or correct its spelling")
        }
    }
}
