public import Primitives
internal import Programs

/// The typed keys: one letter for the type, then its name in bytes that sort as they should.
public enum StateKey {
    static func big(_ value: UInt64) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
    static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }

    static let chain: [UInt8] = [0x63]
    static let totals: [UInt8] = [0x74]
    static let parameters: [UInt8] = [0x67]
    static let accounts: [UInt8] = [0x61]
    static let validators: [UInt8] = [0x76]
    static let providers: [UInt8] = [0x70]
    static let offers: [UInt8] = [0x6f]
    static let models: [UInt8] = [0x6d]
    static let manifests: [UInt8] = [0x4d]
    static let jobs: [UInt8] = [0x6a]
    static let jobNumbers: [UInt8] = [0x4a]
    static let queue: [UInt8] = [0x71]
    static let timers: [UInt8] = [0x77]
    static let draws: [UInt8] = [0x64]
    static let receipts: [UInt8] = [0x72]
    static let blocks: [UInt8] = [0x62]
    static let tombstones: [UInt8] = [0x56]
    static let unbondings: [UInt8] = [0x75]
    static let presence: [UInt8] = [0x50]
    static let epochRecords: [UInt8] = [0x45]
    static let epochStarts: [UInt8] = [0x65]
    static let disputes: [UInt8] = [0x44]
    static let disputeTimers: [UInt8] = [0x54]
    static let reveals: [UInt8] = [0x52]
    static let sweeps: [UInt8] = [0x53]
    static let waits: [UInt8] = [0x57]
    static let ends: [UInt8] = [0x4c]
    static let claimTimers: [UInt8] = [0x43]
    static let deviceRound: [UInt8] = [0x68]
    static let unmeasuredDevices: [UInt8] = [0x48]
    static let deviceDraws: [UInt8] = [0x69]
    static let deviceTimers: [UInt8] = [0x49]

    /// An account's key: what a balance proof is about.
    public static func account(_ address: Address) -> [UInt8] { accounts + address.bytes }
    static func write(account address: Address, _ writer: inout ByteWriter) {
        writer.write(accounts[0])
        writer.write(address)
    }
    /// A job's receipt: what a receipt proof is about.
    public static func receipt(_ job: Digest) -> [UInt8] { receipts + job.bytes }
    /// A job.
    public static func job(_ id: Digest) -> [UInt8] { jobs + id.bytes }
    /// A block record.
    public static func block(_ height: Height) -> [UInt8] { blocks + big(height.value) }
    /// In the tree's space: no root can be part of what it is the root of.
    static func root(_ height: Height) -> [UInt8] { [0xfe] + big(height.value) }
    /// A validator's stake.
    public static func validator(_ key: PublicKey) -> [UInt8] { validators + key.bytes }
    /// A validator that may never vote again.
    static func tombstone(_ key: PublicKey) -> [UInt8] { tombstones + key.bytes }
    static func unbonding(_ key: PublicKey, _ unlocks: Epoch) -> [UInt8] {
        unbondings + key.bytes + big(unlocks.value)
    }
    static func unbondings(of key: PublicKey) -> [UInt8] { unbondings + key.bytes }
    static func epochRecord(_ epoch: Epoch) -> [UInt8] { epochRecords + big(epoch.value) }
    static func epochStart(_ epoch: Epoch) -> [UInt8] { epochStarts + big(epoch.value) }
    static func provider(_ address: Address) -> [UInt8] { providers + address.bytes }
    static func offers(of provider: Address) -> [UInt8] { offers + provider.bytes }
    static func offer(_ provider: Address, _ device: UInt16) -> [UInt8] {
        offers(of: provider) + [UInt8(device >> 8), UInt8(device & 255)]
    }
    /// The provider and the device that a key ends with.
    static func device(_ key: [UInt8]) throws(LedgerFault) -> (provider: Address, device: UInt16) {
        let number = key.suffix(2).reduce(UInt16(0)) { $0 << 8 | UInt16($1) }
        guard let provider = try? Address(bytes: Array(key.suffix(22).prefix(20))) else {
            throw .corrupt("a device's key")
        }
        return (provider, number)
    }
    private static func device(_ provider: Address, _ device: UInt16) -> ArraySlice<UInt8> {
        offer(provider, device).dropFirst()
    }
    /// A device that is to be measured, as nobody has done it.
    static func unmeasured(_ provider: Address, _ device: UInt16) -> [UInt8] {
        unmeasuredDevices + Self.device(provider, device)
    }
    static func deviceDraw(_ height: Height, _ provider: Address, _ device: UInt16) -> [UInt8] {
        deviceDraws + big(height.value) + Self.device(provider, device)
    }
    static func deviceTimer(_ due: UInt64, _ provider: Address, _ device: UInt16) -> [UInt8] {
        deviceTimers + big(due) + Self.device(provider, device)
    }
    static func model(_ name: String) -> [UInt8] { models + Array(name.utf8) }
    static func manifest(_ manifest: Digest) -> [UInt8] { manifests + manifest.bytes }
    static func jobNumber(_ number: UInt64) -> [UInt8] { jobNumbers + big(number) }
    static func queued(_ number: UInt64) -> [UInt8] { queue + big(number) }
    static func timer(_ due: UInt64, _ job: Digest) -> [UInt8] { timers + big(due) + job.bytes }
    /// A challenger's dispute of an attempt.
    public static func dispute(_ job: Digest, _ attempt: UInt32, _ challenger: Address) -> [UInt8] {
        disputes(of: job) + attempt.bigEndianBytes + challenger.bytes
    }
    static func disputes(of job: Digest) -> [UInt8] { disputes + job.bytes }
    static func disputeTimer(_ due: UInt64, _ dispute: Dispute) -> [UInt8] {
        disputeTimers + big(due) + Self.dispute(dispute.job, dispute.attempt, dispute.challenger).dropFirst()
    }
    static func reveal(_ job: Digest, _ attempt: UInt32, _ point: RevealPoint) -> [UInt8] {
        reveals + job.bytes + attempt.bigEndianBytes + Digest.of(.dispute, encoding: point).bytes
    }
    static func claimTimer(_ due: UInt64, _ job: Digest) -> [UInt8] { claimTimers + big(due) + job.bytes }
    static func sweep(_ job: Digest, _ attempt: UInt32) -> [UInt8] { sweeps + job.bytes + attempt.bigEndianBytes }
    /// A job that waits for another.
    static func wait(for parent: Digest, _ child: Digest) -> [UInt8] { waits(for: parent) + child.bytes }
    static func waits(for parent: Digest) -> [UInt8] { waits + parent.bytes }
    /// A job that is over, and of which those that wait for it are to be told.
    static func end(_ parent: Digest) -> [UInt8] { ends + parent.bytes }
    static func draw(_ height: Height, _ job: Digest) -> [UInt8] { draws + big(height.value) + job.bytes }
}

extension UInt32 {
    fileprivate var bigEndianBytes: [UInt8] { withUnsafeBytes(of: bigEndian) { Array($0) } }
}
