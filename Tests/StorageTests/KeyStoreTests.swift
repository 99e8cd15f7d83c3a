import Primitives
import Storage
import Testing

@Suite struct KeyStoreTests {
    let home = TemporaryHome()

    @Test func aKeyComesBackUnderItsPasswordOnly() throws {
        let store = try KeyStore(home: home.path)
        let key = try store.create("alice", password: "s3cret ✓", strength: .development)
        #expect(try store.open("alice", password: "s3cret ✓").seed == key.seed)
        #expect(throws: StorageFault.wrongPassword(name: "alice")) { try store.open("alice", password: "") }
        #expect(try store.key("alice").address == key.publicKey.address)
        #expect(TemporaryHome.permissions(home.path + "/keys/alice.json") == 0o600)
        #expect(throws: StorageFault.keyExists(name: "alice")) {
            try store.store(SecretKey.generate(), as: "alice", password: "")
        }
    }

    @Test func emptyPasswordsNamesAndFaults() throws {
        let store = try KeyStore(home: home.path)
        #expect(try store.names().isEmpty)
        let key = try SecretKey(seed: [UInt8](repeating: 5, count: 32))
        let stored = try store.store(key, as: "dev-1", password: "", strength: .development)
        #expect(stored.publicKey == key.publicKey)
        #expect(try store.open("dev-1", password: "").seed == key.seed)
        #expect(try store.names() == ["dev-1"])
        for bad in ["", "../x", "a b", "é", String(repeating: "a", count: 65)] {
            #expect(throws: StorageFault.badKeyName(bad)) { try store.open(bad, password: "") }
        }
        #expect(throws: StorageFault.keyMissing(name: "bob", path: home.path + "/keys")) {
            try store.open("bob", password: "")
        }
        TemporaryHome.write(home.path + "/keys/bob.json", Array("{".utf8))
        #expect(throws: StorageFault.self) { try store.open("bob", password: "") }
    }
}
