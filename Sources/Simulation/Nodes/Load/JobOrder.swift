import Gossip
import Ledger
import Primitives

/// A job to be posted, with the blobs that it needs and what comes out of it.
struct JobOrder {
    let spec: JobSpec
    /// Everybody's: the model.
    let model: [(kind: BlobManifest.Kind, bytes: [UInt8])]
    /// What its requester has to serve; nothing where it reads only what others leave.
    let inputs: [(kind: BlobManifest.Kind, bytes: [UInt8])]
    /// Computed here by plain integers, with nothing of the runtime.
    let truth: ResultCommitment
    /// What its last step gives out.
    let values: [Int32]
    let rows: UInt64
}

/// What a job that was posted leaves, as far as a later one may read it.
struct JobYield {
    let job: Digest
    /// Its last step.
    let step: UInt64
    let rows: UInt64
    /// What that gives out.
    let values: [Int32]

    init(_ order: JobOrder, as job: Digest) {
        self.job = job
        step = order.truth.steps.reduce(0, +) - 1
        rows = order.rows
        values = order.values
    }
}
