/// What the network agrees on: transactions, blocks, the state they make, the market and its money.
///
/// Words: a *transaction* is one signed wish of one account; a *payload* is what it wishes; a *market move* is a payload by which a
/// provider or an auditor advances a job it was given; the *chain clock* is milliseconds since genesis that stand still in a halt;
/// *escrow* is what a job's requester has locked; a *bond* is what a provider has at stake, and its *share* what one job locks of it.
///
/// Everything here is a pure function of the state and a block: no clock, no socket, no floating point, no dictionary order.
/// The state is reached through `StateStore`, which knows neither accounts nor trees.
public import Primitives

extension Domain {
    static let genesis = Domain("plasma.genesis")
    static let header = Domain("plasma.header")
    static let transaction = Domain("plasma.tx")
    static let opaque = Domain("plasma.opaque")
    static let transactionSignature = Domain("plasma.tx.sign")
    static let receipt = Domain("plasma.receipt")
    static let statePath = Domain("plasma.st.path")
    static let stateValue = Domain("plasma.st.value")
    static let stateLeaf = Domain("plasma.st.leaf")
    static let stateNode = Domain("plasma.st.node")
    static let dispute = Domain("plasma.disputed")
    static let maskedResult = Domain("plasma.masked")
    static let registration = Domain("plasma.joining")
    static let device = Domain("plasma.device")
    static let gang = Domain("plasma.gang")
    static let maskedTrap = Domain("plasma.trapped")
    static let trap = Domain("plasma.trap")
    static let beacon = Domain("plasma.beacon")
    static let draw = Domain("plasma.draw")
    static let epochRecord = Domain("plasma.epoch")
    static let epochSeed = Domain("plasma.ep.seed")
    static let parameters = Domain("plasma.params")
    static let possession = Domain("plasma.possess")
    static let blockVotes = Domain("plasma.bl.votes")
}

/// Why a state could not be advanced. None of these is a transaction's fault: those are receipts.
public enum LedgerFault: Error, Equatable, Sendable, CustomStringConvertible {
    case state(StateFault)
    case corrupt(String)
    case notNext(expected: Height, found: Height)
    case noGenesis
    case money(String)

    public var description: String {
        switch self {
        case .state(let fault): fault.description
        case .corrupt(let what): "the state is damaged: \(what); restore it from the blocks with a fresh state folder"
        case .notNext(let expected, let found): "block \(expected) is next, but block \(found) was given"
        case .noGenesis: "the state is empty: write the genesis first"
        case .money(let what): "the books do not balance: \(what)"
        }
    }
}
