import Glibc
import Ledger
import Node
import Primitives

/// `genesis.toml` and `config.toml`.
enum TOMLTarget: FuzzTarget {
    static let name = "toml"

    static func forms() throws -> [Form] {
        let home = "/dev/shm/plasma-fuzz-home-\(getpid())"
        mkdir(home, 0o700)
        atexit {
            unlink("/dev/shm/plasma-fuzz-home-\(getpid())/config.toml")
            rmdir("/dev/shm/plasma-fuzz-home-\(getpid())")
        }
        var made = NodeConfiguration(home: home)
        made.bootstrap = ["203.0.113.8:27600", "[2001:db8::1]:27600"]
        made.provider = ProviderConfiguration(
            bond: .xpl(5), price: .xpl(7), memory: 64 << 20, threads: 3, rate: 9_000_000_000, fault: "flip-bit")
        return [
            Form(seeds: [Array(GenesisFile.text(try Fixture.genesis()).utf8)]) { bytes in
                guard let genesis = try? GenesisFile.parse(String(decoding: bytes, as: UTF8.self), path: "g") else {
                    return
                }
                let again = try? GenesisFile.parse(GenesisFile.text(genesis), path: "g")
                require(again == genesis, "a genesis is not read as it was written")
            },
            Form(seeds: [Array(made.text.utf8), [], Array("bootstrap = [ # a\n]\n[provider]\n".utf8)]) { bytes in
                guard let file = fopen(made.path, "w") else { fatalError("\(home) cannot be written to") }
                fwrite(bytes, 1, bytes.count, file)
                fclose(file)
                _ = try? NodeConfiguration.load(home: home)
            },
        ]
    }
}
