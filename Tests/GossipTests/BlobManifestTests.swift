import Gossip
import Primitives
import Programs
import TestSupport
import Testing

@Suite struct BlobManifestTests {
    static let lengths = [
        0, 1, 4, 1_023, 1_024, 1_025, 2_048, 63 * 1_024, 65_535, 65_536, 65_537, 66_560, 2 * 65_536, 3 * 65_536 + 5,
        4 * 65_536, 5 * 65_536 - 1_024, 9 * 65_536 + 1,
    ]

    static func manifest(_ kind: BlobManifest.Kind, _ bytes: [UInt8]) -> BlobManifest {
        bytes.withUnsafeBytes { BlobManifest.make(kind, $0) }
    }

    static func tensor(_ bytes: [UInt8]) -> BlobManifest {
        manifest(.tensor(type: ElementType.u8.rawValue, shape: [UInt64(bytes.count)]), bytes)
    }

    /// Tensors of three forms.
    static func outputs(_ counts: [Int]) -> [[ListedTensor]] {
        counts.enumerated().map { step, count in
            (0..<count).map { place in
                ListedTensor(
                    type: ElementType.f32.rawValue, shape: [UInt64](repeating: 2, count: (step + place) % 3),
                    tree: Actors.digest(step << 16 | place))
            }
        }
    }

    static func roots(_ steps: [[ListedTensor]]) -> [[Digest]] { steps.map { $0.map(\.root) } }

    static func list(_ steps: [[ListedTensor]]) -> BlobManifest {
        BlobManifest(kind: .outputs(steps: steps), length: 0, chunks: [])
    }

    static let form = WireForm(
        [0, 1, 65_537, 300_000].flatMap { length in
            let bytes = Actors.bytes(length, seed: UInt64(length))
            return [BlobManifest.file(bytes), tensor(bytes)]
        } + [
            manifest(.tensor(type: ElementType.f32.rawValue, shape: [2, 3, 4]), Actors.bytes(96, seed: 1)),
            manifest(.tensor(type: ElementType.i64.rawValue, shape: []), Actors.bytes(8, seed: 1)),
            list([]), list(outputs([1])), list(outputs([3, 1, 64])),
        ])

    @Test func everyManifestHasOneEncoding() throws {
        try Self.form.roundTrips()
        Self.form.refusesEveryTruncationAndWhatTrails()
    }

