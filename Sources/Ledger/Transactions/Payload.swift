public import Primitives
public import Programs

/// What a transaction wishes.
///
/// The larger cases are boxed: most transactions are transfers and small moves, and are copied often.
public enum Payload: Hashable, Sendable, CanonicalCodable {
    public static let maximumMemoBytes = 128
    public static let maximumNameBytes = 64
    public static let maximumSaltBytes = 32
    public static let maximumReasonBytes = 128
    /// Numbers of a device's answer that are shown together.
    public static let maximumDeviceSamples = 8

    case transfer(to: Address, amount: Amount, memo: [UInt8])
    /// With less than the least bond as a newcomer, for its fee.
    indirect case registerProvider(name: String, node: PublicKey, payout: Address, bond: Amount)
    case addBond(amount: Amount)
    case withdrawProvider
    indirect case setOffer(OfferTerms)
    case pauseOffer(device: UInt16)
    indirect case publishModel(name: String, manifest: Digest, program: Digest, royaltyBasisPoints: UInt16)
    indirect case submitJob(JobSpec)
    case cancelJob(job: Digest)
    case declineJob(job: Digest, attempt: UInt32, reason: DeclineReason)
    case startJob(job: Digest, attempt: UInt32)
    /// The start of a job whose parents' results nobody has shown yet.
    indirect case startAfter(job: Digest, attempt: UInt32, resolution: Resolution)
    case heartbeatJob(job: Digest, attempt: UInt32)
    case commitResult(job: Digest, attempt: UInt32, masked: Digest)
    case commitAudit(job: Digest, attempt: UInt32, masked: Digest)
    /// With the proof of the draw that says whether the mask holds a decoy (`SignedTransaction.isSigned` checks it).
    indirect case openResult(job: Digest, attempt: UInt32, opening: ResultOpening)
    indirect case revealAudit(job: Digest, attempt: UInt32, commitment: ResultCommitment, salt: Digest)
    /// Opens a dispute of an opened result. An auditor that has revealed another one stakes its bond, anybody else the deposit.
    indirect case challenge(job: Digest, attempt: UInt32, opening: DisputeOpening, deposit: Amount)
    /// The provider's move in a challenger's dispute.
    indirect case revealDispute(job: Digest, attempt: UInt32, challenger: Address, point: RevealPoint, reveal: Reveal)
    /// The challenger's, of which it has made `round` before; at the end the evidence.
    indirect case pickDispute(job: Digest, attempt: UInt32, round: UInt32, pick: Pick)
    /// A whole dispute that both sides walked between themselves; it must convict. `key` is the provider's (`Dispute.transcriptMessage`).
    indirect case settleByTranscript(
        job: Digest, attempt: UInt32, transcript: DisputeTranscript, key: PublicKey, signature: Signature)
    /// Two reveals of one point that the provider has signed and that differ: in two walks, or in one walk and on chain. `key` is the provider's.
    indirect case showContradiction(
        job: Digest, attempt: UInt32, key: PublicKey, first: SignedTranscript, second: SignedTranscript?)
    /// Stakes for a validator. `possession` is the consensus key's signature (`StakedValidator.possessionMessage`).
    indirect case registerValidator(
        consensusKey: PublicKey, vrfKey: PublicKey, stake: Amount, possession: Signature)
    indirect case addStake(validator: PublicKey, amount: Amount)
    /// Takes stake out of the next sets; it can be claimed some epochs later.
    indirect case unbondStake(validator: PublicKey, amount: Amount)
    indirect case claimStake(validator: PublicKey)
    indirect case unjail(validator: PublicKey)
    /// Bytes for others to read, in their order among all: carried, paid for, and nothing else. `ChainParameters.opaqueByteLimit` allows them.
    case opaque(OpaqueBytes)
    /// Pays the fee of a newcomer whose owner has signed for it, and gives it `gift` for the fees of its own transactions.
    indirect case sponsorProvider(Registration, gift: Amount)
    /// The requester's: nobody hands out the bytes of the job's result.
    indirect case claimUndelivered(job: Digest, attempt: UInt32, deposit: Amount)
    /// Of a provider that was drawn to say whether an output, or a job's inputs, can be had: who says that it holds them hands them out from then on.
    case attestDelivery(job: Digest, attempt: UInt32, holds: Bool)
    /// Of the provider that has the job: the inputs are here, and the run waits for its turn.
    case stageJob(job: Digest, attempt: UInt32)
    /// Of the provider that runs the job: subnormals make it far slower than the machine is.
    case reportSlow(job: Digest, attempt: UInt32)
    /// The provider's answer where the output is small.
    indirect case postOutput(job: Digest, attempt: UInt32, output: PostedOutput)
    /// Jobs that are placed all or none (`GangPlace`), 2 to 32.
    indirect case submitGang([JobSpec])
    /// Takes all jobs of a gang back, as many as it has, before they are placed. `gang` is the id of the transaction that posted it.
    case cancelGang(gang: Digest, count: UInt8)

