/// How tokens become text again, as tokenizer.json describes it: steps over the list of tokens, joined at the end.
enum TokenDecoder: Sendable, Equatable {
    /// Letters as the bytes that they stand for.
    case bytes
    case replace([UInt32], with: [UInt32])
    /// `<0x41>` and its neighbours of the kind as bytes.
    case byteFallback
    /// All tokens as one.
    case fuse
    /// A letter taken off each token's ends, so many times at most.
    case strip(UInt32, start: Int, stop: Int)
    /// A letter as a blank, left out in the first token where texts are given one before.
    case blanks(letter: UInt32, dropsFirst: Bool)

    private static let replacement: UInt32 = 0xFFFD

    /// Reads `decoder`; nil where there is none, which joins tokens with blanks.
    static func read(_ value: JSONValue?, file: String) throws(TokenizerFault) -> [TokenDecoder]? {
        guard let value, value != .null else { return nil }
        var steps: [TokenDecoder] = []
        for entry in try TextNormalizer.entries(value, "decoders", file: file) {
            switch entry["type"]?.string {
            case "ByteLevel": steps.append(.bytes)
            case "ByteFallback": steps.append(.byteFallback)
            case "Fuse": steps.append(.fuse)
            case "Replace":
                guard
                    case .replace(let pattern, let content) = try TextNormalizer.replacement(
                        entry, "decoder", file: file)
                else { preconditionFailure("a replacement is read as one") }
                steps.append(.replace(pattern, with: content))
            case "Strip":
                guard let scalars = entry["content"]?.string?.unicodeScalars, scalars.count == 1,
                    let letter = scalars.first, let start = entry["start"]?.integer, let stop = entry["stop"]?.integer,
                    (0...1000).contains(start), (0...1000).contains(stop)
                else { throw .missing(file: file, "what a Strip takes off") }
                steps.append(.strip(letter.value, start: start, stop: stop))
            case "Metaspace":
                guard case .blanks(let letter, let prefix, _) = try PreTokenizer.blanks(entry, file: file) else {
                    preconditionFailure("a Metaspace is read as one")
                }
                steps.append(.blanks(letter: letter, dropsFirst: prefix != .never))
            case let other: throw .unsupported("decoder", found: other ?? "of no known type")
            }
        }
        try TextNormalizer.checkGrowth(
            steps.compactMap { if case .replace(let a, let b) = $0 { .replace(a, with: b) } else { nil } }, "decoder")
        return steps
    }

    func apply(_ tokens: [[UInt32]], _ alphabet: ByteAlphabet) -> [[UInt32]] {
        switch self {
        case .bytes:
            var bytes: [UInt8] = []
            for token in tokens {
                let letters = token.compactMap { alphabet.byte($0) }
                // An added token may have letters that stand for no byte: then it is itself.
                bytes += letters.count == token.count ? letters : token.utf8
            }
            return [String(decoding: bytes, as: UTF8.self).unicodeScalars.map(\.value)]
        case .replace(let pattern, let content):
            return tokens.map { TextNormalizer.replaced($0, pattern, content) }
        case .byteFallback: return TokenDecoder.fallBack(tokens)
        case .fuse: return [Array(tokens.joined())]
        case .strip(let letter, let start, let stop):
            return tokens.map { token in
                let first = token.prefix(start).prefix { $0 == letter }.count
                let last = token.reversed().prefix(stop).prefix { $0 == letter }.count
                return first + last >= token.count ? [] : Array(token[first..<token.count - last])
            }
        case .blanks(let letter, let dropsFirst):
            return tokens.enumerated().map { place, token in
                if place == 0 && dropsFirst { return token.filter { $0 != letter } }
                return token.map { $0 == letter ? 0x20 : $0 }
            }
        }
    }

    private static func fallBack(_ tokens: [[UInt32]]) -> [[UInt32]] {
        var output: [[UInt32]] = []
        var bytes: [UInt8] = []
        func flush() {
            if bytes.isEmpty { return }
            if let text = String(validating: bytes, as: UTF8.self) {
                output.append(text.unicodeScalars.map(\.value))
            } else {
                output.append([UInt32](repeating: replacement, count: bytes.count))
            }
            bytes = []
        }
        for token in tokens {
            if let byte = byte(token) {
                bytes.append(byte)
            } else {
                flush()
                output.append(token)
            }
        }
        flush()
        return output
    }

    /// The byte of `<0x41>`.
    private static func byte(_ token: [UInt32]) -> UInt8? {
        guard token.count == 6, token[0] == 0x3C, token[1] == 0x30, token[2] == 0x78, token[5] == 0x3E else {
            return nil
        }
        var value: UInt32 = 0
        for digit in token[3...4] {
            switch digit {
            case 0x30...0x39: value = value << 4 | (digit - 0x30)
            case 0x41...0x46: value = value << 4 | (digit - 0x37)
            case 0x61...0x66: value = value << 4 | (digit - 0x57)
            default: return nil
            }
        }
        return UInt8(value)
    }
}
