#pragma once
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

/* Function-like macros are invisible to Swift; each has a function here. */

static inline int plasma_ssl_ctx_tls13_only(SSL_CTX *ctx) {
    return SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1;
}

/* Every certificate is let through here: the caller looks at its key, and at nothing else, after the handshake. */
static int plasma_accept_any(X509_STORE_CTX *store, void *context) {
    (void)store;
    (void)context;
    return 1;
}

static inline void plasma_ssl_ctx_require_peer(SSL_CTX *ctx) {
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, plasma_accept_any, NULL);
}

static inline void plasma_ssl_ctx_no_resumption(SSL_CTX *ctx) {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_max_early_data(ctx, 0);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
}

/* The server takes the one protocol and version that it speaks, or ends the handshake. */
static int plasma_alpn_select(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in,
                              unsigned int inlen, void *wanted) {
    (void)ssl;
    const unsigned char *name = (const unsigned char *)wanted;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, outlen, name, (unsigned int)name[0] + 1, in, inlen) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* `wire` is the name with its length before it, and must outlive the context. */
static inline void plasma_ssl_ctx_set_alpn(SSL_CTX *ctx, const unsigned char *wire, unsigned int length) {
    SSL_CTX_set_alpn_protos(ctx, wire, length);
    SSL_CTX_set_alpn_select_cb(ctx, plasma_alpn_select, (void *)wire);
}

static inline size_t plasma_bio_pending(BIO *bio) { return BIO_ctrl_pending(bio); }

static inline int plasma_x509_validity(X509 *certificate, long seconds) {
    return X509_gmtime_adj(X509_getm_notBefore(certificate), -86400) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), seconds) != NULL;
}
