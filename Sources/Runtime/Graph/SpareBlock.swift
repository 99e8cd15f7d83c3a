internal import Synchronization

/// One block that is kept from a run to the next: large memory that is new costs the system's time for every page.
final class SpareBlock: Sendable {
    private let held = Mutex<Block?>(nil)

    /// At least `count` bytes of any content, taken back when nothing holds them any more.
    func lend(_ count: Int) -> LentBlock {
        let kept = held.withLock { held -> Block? in
            guard let block = held, block.count >= count else { return nil }
            held = nil
            return block
        }
        return LentBlock(kept ?? Block(count, zeroed: false), of: self)
    }

    /// The larger one is kept.
    fileprivate func takeBack(_ block: Block) {
        held.withLock { held in
            if held.map({ $0.count < block.count }) ?? true { held = block }
        }
    }
}

final class LentBlock: Sendable {
    private let block: Block
    private let owner: SpareBlock

    var base: UnsafeMutableRawPointer { block.base }

    fileprivate init(_ block: Block, of owner: SpareBlock) {
        self.block = block
        self.owner = owner
    }

    deinit { owner.takeBack(block) }
}

/// The threads' scratch and what they share, from a run to the next.
struct SpareScratch: Sendable {
    let threads: [SpareBlock]
    let shared = SpareBlock()

    init(threads: Int) { self.threads = (0..<threads).map { _ in SpareBlock() } }
}