    /// What a device has computed in a round (`DeviceChain`).
    indirect case answerDevice(device: UInt16, round: UInt64, root: Digest)
    /// The numbers of that which were drawn, in the order of the draw.
    indirect case showDevice(device: UInt16, round: UInt64, samples: [DeviceSample])

    /// Several of a provider's moves under one signature.
    case moves(MoveBundle)

    /// Whether this is a provider's or auditor's move in a job, paid from the job's fee allowance, or several; or a device's, which its owner pays, from the
    /// bond where the account is empty.
    public var isMarketMove: Bool {
        switch self {
        case .moves, .declineJob, .startJob, .startAfter, .heartbeatJob, .commitResult, .commitAudit, .openResult,
            .revealAudit, .revealDispute, .attestDelivery, .postOutput, .stageJob, .reportSlow, .answerDevice,
            .showDevice:
            true
        default: false
        }
    }

    /// Whether it is a move of a dispute: these have a lane of their own in a block, and carry more bytes than others.
    public var isDisputeMove: Bool {
        switch self {
        case .challenge, .revealDispute, .pickDispute, .settleByTranscript, .showContradiction: true
        default: false
        }
    }

    /// The most canonical bytes that a transaction with it has, besides the opaque ones.
    var maximumBytes: Int {
        if isDisputeMove { return Transaction.maximumDisputeBytes }
        switch self {
        case .postOutput, .showDevice: return Transaction.maximumOutputBytes
        default: break
        }
        return Transaction.maximumBytes
    }

    /// Whether it is so large that it waits for its own node's turn to propose, and is told to others only where that does not come.
    public var isBulky: Bool {
        if case .opaque(let carried) = self { carried.bytes.count > OpaqueBytes.maximumToldBytes } else { false }
    }

    /// The job this moves; nil where it moves none that exists.
    public var job: Digest? {
        switch self {
        case .cancelJob(let job), .declineJob(let job, _, _), .startJob(let job, _), .startAfter(let job, _, _),
            .heartbeatJob(let job, _),
            .commitResult(let job, _, _), .commitAudit(let job, _, _), .openResult(let job, _, _),
            .revealAudit(let job, _, _, _), .challenge(let job, _, _, _), .revealDispute(let job, _, _, _, _),
            .pickDispute(let job, _, _, _), .settleByTranscript(let job, _, _, _, _),
            .showContradiction(let job, _, _, _, _), .claimUndelivered(let job, _, _), .attestDelivery(let job, _, _),
            .postOutput(let job, _, _), .stageJob(let job, _), .reportSlow(let job, _):
            job
        default: nil
        }
    }

    /// Whose account a transfer goes to; nil for anything else.
    var receiver: Address? {
        if case .transfer(let to, _, _) = self { to } else { nil }
    }

    var tag: UInt8 {
        switch self {
        case .transfer: 0
        case .registerProvider: 1
        case .addBond: 2
        case .withdrawProvider: 3
        case .setOffer: 4
        case .pauseOffer: 5
        case .publishModel: 6
        case .submitJob: 7
        case .cancelJob: 8
        case .declineJob: 9
        case .startJob: 10
        case .heartbeatJob: 11
        case .commitResult: 12
        case .commitAudit: 13
        case .openResult: 14
        case .revealAudit: 15
        case .registerValidator: 16
        case .addStake: 17
        case .unbondStake: 18
        case .claimStake: 19
        case .unjail: 20
        case .opaque: 21
        case .challenge: 22
        case .revealDispute: 23
        case .pickDispute: 24
        case .settleByTranscript: 25
        case .showContradiction: 26
        case .moves: 27
        case .sponsorProvider: 30
        case .startAfter: 31
        case .claimUndelivered: 32
        case .attestDelivery: 33
        case .postOutput: 34
        case .submitGang: 36
        case .cancelGang: 37
        case .answerDevice: 40
        case .showDevice: 41
        case .stageJob: 44
        case .reportSlow: 45
        }
    }

