/* redis.h - the inside of the Redis store, shared by its files and nobody else. SPEC 5, 7
 * and 8.
 *
 *   redis.c         the port; when the store may be used; the lease and the refresh
 *   redis_send.c    a msg or a broadcast: who gets it; with history a msg is stored first
 *   redis_inbox.c   messages that are stored: read and confirmed
 *   redis_compare.c what a device may have missed
 *   redis_memory.c  whether Redis has room for more messages
 *   redis_lease.c   this node is alive: said, and renewed
 *   redis_nodes.c   the other nodes: who is told, and who is dead
 *   redis_queue.c   what nodes tell each other
 *   redis_settings.c whether Redis keeps messages safe
 *   redis_script.c  the scripts in redis_scripts/, which Redis runs
 *   redis_join.c    after each connect: predecessors' traces go, ours are put right
 *   redis_bind.c    a sign: our traces are written, stale ones removed
 *   redis_repair.c  traces are written again; keys of another type are replaced
 *   redis_traces.c  what a device looks like in Redis: keys, fds
 *   redis_batch.c   commands whose replies are looked at together
 *
 * The truth about this process's devices is 'devices', never Redis. What is in Redis are traces,
 * for other programs and for other nodes. The hash chat_node_fds:{<node>} is their
 * journal: a trace is put down there before it is made and taken out after it is removed, so
 * whatever breaks in between, what has to be cleaned is known.
 *
 * The keys are ours. A value of another type in the place of one is garbage, and as good as a
 * deleted one ([STORE-13]): who meets it when writing replaces it, once, and who only reads goes
 * on without. An fd's key needs no repair, SETEX overwrites everything; chat_nodes is put right
 * by whoever takes or renews a lease. */
#ifndef CHAT_MAPPING_STORE_REDIS_H
#define CHAT_MAPPING_STORE_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/inbox.h"
#include "chat/limits.h"
#include "chat/loop.h"
#include "chat/mapping_store.h"
#include "chat/nodes.h"
#include "chat/str_table.h"
#include "mapping_store/devices.h"
#include "mapping_store/pending.h"
#include "mapping_store/redis_link.h"

enum {
    NODE_DIGITS = 16, /* hexadecimal: 64 random bits drawn at start, so that no fd ever returns */
    NODE_SIZE_MAX = NODE_NAME_SIZE_MAX + 1 + NODE_DIGITS,
    FD_TTL_S = 86400,   /* [STORE-3] */
    SET_TTL_S = 90000,  /* longer than its members' own keys: what nobody renews goes in the end */
    LEASE_RENEWALS = 5, /* in the time of a lease */
    LEASE_RENEWALS_FRESH = 4,  /* after so many without one a node does not speak for itself */
    LEASE_RENEWALS_QUIET = 2,  /* before its end a node that lives has renewed it */
    NODE_LINGER_MS = 120000,   /* [NODE-8] for which what is told to a node waits for it */
    RING_BODY_SIZE_MAX = 4096, /* bytes: with history a longer one is read from the inbox */
    REGISTER_BATCH = 500,      /* devices that are written again in one go */
    PREDECESSORS_MAX = 64,     /* dead nodes that a start cleans up after in one go */
    SHA_DIGITS = 40,           /* hexadecimal: by it Redis knows a script */
    ENTRY_ID_SIZE_MAX = 42,    /* bytes of an id of a queue's entry, with its terminator */
    NUMBER_SIZE_MAX = 21,      /* bytes of a number's text, with its terminator */
    TROUBLE_SIZE_MAX = 64      /* the same of trouble() */
};

enum {
    LEASE_AHEAD_MAX_MS = 60000 /* a lease that ends later than in so long is of nobody: lease.lua */
};

/* A node's queue, in bytes. */
enum {
    NODE_QUEUE_SIZE_MAX = 67108864, /* of Redis' memory: then the oldest half goes */
    NODE_QUEUE_LOOK_SIZE = 4194304  /* that are written to it between two looks */
};

/* Each is redis_scripts/<name>.lua; what it takes and returns stands there. APPEND has another one
 * in front, append_usual.lua. */
enum script {
    SCRIPT_APPEND,
    SCRIPT_READ,
    SCRIPT_CONFIRM,
    N_SCRIPTS
};

