public import Primitives
public import Programs

/// How a dispute stands.
public enum DisputeState: UInt8, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    case open = 0
    /// The provider lied, or fell silent.
    case convicted = 1
    /// The challenger was wrong, or fell silent.
    case acquitted = 2
    /// Another dispute decided the attempt first.
    case moot = 3

    public var description: String {
        switch self {
        case .open: "open"
        case .convicted: "convicted"
        case .acquitted: "acquitted"
        case .moot: "moot"
        }
    }
}

/// One move of a dispute, of which as much is kept as a person wants to see it again.
public enum DisputeMark: Hashable, Sendable, CanonicalCodable {
    /// The provider has revealed what stands at a point; `isShared` where it had done so for another challenger.
    case revealed(RevealPoint, isShared: Bool)
    /// The challenger has named a part of what was revealed, by its place there.
    case named(UInt32)
    /// An op, by its place in the reveal.
    case namedOperation(UInt32)
    case namedList(EntryList)
    case showedFlag
    case finished
    /// The evidence.
    case witnessed

    init(_ pick: Pick) {
        switch pick {
        case .child(let place), .element(let place): self = .named(place)
        case .operation(let place, _, _): self = .namedOperation(place)
        case .list(let list): self = .namedList(list)
        case .stopped, .goesOn: self = .showedFlag
        case .finish: self = .finished
        case .entry, .leaf: self = .witnessed
        }
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        switch try reader.readUInt8() {
        case 0: self = .revealed(try reader.read(RevealPoint.self), isShared: try reader.readBool())
        case 1: self = .named(try reader.readUInt32())
        case 2: self = .namedOperation(try reader.readUInt32())
        case 3:
            let code = try reader.readUInt8()
            guard let list = EntryList(rawValue: code) else { throw .invalid("a step has no list \(code)") }
            self = .namedList(list)
        case 4: self = .showedFlag
        case 5: self = .finished
        case 6: self = .witnessed
        case let tag: throw .invalid("no move of a dispute has the tag \(tag)")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .revealed(let point, let isShared):
            writer.write(UInt8(0))
            writer.write(point)
            writer.write(bool: isShared)
        case .named(let place):
            writer.write(UInt8(1))
            writer.write(place)
        case .namedOperation(let place):
            writer.write(UInt8(2))
            writer.write(place)
        case .namedList(let list):
            writer.write(UInt8(3))
            writer.write(list.rawValue)
        case .showedFlag: writer.write(UInt8(4))
        case .finished: writer.write(UInt8(5))
        case .witnessed: writer.write(UInt8(6))
        }
    }
}

/// What a dispute came down to: the number that was disputed, as the provider has it.
public struct DisputedNumber: Hashable, Sendable, CanonicalCodable {
    /// Counted over all scans.
    public let step: UInt64
    /// Its place in its scan.
    public let operation: UInt32
    public let type: ElementType
    public let element: UInt64
    public let bits: UInt64

    init(_ element: WalkElement) {
        step = element.place.step.index
        operation = element.place.operation
        type = element.place.type.element
        self.element = element.element
        bits = element.bits
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        step = try reader.readUInt64()
        operation = try reader.readUInt32()
        type = try reader.read(ElementType.self)
        element = try reader.readUInt64()
        bits = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(step)
        writer.write(operation)
        writer.write(type)
        writer.write(element)
        writer.write(bits)
    }
}

/// A challenger's dispute of one attempt. There is at most one of each, ever.
public struct Dispute: Hashable, Sendable, CanonicalCodable {
    /// A walk has at most 17 rounds of two moves; none is recorded beyond this.
    static let maximumTrail = 64
    static let maximumReasonBytes = 256

