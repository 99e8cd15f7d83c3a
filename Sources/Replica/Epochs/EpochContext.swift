public import Consensus
public import Ledger
public import Primitives

/// The epoch that a replica is in: who votes, how leaders are drawn, and when it ends.
public struct EpochContext: Sendable {
    public let record: EpochRecord
    public let start: EpochStart
    public let schedule: EpochSchedule
    public let validators: ValidatorSet

    public var epoch: Epoch { record.epoch }

    /// The epoch of the next block, as the state has it.
    init(in state: any StateStore, parameters: ChainParameters) throws(ReplicaFault) {
        let record: EpochRecord?
        let start: EpochStart?
        do throws(LedgerFault) {
            let epoch = try Query.chain(in: state).epoch
            record = try Query.epochRecord(epoch, in: state)
            start = try Query.epochStart(epoch, in: state)
        } catch { throw .damaged("\(error)") }
        guard let record, let start else { throw .damaged("the state has no record of its epoch") }
        self.record = record
        self.start = start
        schedule = EpochSchedule(start, parameters)
        do throws(ValidatorSetFault) { validators = try record.validatorSet() } catch {
            throw .genesis("its validators are not a set: \(error)")
        }
    }
}