enum store_state {
    STORE_STARTING, /* not connected yet, but nothing failed either: requests wait */
    STORE_AWAY,     /* Redis cannot be reached or used: ERR_UNAVAILABLE */
    STORE_OPEN,
    STORE_CLOSED
};

struct other_node {
    struct str_entry entry; /* its key is 'name' */
    char name[NODE_SIZE_MAX + 1];
    uint64_t telling;    /* the last one that it is told of */
    double lease_end_ms; /* by Redis' clock */
    bool is_listed;      /* in chat_nodes, when it was looked at last */
    bool is_dead;
    bool is_being_cleaned;
    size_t n_written;         /* bytes to its queue, since that was looked at */
    bool is_cleaned;          /* since it died, at least once */
    uint64_t spared_until_ms; /* our clock: it may live, and be listed by then */
};

struct redis_memory {
    uint32_t percent_max;
    bool is_unseen; /* and the log has said so */
    uint64_t used;  /* bytes, as Redis said, and what has been stored since */
    uint64_t limit; /* 0: not known, or none */
};

struct redis_store {
    struct mapping_store base; /* first, so that a struct mapping_store * is one of us */
    struct loop *loop;
    struct redis_link *link;
    struct redis_link *reader; /* of the queue; NULL without the feature nodes */
    struct devices *devices;
    struct pending *pending;
    enum store_state state;
    uint64_t timeout_ms;
    uint64_t refresh_ms;
    uint64_t lease_ms;
    char node_name[NODE_NAME_SIZE_MAX + 1];
    char node[NODE_SIZE_MAX + 1];     /* <node_name>-<random digits> */
    bool (*is_body)(struct str text); /* redis_store.h */
    char shas[N_SCRIPTS][SHA_DIGITS];
    bool is_loading_scripts;
    char messages_max[NUMBER_SIZE_MAX]; /* of history, as scripts take them: */
    char retention_ms[NUMBER_SIZE_MAX];
    char dup_ms[NUMBER_SIZE_MAX];
    struct redis_memory memory;
    struct reading *readings; /* which are not answered yet */
    struct reading **readings_end;
    struct loop_timer *reading_timer;
    bool has_seen_settings; /* of Redis: once in a process' life */
    bool is_joining;        /* connected, and not yet open */
    bool has_taken_over;    /* from predecessors: once in a process' life */
    char predecessors[PREDECESSORS_MAX][NODE_SIZE_MAX + 1]; /* still to be cleaned up after */
    size_t n_predecessors;
    bool has_more_predecessors;
    uint64_t redis_now_ms;            /* Redis' clock, when predecessors were looked for */
    uint64_t redis_ahead_ms;          /* what redis_clock_ms() adds to our clock */
    uint64_t lease_renewed_ms;        /* our clock: when that was asked which renewed it */
    const char *refusal;              /* of what was asked: redis_note_refusal() */
    uint64_t refused_ms;              /* our clock */
    char trouble[TROUBLE_SIZE_MAX];   /* what trouble() said, where it is put together */
    uint64_t list_lost_ms;            /* our clock: when a lease of this node was gone */
    bool has_nodes;                   /* the feature; what follows is for it */
    const struct node_events *events; /* NULL: nobody listens */
    void *events_ctx;
    struct str_table *other_names;
    struct other_node **others; /* room for NODES_MAX; NULL without the feature nodes */
    size_t n_others;
    bool has_more_nodes; /* in the list than NODES_MAX */
    uint64_t telling;
    struct message_id cursor; /* up to here the queue has been read */
    bool has_cursor;
    bool is_reading; /* a question waits for its answer */
    bool has_moved;  /* and that answer does not count: it begins elsewhere */
    struct loop_timer *reader_timer;
    size_t n_to_register; /* devices that a running registration has still to write */
    bool is_registering;
    size_t refresh_due;            /* devices whose turn has come, in parts of one */
    struct loop_timer *hold_timer; /* ends STORE_STARTING */
    struct loop_timer *lease_timer;
    struct loop_timer *refresh_timer;
    struct loop_timer *close_timer;
    void (*closed)(void *ctx);
    void *closed_ctx;
    uint64_t next_error_log_ms;
    unsigned n_errors_unlogged;
};

/* ---- redis_batch.c ---- */

