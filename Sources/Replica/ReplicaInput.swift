public import Consensus
public import Ledger
public import Primitives

/// What happened, as a shell tells the replica.
public enum ReplicaInput: Sendable {
    /// All is restored: begin.
    case start
    /// A requested time has come.
    case timer
    case peerConnected(PublicKey, head: Height)
    case peerDisconnected(PublicKey)
    case consensus(ConsensusMessage, from: PublicKey)
    case signaturesVerified(id: UInt64, results: [Bool])
    /// A block's bytes, pushed or fetched.
    case block([UInt8], from: PublicKey)
    /// The answer to `requestBlocks`; empty where the peer had nothing or did not answer.
    case finalizedBlocks([FinalizedBlock], from: PublicKey)
    /// A fetch by digest came back with nothing.
    case blockUnavailable(Digest, from: PublicKey)
    /// Transactions whose signatures the shell has checked.
    case transactions([SignedTransaction], local: Bool)
}

/// What a shell must do, in this order.
public enum ReplicaOutput: Sendable {
    /// Append to the journal; durable before any later output is carried out.
    case persist(JournalRecord)
    /// Keep a block's bytes; durable before any later output is carried out.
    case storeBlock(Digest, [UInt8])
    /// The block at this height is final. `certificate` is its own finalization, where there is one.
    case markFinalized(Height, Digest, Certificate?)
    case broadcastConsensus(ConsensusMessage)
    case sendConsensus(ConsensusMessage, to: PublicKey)
    case broadcastBlock([UInt8])
    case sendBlock([UInt8], to: PublicKey)
    case broadcastTransactions([SignedTransaction])
    /// A transaction that came from this node's own users may not wait here.
    case refused(Digest, SubmissionFault)
    case requestBlock(Digest, from: PublicKey)
    /// Ask for finalized blocks from a height on.
    case requestBlocks(from: Height, count: Int, peer: PublicKey)
    case verifySignatures(id: UInt64, items: [VerificationItem])
    case setTimer(Instant)
    /// A block was executed: what readers and agents look at has changed.
    case executed(Block, ExecutionResult)
    /// A finalization of this very header was seen.
    case certified(Header, Certificate)
    case misbehaviour(PublicKey, String)
    /// Another machine votes with this validator's key; heard in that view. This one is silent from here on.
    case keyInUseElsewhere(View)
    /// Somebody signed two things. It is on its way to the chain.
    case evidence(Evidence)
    /// The epoch is over; the header is that of its last block, final and executed.
    case epochEnded(Epoch, last: Header)

}