    /// What is digested of it: the encoding, but of opaque bytes their digest.
    func encodeSummary(into writer: inout ByteWriter) {
        guard case .opaque(let carried) = self else { return encode(into: &writer) }
        writer.write(tag)
        carried.encodeSummary(into: &writer)
    }

    /// By how many bytes the encoding is longer than the summary.
    var summaryExcess: Int { if case .opaque(let carried) = self { carried.excess } else { 0 } }

    public func encode(into writer: inout ByteWriter) {
        writer.write(tag)
        switch self {
        case .transfer(let to, let amount, let memo):
            writer.write(to)
            writer.write(amount)
            writer.write(bytes: memo)
        case .registerProvider(let name, let node, let payout, let bond):
            writer.write(string: name)
            writer.write(node)
            writer.write(payout)
            writer.write(bond)
        case .registerValidator(let consensusKey, let vrfKey, let stake, let possession):
            writer.write(consensusKey)
            writer.write(vrfKey)
            writer.write(stake)
            writer.write(possession)
        case .addStake(let validator, let amount), .unbondStake(let validator, let amount):
            writer.write(validator)
            writer.write(amount)
        case .claimStake(let validator), .unjail(let validator): writer.write(validator)
        case .opaque(let carried): writer.write(carried)
        case .addBond(let amount): writer.write(amount)
        case .withdrawProvider: break
        case .setOffer(let terms): writer.write(terms)
        case .pauseOffer(let device): writer.write(device)
        case .publishModel(let name, let manifest, let program, let royalty):
            writer.write(string: name)
            writer.write(manifest)
            writer.write(program)
            writer.write(royalty)
        case .submitJob(let spec): writer.write(spec)
        case .cancelJob(let job): writer.write(job)
        case .declineJob(let job, let attempt, let reason):
            writer.write(job)
            writer.write(attempt)
            writer.write(reason.rawValue)
        case .startJob(let job, let attempt), .heartbeatJob(let job, let attempt), .stageJob(let job, let attempt),
            .reportSlow(let job, let attempt):
            writer.write(job)
            writer.write(attempt)
        case .startAfter(let job, let attempt, let resolution):
            writer.write(job)
            writer.write(attempt)
            writer.write(resolution)
        case .commitResult(let job, let attempt, let masked), .commitAudit(let job, let attempt, let masked):
            writer.write(job)
            writer.write(attempt)
            writer.write(masked)
        case .openResult(let job, let attempt, let opening):
            writer.write(job)
            writer.write(attempt)
            writer.write(opening)
        case .revealAudit(let job, let attempt, let commitment, let salt):
            writer.write(job)
            writer.write(attempt)
            writer.write(commitment)
            writer.write(salt)
        case .challenge(let job, let attempt, let opening, let deposit):
            writer.write(job)
            writer.write(attempt)
            writer.write(opening)
            writer.write(deposit)
        case .revealDispute(let job, let attempt, let challenger, let point, let reveal):
            writer.write(job)
            writer.write(attempt)
            writer.write(challenger)
            writer.write(point)
            writer.write(reveal)
        case .pickDispute(let job, let attempt, let round, let pick):
            writer.write(job)
            writer.write(attempt)
            writer.write(round)
            writer.write(pick)
        case .settleByTranscript(let job, let attempt, let transcript, let key, let signature):
            writer.write(job)
            writer.write(attempt)
            writer.write(transcript)
            writer.write(key)
            writer.write(signature)
        case .showContradiction(let job, let attempt, let key, let first, let second):
            writer.write(job)
            writer.write(attempt)
            writer.write(key)
            writer.write(first)
            writer.write(optional: second)
        case .moves(let bundle): writer.write(bundle)
        case .sponsorProvider(let registration, let gift):
            writer.write(registration)
            writer.write(gift)
        case .claimUndelivered(let job, let attempt, let deposit):
            writer.write(job)
            writer.write(attempt)
            writer.write(deposit)
        case .attestDelivery(let job, let attempt, let holds):
            writer.write(job)
            writer.write(attempt)
            writer.write(bool: holds)
        case .postOutput(let job, let attempt, let output):
            writer.write(job)
            writer.write(attempt)
            writer.write(output)
        case .submitGang(let specs): writer.write(list: specs)
        case .cancelGang(let gang, let count):
            writer.write(gang)
            writer.write(count)
        case .answerDevice(let device, let round, let root):
            writer.write(device)
            writer.write(round)
            writer.write(root)
        case .showDevice(let device, let round, let samples):
            writer.write(device)
            writer.write(round)
            writer.write(list: samples)
        }
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        let tag = try reader.readUInt8()
        try self.init(tag: tag, from: &reader)
    }

