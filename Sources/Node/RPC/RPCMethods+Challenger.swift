internal import API
internal import Ledger
internal import Primitives
internal import Replica
internal import Worker

extension RPCMethods {
    /// What this node's challenger has looked at, and its disputes.
    func challenger() async throws -> JSONValue {
        guard let report = await node.challenger?.report else {
            throw RPCError.notFound("this node challenges nobody: give it a section [challenger] in config.toml")
        }
        let (disputes, balance) = try await node.driver.access { replica in
            try (
                report.disputed.compactMap {
                    try Query.dispute(
                        job: $0.job, attempt: $0.number, challenger: report.account, in: replica.stateStore)
                }, Query.account(report.account, in: replica.stateStore).balance
            )
        }
        return [
            "account": .string(report.account.description), "balance": text(balance),
            "depositLimit": text(report.rules.depositLimit), "sharePerMille": JSONValue(report.rules.sharePerMille),
            "passed": JSONValue(report.tally.passed), "checked": JSONValue(report.tally.checked),
            "agreed": JSONValue(report.tally.agreed), "differed": JSONValue(report.tally.differed),
            "notRun": JSONValue(report.tally.notRun),
            "results": .array(
                report.findings.map { attempt, finding in
                    [
                        "job": .string(attempt.job.hex), "attempt": JSONValue(UInt64(attempt.number)),
                        "finding": .string(RPCMethods.word(finding)),
                    ]
                }),
            "disputes": .array(
                disputes.map { dispute in
                    [
                        "job": .string(dispute.job.hex), "attempt": JSONValue(UInt64(dispute.attempt)),
                        "defender": .string(dispute.defender.description),
                        "state": .string(dispute.state.description), "atOnce": .bool(dispute.wasShownAtOnce),
                        "deposit": text(dispute.deposit), "reason": .string(dispute.reason),
                    ]
                }),
        ]
    }

    private static func word(_ finding: ChallengerMachine.Finding) -> String {
        switch finding {
        case .passed: "not drawn"
        case .checking: "running"
        case .ready: "run, the provider's is not open"
        case .agrees: "agrees"
        case .differs: "differs"
        case .differsBeyondLimit: "differs, and cannot be challenged"
        case .notRun(let refusal): "not run: \(refusal)"
        }
    }
}
