/// Ten places, and how long a message takes from one to another, in milliseconds.
///
/// Not measured: 1.5 times the great circle at 200,000 km/s (light in glass, and the detours that cables make), and 1 ms. Where figures of real links are
/// published these lie some per cent above them (Virginia to Ireland 42 ms here, about 34 ms there).
enum Regions {
    static let names = [
        "Virginia", "Oregon", "São Paulo", "Ireland", "Frankfurt", "Mumbai", "Singapore", "Tokyo", "Sydney",
        "Cape Town",
    ]

    static let delays: [[Int64]] = [
        [1, 27, 58, 42, 50, 97, 117, 83, 119, 97],
        [27, 1, 81, 56, 63, 96, 100, 61, 95, 123],
        [58, 81, 1, 71, 75, 104, 121, 140, 101, 49],
        [42, 56, 71, 1, 9, 58, 85, 73, 130, 76],
        [50, 63, 75, 9, 1, 50, 78, 71, 125, 71],
        [97, 96, 104, 58, 50, 1, 30, 51, 77, 63],
        [117, 100, 121, 85, 78, 30, 1, 41, 48, 74],
        [83, 61, 140, 73, 71, 51, 41, 1, 60, 111],
        [119, 95, 101, 130, 125, 77, 48, 60, 1, 84],
        [97, 123, 49, 76, 71, 63, 74, 111, 84, 1],
    ]

    /// Node `i` stands in region `i mod 10`.
    static func delay(_ sender: Int, _ target: Int) -> Int64 { delays[sender % 10][target % 10] }

    /// For a message of node `sender`: after how long it has reached a quorum of equal weights, itself counted.
    static func quorumDelay(of sender: Int, nodes: Int) -> Int64 {
        let sorted = (0..<nodes).map { $0 == sender ? 0 : delay(sender, $0) }.sorted()
        return sorted[nodes * 2 / 3]
    }
}
