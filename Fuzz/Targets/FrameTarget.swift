import NIOCore
import Networking

/// The stream of a session, inside TLS: any bytes, and frames whose compressed content is anything.
enum FrameTarget: FuzzTarget {
    static let name = "frames"
    /// A stream of many small frames that each unpack to megabytes is read on by the next input.
    private static let mostFrames = 8

    static func forms() throws -> [Form] {
        let frames = [
            Frame(channel: .consensus, kind: .message, id: 0, content: [1, 2, 3]),
            Frame(channel: .blocks, kind: .request, id: 7, content: []),
            Frame(channel: .blobs, kind: .answer, id: .max, content: [UInt8](repeating: 9, count: 5_000)),
            Frame(channel: .transactions, kind: .ping, id: 0, content: []),
        ]
        func bytes(_ frames: [Frame]) -> [UInt8] {
            var buffer = ByteBuffer()
            for frame in frames { frame.write(into: &buffer) }
            return Array(buffer.readableBytesView)
        }
        return [
            Form(seeds: (frames.map { [$0] } + [frames]).map(bytes)) { bytes in
                var buffer = ByteBuffer(bytes: bytes)
                for _ in 0..<mostFrames {
                    let before = buffer.readableBytes
                    guard let frame = try? Frame.read(from: &buffer) else { return }
                    require(buffer.readableBytes < before, "a frame was read of no bytes")
                    require(
                        frame.content.count <= frame.channel.limit, "a frame's content is beyond its channel's bound")
                    var again = ByteBuffer()
                    frame.write(into: &again)
                    let read = try? Frame.read(from: &again)
                    require(read == frame && again.readableBytes == 0, "a frame is not read as it was written")
                }
            }
        ]
    }
}
