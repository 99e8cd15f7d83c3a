public import Primitives
public import Programs

/// What a challenge asks of a device's owner.
public struct DeviceDuty: Hashable, Sendable {
    public let device: UInt16
    public let round: UInt64
    public let chain: DeviceChain
    /// What it has answered, and which numbers of that are to be shown; nil while it has answered nothing.
    public let answered: Digest?
    public let numbers: [UInt64]

    public init(device: UInt16, round: UInt64, chain: DeviceChain, answered: Digest? = nil, numbers: [UInt64] = []) {
        self.device = device
        self.round = round
        self.chain = chain
        self.answered = answered
        self.numbers = numbers
    }
}

extension Query {
    /// The offers of one provider, by device.
    public static func offers(of provider: Address, in store: any StateStore) throws(LedgerFault) -> [Offer] {
        try list(Offer.self, StateKey.offers(of: provider), limit: OfferTerms.maximumDevices, store)
    }

    /// The last round; nil where none has begun.
    public static func deviceRound(in store: any StateStore) throws(LedgerFault) -> DeviceRound? {
        try read(DeviceRound.self, StateKey.deviceRound, store)
    }

    /// What challenges ask of a provider now, by device: an answer that is still in time, or what was drawn of one.
    public static func deviceDuties(of address: Address, in store: any StateStore) throws(LedgerFault) -> [DeviceDuty] {
        guard let provider = try provider(address, in: store), !provider.isWithdrawn else { return [] }
        let offers = try offers(of: address, in: store)
        if offers.isEmpty { return [] }
        let round = try deviceRound(in: store)
        let (parameters, clock) = (try parameters(in: store), try chain(in: store).clock)
        return offers.compactMap { found in
            let offer = found.enrolled(in: round, isWithdrawn: false)
            guard let challenge = offer.device.challenge else { return nil }
            let device = offer.terms.device
            let chain = challenge.chain(of: address, device: device, parameters)
            guard let answer = challenge.answer else {
                if clock > challenge.deadline(parameters) { return nil }
                return DeviceDuty(device: device, round: challenge.round, chain: chain)
            }
            if answer.beacon == nil || clock > answer.deadline { return nil }
            return DeviceDuty(
                device: device, round: challenge.round, chain: chain, answered: answer.root,
                numbers: challenge.numbers(of: chain, parameters))
        }
    }

    /// Whether challenges want another block: a draw, or a time that is over.
    static func devicesHaveWork(in store: any StateStore, at clock: UInt64) throws(LedgerFault) -> Bool {
        do throws(StateFault) {
            if !(try store.scan(.state, prefix: StateKey.deviceDraws, after: nil, limit: 1)).isEmpty { return true }
            let timers = try store.scan(.state, prefix: StateKey.deviceTimers, after: nil, limit: 1)
            if let first = timers.first, StateKey.number(first.key.dropFirst()) < clock { return true }
        } catch { throw .state(error) }
        guard let round = try deviceRound(in: store), !round.isOver else { return false }
        return clock > round.deadline(try parameters(in: store))
    }
}
