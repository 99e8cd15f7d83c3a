import API

/// The JSON of the RPC.
enum JSONTarget: FuzzTarget {
    static let name = "json"

    static func forms() throws -> [Form] {
        let texts = [
            #"{"jsonrpc":"2.0","id":1,"method":"balance","params":{"address":"xpl1"}}"#,
            #"[1,-0,2.5e-3,1e400,18446744073709551615,-9223372036854775808,true,false,null]"#,
            #""\u00e9\ud83d\ude00\n\"\\\/""#, "[[[[{}]]]]", "\"\u{7F}é\u{10FFFF}\"",
        ]
        return [
            Form(seeds: texts.map { Array($0.utf8) }) { bytes in
                guard let value = try? JSONValue(parsing: bytes) else { return }
                require((try? JSONValue(parsing: value.bytes)) == value, "\(value) is not read as it was written")
                require((try? JSONValue(parsing: value.text(pretty: true))) == value, "pretty, \(value) is another")
            }
        ]
    }
}
