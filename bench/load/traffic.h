/* traffic.h - who says what to whom, and whether it arrives: once, in order, unchanged, from the
 * right sender, each request answered once. Whatever is wrong ends the tool with EXIT_WRONG and
 * says which message it was.
 *
 * Each connection is a party with a plan, which a scenario makes before traffic_join(). A uid is
 * "<prefix>-<number>", and whoever sends is the only device of the uid that has its own index. */
#ifndef LOAD_TRAFFIC_H
#define LOAD_TRAFFIC_H

#include "load/engine.h"
#include "load/histogram.h"

enum {
    PREFIX_SIZE_MAX = 32,
    WINDOW_MAX = 1024
};

enum role {
    ROLE_LISTENER, /* asks for nothing */
    ROLE_SENDER,
    ROLE_BROADCASTER,
    ROLE_SIGNER /* signs again and again, as one of two uids of its own */
};

struct party {
    /* The plan. */
    enum role role;
    uint32_t uid;     /* what it signs as */
    uint32_t to;      /* whom a sender writes to */
    uint32_t copies;  /* deliveries that each of its messages brings and that are looked at */
    uint32_t window;  /* its own, instead of the options' */
    uint32_t hears;   /* the first of the parties whose messages it gets */
    uint32_t n_hears; /* and how many there are from that on */
    bool resting;     /* does not ask at present */
    /* What has happened. */
    uint32_t asked;
    uint32_t answered;
    uint64_t delivered; /* of what it sent, at all devices */
    uint32_t *next;     /* for each that it hears, the number of the next message */
    uint64_t *asked_ns; /* a signer's: when, modulo WINDOW_MAX */
    bool joined;        /* connected, and signed */
    bool refused;       /* its sign, as "unavailable": it tries again */
    bool ponged;
};

struct traffic_options {
    const char *prefix; /* of the uids; borrowed */
    uint32_t window;    /* requests of one party under way, at most WINDOW_MAX; 1 or more */
    double rate;        /* requests a second, of all together, without a window; 0: closed loop */
    uint32_t
        n_messages;  /* each asks so often, and then talking is over; 0: for as long as it lasts */
    bool in_batches; /* the window is filled again only when all of it is done */
    size_t body_size;
    uint32_t patience_s; /* what takes longer is lost */
    uint32_t at_once;    /* connections that are being made at the same time */
    int server_pid;      /* 0: unknown */
    int redis_pid;       /* 0: none */
};

/* What a while of talking was like. CPU times are those of all threads. */
struct measurement {
    struct histogram latency; /* from when it was to be sent until it was read, in ns */
    double seconds;
    uint64_t answered;
    uint64_t delivered;
    uint64_t server_cpu_ns;
    uint64_t redis_cpu_ns;
    uint64_t own_cpu_ns;
};

struct traffic;

/* Borrows the options' strings and the target. */
struct traffic *traffic_create(const struct target *target, const struct traffic_options *options,
                               uint32_t n_parties);
void traffic_destroy(struct traffic *traffic);

struct party *traffic_party(struct traffic *traffic, uint32_t index);

/* Connects and signs these parties. A server that has just started may still be without its store,
 * so a sign that is "unavailable" is tried again. */
void traffic_join(struct traffic *traffic, uint32_t first, uint32_t count);

/* Lets all that have something to ask ask, for 'warm_s' and then, measured, for 'seconds'; waits
 * until everything has arrived; then pings everybody, so that what came too much would have
 * come. */
void traffic_talk(struct traffic *traffic, double warm_s, double seconds,
                  struct measurement *measurement);

/* From now on these do not read, and nobody looks at what they get, or whether the server closes
 * them. */
void traffic_mute(struct traffic *traffic, uint32_t first, uint32_t count);

/* Closes these parties' connections. */
void traffic_leave(struct traffic *traffic, uint32_t first, uint32_t count);

#endif
