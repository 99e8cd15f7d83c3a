import Primitives

/// What goes wrong, drawn once a second: links, parts of the network, disks, processes, clocks.
extension NodeSimulation {
    mutating func second() {
        if healed { return }
        schedule(-1, after: .seconds(1), .second)
        drawLinks()
        for node in nodes {
            if now >= node.slowUntil { node.disk.syncTime = .zero }
            if now >= node.unreadableUntil { node.disk.isUnreadable = false }
            if now >= node.jumpUntil { node.clock.jump = 0 }
            drawTrouble(for: node)
        }
        drawProviderTrouble()
    }

    private mutating func drawLinks() {
        if profile.partition > 0 {
            down = (0..<nodes.count * nodes.count).map { _ in chance(profile.partition) }
        }
        if now >= splitUntil {
            sides = []
            if chance(profile.split) {
                sides = nodes.map { _ in random.next() % 2 == 0 }
                splitUntil = now.adding(draw(1_000...profile.longestSplit))
            }
        }
    }

    private mutating func drawTrouble(for node: SimulatedNode) {
        if chance(profile.slowDisk) {
            node.disk.syncTime = draw(5...200)
            node.slowUntil = now.adding(draw(1_000...4_000))
        }
        if chance(profile.readError) {
            node.disk.isUnreadable = true
            node.unreadableUntil = now.adding(draw(500...4_000))
        }
        if chance(profile.fullDisk), node.disk.room == nil { node.disk.room = Int(random.next() % 8_000) }
        if chance(profile.clockJump) {
            node.clock.jump = Int64(random.next() % 6_001) - 3_000
            node.jumpUntil = now.adding(draw(500...5_000))
        }
        if chance(profile.pause), node.isUp {
            node.pausedUntil = now.adding(draw(100...3_000))
            makeBusy(node, until: node.pausedUntil)
        }
        if chance(profile.wipe), mayWipe(node) { wipe(node) }
    }

    /// A validator without its journal abstains for a while, as if it were gone: the network bears only so many of those.
    private func mayWipe(_ node: SimulatedNode) -> Bool {
        if dishonest.contains(node.index) { return false }
        guard node.place != nil else { return true }
        let missing = nodes.filter { $0.isAmnesiac && $0.index != node.index }.count + dishonest.count
        return missing < (profile.nodes - 1) / 3
    }

    /// All trouble of a node ends; if it is down it comes up within seconds.
    mutating func relieve(_ node: SimulatedNode) {
        node.disk.syncTime = .zero
        node.disk.isUnreadable = false
        node.disk.room = nil
        node.clock.jump = 0
        node.pausedUntil = now
        if node.isUp {
            node.busyUntil = now
            schedule(node.index, after: .zero, .wake)
        }
    }

    func isConnected(_ sender: Int, _ target: Int) -> Bool {
        if !down.isEmpty, down[sender * nodes.count + target] { return false }
        return sides.isEmpty || sides[sender] == sides[target]
    }
}
