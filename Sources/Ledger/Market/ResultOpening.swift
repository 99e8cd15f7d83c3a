public import Primitives

/// The draw that says whether a result's mask must hold a decoy beside it: the provider's VRF on the job and the beacon of the block that assigned it. The
/// provider alone knows the outcome before it opens, nobody could choose it, and there is one.
public enum TrapDraw {
    /// What the provider's key proves.
    public static func input(job: Digest, beacon: Digest) -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        writer.write(job)
        writer.write(beacon)
        return Digest.of(.trap, writer.bytes).bytes
    }

    /// Whether this output sets a trap.
    public static func isSet(_ output: Digest, perMille: UInt64) -> Bool {
        var reader = ByteReader(output.bytes)
        // 32 bytes always hold 16; the remainder's bias is nothing.
        let word = (try? reader.readUInt128()) ?? 0
        return word % 1000 < UInt128(perMille)
    }
}

/// The draw of a trap, for all to see.
public struct TrapProof: Hashable, Sendable, CanonicalCodable {
    /// Of the block that assigned the job.
    public var beacon: Digest
    /// By the provider's own key.
    public var proof: VRFProof

    public init(beacon: Digest, proof: VRFProof) {
        self.beacon = beacon
        self.proof = proof
    }

    /// The draw of a job that the block with this beacon assigned to the key's owner.
    public init(job: Digest, beacon: Digest, key: SecretKey) {
        self.init(beacon: beacon, proof: VRF.prove(key, alpha: TrapDraw.input(job: job, beacon: beacon)))
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        beacon = try reader.read(Digest.self)
        proof = try reader.read(VRFProof.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(beacon)
        writer.write(proof)
    }

    /// Whether it sets a trap.
    public func isSet(perMille: UInt64) -> Bool { TrapDraw.isSet(VRF.output(of: proof), perMille: perMille) }

    /// Whether the proof is the key's, on this job and the beacon that stands here. That the beacon is the assignment's, the state says.
    func isProven(job: Digest, by key: PublicKey) -> Bool {
        VRF.verify(key, proof, alpha: TrapDraw.input(job: job, beacon: beacon)) != nil
    }
}

/// How a provider opens its masked result.
public struct ResultOpening: Hashable, Sendable, CanonicalCodable {
    /// What it has found: this alone is audited, disputed, paid, and what the requester gets.
    public var commitment: ResultCommitment
    /// Where the draw set a trap: the other result that the mask held.
    public var decoy: ResultCommitment?
    public var salt: Digest
    /// Where auditors were drawn: a trap is for them alone.
    public var trap: TrapProof?

    public init(
        commitment: ResultCommitment, decoy: ResultCommitment? = nil, salt: Digest, trap: TrapProof? = nil
    ) {
        self.commitment = commitment
        self.decoy = decoy
        self.salt = salt
        self.trap = trap
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        commitment = try reader.read(ResultCommitment.self)
        decoy = try reader.readOptional(ResultCommitment.self)
        salt = try reader.read(Digest.self)
        trap = try reader.readOptional(TrapProof.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(commitment)
        writer.write(optional: decoy)
        writer.write(salt)
        writer.write(optional: trap)
    }

    /// The mask that was posted. With and without a decoy they are of two domains and look alike.
    public func masked(provider: Address, job: Digest, attempt: UInt32) -> Digest {
        guard let decoy else {
            return commitment.masked(salt: salt, provider: provider, job: job, attempt: attempt)
        }
        var writer = ByteWriter(capacity: 384)
        writer.write(decoy)
        writer.write(commitment)
        writer.write(salt)
        writer.write(provider)
        writer.write(job)
        writer.write(attempt)
        return Digest.of(.maskedTrap, writer.bytes)
    }
}
