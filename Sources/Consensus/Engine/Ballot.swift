import Primitives

/// The votes of one kind in one view, one of each signer. What they weigh is counted as they come and go, so that the hundredth vote costs what the
/// first did.
struct Ballot: Sendable {
    /// A vote as it is held: checked, being checked, or not looked at yet.
    struct HeldVote: Sendable {
        enum Check: Sendable { case unchecked, underWay, good }
        let vote: Vote
        let check: Check
        /// Who brought it; nil for our own.
        let source: PublicKey?
    }

    /// What is known of the votes for one subject.
    struct Tally: Sendable {
        let subject: Subject
        fileprivate(set) var votes = 0
        fileprivate(set) var unchecked = 0
        /// The weight of all of them, and of those whose signatures are good.
        fileprivate(set) var possible: UInt64 = 0
        fileprivate(set) var good: UInt64 = 0
    }

    private struct Entry: Sendable {
        /// Its subject's place among the tallies: nearly all say the same, and it is most of a vote.
        let tally: Int
        let signer: UInt16
        var check: HeldVote.Check
        let weight: UInt64
        let signature: Signature
        let source: PublicKey?
    }

    private var entries: [Entry] = []
    /// By signer, one more than the place of its vote among the entries; 0 where it has none.
    private var places: [UInt8] = []
    /// One for each subject; one without votes is used again, so there are never more than signers.
    private var tallies: [Tally] = []

    var count: Int { entries.count }

    private func place(of signer: UInt16) -> Int? {
        guard Int(signer) < places.count, places[Int(signer)] != 0 else { return nil }
        return Int(places[Int(signer)]) - 1
    }

    private func held(_ entry: Entry) -> HeldVote {
        HeldVote(
            vote: Vote(subject: tallies[entry.tally].subject, signer: entry.signer, signature: entry.signature),
            check: entry.check, source: entry.source)
    }

    subscript(signer: UInt16) -> HeldVote? { place(of: signer).map { held(entries[$0]) } }

    func contains(_ signer: UInt16) -> Bool { place(of: signer) != nil }

    func check(of signer: UInt16) -> HeldVote.Check? { place(of: signer).map { entries[$0].check } }

    /// Who voted, ascending.
    var signers: [UInt16] { places.indices.filter { places[$0] != 0 }.map { UInt16($0) } }

    /// All votes, in order of their signers.
    var votes: [HeldVote] { signers.compactMap { self[$0] } }

    /// The weight of all votes, whatever they say.
    var weight: UInt64 { tallies.reduce(0) { $0 + $1.possible } }

    func tally(of subject: Subject) -> Tally? { tallies.first { $0.votes > 0 && $0.subject == subject } }

    /// The votes for a subject that have come so far.
    func batch(_ subject: Subject, _ check: HeldVote.Check) -> VoteBatch {
        var batch = VoteBatch(subject: subject)
        guard let tally = tallies.firstIndex(where: { $0.subject == subject }) else { return batch }
        batch.reserve(tallies[tally].votes)
        for place in places where place != 0 {
            let index = Int(place) - 1
            if entries[index].tally == tally, entries[index].check == check {
                batch.append(entries[index].signer, entries[index].signature)
            }
        }
        return batch
    }

    /// Whether this very vote is held.
    func holds(_ subject: Subject, _ signer: UInt16, _ signature: Signature) -> Bool {
        guard let place = place(of: signer) else { return false }
        return entries[place].signature == signature && tallies[entries[place].tally].subject == subject
    }

    func source(of signer: UInt16) -> PublicKey? { place(of: signer).flatMap { entries[$0].source } }

    /// Holds a vote, in place of its signer's other. `validators`: how many there are.
    mutating func hold(
        _ vote: Vote, _ check: HeldVote.Check, weight: UInt64, from source: PublicKey?, validators: Int
    ) {
        if places.isEmpty {
            places = [UInt8](repeating: 0, count: validators)
            entries.reserveCapacity(validators)
        }
        remove(vote.signer)
        let tally: Int
        if let known = tallies.firstIndex(where: { $0.subject == vote.subject }) {
            tally = known
        } else if let free = tallies.firstIndex(where: { $0.votes == 0 }) {
            tally = free
            tallies[free] = Tally(subject: vote.subject)
        } else {
            tally = tallies.count
            tallies.append(Tally(subject: vote.subject))
        }
        let entry = Entry(
            tally: tally, signer: vote.signer, check: check, weight: weight, signature: vote.signature, source: source)
        count(entry, 1)
        entries.append(entry)
        // A set has 128 validators at most, so this fits a byte.
        places[Int(vote.signer)] = UInt8(entries.count)
    }

    mutating func setCheck(of signer: UInt16, _ check: HeldVote.Check) {
        guard let place = place(of: signer), entries[place].check != check else { return }
        count(entries[place], -1)
        entries[place].check = check
        count(entries[place], 1)
    }

    mutating func remove(_ signer: UInt16) {
        guard let place = place(of: signer) else { return }
        count(entries[place], -1)
        places[Int(signer)] = 0
        let last = entries.removeLast()
        if place == entries.count { return }
        entries[place] = last
        places[Int(last.signer)] = UInt8(place + 1)
    }

    /// Adds a vote to its tally, or takes it out. The weights of a set add up to less than 2^62, so no sum here overflows.
    private mutating func count(_ entry: Entry, _ sign: Int) {
        let weight = sign > 0 ? entry.weight : 0 &- entry.weight
        tallies[entry.tally].votes += sign
        tallies[entry.tally].possible &+= weight
        if entry.check == .good { tallies[entry.tally].good &+= weight }
        if entry.check == .unchecked { tallies[entry.tally].unchecked += sign }
    }
}

/// Votes for one subject, in order of their signers.
struct VoteBatch: Sendable {
    let subject: Subject
    private(set) var signers: [UInt16] = []
    private(set) var signatures: [Signature] = []

    init(subject: Subject) { self.subject = subject }

    init(_ vote: Vote) {
        subject = vote.subject
        signers = [vote.signer]
        signatures = [vote.signature]
    }

    mutating func reserve(_ count: Int) {
        signers.reserveCapacity(count)
        signatures.reserveCapacity(count)
    }

    mutating func append(_ signer: UInt16, _ signature: Signature) {
        signers.append(signer)
        signatures.append(signature)
    }

    var votes: [Vote] {
        zip(signers, signatures).map { Vote(subject: subject, signer: $0, signature: $1) }
    }

    var certificate: Certificate { Certificate(subject: subject, signers: signers, signatures: signatures) }
}