    /// What follows a tag.
    init(tag: UInt8, from reader: inout ByteReader) throws(DecodingFault) {
        switch tag {
        case 0:
            self = .transfer(
                to: try reader.read(Address.self), amount: try reader.read(Amount.self),
                memo: try reader.readBytes(max: Payload.maximumMemoBytes))
        case 1:
            self = .registerProvider(
                name: try reader.readString(max: Payload.maximumNameBytes), node: try reader.read(PublicKey.self),
                payout: try reader.read(Address.self), bond: try reader.read(Amount.self))
        case 2: self = .addBond(amount: try reader.read(Amount.self))
        case 3: self = .withdrawProvider
        case 4: self = .setOffer(try reader.read(OfferTerms.self))
        case 5: self = .pauseOffer(device: try reader.readUInt16())
        case 6:
            let name = try reader.readString(max: Payload.maximumNameBytes)
            let manifest = try reader.read(Digest.self)
            let program = try reader.read(Digest.self)
            self = .publishModel(
                name: name, manifest: manifest, program: program, royaltyBasisPoints: try reader.readUInt16())
        case 7: self = .submitJob(try reader.read(JobSpec.self))
        case 8: self = .cancelJob(job: try reader.read(Digest.self))
        case 9:
            let job = try reader.read(Digest.self)
            let attempt = try reader.readUInt32()
            let code = try reader.readUInt8()
            guard let reason = DeclineReason(rawValue: code) else { throw .invalid("no decline reason \(code)") }
            self = .declineJob(job: job, attempt: attempt, reason: reason)
        case 10: self = .startJob(job: try reader.read(Digest.self), attempt: try reader.readUInt32())
        case 11: self = .heartbeatJob(job: try reader.read(Digest.self), attempt: try reader.readUInt32())
        case 12:
            self = .commitResult(
                job: try reader.read(Digest.self), attempt: try reader.readUInt32(),
                masked: try reader.read(Digest.self))
        case 13:
            self = .commitAudit(
                job: try reader.read(Digest.self), attempt: try reader.readUInt32(),
                masked: try reader.read(Digest.self))
        case 14:
            self = .openResult(
                job: try reader.read(Digest.self), attempt: try reader.readUInt32(),
                opening: try reader.read(ResultOpening.self))
        case 15:
            self = .revealAudit(
                job: try reader.read(Digest.self), attempt: try reader.readUInt32(),
                commitment: try reader.read(ResultCommitment.self), salt: try reader.read(Digest.self))
        case 16:
            self = .registerValidator(
                consensusKey: try reader.read(PublicKey.self), vrfKey: try reader.read(PublicKey.self),
                stake: try reader.read(Amount.self), possession: try reader.read(Signature.self))
        case 17: self = .addStake(validator: try reader.read(PublicKey.self), amount: try reader.read(Amount.self))
        case 18: self = .unbondStake(validator: try reader.read(PublicKey.self), amount: try reader.read(Amount.self))
        case 19: self = .claimStake(validator: try reader.read(PublicKey.self))
        case 20: self = .unjail(validator: try reader.read(PublicKey.self))
        case 21: self = .opaque(try reader.read(OpaqueBytes.self))
        case 22:
            self = .challenge(
                job: try reader.read(Digest.self), attempt: try reader.readUInt32(),
                opening: try reader.read(DisputeOpening.self), deposit: try reader.read(Amount.self))
        case 23:
            let (job, attempt) = (try reader.read(Digest.self), try reader.readUInt32())
            self = .revealDispute(
                job: job, attempt: attempt, challenger: try reader.read(Address.self),
                point: try reader.read(RevealPoint.self), reveal: try reader.read(Reveal.self))
        case 24:
            self = .pickDispute(
                job: try reader.read(Digest.self), attempt: try reader.readUInt32(),
                round: try reader.readUInt32(), pick: try reader.read(Pick.self))
        case 25:
            let (job, attempt) = (try reader.read(Digest.self), try reader.readUInt32())
            self = .settleByTranscript(
                job: job, attempt: attempt, transcript: try reader.read(DisputeTranscript.self),
                key: try reader.read(PublicKey.self), signature: try reader.read(Signature.self))
        case 26:
            let (job, attempt) = (try reader.read(Digest.self), try reader.readUInt32())
            self = .showContradiction(
                job: job, attempt: attempt, key: try reader.read(PublicKey.self),
                first: try reader.read(SignedTranscript.self), second: try reader.readOptional(SignedTranscript.self))
        case 27: self = .moves(try reader.read(MoveBundle.self))
        case 30:
            self = .sponsorProvider(try reader.read(Registration.self), gift: try reader.read(Amount.self))
        case 31:
            let (job, attempt) = (try reader.read(Digest.self), try reader.readUInt32())
            self = .startAfter(job: job, attempt: attempt, resolution: try reader.read(Resolution.self))
        case 32:
            self = .claimUndelivered(
                job: try reader.read(Digest.self), attempt: try reader.readUInt32(),
                deposit: try reader.read(Amount.self))
        case 33:
            self = .attestDelivery(
                job: try reader.read(Digest.self), attempt: try reader.readUInt32(), holds: try reader.readBool())
        case 34:
            self = .postOutput(
                job: try reader.read(Digest.self), attempt: try reader.readUInt32(),
                output: try reader.read(PostedOutput.self))
        case 36:
            let specs = try reader.readList(JobSpec.self, max: GangPlace.maximumJobs)
            try GangPlace.check(specs.count)
            self = .submitGang(specs)
        case 37:
            let (gang, count) = (try reader.read(Digest.self), try reader.readUInt8())
            try GangPlace.check(Int(count))
            self = .cancelGang(gang: gang, count: count)
        case 40:
            self = .answerDevice(
                device: try reader.readUInt16(), round: try reader.readUInt64(), root: try reader.read(Digest.self))
        case 41:
            let (device, round) = (try reader.readUInt16(), try reader.readUInt64())
            self = .showDevice(
                device: device, round: round,
                samples: try reader.readList(DeviceSample.self, max: Payload.maximumDeviceSamples))
        case 44: self = .stageJob(job: try reader.read(Digest.self), attempt: try reader.readUInt32())
        case 45: self = .reportSlow(job: try reader.read(Digest.self), attempt: try reader.readUInt32())
        case let other: throw .invalid("no payload has the tag \(other)")
        }
    }
}

