/* err.h - the world's failures, as values. Our own bugs are asserts; the peer's mistakes are
 * replies. */
#ifndef CHAT_ERR_H
#define CHAT_ERR_H

/* Both 'enum err' and err_text() come from this list. */
#define CHAT_ERR_MAP(X)                                         \
    X(ERR_OK, "no error")                                       \
    X(ERR_ILLEGAL, "not a request that this server knows")      \
    X(ERR_INVALID, "a value is not allowed")                    \
    X(ERR_UNAVAILABLE, "the backend cannot answer now")         \
    X(ERR_FULL, "as much as the limit allows is there already") \
    X(ERR_IO, "the operating system refused")

enum err {
#define CHAT_ERR_ENUM(name, text) name,
    CHAT_ERR_MAP(CHAT_ERR_ENUM)
#undef CHAT_ERR_ENUM
};

/* One clause of English, lower case, without a full stop; static storage. */
const char *err_text(enum err err);

/* On a function whose result the caller has to look at. */
#define MUST_CHECK __attribute__((warn_unused_result))

#endif
