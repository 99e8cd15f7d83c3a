/// The constants of the named functions, by their bits: those of CKernels/coefficients.h. A test holds the two against each other.
///
/// Polynomials begin with their highest power.
package enum Coefficients {
    package static let binaryLogarithmOfE = Binary32(bits: 0x3FB8_AA3B)
    package static let logarithmOfTwoHigh = Binary32(bits: 0x3F31_7218)
    package static let logarithmOfTwoLow = Binary32(bits: 0xB102_E308)
    /// (x + this) − this rounds |x| < 2²² to the nearest even integer.
    package static let rounding = Binary32(bits: 0x4B40_0000)
    package static let expLow = Binary32(bits: 0xC2D0_0000)
    package static let expHigh = Binary32(bits: 0x42B2_0000)
    package static let erfSplit = Binary32(bits: 0x3F80_0000)
    package static let erfEnd = Binary32(bits: 0x407C_CCCD)
    package static let tanhSplit = Binary32(bits: 0x3F19_999A)
    package static let tanhEnd = Binary32(bits: 0x4120_0000)
    package static let circularFast = Binary32(bits: 0x4680_0000)
    package static let twoOverPi = Binary32(bits: 0x3F22_F983)
    package static let halfPi1 = Binary32(bits: 0x3FC9_0FDB)
    package static let halfPi2 = Binary32(bits: 0xB33B_BD2E)
    package static let halfPi3 = Binary32(bits: 0xA6F7_2CED)
    /// The bits of √½.
    package static let rootHalfBits: UInt32 = 0x3F35_04F3
    package static let exp: [UInt32] = [
        0x3950_9542, 0x3AB6_A275, 0x3C08_886F, 0x3D2A_AA74, 0x3E2A_AAAB, 0x3F00_0000,
    ]
    package static let erfSmall: [UInt32] = [
        0xB722_2FA4, 0x38EC_43A8, 0xBA5E_67B3, 0x3BAB_1530, 0xBCDC_14E4, 0x3DE7_1784, 0xBEC0_93A3, 0x3E03_75D4,
    ]
    package static let erfLarge: [UInt32] = [
        0xB325_9777, 0x3592_928D, 0xB766_AE4D, 0x38D1_5B4A, 0xB9E7_3B8F, 0x3A82_EA4C, 0x3A93_43A5, 0xBCA9_41AF,
        0x3DD4_B842, 0x3F22_DC1E, 0x3F90_7160,
    ]
    package static let log: [UInt32] = [
        0x3D8E_C753, 0xBDEB_1ADE, 0x3DEF_5141, 0xBDFE_7A63, 0x3E11_E90D, 0xBE2A_ADA5, 0x3E4C_CEAD, 0xBE7F_FFFE,
        0x3EAA_AAAA,
    ]
    package static let tanh: [UInt32] = [
        0x3B1B_5ED9, 0xBC09_CA65, 0x3CB2_7D6C, 0xBD5D_06CA, 0x3E08_887B, 0xBEAA_AAAB,
    ]
    package static let sine: [UInt32] = [
        0xB2D5_0B6D, 0x3638_ECC2, 0xB950_0CFF, 0x3C08_8889, 0xBE2A_AAAB,
    ]
    package static let cosine: [UInt32] = [
        0xB492_8C78, 0x37D0_0AD1, 0xBAB6_0B60, 0x3D2A_AAAB,
    ]
    /// 2/π, 288 bits.
    static let twoOverPiBits: [UInt32] = [
        0xA2F9_836E, 0x4E44_1529, 0xFC27_57D1, 0xF534_DDC0, 0xDB62_9599, 0x3C43_9041, 0xFE51_63AB, 0xDEBB_C561,
        0xB724_6E3A,
    ]
}
