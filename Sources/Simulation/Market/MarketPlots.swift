public import Ledger

/// The plots of a report, as SVG: dots with their 95% intervals, one strategy a line.
public struct MarketPlots {
    private let report: MarketReport

    public init(_ report: MarketReport) { self.report = report }

    /// By file name.
    public var files: [(name: String, text: String)] {
        [("market-profit.svg", profits), ("market-gain.svg", gains), ("market-lies.svg", lies)].filter {
            !$0.1.isEmpty
        }
    }

    // MARK: What each strategy earns

    private var profits: String {
        let rows = report.rows.filter { $0.strategy != .requester }
        return chart(
            "What a purse earned, by strategy",
            unit: "XPL a purse, of 1,000 jobs on its market; lines are 95% intervals",
            rows.map {
                Line(
                    label: $0.strategy.rawValue, estimate: $0.profit,
                    color: $0.strategy.isHonest ? Color.honest : $0.verdict == .below ? Color.below : Color.other)
            }, mark: rows.first { $0.strategy == .honest }.map { ($0.profit.mean, "honest") })
    }

    // MARK: What a lie must bring

    private var gains: String {
        let lines = report.rows.compactMap { row in
            row.gainToPay.map { Line(label: row.strategy.rawValue, estimate: $0, color: Color.below) }
        }
        if lines.isEmpty { return "" }
        return chart(
            "What a lie must bring from outside to pay",
            unit: "prices of the job, for each lie that is paid for; lines are 95% intervals", lines,
            mark: (report.gainShare, "assumed"))
    }

    // MARK: How often lies are found

    private var lies: String {
        let lines = report.lies.filter { $0.told > 0 }.map { row in
            let share = Double(row.convicted) / Double(row.told)
            let spread = 1.96 * (share * (1 - share) / Double(row.told)).squareRoot()
            return Line(
                label: "\(row.strategy.rawValue), \(row.policy.name)",
                estimate: MarketEstimate(mean: 100 * share, halfWidth: 100 * spread, count: row.told),
                color: Color.below)
        }
        if lines.isEmpty { return "" }
        return chart(
            "How many lies were convicted", unit: "per cent of those told; lines are 95% intervals", lines, mark: nil)
    }

    // MARK: Drawing

    private enum Color {
        static let honest = "#1a7f5a"
        static let below = "#b5432e"
        static let other = "#8a6d1f"
        static let text = "#333333"
        static let faint = "#d8d8d8"
    }

    private struct Line {
        let label: String
        let estimate: MarketEstimate
        let color: String
    }

    private static let width = 760.0
    private static let left = 230.0
    private static let right = 30.0
    private static let top = 56.0
    private static let row = 24.0

    private func chart(_ title: String, unit: String, _ lines: [Line], mark: (at: Double, label: String)?) -> String {
        let ends = lines.flatMap { [$0.estimate.low, $0.estimate.high, $0.estimate.mean] }.filter(\.isFinite)
        let (low, high) = ((ends + [0, mark?.at ?? 0]).min() ?? 0, (ends + [0, mark?.at ?? 0]).max() ?? 1)
        let step = MarketPlots.step(max(high - low, 1e-6) / 6)
        let (first, last) = ((low / step).rounded(.down) * step, (high / step).rounded(.up) * step)
        let bottom = MarketPlots.top + MarketPlots.row * Double(lines.count) + 8
        func x(_ value: Double) -> Double {
            MarketPlots.left + (value - first) / (last - first)
                * (MarketPlots.width - MarketPlots.left - MarketPlots.right)
        }
        var out = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(number(MarketPlots.width)) \(number(bottom + 44))" \
            font-family="sans-serif" font-size="13" fill="\(Color.text)">
            <rect width="100%" height="100%" fill="#ffffff"/>
            <text x="16" y="26" font-size="16" font-weight="bold">\(title)</text>
            <text x="16" y="44" font-size="11">\(report.caption)</text>

            """
        var tick = first
        while tick <= last + step / 2 {
            let place = number(x(tick))
            let isZero = abs(tick) < step / 2
            out += """
                <line x1="\(place)" y1="\(number(MarketPlots.top))" x2="\(place)" y2="\(number(bottom))" \
                stroke="\(isZero ? Color.text : Color.faint)"/>
                <text x="\(place)" y="\(number(bottom + 16))" text-anchor="middle" font-size="11">\(label(tick, step))</text>

                """
            tick += step
        }
        if let mark {
            out += """
                <line x1="\(number(x(mark.at)))" y1="\(number(MarketPlots.top))" x2="\(number(x(mark.at)))" \
                y2="\(number(bottom))" stroke="\(Color.honest)" stroke-dasharray="4 3"/>
                <text x="\(number(x(mark.at) + 4))" y="\(number(MarketPlots.top - 2))" font-size="11" \
                fill="\(Color.honest)">\(mark.label)</text>

                """
        }
        for (place, line) in lines.enumerated() {
            let y = MarketPlots.top + MarketPlots.row * (Double(place) + 0.5) + 4
            let (from, to) = (max(first, line.estimate.low), min(last, line.estimate.high))
            out += """
                <text x="\(number(MarketPlots.left - 12))" y="\(number(y + 4))" text-anchor="end">\(line.label)</text>
                <line x1="\(number(x(from)))" y1="\(number(y))" x2="\(number(x(to)))" y2="\(number(y))" \
                stroke="\(line.color)" stroke-width="2"/>
                <circle cx="\(number(x(line.estimate.mean)))" cy="\(number(y))" r="4" fill="\(line.color)"/>

                """
        }
        out += """
            <text x="\(number(MarketPlots.left))" y="\(number(bottom + 34))" font-size="11">\(unit)</text>
            </svg>

            """
        return out
    }

    /// 1, 2 or 5 times a power of ten, not below `least`.
    private static func step(_ least: Double) -> Double {
        var power = 1.0
        while power > least { power /= 10 }
        while power * 10 <= least { power *= 10 }
        return [1, 2, 5, 10].map { $0 * power }.first { $0 >= least } ?? 10 * power
    }

    private func number(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(Double(tenths) / 10)"
    }

    private func label(_ value: Double, _ step: Double) -> String {
        step >= 1 ? "\(Int(value.rounded()))" : number(value)
    }
}

extension MarketReport {
    var caption: String { "\(jobs) jobs over \(markets) markets, seed \(seed)" }
}

extension AuditPolicy {
    /// As a person says it.
    public var name: String {
        switch self {
        case .sampled(let perMille): "sampled \(Double(perMille) / 10)%"
        case .audited: "audited"
        case .replicated(let count): "replicated \(count)"
        }
    }
}
