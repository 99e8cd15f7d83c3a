import Ledger
import Primitives

/// What accounts send.
enum TransactionTarget: FuzzTarget {
    static let name = "transactions"

    static func forms() throws -> [Form] {
        let network = try Fixture.genesis().digest
        return [
            Form(try Fixture.transactions(network)) { signed in
                _ = signed.id
                _ = signed.isSigned
            },
            Form(try Fixture.payloads()) { _ = $0.job },
            Form([try Fixture.spec(.audited), try Fixture.spec(.replicated(count: 3))]),
        ]
    }
}