    @Test func changedManifestsNeverTrapAndHaveOneEncoding() { #expect(Self.form.survivesMutation() > 100) }

    @Test(arguments: lengths)
    func aTensorsIdIsItsRoot(length: Int) throws {
        let bytes = Actors.bytes(length, seed: 7)
        for element in ElementType.allCases where length % element.size == 0 {
            let count = UInt64(length / element.size)
            for shape in [[count], [1, count, 1]] {
                let manifest = Self.manifest(.tensor(type: element.rawValue, shape: shape), bytes)
                #expect(manifest.id == TensorRoot.of(element, shape, bytes))
                #expect(try BlobManifest(canonicalBytes: manifest.canonicalBytes).id == manifest.id)
            }
        }
    }

    @Test func typeShapeAndEveryByteAreInTheId() {
        let bytes = Actors.bytes(70_000, seed: 1)
        let u8 = ElementType.u8.rawValue
        var ids: Set<Digest> = [BlobManifest.file(bytes).id]
        let i8 = ElementType.i8.rawValue
        let kinds: [(UInt8, [UInt64])] = [(u8, [70_000]), (u8, [70, 1_000]), (u8, [1_000, 70]), (i8, [70_000])]
        for (type, shape) in kinds {
            ids.insert(Self.manifest(.tensor(type: type, shape: shape), bytes).id)
        }
        for index in [0, 1_024, 65_535, 65_536, 69_999] {
            var other = bytes
            other[index] ^= 1
            ids.insert(Self.tensor(other).id)
            ids.insert(BlobManifest.file(other).id)
        }
        #expect(ids.count == 1 + 4 + 2 * 5)
    }

    /// Zeros at the end hash alike in a padded tree: the length must tell such files apart.
    @Test func filesOfZerosHaveDifferentIds() {
        let lengths = [0, 1, 1_023, 1_024, 65_535, 65_536, 65_537, 131_072, 131_073, 196_608]
        let ids = Set(lengths.map { BlobManifest.file([UInt8](repeating: 0, count: $0)).id })
        #expect(ids.count == lengths.count)
    }

    @Test func aTensorHasTheBytesOfItsShapeAndNoOthers() throws {
        for element in ElementType.allCases {
            #expect(BlobManifest.tensorLength(element.rawValue, [3, 5]) == UInt64(15 * element.size))
            #expect(BlobManifest.tensorLength(element.rawValue, []) == UInt64(element.size))
        }
        let known = Set(ElementType.allCases.map(\.rawValue))
        for type in UInt8.min...UInt8.max where !known.contains(type) {
            #expect(BlobManifest.tensorLength(type, [1]) == nil)
        }
        #expect(BlobManifest.tensorLength(ElementType.f32.rawValue, [1 << 62]) == nil)
        #expect(BlobManifest.tensorLength(ElementType.u8.rawValue, [1 << 32, 1 << 32]) == nil)

        // The block is padded with zeros: these three have one tree, so a false length would stand under a true id.
        let bytes = Actors.bytes(1_000, seed: 3)
        let honest = Self.tensor(bytes)
        for length in [999, 1_001, 1_024] as [UInt64] {
            let forged = BlobManifest(kind: honest.kind, length: length, chunks: honest.chunks)
            #expect(forged.id == honest.id)
            #expect(throws: DecodingFault.self) { try BlobManifest(canonicalBytes: forged.canonicalBytes) }
        }
        // So are a full tree of three chunks and one of four of which the last is padding.
        let large = Self.tensor(Actors.bytes(3 * 65_536, seed: 4))
        var padding = Digest.zero
        for _ in 0..<6 { padding = MerkleTree.node(padding, padding) }
        let forged = BlobManifest(kind: large.kind, length: 4 * 65_536, chunks: large.chunks + [padding])
        #expect(forged.id == large.id)
        #expect(throws: DecodingFault.self) { try BlobManifest(canonicalBytes: forged.canonicalBytes) }
    }

    @Test(arguments: lengths)
    func everyChunkIsCheckedByItself(length: Int) throws {
        let bytes = Actors.bytes(length, seed: UInt64(length) + 1)
        var random = SplitMix64(seed: UInt64(length))
        for manifest in [BlobManifest.file(bytes), Self.tensor(bytes)] {
            #expect(manifest.chunks.count == (length + 65_535) / 65_536)
            #expect(UInt64(manifest.chunks.count) == BlobManifest.chunkCount(UInt64(length)))
            for chunk in manifest.chunks.indices {
                let good = Array(bytes[manifest.range(of: chunk)])
                #expect(manifest.verify(good, chunk: chunk))
                let places = [0, good.count - 1] + (0..<6).map { _ in Int.random(in: 0..<good.count, using: &random) }
                for place in places {
                    var bad = good
                    bad[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                    #expect(!manifest.verify(bad, chunk: chunk), "byte \(place) of chunk \(chunk)")
                }
                #expect(!manifest.verify(good + [0], chunk: chunk))
                #expect(!manifest.verify(Array(good.dropLast()), chunk: chunk))
                for other in manifest.chunks.indices where other != chunk {
                    #expect(!manifest.verify(good, chunk: other))
                }
            }
            for outside in [-1, manifest.chunks.count, Int.max, Int.min] {
                #expect(!manifest.verify([], chunk: outside))
                #expect(!manifest.verify(bytes, chunk: outside))
            }
        }
    }

    @Test(arguments: [[], [1], [2], [1, 1], [1, 2, 3], [64], [5, 64, 1, 7, 7], [Int](repeating: 2, count: 33)])
    func aListOfOutputsIsFoundByTheOutputRoot(counts: [Int]) throws {
        let steps = Self.outputs(counts)
        let list = Self.list(steps)
        #expect(list.id == ResultRoots.outputRoot(Self.roots(steps)))
        #expect(try BlobManifest(canonicalBytes: list.canonicalBytes) == list)
        #expect(!list.verify([], chunk: 0))
    }

    /// The tree pads with zeros: such lists would stand under the id of a shorter one.
    @Test func aListWithEmptyStepsIsRefused() {
        let steps = Self.outputs([3, 2, 1])
        let forged: [[[ListedTensor]]] = [steps + [[]], [[]], steps + [[], []], [[]] + steps]
        #expect(Self.list(forged[0]).id == Self.list(steps).id)
        for list in forged {
            #expect(throws: DecodingFault.self) { try BlobManifest(canonicalBytes: Self.list(list).canonicalBytes) }
        }
    }

    /// A hostile peer's list: a node of the tree in the place of the tensors under it. It has the id where only digests are compared, and no tensor has that
    /// digest.
    @Test func aNodeOfTheTreeIsNoTensorOfAList() {
        let steps = Self.outputs([2, 2])
        let roots = Self.roots(steps)
        let nodes = roots.map { MerkleTree.node($0[0], $0[1]) }
        #expect(ResultRoots.outputRoot(nodes.map { [$0] }) == Self.list(steps).id)
        for type in [ElementType.f32.rawValue, 0, 255] {
            for shape in [[], [2], [UInt64.max]] as [[UInt64]] {
                let forged = nodes.map { [ListedTensor(type: type, shape: shape, tree: $0)] }
                #expect(Self.list(forged).id != Self.list(steps).id)
            }
        }
    }

    /// One way alone to write a list: each form once, in the order of its first tensor, and none besides.
    @Test func formsAreWrittenOnceAndInTheirOrder() throws {
        let tree = Actors.digest(1)
        func bytes(forms: [(UInt8, [UInt64])], numbers: [UInt16]) -> [UInt8] {
            var writer = ByteWriter()
            writer.write(UInt8(2))
            writer.write(UInt32(forms.count))
            for (type, shape) in forms {
                writer.write(type)
                writer.write(list: shape)
            }
            writer.write(UInt32(1))
            writer.write(UInt32(numbers.count))
            for number in numbers {
                writer.write(number)
                writer.write(tree)
            }
            writer.write(UInt64(0))
            writer.write(list: [Digest]())
            return writer.bytes
        }
        let forms: [(UInt8, [UInt64])] = [(1, [2]), (1, [3])]
        let read = try BlobManifest(canonicalBytes: bytes(forms: forms, numbers: [0, 1, 0]))
        #expect(
            read.kind
                == .outputs(steps: [[2, 3, 2].map { ListedTensor(type: 1, shape: [$0], tree: tree) }]))
        for wrong in [
            bytes(forms: forms, numbers: [1, 0]), bytes(forms: forms, numbers: [0]),
            bytes(forms: forms, numbers: [0, 2]), bytes(forms: [(1, [2]), (1, [2])], numbers: [0, 1]),
            bytes(forms: [(0, [2])], numbers: [0]), bytes(forms: [(1, [.max, .max])], numbers: [0]),
        ] {
            #expect(throws: DecodingFault.self) { try BlobManifest(canonicalBytes: wrong) }
        }
    }

    @Test func aListOfOutputsHasNoBytes() {
        let kind = BlobManifest.Kind.outputs(steps: Self.outputs([1]))
        for (length, chunks) in [(1, [Actors.digest(1)]), (0, [Actors.digest(1)]), (1, [])] as [(UInt64, [Digest])] {
            let forged = BlobManifest(kind: kind, length: length, chunks: chunks)
            #expect(throws: DecodingFault.self) { try BlobManifest(canonicalBytes: forged.canonicalBytes) }
        }
    }

    @Test func chunksAreAsManyAsTheLengthNeeds() throws {
        for length in [0, 1, 65_536, 65_537, UInt64.max] {
            for count in 0...3 {
                let manifest = BlobManifest(
                    kind: .file, length: length, chunks: (0..<count).map { Actors.digest($0) })
                let read = try? BlobManifest(canonicalBytes: manifest.canonicalBytes)
                #expect((read != nil) == (BlobManifest.chunkCount(length) == UInt64(count)), "\(length), \(count)")
            }
        }
        #expect(BlobManifest.chunkCount(.max) == 1 << 48)
    }

    @Test func everyBoundHoldsAndOneMoreIsRefused() throws {
        func isRead(_ manifest: BlobManifest) -> Bool {
            (try? BlobManifest(canonicalBytes: manifest.canonicalBytes)) == manifest
        }
        func file(_ chunks: Int) -> BlobManifest {
            BlobManifest(
                kind: .file, length: UInt64(chunks) << 16, chunks: [Digest](repeating: Actors.digest(1), count: chunks))
        }
        #expect(isRead(file(BlobManifest.maximumChunks)) && !isRead(file(BlobManifest.maximumChunks + 1)))
        func tensor(rank: Int) -> BlobManifest {
            Self.manifest(
                .tensor(type: ElementType.u8.rawValue, shape: [UInt64](repeating: 1, count: rank)), [1])
        }
        #expect(isRead(tensor(rank: BlobManifest.maximumRank)) && !isRead(tensor(rank: BlobManifest.maximumRank + 1)))
        func outputs(_ steps: Int, of count: Int) -> BlobManifest {
            Self.list(
                [[ListedTensor]](
                    repeating: [ListedTensor](repeating: Self.outputs([1])[0][0], count: count), count: steps))
        }
        #expect(isRead(outputs(1, of: BlobManifest.maximumOutputs)))
        #expect(!isRead(outputs(1, of: BlobManifest.maximumOutputs + 1)))
        #expect(isRead(outputs(BlobManifest.maximumSteps, of: 1)))
        #expect(!isRead(outputs(BlobManifest.maximumSteps + 1, of: 1)))
        #expect(isRead(outputs(BlobManifest.maximumChunks / 64, of: 64)))
        #expect(!isRead(outputs(BlobManifest.maximumChunks / 64 + 1, of: 64)))
    }
}
