// swift-tools-version: 6.2
import PackageDescription

/// What every module is compiled with: strictness here keeps the storeys apart (docs/architecture.md).
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
    name: "plasma",
    products: [
    ],
    dependencies: [
    ],
    targets: [
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .target(
            name: "Primitives",
            dependencies: ["CSodium"],
            swiftSettings: strict),
        .testTarget(
            name: "PrimitivesTests",
            dependencies: ["Primitives", "CSodium"],
            swiftSettings: strict),
        .target(
            name: "Consensus",
            dependencies: ["Primitives"],
            swiftSettings: strict),
        .testTarget(
            name: "ConsensusTests",
            dependencies: ["Consensus", "Primitives"],
            swiftSettings: strict),
        .target(
            name: "Simulation",
            dependencies: ["Primitives", "Consensus"],
            swiftSettings: strict),
        .testTarget(
            name: "SimulationTests",
            dependencies: ["Simulation", "Primitives", "Consensus"],
            swiftSettings: strict),
        .target(
            name: "Gossip",
            dependencies: ["Primitives"],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c11
)
