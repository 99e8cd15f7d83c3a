internal import Glibc

/// What is done with whole folders where a crash must leave the old or the new.
public enum Folder {
    public static func exists(_ path: String) -> Bool { File.exists(path) }

    /// Makes a folder and those above it.
    public static func make(_ path: String) throws(StorageFault) { try File.makeDirectory(path) }

    /// Makes an empty file that says something by being there, durably.
    public static func mark(_ path: String) throws(StorageFault) { try File.replace(path, with: []) }

    /// The names in a folder, sorted; none where it is not there.
    public static func names(in path: String) throws(StorageFault) -> [String] {
        File.exists(path) ? try File.names(in: path) : []
    }

    /// Deletes a file, or a folder with all in it. What is not there is no fault.
    public static func remove(_ path: String) throws(StorageFault) { try File.removeTree(path) }

    /// Moves a file or folder within a file system and returns once that is durable.
    public static func move(_ from: String, to: String) throws(StorageFault) {
        try File.syncDirectory(File.parent(from))
        try File.rename(from, to: to)
        try File.syncDirectory(File.parent(to))
    }
}
