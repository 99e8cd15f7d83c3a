/// Networks of the real machines in one thread and virtual time, all chance from one seed, to find what breaks them.
///
/// - `ConsensusSimulation`: engines under loss, duplication, delay, one-way partitions, crashes between any two outputs, slow applications,
///   pauses, lost journals, clocks of their own.
/// - `Twins/`: scenarios of who leads and who hears whom, all of them for four validators, with one or more that run twice.
/// - `Search/`: every order of events of four validators over two views, each state met looked at once.
/// - `Actors/`: validators that lie, each in its own named way; a *twin* is two correct engines with one key.
/// - `FinalityOracle`: watches all that is sent and finalized. It shares no code with the engine and calls nothing of it but plain values.
/// - `SimulationProfile`: the named kinds of trouble.
///
/// A run's digest is over every message delivered and its time: equal for a seed on every machine, in every build.
public import Primitives

/// What a run came to.
public struct SimulationReport: Sendable {
    public let seed: UInt64
    /// Of every event in order.
    public let digest: Digest
    /// Highest finalized view, by node.
    public let finalized: [View]
    public let violations: [String]
    public let events: Int
    public let crashes: Int
    /// Pieces of evidence that nodes gave.
    public let accusations: Int
    /// Virtual time.
    public let elapsed: Interval
    /// Whether the views that were asked for were finalized by every honest node.
    public let reached: Bool
    /// From a proposal's leaving its leader to its finalization at a node, median over all nodes and views; nil where none was.
    public let finality: Interval?
    /// Median over the same proposals of the time in which the leader's words reach a quorum. Zero without regions.
    public let quorumDelay: Interval
    /// Outputs that nodes carried out: the places where a crash can come.
    public let boundaries: Int
    /// How often a node paused, and how often one lost its journal.
    public let pauses: Int
    public let wipes: Int
}
