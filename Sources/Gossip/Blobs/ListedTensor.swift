public import Primitives

/// A tensor as a list of outputs names it: what its root is the digest of, and not the root alone.
///
/// A root's tree has digests of nodes beside those of tensors, and nobody can tell one from the other. Were a list of plain digests, a node over two tensors
/// could stand in it for one, under the same id: whoever took such a list would look for a tensor that there is not. A node has no type and shape that it is
/// the digest of.
public struct ListedTensor: Hashable, Sendable {
    /// The number of its element type.
    public let type: UInt8
    public let shape: [UInt64]
    /// The Merkle root over its blocks.
    public let tree: Digest

    public init(type: UInt8, shape: [UInt64], tree: Digest) {
        self.type = type
        self.shape = shape
        self.tree = tree
    }

    /// The tensor's root, which is its blob's id.
    public var root: Digest {
        var writer = ByteWriter(capacity: 64)
        writer.write(type)
        writer.write(UInt8(shape.count))
        for dimension in shape { writer.write(dimension) }
        writer.write(tree)
        return Digest.of(Domain("plasma.tensor"), writer.bytes)
    }
}

/// Lists as bytes: each type and shape stands once, in the order in which the tensors first have it, then each step's tensors by its number and their trees.
enum OutputListCode {
    private struct Form: Hashable, CanonicalCodable {
        let type: UInt8
        let shape: [UInt64]

        init(_ tensor: ListedTensor) {
            type = tensor.type
            shape = tensor.shape
        }

        init(from reader: inout ByteReader) throws(DecodingFault) {
            type = try reader.readUInt8()
            shape = try reader.readList(UInt64.self, max: BlobManifest.maximumRank)
            if BlobManifest.tensorLength(type, shape) == nil {
                throw .invalid("no tensor is of type \(type) and shape \(shape)")
            }
        }

        func encode(into writer: inout ByteWriter) {
            writer.write(type)
            writer.write(list: shape)
        }
    }

    static func encode(_ steps: [[ListedTensor]], into writer: inout ByteWriter) {
        var numbers: [Form: UInt16] = [:]
        var forms: [Form] = []
        for tensor in steps.joined() where numbers[Form(tensor)] == nil {
            // No more than tensors, which are at most 2^15.
            numbers[Form(tensor)] = UInt16(clamping: forms.count)
            forms.append(Form(tensor))
        }
        writer.write(list: forms)
        writer.write(UInt32(steps.count))
        for step in steps {
            writer.write(UInt32(step.count))
            for tensor in step {
                writer.write(numbers[Form(tensor)] ?? 0)
                writer.write(tensor.tree)
            }
        }
    }

    static func decode(from reader: inout ByteReader) throws(DecodingFault) -> [[ListedTensor]] {
        let forms = try reader.readList(Form.self, max: BlobManifest.maximumChunks)
        if Set(forms).count < forms.count { throw .invalid("a type and shape stands twice in a list of outputs") }
        let count = try reader.readUInt32()
        if count > BlobManifest.maximumSteps { throw .tooLong(found: Int(count), limit: BlobManifest.maximumSteps) }
        var steps: [[ListedTensor]] = []
        var (total, used) = (0, 0)
        for _ in 0..<count {
            let width = try reader.readUInt32()
            if width > BlobManifest.maximumOutputs {
                throw .tooLong(found: Int(width), limit: BlobManifest.maximumOutputs)
            }
            if width == 0 { throw .invalid("a step without outputs is not listed") }
            total += Int(width)
            if total > BlobManifest.maximumChunks { throw .tooLong(found: total, limit: BlobManifest.maximumChunks) }
            var step: [ListedTensor] = []
            for _ in 0..<width {
                let number = Int(try reader.readUInt16())
                // One way alone to write a list.
                if number > used || number >= forms.count {
                    throw .invalid("form \(number) of \(forms.count) comes before it is due")
                }
                used = max(used, number + 1)
                step.append(
                    ListedTensor(
                        type: forms[number].type, shape: forms[number].shape, tree: try reader.read(Digest.self)))
            }
            steps.append(step)
        }
        if used < forms.count { throw .invalid("a list of outputs names a form that no tensor has") }
        return steps
    }
}
