public import Primitives

/// What a published model consists of: the program, its weights by root, and the files that travel along.
public struct ModelManifest: Hashable, Sendable, CanonicalCodable {
    public struct File: Hashable, Sendable, CanonicalCodable {
        public let name: String
        public let id: Digest
        public let length: UInt64

        public init(name: String, id: Digest, length: UInt64) {
            self.name = name
            self.id = id
            self.length = length
        }

        public init(from reader: inout ByteReader) throws(DecodingFault) {
            name = try reader.readString(max: TensorDeclaration.maximumNameBytes)
            id = try reader.read(Digest.self)
            length = try reader.readUInt64()
        }

        public func encode(into writer: inout ByteWriter) {
            writer.write(string: name)
            writer.write(id)
            writer.write(length)
        }
    }

    public static let maximumFiles = 64
    /// Canonical bytes of a manifest.
    public static let maximumBytes = 1 << 20

    public let name: String
    public let program: Digest
    /// The blob that holds the program's canonical bytes.
    public let programFile: Digest
    /// Tensor roots in the order of the program's parameters.
    public let parameters: [Digest]
    public let files: [File]

    public init(name: String, program: Digest, programFile: Digest, parameters: [Digest], files: [File]) {
        self.name = name
        self.program = program
        self.programFile = programFile
        self.parameters = parameters
        self.files = files
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        name = try reader.readString(max: TensorDeclaration.maximumNameBytes)
        program = try reader.read(Digest.self)
        programFile = try reader.read(Digest.self)
        parameters = try reader.readList(Digest.self, max: Program.maximumParameters)
        files = try reader.readList(File.self, max: ModelManifest.maximumFiles)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(string: name)
        writer.write(program)
        writer.write(programFile)
        writer.write(list: parameters)
        writer.write(list: files)
    }
}