/// Why a provider gives a job back.
public enum DeclineReason: UInt8, Sendable, Hashable, CaseIterable {
    case costMismatch = 0
    case inputsUnavailable = 1
    case inputsMalformed = 2
    case unsupported = 3
    case busy = 4

    /// Whether it says that nobody could run the job.
    public var blamesJob: Bool {
        switch self {
        case .costMismatch, .inputsUnavailable, .inputsMalformed: true
        case .unsupported, .busy: false
        }
    }
}

/// What a run made, in three roots (`docs/programs.md`).
public struct ResultCommitment: Hashable, Sendable, CanonicalCodable {
    public static let maximumScans = 16

    /// The steps that each scan really took.
    public var steps: [UInt64]
    /// Over all step outputs.
    public var outputRoot: Digest
    /// Over the kept carried tensors.
    public var stateRoot: Digest

    public init(steps: [UInt64], outputRoot: Digest, stateRoot: Digest) {
        self.steps = steps
        self.outputRoot = outputRoot
        self.stateRoot = stateRoot
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        steps = try reader.readList(UInt64.self, max: ResultCommitment.maximumScans)
        outputRoot = try reader.read(Digest.self)
        stateRoot = try reader.read(Digest.self)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(list: steps)
        writer.write(outputRoot)
        writer.write(stateRoot)
    }

    /// The mask under which it is posted: it names the job, the attempt and who posts it, so that nobody can copy it.
    public func masked(salt: Digest, provider: Address, job: Digest, attempt: UInt32) -> Digest {
        var writer = ByteWriter(capacity: 256)
        writer.write(self)
        writer.write(salt)
        writer.write(provider)
        writer.write(job)
        writer.write(attempt)
        return Digest.of(.maskedResult, writer.bytes)
    }
}
