import Primitives

/// The accounts that a block has touched, decoded, in the order in which they were met: a transfer reads and writes each several times.
struct AccountTable {
    struct Held {
        let address: Address
        var value: Account
        var isDirty = false
    }

    private var held: [Held] = []
    private var places: [Address: Int] = [:]
    /// The last two that were asked for: a transfer asks for its two again and again.
    private var last: (address: Address, place: Int)?
    private var before: (address: Address, place: Int)?

    subscript(place: Int) -> Held {
        get { held[place] }
        set { held[place] = newValue }
    }

    /// Where an account is, read from the store where it was not asked for before. One that does not exist is empty.
    mutating func place(of address: Address, in store: any StateStore) throws(LedgerFault) -> Int {
        if let last, last.address == address { return last.place }
        if let before, before.address == address { return before.place }
        let place: Int
        if let known = places[address] {
            place = known
        } else {
            place = add(address, try Query.account(address, in: store))
        }
        (before, last) = (last, (address, place))
        return place
    }

    private mutating func add(_ address: Address, _ value: Account) -> Int {
        places[address] = held.count
        held.append(Held(address: address, value: value))
        return held.count - 1
    }

    /// Reads accounts together, in the order of their keys.
    mutating func load(_ addresses: [Address], from store: any StateStore) throws(LedgerFault) {
        let sorted = addresses.sorted()
        held.reserveCapacity(held.count + sorted.count)
        places.reserveCapacity(places.count + sorted.count)
        var wanted: [Address] = []
        wanted.reserveCapacity(sorted.count)
        for address in sorted where address != wanted.last && places[address] == nil { wanted.append(address) }
        var keys = ByteWriter(capacity: 21 * wanted.count)
        for address in wanted { StateKey.write(account: address, &keys) }
        let values: StateValues
        do { values = try store.values(.state, keys: keys.bytes, each: 21) } catch { throw .state(error) }
        var isDamaged = false
        values.forEach { index, bytes in
            guard let bytes else { return _ = add(wanted[index], Account()) }
            if let account = Account(bytes) { _ = add(wanted[index], account) } else { isDamaged = true }
        }
        if isDamaged { throw .corrupt("an account") }
    }

    /// What was changed, by address.
    func changes() -> [Held] { held.filter(\.isDirty).sorted { $0.address < $1.address } }
}

extension Account {
    /// Reads its canonical bytes where they lie; nil where they are none.
    init?(_ bytes: UnsafeRawBufferPointer) {
        if bytes.count != 24 { return nil }
        nonce = Nonce(UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)))
        balance = Amount(
            baseUnits: UInt128(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt128.self)))
    }
}