enum batch_result {
    BATCH_OK,
    BATCH_WRONG_TYPE, /* another type has a key's place: it concerns that key, not the rest */
    BATCH_REFUSED,    /* any other error reply: Redis cannot do it now */
    BATCH_LOST        /* the link is away: what was done is not known */
};

struct batch;

/* Reply number 'i' of the batch that is no error. Lent until the callback returns. */
typedef void batch_reply_fn(void *ctx, size_t i, const redisReply *reply);

/* Every reply is there. 'result' is the worst of them, 'error' the first error's text. */
typedef void batch_done_fn(void *ctx, enum batch_result result, const char *error);

/* 'replied' may be NULL. The batch frees itself after 'done'. */
struct batch *batch_create(struct redis_store *store, batch_reply_fn *replied, batch_done_fn *done,
                           void *ctx);
void batch_ask(struct batch *batch, const struct str *args, size_t n);
/* No more questions. Calls 'done', possibly at once. */
void batch_send(struct batch *batch);

/* What a reply says, terminated, lent as long as it is; empty if it is no string. */
struct str redis_text(const redisReply *reply);

/* The reply to TIME, in milliseconds. */
uint64_t redis_time_ms(const redisReply *reply);

/* Is it the error that the key has another type? */
bool redis_is_wrong_type(const redisReply *reply);

/* An error that Redis replied, at most once a second. If it says something of the next command,
 * that is trouble() until the lease has been renewed. */
void redis_log_error(struct redis_store *store, const char *what, const char *error);

/* Redis has done what was asked at 'asked_ms', by our clock. */
void redis_refusal_is_over(struct redis_store *store, uint64_t asked_ms);

/* ---- redis_traces.c ---- */

enum {
    KEY_SIZE_MAX = 16 + UID_SIZE_MAX
}; /* of chat_map_uid_fd:<uid>, the longest key of ours */

/* A key or an fd, put together. */
struct name {
    char bytes[KEY_SIZE_MAX + 1];
    size_t len;
};

static inline struct str name_str(const struct name *name)
{
    return (struct str){name->bytes, name->len};
}

struct name key_of_uid(struct str uid);         /* chat_map_uid_fd:<uid> */
struct name key_of_node_fds(struct str node);   /* chat_node_fds:{<node>} */
struct name key_of_node_queue(struct str node); /* chat_node_queue:{<node>} */
struct name fd_of(const struct redis_store *store, conn_id device);

/* The node that 'fd' belongs to, len 0 if it has not the form of our fds. Borrows from 'fd'. */
struct str node_of_fd(struct str fd);

/* Has 'node' the form <name>-<16 digits>? Then '*name' is its name. */
bool node_name_of(struct str node, struct str *name);

/* The connection of this process that 'fd' names, CONN_NONE if it is not an fd of ours. */
conn_id device_of_fd(const struct redis_store *store, struct str fd);

/* Ask for what makes 'device' visible as 'uid': HSET, SADD, EXPIRE, SETEX. */
void traces_write(struct batch *batch, const struct redis_store *store, conn_id device,
                  struct str uid);

/* Ask for the same for 'n' devices, with one HSET for all; not for those that are no devices any
 * more or that are being bound. */
void traces_write_many(struct batch *batch, const struct redis_store *store, const conn_id *devices,
                       size_t n);

/* Ask for the removal of 'fd' as a device of 'uid', with its own key and its line in 'node's
 * journal. */
void traces_remove(struct batch *batch, struct str node, struct str fd, struct str uid);

/* The same without the journal, when all of that goes afterwards. */
void traces_remove_visible(struct batch *batch, struct str fd, struct str uid);

/* DEL chat_map_fd_uid:<fd>, which may be of any length. */
void traces_remove_fd_key(struct batch *batch, struct str fd);

/* ---- redis_repair.c ---- */

/* Ask for the removal of the uid's set, or of this node's journal, if that key has another type.
 * It is done before whatever is asked next. What is removed is logged. */
void redis_repair_set(struct redis_store *store, struct str uid);
void redis_repair_journal(struct redis_store *store);
/* Of another node, if its queue has another type. */
void redis_repair_queue(struct redis_store *store, struct str node);

typedef void redis_written_fn(struct redis_store *store, enum batch_result result,
                              const char *error);

