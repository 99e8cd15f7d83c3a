public import Primitives

/// What a published model is: its program, its weights by root, and the files that make its inputs.
///
/// The model's identity is the digest of these bytes, so everything is bounded and has one encoding.
public struct ModelManifest: Hashable, Sendable, CanonicalCodable {
    /// A file that travels with the model (its tokenizer, its settings).
    public struct File: Hashable, Sendable, CanonicalCodable {
        /// Its path within the model's folder.
        public let name: String
        /// The id of its bytes as a blob.
        public let id: Digest
        /// Its size in bytes.
        public let byteCount: UInt64

        /// A file; its name must be a relative path of plain parts.
        public init(name: String, id: Digest, byteCount: UInt64) throws(DecodingFault) {
            if !ModelManifest.isPlain(name) { throw .invalid("a file's name must be a relative path of plain parts") }
            self.name = name
            self.id = id
            self.byteCount = byteCount
        }

        public func encode(into w: inout ByteWriter) {
            w.write(string: name)
            w.write(id)
            w.write(byteCount)
        }

        public init(from r: inout ByteReader) throws(DecodingFault) {
            try self.init(
                name: try r.readString(max: ModelManifest.nameLimit), id: try r.read(Digest.self),
                byteCount: try r.readUInt64())
        }
    }

    /// The most bytes a name may have.
    public static let nameLimit = 200
    /// The most parameters a model may have.
    public static let parameterLimit = 1 << 13
    /// The most files that may travel with a model.
    public static let fileLimit = 64

    /// What people call the model; it identifies nothing.
    public let name: String
    /// The Merkle root over the program's records.
    public let programRoot: Digest
    /// The id of the program's bytes as a blob.
    public let programFile: Digest
    /// The tensor roots of the parameters, in the order in which the program names them.
    public let parameterRoots: [Digest]
    /// The files, by ascending name, each once.
    public let files: [File]

    /// A manifest within its bounds; files are put in order.
    public init(
        name: String, programRoot: Digest, programFile: Digest, parameterRoots: [Digest], files: [File]
    ) throws(DecodingFault) {
        self.name = name
        self.programRoot = programRoot
        self.programFile = programFile
        self.parameterRoots = parameterRoots
        self.files = files.sorted { ModelManifest.precedes($0.name, $1.name) }
        try check()
    }

    public func encode(into w: inout ByteWriter) {
        w.write(string: name)
        w.write(programRoot)
        w.write(programFile)
        w.write(list: parameterRoots)
        w.write(list: files)
    }

    public init(from r: inout ByteReader) throws(DecodingFault) {
        name = try r.readString(max: ModelManifest.nameLimit)
        programRoot = try r.read(Digest.self)
        programFile = try r.read(Digest.self)
        parameterRoots = try r.readList(Digest.self, max: ModelManifest.parameterLimit)
        files = try r.readList(File.self, max: ModelManifest.fileLimit)
        try check()
    }

    private func check() throws(DecodingFault) {
        if name.isEmpty { throw .invalid("a model must have a name") }
        if name.utf8.count > ModelManifest.nameLimit {
            throw .tooLong(found: name.utf8.count, limit: ModelManifest.nameLimit)
        }
        if parameterRoots.count > ModelManifest.parameterLimit {
            throw .tooLong(found: parameterRoots.count, limit: ModelManifest.parameterLimit)
        }
        if files.count > ModelManifest.fileLimit { throw .tooLong(found: files.count, limit: ModelManifest.fileLimit) }
        for (a, b) in zip(files, files.dropFirst()) where !ModelManifest.precedes(a.name, b.name) {
            throw .invalid("a model's files must be in ascending order, each once")
        }
    }

    /// By bytes: Swift's own order of strings follows Unicode, which changes.
    private static func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }

    /// A relative path that cannot leave its folder.
    private static func isPlain(_ path: String) -> Bool {
        if path.isEmpty || path.utf8.count > nameLimit { return false }
        let parts = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return parts.allSatisfy { part in
            guard let first = part.first, first != UInt8(ascii: ".") else { return false }
            return part.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }
        }
    }
}
