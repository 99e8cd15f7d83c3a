// swift-tools-version: 6.2
import PackageDescription

/// What every module is compiled with: strictness here keeps the storeys apart (docs/architecture.md).
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableExperimentalFeature("Lifetimes"),
]

/// The libraries' modules, each named once.
let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let toml = Target.Dependency.product(name: "TOMLKit", package: "TOMLKit")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "plasma",
    products: [
        .executable(name: "plasma", targets: ["plasma"])
    ],
    dependencies: [
        .package(url: "https://github.com/LebJe/TOMLKit.git", from: "0.6.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
    ],
    targets: [
        .target(
            name: "CKernels",
            cSettings: [
                .unsafeFlags(["-O3", "-ffp-contract=off", "-fno-fast-math", "-fno-math-errno", "-fno-strict-aliasing"])
            ]),
        .testTarget(
            name: "CKernelsTests",
            dependencies: ["CKernels"],
            swiftSettings: strict),
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .target(name: "CDigest", cSettings: [.unsafeFlags(["-O3"])]),
        .target(
            name: "Primitives",
            dependencies: ["CSodium", "CDigest"],
            swiftSettings: strict),
        .testTarget(
            name: "PrimitivesTests",
            dependencies: ["TestSupport", "Primitives", "CSodium", "CDigest"],
            swiftSettings: strict),
        .target(
            name: "TestSupport",
            dependencies: ["Primitives", "Programs"],
            path: "Tests/TestSupport",
            swiftSettings: strict),
        .target(
            name: "Programs",
            dependencies: ["Primitives"],
            swiftSettings: strict),
        .testTarget(
            name: "ProgramsTests",
            dependencies: ["TestSupport", "Programs", "Primitives"],
            swiftSettings: strict),
        .target(
            name: "Runtime",
            dependencies: ["Primitives", "Programs", "CKernels"],
            swiftSettings: strict),
        .testTarget(
            name: "RuntimeTests",
            dependencies: ["Runtime", "Primitives", "Programs", "CKernels"], resources: [.copy("Fixtures")],
            swiftSettings: strict),
        .target(
            name: "Ledger",
            dependencies: ["Primitives", "Programs", "Consensus"],
            swiftSettings: strict),
        .testTarget(
            name: "LedgerTests",
            dependencies: ["TestSupport", "Ledger", "Primitives", "Programs", "Consensus"],
            swiftSettings: strict),
        .target(
            name: "Consensus",
            dependencies: ["Primitives"],
            swiftSettings: strict),
        .testTarget(
            name: "ConsensusTests",
            dependencies: ["TestSupport", "Consensus", "Primitives"],
            swiftSettings: strict),
        .target(
            name: "Gossip",
            dependencies: ["Primitives"],
            swiftSettings: strict),
        .testTarget(
            name: "GossipTests",
            dependencies: ["TestSupport", "Gossip", "Programs", "Primitives"],
            swiftSettings: strict),
        .target(
            name: "Replica",
            dependencies: ["Primitives", "Ledger", "Consensus"],
            swiftSettings: strict),
        .testTarget(
            name: "ReplicaTests",
            dependencies: ["TestSupport", "Replica", "Primitives", "Ledger", "Consensus"],
            swiftSettings: strict),
        .target(
            name: "Simulation",
            dependencies: ["Primitives", "Programs", "Runtime", "Consensus", "Gossip", "Ledger", "Replica", "Worker"],
            swiftSettings: strict),
        .testTarget(
            name: "SimulationTests",
            dependencies: ["Simulation", "Primitives", "Programs", "Consensus", "Ledger", "Worker"],
            swiftSettings: strict),
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .target(
            name: "Storage",
            dependencies: ["Primitives", "Ledger", "CLMDB", "CLZ4"],
            swiftSettings: strict),
        .testTarget(
            name: "StorageTests",
            dependencies: ["TestSupport", "Storage", "Primitives", "Ledger", "CLMDB", "CLZ4"],
            swiftSettings: strict),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(
            name: "Networking",
            dependencies: ["Primitives", "Gossip", "COpenSSL", "CLZ4", nioCore, nioPosix, log],
            swiftSettings: strict),
        .testTarget(
            name: "NetworkingTests",
            dependencies: ["TestSupport", "Networking", "Primitives", "Gossip", "COpenSSL", log],
            swiftSettings: strict),
        .target(
            name: "API",
            dependencies: ["Primitives", nioCore, nioPosix, nioHTTP1, hummingbird, log],
            swiftSettings: strict),
        .testTarget(
            name: "APITests",
            dependencies: ["API", "Primitives", nioCore, nioPosix, nioHTTP1, hummingbird, log],
            swiftSettings: strict),
        .target(
            name: "Worker",
            dependencies: ["Primitives", "Programs", "Runtime", "Ledger", log],
            swiftSettings: strict),
        .testTarget(
            name: "WorkerTests",
            dependencies: ["TestSupport", "Worker", "Primitives", "Programs", "Runtime", "Ledger", log],
            swiftSettings: strict),
        .target(
            name: "Node",
            dependencies: [
                "Primitives", "Programs", "Ledger", "Consensus", "Gossip", "Replica", "Storage", "Networking", "API",
                "Worker", log, toml,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "NodeTests",
            dependencies: [
                "Node", "Primitives", "Ledger", "Replica", "Storage", "Worker", "Gossip", "Networking", log,
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "plasma",
            dependencies: [
                "Primitives", "Programs", "Runtime", "Ledger", "Consensus", "Replica", "Storage", "Gossip", "API",
                "Node", "Simulation", argumentParser, log,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "ProcessTests",
            dependencies: ["plasma", "API", "Primitives", "Programs", "Runtime", "Ledger", "Node"],
            exclude: ["Fixtures"],
            swiftSettings: strict),
        .testTarget(name: "TidyTests", swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c11
)

// Coverage-guided fuzzing (docs/fuzzing.md) is a build of its own: only scripts/fuzz.sh sets the variable, so that no other build knows of it.
if Context.environment["PLASMA_FUZZ"] != nil {
    let instrumented: [SwiftSetting] = [.unsafeFlags(["-sanitize=fuzzer,address"])]
    for target in package.targets where target.type == .regular || target.type == .executable {
        target.swiftSettings = (target.swiftSettings ?? []) + instrumented
    }
    package.targets.append(
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "Primitives", "Programs", "Runtime", "Ledger", "Consensus", "Gossip", "Replica", "Storage", "Worker",
                "Networking",
                "API", "Node", nioCore,
            ],
            path: "Fuzz",
            swiftSettings: strict + instrumented,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address"])]))
}
