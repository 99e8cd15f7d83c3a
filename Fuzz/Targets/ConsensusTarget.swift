import Consensus
import Ledger
import Primitives

/// What validators say to one another and write to their journals.
enum ConsensusTarget: FuzzTarget {
    static let name = "consensus"

    static func forms() throws -> [Form] {
        let network = try Fixture.genesis().digest
        let validators = try Fixture.genesis().epochRecord.validatorSet()
        let proposal = Fixture.proposal(3, Fixture.digest(1))
        let subjects: [Subject] = [.notarize(proposal), .nullify(7, 9), .finalize(proposal)]
        let votes = try subjects.map { try Fixture.vote($0, by: 2, network: network) }
        let certificates = try subjects.map { try Fixture.certificate($0, network: network) }
        let evidence = Evidence(first: votes[0], second: votes[2])
        return [
            Form(
                votes.map { ConsensusMessage.vote($0) } + certificates.map { .certificate($0) }
                    + [.request(from: 4, through: 67), .evidence(evidence)]
            ) { message in
                _ = message.epoch
                _ = message.isRelayed
                guard case .certificate(let certificate) = message else { return }
                if let weight = certificate.weight(in: validators) {
                    require(weight <= validators.totalWeight, "a certificate weighs more than all validators together")
                }
                _ = certificate.verificationItems(validators, network: network)
            },
            Form(
                votes.map { JournalRecord.vote($0) } + certificates.map { .certificate($0) }
                    + [.certification(proposal, true), .certification(proposal, false)]
            ) { _ = ($0.epoch, $0.view) },
            Form([evidence]) { _ = $0.isDoubleVote },
            Form([
                ConsensusParameters(delta: .milliseconds(100), heartbeat: .seconds(2), retry: .milliseconds(300))
            ]),
        ]
    }
}
