internal import NIOCore
internal import NIOHTTP1

/// A whole answer; the body is empty where a sink took it.
struct HTTPAnswer: Sendable {
    let status: Int
    let body: [UInt8]
    let keepsAlive: Bool
}

/// What one request expects back.
struct Exchange: Sendable {
    let promise: EventLoopPromise<HTTPAnswer>
    /// Takes the body of a 200 piece by piece, on the event loop; its error ends the exchange.
    let sink: (@Sendable (_ piece: [UInt8], _ length: Int?) throws -> Void)?
}

/// Collects one answer at a time on a client's connection.
final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private var exchange: Exchange?
    private var head: HTTPResponseHead?
    private var body: [UInt8] = []

    func begin(_ exchange: Exchange) {
        self.exchange = exchange
        head = nil
        body = []
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let exchange else { return }
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body(let buffer):
            do {
                if let sink = exchange.sink, head?.status == .ok {
                    let length = head?.headers.first(name: "content-length").flatMap { Int($0) }
                    try sink(Array(buffer.readableBytesView), length)
                } else if body.count + buffer.readableBytes > APILimits.answerBytes {
                    throw ClientFault.answerTooLong(limit: APILimits.answerBytes)
                } else {
                    body += buffer.readableBytesView
                }
            } catch {
                fail(error)
                context.close(promise: nil)
            }
        case .end:
            guard let head else { return }
            let answer = HTTPAnswer(status: Int(head.status.code), body: body, keepsAlive: head.isKeepAlive)
            self.exchange = nil
            body = []
            exchange.promise.succeed(answer)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(ChannelError.eof)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error)
        context.close(promise: nil)
    }

    func fail(_ error: any Error) {
        let waiting = exchange
        exchange = nil
        waiting?.promise.fail(error)
    }
}
