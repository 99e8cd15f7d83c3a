#pragma once
/* Fitted by scripts/fit_functions.py; frozen by the digests in the tests. */
#define PK_LOG2E 0x1.715476p+0f
#define PK_LN2_HIGH 0x1.62e430p-1f
#define PK_LN2_LOW -0x1.05c610p-29f
/* (x + PK_ROUND) − PK_ROUND rounds |x| < 2^22 to the nearest even integer. */
#define PK_ROUND 0x1.8p23f
#define PK_EXP_LOW -104.0f
#define PK_EXP_HIGH 89.0f
#define PK_EXP_C0 0x1.000000p-1f
#define PK_EXP_C1 0x1.555556p-3f
#define PK_EXP_C2 0x1.5554e8p-5f
#define PK_EXP_C3 0x1.1110dep-7f
#define PK_EXP_C4 0x1.6d44eap-10f
#define PK_EXP_C5 0x1.a12a84p-13f
#define PK_ERF_SPLIT 1.0f
#define PK_ERF_END 3.95f
#define PK_ERF_S0 0x1.06eba8p-3f
#define PK_ERF_S1 -0x1.812746p-2f
#define PK_ERF_S2 0x1.ce2f08p-4f
#define PK_ERF_S3 -0x1.b829c8p-6f
#define PK_ERF_S4 0x1.562a60p-8f
#define PK_ERF_S5 -0x1.bccf66p-11f
#define PK_ERF_S6 0x1.d88750p-14f
#define PK_ERF_S7 -0x1.445f48p-17f
#define PK_ERF_L0 0x1.20e2c0p+0f
#define PK_ERF_L1 0x1.45b83cp-1f
#define PK_ERF_L2 0x1.a97084p-4f
#define PK_ERF_L3 -0x1.52835ep-6f
#define PK_ERF_L4 0x1.26874ap-10f
#define PK_ERF_L5 0x1.05d498p-10f
#define PK_ERF_L6 -0x1.ce771ep-12f
#define PK_ERF_L7 0x1.a2b694p-14f
#define PK_ERF_L8 -0x1.cd5c9ap-17f
#define PK_ERF_L9 0x1.25251ap-20f
#define PK_ERF_L10 -0x1.4b2eeep-25f
#define PK_INVERSE_ROOT_TWO 0x1.6a09e6p-1f
