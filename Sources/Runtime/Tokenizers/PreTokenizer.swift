/// How a text is cut into words before BPE, as tokenizer.json describes it: steps, each on the pieces of the one before.
enum PreTokenizer: Sendable, Equatable {
    enum Prefix: Sendable, Equatable {
        case first
        case always
        case never
    }

    /// A regular expression, each match a piece of its own.
    case cut(TextCut)
    /// Digits apart from what is no digit, one by one or as runs.
    case digits(areSingle: Bool)
    /// Bytes as letters, after a cut and a leading blank where these are asked for.
    case bytes(addsBlank: Bool, cut: TextCut?)
    /// Blanks as a letter, which is put before a text too; cut before each where `cuts`.
    case blanks(letter: UInt32, prefix: Prefix, cuts: Bool)

    /// A stretch of text, and whether it starts where the text starts.
    struct Piece: Sendable {
        var text: [UInt32]
        var isFirst: Bool
    }

    /// Reads `pre_tokenizer`; nil and null are nothing to do.
    static func read(_ value: JSONValue?, file: String) throws(TokenizerFault) -> [PreTokenizer] {
        guard let value, value != .null else { return [] }
        var steps: [PreTokenizer] = []
        for entry in try TextNormalizer.entries(value, "pretokenizers", file: file) {
            switch entry["type"]?.string {
            case "ByteLevel":
                steps.append(
                    .bytes(
                        addsBlank: entry["add_prefix_space"]?.bool ?? true,
                        cut: entry["use_regex"]?.bool ?? true ? .gpt2 : nil))
            case "Split":
                guard let pattern = entry["pattern"]?["Regex"]?.string, let cut = TextCut(pattern: pattern) else {
                    let found = entry["pattern"]?["Regex"]?.string ?? entry["pattern"]?["String"]?.string
                    throw .unsupported("pattern", found: found ?? "missing")
                }
                guard entry["behavior"]?.string == "Isolated", entry["invert"]?.bool ?? false == false else {
                    throw .unsupported("split", found: entry["behavior"]?.string ?? "inverted")
                }
                steps.append(.cut(cut))
            case "Digits": steps.append(.digits(areSingle: entry["individual_digits"]?.bool ?? false))
            case "Metaspace": steps.append(try blanks(entry, file: file))
            case let other: throw .unsupported("pre_tokenizer", found: other ?? "of no known type")
            }
        }
        // Each of these may make every piece longer, and cuts between them more pieces.
        let longer = steps.count {
            switch $0 {
            case .bytes, .blanks: true
            case .cut, .digits: false
            }
        }
        if longer > 2 { throw .unsupported("pre_tokenizer", found: "\(longer) steps that add letters") }
        return steps
    }

    /// A Metaspace, whose older form has a flag for the prefix.
    static func blanks(_ entry: JSONValue, file: String) throws(TokenizerFault) -> PreTokenizer {
        guard let scalars = entry["replacement"]?.string?.unicodeScalars, scalars.count == 1, let letter = scalars.first
        else { throw .missing(file: file, "the letter of a Metaspace") }
        let prefix: Prefix
        switch entry["prepend_scheme"]?.string {
        case "first": prefix = .first
        case "always": prefix = .always
        case "never": prefix = .never
        case nil: prefix = entry["add_prefix_space"]?.bool ?? true ? .always : .never
        case let other?: throw .unsupported("prepend_scheme", found: other)
        }
        return .blanks(letter: letter.value, prefix: prefix, cuts: entry["split"]?.bool ?? true)
    }

    func apply(_ pieces: [Piece], _ classes: TextClasses, _ alphabet: ByteAlphabet) -> [Piece] {
        var output: [Piece] = []
        for piece in pieces where !piece.text.isEmpty {
            switch self {
            case .cut(let cut): PreTokenizer.append(piece, at: cut.ends(piece.text[...], classes), to: &output)
            case .digits(let areSingle):
                PreTokenizer.append(piece, at: PreTokenizer.digits(piece.text, areSingle, classes), to: &output)
            case .bytes(let addsBlank, let cut):
                var piece = piece
                if addsBlank && piece.text[0] != 0x20 { piece.text.insert(0x20, at: 0) }
                var words: [Piece] = []
                PreTokenizer.append(
                    piece, at: cut?.ends(piece.text[...], classes) ?? [piece.text.count], to: &words)
                for word in words {
                    output.append(
                        Piece(text: word.text.utf8.map { alphabet.scalars[Int($0)] }, isFirst: word.isFirst))
                }
            case .blanks(let letter, let prefix, let cuts):
                var piece = piece
                for place in piece.text.indices where piece.text[place] == 0x20 { piece.text[place] = letter }
                if prefix == .always || (prefix == .first && piece.isFirst), piece.text[0] != letter {
                    piece.text.insert(letter, at: 0)
                }
                var ends = [piece.text.count]
                if cuts { ends = piece.text.indices.dropFirst().filter { piece.text[$0] == letter } + ends }
                PreTokenizer.append(piece, at: ends, to: &output)
            }
        }
        return output
    }

    private static func append(_ piece: Piece, at ends: [Int], to output: inout [Piece]) {
        var start = 0
        for end in ends {
            output.append(Piece(text: Array(piece.text[start..<end]), isFirst: piece.isFirst && start == 0))
            start = end
        }
    }

    private static func digits(_ text: [UInt32], _ areSingle: Bool, _ classes: TextClasses) -> [Int] {
        var ends: [Int] = []
        for place in text.indices.dropFirst() {
            let (before, here) = (classes.of(text[place - 1]) == .number, classes.of(text[place]) == .number)
            if before != here || (areSingle && here) { ends.append(place) }
        }
        return ends + [text.count]
    }
}