/* Write the traces of the next 'n' devices of the line, once more after a repair if a key has
 * another type, then call 'done', possibly at once. */
void redis_write_next(struct redis_store *store, size_t n, redis_written_fn *done);

/* ---- redis_script.c ---- */

/* Have Redis know the scripts that are used, then call 'done', possibly at once. */
void redis_scripts_load(struct redis_store *store, redis_written_fn *done);

/* As redis_link_command(), for EVALSHA: 'args' begins with the number of keys at [2], the first two
 * are filled in. */
bool redis_script_call(struct redis_store *store, enum script script, struct str *args, size_t n,
                       redis_reply_fn *replied, void *ctx);

/* 'reply' is not what the script returns; NULL is allowed. Logs it. If Redis does not know the
 * script any more (SCRIPT FLUSH), that is mended: what is called next works. What was called is
 * not called again, for it would overtake what was asked meanwhile ([ORDER-2]). */
void redis_script_failed(struct redis_store *store, const char *what, const redisReply *reply);

/* ---- redis_send.c ---- */

/* Do what the send, or the broadcast, 'op' asks, then pending_done(). */
void redis_send_start(struct redis_store *store, struct op *op);
void redis_broadcast_start(struct redis_store *store, struct op *op);

/* ---- redis_inbox.c ---- */

enum {
    INBOX_KEY_SIZE_MAX = 40 + 3 * UID_SIZE_MAX,
    INBOX_KEYS_SIZE_MAX = 3 * INBOX_KEY_SIZE_MAX + 2 * UID_SIZE_MAX + CID_SIZE_MAX + 32
};

/* The keys of one uid's inbox. Do not copy: they point to the bytes here. */
struct inbox_keys {
    struct str inbox; /* chat_inbox:{chat_map_uid_fd:<uid>}: a stream */
    struct str state; /* chat_inbox_state:{…}: a hash, of ids; inbox.lua knows which */
    struct str set;   /* chat_map_uid_fd:<uid> */
    struct str cid;   /* chat_dup:{…}:<length of from>:<from><cid>: a string, an id */
    struct str uid;   /* borrowed */
    size_t len;
    char bytes[INBOX_KEYS_SIZE_MAX];
};

/* Fills all but 'cid'. Borrows 'uid' until inbox_keys_add_cid(). */
void inbox_keys_of(struct inbox_keys *keys, struct str uid);
void inbox_keys_add_cid(struct inbox_keys *keys, struct str from, struct str cid);

/* False: the reply is not an id. */
bool redis_reply_id(const redisReply *reply, struct message_id *out);

/* Log what a script has put right, if anything. */
void redis_log_note(struct redis_store *store, const redisReply *note);

/* May this, which comes from Redis, be sent to a client? */
bool redis_is_delivery(const struct redis_store *store, const struct delivery *delivery);

/* The store's state has changed: what waited for that is asked, or fails. */
void redis_readings_start(struct redis_store *store);
/* Answer all with ERR_UNAVAILABLE now. */
void redis_readings_fail(struct redis_store *store);
void redis_on_reading_timer(void *ctx);

extern const struct inbox_ops redis_inbox_ops;

/* ---- redis_memory.c ---- */

/* Ask Redis how much it uses. */
void redis_memory_look(struct redis_store *store);

/* Is there room for it? Then it counts. */
bool redis_memory_takes(struct redis_store *store, const struct message *message);

/* ---- redis_lease.c ---- */

/* Take the lease, and with the feature nodes make the queue, then call 'done' with the store. */
void redis_lease_take(struct redis_store *store, batch_done_fn *done);

/* Renew it. If it turns out to be gone or over, or the queue is, all is written again. */
void redis_lease_renew(struct redis_store *store);

/* Has this node been missing from the list a moment ago? Then others may be missing still that
 * live. */
bool redis_list_was_lost(const struct redis_store *store);

bool redis_lease_is_fresh(const struct redis_store *store);

/* That it is not, in words, lent until the next call. */
const char *redis_lease_trouble(struct redis_store *store);

/* Redis' clock, as far as it is known: not more than it is. */
uint64_t redis_clock_ms(const struct redis_store *store);

/* ---- redis_nodes.c ---- */

/* Whom to tell. Borrows their names from what it was made of. */
struct targets {
    size_t n;
    struct str nodes[NODES_MAX];
};

