public import Primitives

extension Genesis {
    /// Writes the state at height 0 into an empty store and returns its root.
    @discardableResult
    public func initialize(_ store: any StateStore) throws(LedgerFault) -> Digest {
        do { try validate() } catch { throw .money("\(error)") }
        var changes: [(key: [UInt8], value: [UInt8]?)] = []
        var totals = Totals()
        // `validate` has summed all of these to the supply, so no sum here can overflow.
        totals.supply = Genesis.totalSupply
        totals.treasury = treasury
        totals.staked = totalStake
        totals.liquid = Amount(baseUnits: accounts.reduce(0) { $0 &+ $1.balance.baseUnits })
        for account in accounts {
            changes.append((StateKey.account(account.address), Account(balance: account.balance).canonicalBytes))
        }
        for validator in validators {
            let staked = StakedValidator(
                consensusKey: validator.consensusKey, vrfKey: validator.vrfKey,
                operatorAddress: validator.operatorAddress, stake: validator.stake)
            changes.append((StateKey.validator(validator.consensusKey), staked.canonicalBytes))
        }
        changes.append((StateKey.epochRecord(0), epochRecord.canonicalBytes))
        changes.append((StateKey.epochStart(0), epochStart.canonicalBytes))
        changes.append((StateKey.totals, totals.canonicalBytes))
        var chain = ChainState(time: timestamp, network: digest)
        chain.candidates = UInt64(validators.count)
        changes.append((StateKey.chain, chain.canonicalBytes))
        changes.append((StateKey.parameters, parameters.canonicalBytes))
        let record = BlockRecord(payloadDigest: header.digest, receiptsRoot: .zero)
        changes.append((StateKey.block(0), record.canonicalBytes))
        changes.sort { $0.key.lexicographicallyPrecedes($1.key) }
        var writes = StateWrites()
        for change in changes { writes.set(.state, change.key, change.value) }
        let root = try StateTree.update(&writes, in: store)
        writes.set(.tree, StateKey.root(0), root.bytes)
        do { try store.commit(writes, height: 0) } catch { throw .state(error) }
        return root
    }

    /// Where epoch 0 begins: its seed is the network's name, since no beacon came before.
    public var epochStart: EpochStart {
        EpochStart(epoch: 0, firstHeight: 1, base: header.digest, seed: digest, clock: 0)
    }
}
