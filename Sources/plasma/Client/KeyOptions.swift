import ArgumentParser
import Foundation
import Primitives
import Storage

/// Whose key signs. Secret keys are read from the key store of a home on this machine and never leave it.
struct KeyOptions: ParsableArguments {
    @Option(help: "The home whose keys/ holds the key. Default: $PLASMA_HOME, else ~/.plasma.")
    var home: String?

    @Option(help: "The key's name. May be left out where the home has one key, or one named \"operator\".")
    var key: String?

    @Option(help: "A file that holds the key's password. Default: $PLASMA_PASSWORD, else you are asked.")
    var passwordFile: String?

    var homePath: String {
        let path = home ?? ProcessInfo.processInfo.environment["PLASMA_HOME"]
        return path ?? FileManager.default.homeDirectoryForCurrentUser.path + "/.plasma"
    }

    func store() throws -> KeyStore {
        do { return try KeyStore(home: homePath) } catch { throw Failure("\(error)") }
    }

    /// The key's name, chosen where there is only one choice.
    func name() throws -> String {
        if let key { return key }
        let names: [String]
        do { names = try store().names() } catch { throw Failure(describing: error) }
        if names.count == 1 { return names[0] }
        if names.contains("operator") { return "operator" }
        if names.isEmpty {
            throw Failure("\(homePath) has no keys: make one with plasma keys create NAME --home \(homePath)")
        }
        throw Failure("\(homePath) has the keys \(names.joined(separator: ", ")): choose one with --key")
    }

    /// What is known of the key without its password.
    func publicPart() throws -> StoredKey {
        do { return try store().key(try name()) } catch { throw Failure(describing: error) }
    }

    /// The secret key.
    func open() throws -> SecretKey {
        let name = try name()
        let store = try store()
        do {
            if let password = try password() { return try store.open(name, password: password) }
            // A development key has an empty password; for any other, ask.
            if let key = try? store.open(name, password: "") { return key }
            guard isatty(STDIN_FILENO) == 1 else {
                throw Failure("the key \"\(name)\" has a password: set PLASMA_PASSWORD or --password-file")
            }
            return try store.open(name, password: KeyOptions.ask("Password of \(name): "))
        } catch { throw Failure(describing: error) }
    }

    /// The password given by file or environment; nil where neither gives one.
    func password() throws -> String? {
        if let passwordFile {
            guard let text = try? String(contentsOfFile: passwordFile, encoding: .utf8) else {
                throw Failure("the password file \(passwordFile) cannot be read")
            }
            return text.trimmingCharacters(in: .newlines)
        }
        return ProcessInfo.processInfo.environment["PLASMA_PASSWORD"]
    }

    /// A password for a new key: given, or asked for twice.
    func newPassword() throws -> String {
        if let password = try password() { return password }
        guard isatty(STDIN_FILENO) == 1 else {
            throw Failure("a new key needs a password: set PLASMA_PASSWORD (it may be empty) or --password-file")
        }
        let first = KeyOptions.ask("New password: ")
        if first != KeyOptions.ask("Again: ") { throw Failure("the two passwords differ: try again") }
        return first
    }

    private static func ask(_ prompt: String) -> String {
        guard let text = getpass(prompt) else { return "" }
        return String(cString: text)
    }
}