void redis_nodes_init(struct redis_store *store);
void redis_nodes_fini(struct redis_store *store);

/* The list of nodes with the ends of their leases, as ZRANGE gives it. */
void redis_nodes_are(struct redis_store *store, const redisReply *nodes);
bool redis_node_is_alive(struct redis_store *store, struct str node);

/* 'size' bytes were written to its queue. True: it is time to look how large that is. */
bool redis_node_was_written(struct redis_store *store, struct str node, size_t size);

/* It has said so itself. */
void redis_node_is_there(struct redis_store *store, struct str node);

/* There is an fd of this node, and it is not in the list. If nobody else knows it, nobody would
 * clean up after it: unless it is listed by then, that is done when a lease's time is over. */
void redis_node_was_met(struct redis_store *store, struct str node);

/* All other nodes, also those that are dead but may come back. False: there are more than one can
 * tell. */
bool redis_targets_all(struct redis_store *store, struct targets *out);
/* Those that the members of a uid's set belong to, and without history those that are dead.
 * NULL, no members, or so many nodes that it is garbage: somebody may have deleted it, so all
 * ([STORE-8]). False as above. */
bool redis_targets_of(struct redis_store *store, const redisReply *members, struct targets *out);

void redis_clean_up_after_the_dead(struct redis_store *store);

/* ---- redis_queue.c ---- */

/* What one node tells another. */
struct ring {
    struct str uid; /* len 0: a broadcast */
    struct str from;
    struct str body;      /* len 0: left out */
    struct message_id id; /* with history; else none */
    struct message_id previous;
    struct str
        marker; /* a node's name, and nothing else: it is there. Of the node itself: its queue is */
};

/* The id of an entry of a queue, which may be larger than one of a message. False: the reply is
 * none. Writing it takes ENTRY_ID_SIZE_MAX bytes, and returns how many without the terminator. */
bool redis_entry_id(const redisReply *reply, struct message_id *out);
size_t redis_entry_id_write(struct message_id id, char *out);

/* Tell all other nodes that this one is there, so that they know it before they look at the list
 * again. */
void redis_greet_the_others(struct redis_store *store);

/* As redis_link_command(). */
bool redis_ring(struct redis_store *store, struct str node, const struct ring *ring,
                redis_reply_fn *replied, void *ctx);

/* As in lease.lua. */
enum queue_was {
    QUEUE_WHOLE,
    QUEUE_MADE,
    QUEUE_BEHIND,
    QUEUE_TRIMMED
};

/* What this node's queue was when the lease was taken, its last id, and the cursor when the lease
 * was asked for. True: something that was told to this node may be lost. */
bool redis_queue_was(struct redis_store *store, enum queue_was was, struct message_id last,
                     struct message_id leased_cursor);

/* Note in the bind 'op' what is in this node's queue already: broadcasts among it were sent before
 * the device signed ([CAST-6]). Known before whatever is asked next is answered. */
void redis_queue_note_end(struct redis_store *store, struct op *op);

struct redis_link *redis_reader_create(struct redis_store *store, const struct redis_url *url);
void redis_on_reader_timer(void *ctx);

/* ---- redis_settings.c ---- */

/* With history, and once: log what Redis is set to do with messages that it should not. */
void redis_settings_check(struct redis_store *store);

/* ---- redis_compare.c ---- */

/* With history: tell the router the newest message of each of these devices' uids. */
void redis_compare(struct redis_store *store, const conn_id *devices, size_t n);

/* ---- redis_bind.c ---- */

/* Write the traces for the bind 'op', remove the uid's stale fds, then pending_done(). */
void redis_bind_start(struct redis_store *store, struct op *op);

/* ---- redis_join.c ---- */

/* The link is connected: put everything right, then redis_store_joined(), or reject the link. */
void redis_join_start(struct redis_store *store);

/* Write all devices again, in batches, if that is not already being done. */
void redis_register_all(struct redis_store *store);

/* Remove all traces of this process, then redis_store_left(). Possibly at once. */
void redis_leave(struct redis_store *store);

/* ---- redis.c ---- */

/* Requests are welcome. */
void redis_store_joined(struct redis_store *store);

/* Our traces are gone, as far as they can be. */
void redis_store_left(struct redis_store *store);

#endif
