import API
import ArgumentParser
import Foundation

struct ChallengerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "challenger",
        abstract: "Look at what a node that runs others' jobs again has found.",
        discussion: """
            A node with a section [challenger] in its config.toml runs others' jobs again, on this machine, and challenges results that come out otherwise, \
            with deposits from its operator's account, for the bounty. See docs/disputes.md.

            Example: plasma challenger --watch
            """)

    @OptionGroup var options: ClientOptions

    @Flag(help: "Go on until interrupted, with a line for each change.")
    var watch = false

    func run() async throws {
        try await options.withNode { node in
            var last: JSONValue?
            repeat {
                let found = try await node.call("challenger.status")
                if found != last { show(found) }
                last = found
                if watch { try await Task.sleep(nanoseconds: 500_000_000) }
            } while watch
        }
    }

    private func show(_ found: JSONValue) {
        // One line a change, so that a program can read it as it comes.
        if options.isJSON { return print(found.text(pretty: !watch)) }
        func number(_ key: String) -> UInt64 { found[key]?.uint64 ?? 0 }
        print(
            "\(number("checked")) run again: \(number("agreed")) agree, \(number("differed")) differ; "
                + "\(number("notRun")) could not be run, \(number("passed")) were not drawn; "
                + "balance \(found["balance"]?.string ?? "") XPL")
        if watch { return disputes(found) }
        for result in found["results"]?.array ?? [] {
            print("  job \(result["job"]?.string?.prefix(16) ?? ""): \(result["finding"]?.string ?? "")")
        }
        disputes(found)
    }

    private func disputes(_ found: JSONValue) {
        for dispute in found["disputes"]?.array ?? [] {
            print(
                "  dispute of job \(dispute["job"]?.string?.prefix(16) ?? ""): \(dispute["state"]?.string ?? "") "
                    + (dispute["reason"]?.string ?? ""))
        }
    }
}