    public let job: Digest
    public let attempt: UInt32
    public let challenger: Address
    public let defender: Address
    /// Locked from the challenger's balance; nothing where it is an auditor, whose bond was locked at the draw.
    public let deposit: Amount
    public let isAuditor: Bool
    public let height: Height
    public var state: DisputeState = .open
    public var walk: Walk
    /// Moves of the challenger so far: each names how many there were.
    public var round: UInt32 = 0
    /// In dispute clock: since when it is the turn of whose turn it is, and by when that one must have moved.
    public var since: UInt64
    public var deadline: UInt64
    public var trail: [DisputeMark] = []
    public var number: DisputedNumber?
    /// Why it ended as it did.
    public var reason: String = ""

    package init(
        job: Digest, attempt: UInt32, challenger: Address, defender: Address, deposit: Amount, isAuditor: Bool,
        height: Height, walk: Walk, since: UInt64, deadline: UInt64
    ) {
        self.job = job
        self.attempt = attempt
        self.challenger = challenger
        self.defender = defender
        self.deposit = deposit
        self.isAuditor = isAuditor
        self.height = height
        self.walk = walk
        self.since = since
        self.deadline = deadline
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        job = try reader.read(Digest.self)
        attempt = try reader.readUInt32()
        challenger = try reader.read(Address.self)
        defender = try reader.read(Address.self)
        deposit = try reader.read(Amount.self)
        isAuditor = try reader.readBool()
        height = try reader.read(Height.self)
        let code = try reader.readUInt8()
        guard let state = DisputeState(rawValue: code) else { throw .invalid("no dispute state \(code)") }
        self.state = state
        walk = try reader.read(Walk.self)
        round = try reader.readUInt32()
        since = try reader.readUInt64()
        deadline = try reader.readUInt64()
        trail = try reader.readList(DisputeMark.self, max: Dispute.maximumTrail)
        number = try reader.readOptional(DisputedNumber.self)
        reason = try reader.readString(max: Dispute.maximumReasonBytes)
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(job)
        writer.write(attempt)
        writer.write(challenger)
        writer.write(defender)
        writer.write(deposit)
        writer.write(bool: isAuditor)
        writer.write(height)
        writer.write(state.rawValue)
        writer.write(walk)
        writer.write(round)
        writer.write(since)
        writer.write(deadline)
        writer.write(list: trail)
        writer.write(optional: number)
        writer.write(string: reason)
    }

    /// Whether both sides walked alone, and one transaction showed it all: there was no time in between.
    public var wasShownAtOnce: Bool { deadline == since }

    mutating func record(_ move: DisputeMark) {
        if trail.count < Dispute.maximumTrail { trail.append(move) }
        // The last element that the walk stood at.
        switch walk.stage {
        case .totals(let element, _), .chooseTotal(let element, _, _), .leaf(let element, _, _):
            number = DisputedNumber(element)
        default: break
        }
    }

    /// It is the other's turn from now on.
    mutating func turn(at clock: UInt64, _ subject: DisputeSubject, _ terms: DisputeTerms) {
        since = clock
        deadline = terms.deadline(after: clock, walk, subject)
    }

    /// Goes on by itself where the provider has revealed for another challenger what is asked for here. The challenger's time runs from then.
    mutating func advance(
        _ subject: DisputeSubject, _ terms: DisputeTerms, known: (RevealPoint) throws -> KnownReveal?
    ) throws {
        guard let point = walk.point, let found = try known(point) else { return }
        // What was taken once at this point is of the right kind.
        guard (try? walk.reveal(found.reveal, subject)) != nil else { return }
        record(.revealed(point, isShared: true))
        turn(at: max(found.clock, since), subject, terms)
    }
}

/// What a provider has revealed at a point of its result, and when, in dispute clock: it serves all challengers.
public struct KnownReveal: Hashable, Sendable, CanonicalCodable {
    public let reveal: Reveal
    public let clock: UInt64

    init(reveal: Reveal, clock: UInt64) {
        self.reveal = reveal
        self.clock = clock
    }

    public init(from reader: inout ByteReader) throws(DecodingFault) {
        reveal = try reader.read(Reveal.self)
        clock = try reader.readUInt64()
    }

    public func encode(into writer: inout ByteWriter) {
        writer.write(reveal)
        writer.write(clock)
    }
}
