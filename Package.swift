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
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
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
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .target(
            name: "Network",
            dependencies: ["Primitives", "Gossip", "COpenSSL", "CLZ4", .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"), .product(name: "Logging", package: "swift-log")],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c11
)
