import Glibc
import Primitives
import Storage
import Testing

@Suite struct JournalTests {
    let home = TemporaryHome()
    var path: String { home.path + "/journal" }

    @Test func replaysWhatWasAppendedAcrossRestarts() throws {
        do {
            let journal = try Journal.create(path)
            try journal.append([[1], [2, 3]])
            try journal.append([])
            try journal.append([[], [UInt8](repeating: 7, count: 5000)])
            #expect(try journal.replay().count == 4)
        }
        let again = try Journal.open(path)
        #expect(try again.replay() == [[1], [2, 3], [], [UInt8](repeating: 7, count: 5000)])
        try again.append([[9]])
        #expect(try Journal.open(path).replay().last == [9])
    }

    @Test func refusesToBeMadeTwiceOrOpenedWhereItIsNot() throws {
        #expect(throws: StorageFault.missing(path: path)) { try Journal.open(path) }
        _ = try Journal.create(path)
        #expect(throws: StorageFault.exists(path: path)) { try Journal.create(path) }
    }

    @Test func aStepCutAnywhereIsGoneWholeAndTheRestIsKept() throws {
        let journal = try Journal.create(path)
        try journal.append([[1, 1, 1], [2]])
        let whole = TemporaryHome.read(path).count
        try journal.append([[3, 3], [4, 4, 4]])
        let bytes = TemporaryHome.read(path)
        for length in whole..<bytes.count {
            TemporaryHome.write(path, Array(bytes[..<length]))
            let reopened = try Journal.open(path)
            #expect(try reopened.replay() == [[1, 1, 1], [2]], "cut at \(length)")
            #expect(reopened.cutBytes == UInt64(length - whole))
            try reopened.append([[5]])
            #expect(try Journal.open(path).replay() == [[1, 1, 1], [2], [5]])
        }
    }

    @Test func anyChangedByteOfTheLastStepDropsItAndOfAnEarlierOneStops() throws {
        let journal = try Journal.create(path)
        try journal.append([[1, 1, 1]])
        let whole = TemporaryHome.read(path).count
        try journal.append([[3, 3]])
        let bytes = TemporaryHome.read(path)
        for i in 16..<bytes.count {
            var damaged = bytes
            damaged[i] ^= 0x40
            TemporaryHome.write(path, damaged)
            if i < whole {
                let expected = StorageFault.corrupt(
                    path: path, offset: 16, reason: "a record fails its checksum and whole records follow")
                #expect(throws: expected, "byte \(i)") { try Journal.open(path) }
            } else {
                #expect(try Journal.open(path).replay() == [[1, 1, 1]], "byte \(i)")
            }
        }
    }

    @Test func anInterruptedCreationIsAnEmptyJournal() throws {
        _ = try Journal.create(path)
        let bytes = TemporaryHome.read(path)
        for length in 0..<bytes.count {
            TemporaryHome.write(path, Array(bytes[..<length]))
            #expect(try Journal.open(path).replay().isEmpty)
        }
        TemporaryHome.write(path, [UInt8](repeating: 1, count: 16))
        #expect(throws: StorageFault.self) { try Journal.open(path) }
    }

    @Test func rewriteKeepsOnlyWhatIsGivenAndGoesOn() throws {
        let journal = try Journal.create(path)
        for i in 0..<100 { try journal.append([[UInt8(i)]]) }
        let before = journal.byteCount
        try journal.rewrite(keeping: [[98], [99]])
        #expect(journal.byteCount < before)
        try journal.append([[100]])
        #expect(try journal.replay() == [[98], [99], [100]])
        #expect(try Journal.open(path).replay() == [[98], [99], [100]])
        try journal.rewrite(keeping: [])
        #expect(try Journal.open(path).replay().isEmpty)
    }

    @Test func aFullDiskIsAFaultAndKeepsWhatWasThere() throws {
        // A file size limit would stop the whole test process, so the bound on records stands in for the refusal.
        let journal = try Journal.create(path)
        try journal.append([[1]])
        let long = [UInt8](repeating: 0, count: StorageLimits.recordBytes)
        #expect(throws: StorageFault.self) { try journal.append([long]) }
        try journal.append([[2]])
        #expect(try Journal.open(path).replay() == [[1], [2]])
    }
}

@Suite struct HomeLockTests {
    @Test func aSecondHolderIsRefusedWithTheProcessNamed() throws {
        let home = TemporaryHome()
        let inner = home.path + "/a/b"
        do {
            let lock = try HomeLock(home: inner)
            #expect(lock.home == inner)
            let expected = StorageFault.homeInUse(path: inner, process: getpid())
            #expect(throws: expected) { try HomeLock(home: inner) }
            #expect(expected.description.contains("choose another --home"))
        }
        _ = try HomeLock(home: inner)
    }
}
