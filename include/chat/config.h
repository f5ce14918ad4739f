/* config.h - every setting: from flags, the environment and a file, in that order of precedence.
 *
 * Each setting has one name: --listen, CHATD_LISTEN, and a line "listen = …" in the file. */
#ifndef CHAT_CONFIG_H
#define CHAT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/features.h"
#include "chat/limits.h"
#include "chat/log.h"
#include "chat/redis_url.h"

struct config {
    char listen_host[64]; /* 127.0.0.1: numeric IPv4 or IPv6 address */
    uint16_t listen_port; /* 9502; 0: any free one */
    bool reuse_port;      /* no: with it Redis, the feature nodes and a node_name are there, too */
    bool has_redis;       /* false: the memory store */
    struct redis_url redis;
    uint32_t redis_timeout_ms; /* 2000: 100 to 2000, for 'unavailable' within 3 s ([STORE-9]) */
    uint32_t redis_lease_ms;   /* 10000: 1000 to 10000 ([NODE-5]) */
    uint32_t redis_refresh_ms; /* 20000: 1000 to 25000 ([STORE-8]) */
    char node_name[NODE_NAME_SIZE_MAX + 1];       /* config_default_node_name() if not given */
    struct features features;                     /* nodes */
    char broadcasters[BROADCASTERS_SIZE_MAX + 1]; /* uids with commas between; "": everybody */
    uint32_t history_messages_max;      /* 1000: 1000 to 1000000, of each uid ([HIST-15]) */
    uint32_t history_days;              /* 7: 7 to 3650 */
    uint32_t history_memory_max;        /* 268435456: 1048576 to 4294967295 bytes, without Redis */
    uint32_t history_redis_percent_max; /* 75: 1 to 100, of the memory that Redis may use */
    uint32_t connections_per_address_max; /* 0: no such limit; else 1 to 1000000 */
    uint32_t request_rate_max;  /* 0: no such limit; else 1 to 1000000 a second and connection */
    uint32_t request_burst_max; /* 1000: 1 to 1000000 */
    uint32_t requests_size_max; /* 268435456: 1048576 to 4294967295 bytes of all connections */
    uint32_t outboxes_size_max; /* 536870912: 1048576 to 4294967295 bytes of all connections */
    uint32_t connections_max;  /* 0: as many as the limit of open files allows; else 1 to 1000000 */
    uint32_t message_size_max; /* 65536: 65536 to 16777216 bytes ([WS-7]) */
    uint32_t message_timeout_ms; /* 60000: 1000 to 3600000 ([WS-20]) */
    uint32_t outbox_size_max; /* 1048576: 66560 to 1073741824 bytes for each connection ([WS-12]) */
    uint32_t ping_interval_ms;     /* 25000: 100 to 3600000 ([WS-10]) */
    uint32_t ping_timeout_ms;      /* 10000: 100 to 3600000 */
    uint32_t handshake_timeout_ms; /* 10000: 100 to 600000 */
    uint32_t handshake_size_max;   /* 32768: 16384 to 262144 bytes */
    enum log_level log_level;      /* info */
};

enum config_result {
    CONFIG_RUN,   /* 'out' is filled: serve */
    CONFIG_DONE,  /* --help, --version, --check-config: answered on stdout, exit 0 */
    CONFIG_USAGE, /* wrong words on the command line, said on stderr: exit EX_USAGE */
    CONFIG_BAD    /* a setting's value or the file is wrong, said on stderr: exit EX_CONFIG */
};

/* 'variables' is environ: "NAME=value" each, then NULL. Messages on stderr name the setting, where
 * it was given, what was given (never a password) and what is allowed. */
enum config_result config_read(int argc, char **argv, const char *const *variables,
                               struct config *out);

/* If there is no node_name, make one from the name of the host and listen_port. config_read()
 * has done that unless the port is 0: then set listen_port to the one that was got, and call
 * this. */
void config_default_node_name(struct config *config);

#endif
