package import Ledger
package import Primitives

/// What a node's state says of the market at a height, as read from its store.
package struct MarketBooks {
    package var height: Height
    package var jobs: [Job]
    package var receipts: [Digest: JobReceipt]
    package var disputes: [Dispute]
    package var providers: [Provider]
    /// How many jobs each provider's offers say are with it.
    package var running: [Address: UInt64]
    package var escrowed: Amount
    package var bonded: Amount
    /// Of those whose balances are followed: requesters and payouts.
    package var balances: [Address: Amount]

    package init(
        height: Height, jobs: [Job], receipts: [Digest: JobReceipt], disputes: [Dispute] = [], providers: [Provider],
        running: [Address: UInt64], escrowed: Amount, bonded: Amount, balances: [Address: Amount]
    ) {
        self.height = height
        self.jobs = jobs
        self.receipts = receipts
        self.disputes = disputes
        self.providers = providers
        self.running = running
        self.escrowed = escrowed
        self.bonded = bonded
        self.balances = balances
    }
}
