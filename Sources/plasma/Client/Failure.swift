/// One sentence for a person, with the next step; the process ends with exit code 1.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    init(describing error: any Error) { description = (error as? Failure)?.description ?? "\(error)" }
}
