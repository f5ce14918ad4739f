#include "mapping_store/memory_inbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "chat/mem.h"
#include "chat/str_table.h"

enum {
    RING_CAPACITY_MIN = 4, /* a power of two, as every capacity */
    SWEEP_INBOXES = 100,   /* that one sweep looks at */
    FORGET_RETENTIONS = 4, /* an empty inbox is forgotten after so many times the retention */
    DUP_KEY_SIZE_MAX = 2 + 2 * UID_SIZE_MAX + CID_SIZE_MAX
};

struct stored {
    struct message_id id;
    uint64_t kept_ms; /* since when it is kept; its id is ahead of that if the clock was put back */
    size_t from_len;
    size_t body_len;
    char text[]; /* from, then body */
};

/* The messages of one uid. Owned by the table of all. */
struct inbox {
    struct str_entry entry; /* its key, the uid, points to the bytes that follow this struct */
    struct inbox *before;   /* in the line of the sweep */
    struct inbox *behind;
    struct stored **ring; /* oldest first, from 'head' on */
    size_t capacity;
    size_t head;
    size_t n;
    struct message_id created;   /* no message of an earlier time is known of */
    struct message_id dropped;   /* the newest that is not retained any more */
    struct message_id confirmed; /* up to here */
    struct message_id newest;
    uint64_t kept_ms; /* as the newest message's */
};

/* A cid that was used a short time ago. Owned by the table of dups. */
struct dup {
    struct str_entry entry; /* its key points to the bytes that follow this struct */
    struct dup *next;       /* the next younger one */
    uint64_t end_ms;
    struct message_id id;
};

struct memory_inbox {
    struct inbox_limits limits;
    struct str_table *by_uid;
    struct inbox *first; /* of the line */
    struct inbox *last;
    struct str_table *dups;
    struct dup *oldest_dup;
    struct dup *youngest_dup;
    size_t size; /* bytes of memory */
    struct delivery page[INBOX_PAGE_MESSAGES_MAX];
};

/* ---- a uid's messages ---- */

static struct stored **stored_at(const struct inbox *inbox, size_t i)
{
    return &inbox->ring[(inbox->head + i) & (inbox->capacity - 1)];
}

static size_t size_of_stored(const struct stored *stored)
{
    return sizeof *stored + stored->from_len + stored->body_len;
}

static void grow_ring(struct memory_inbox *all, struct inbox *inbox)
{
    size_t capacity = inbox->capacity == 0 ? RING_CAPACITY_MIN : inbox->capacity * 2;
    struct stored **ring = mem_alloc(capacity * sizeof(struct stored *));
    for (size_t i = 0; i < inbox->n; i++) {
        ring[i] = *stored_at(inbox, i);
    }
    all->size += (capacity - inbox->capacity) * sizeof(struct stored *);
    free(inbox->ring);
    inbox->ring = ring;
    inbox->capacity = capacity;
    inbox->head = 0;
}

static void push(struct memory_inbox *all, struct inbox *inbox, const struct message *message,
                 struct message_id id, uint64_t now_ms)
{
    if (inbox->n == inbox->capacity) {
        grow_ring(all, inbox);
    }
    struct stored *stored = mem_alloc(sizeof *stored + message->from.len + message->body.len);
    stored->id = id;
    stored->kept_ms = now_ms;
    stored->from_len = message->from.len;
    stored->body_len = message->body.len;
    memcpy(stored->text, message->from.ptr, message->from.len);
    memcpy(stored->text + message->from.len, message->body.ptr, message->body.len);
    *stored_at(inbox, inbox->n++) = stored;
    inbox->newest = id;
    inbox->kept_ms = now_ms;
    all->size += size_of_stored(stored);
}

static void drop_oldest(struct memory_inbox *all, struct inbox *inbox)
{
    struct stored *stored = *stored_at(inbox, 0);
    inbox->dropped = stored->id;
    inbox->head = (inbox->head + 1) & (inbox->capacity - 1);
    inbox->n--;
    all->size -= size_of_stored(stored);
    free(stored);
}

/* The clock was ahead when they came: their time begins now. */
static void keep_from_now(struct inbox *inbox, uint64_t now_ms)
{
    inbox->kept_ms = now_ms;
    for (size_t i = 0; i < inbox->n; i++) {
        struct stored *stored = *stored_at(inbox, i);
        stored->kept_ms = stored->kept_ms < now_ms ? stored->kept_ms : now_ms;
    }
}

static bool is_too_old(const struct memory_inbox *all, const struct stored *stored, uint64_t now_ms)
{
    return stored->kept_ms + all->limits.retention_ms < now_ms;
}

static void drop_old(struct memory_inbox *all, struct inbox *inbox, uint64_t now_ms)
{
    if (inbox->kept_ms > now_ms) {
        keep_from_now(inbox, now_ms);
    }
    while (inbox->n > 0 && is_too_old(all, *stored_at(inbox, 0), now_ms)) {
        drop_oldest(all, inbox);
    }
}

/* [HIST-16] [HIST-17] "Confirmed ones are dropped first, the oldest first." False: it is full. */
static bool make_room(struct memory_inbox *all, struct inbox *inbox, uint64_t now_ms)
{
    drop_old(all, inbox, now_ms);
    while (inbox->n >= all->limits.messages_max) {
        if (message_id_compare((*stored_at(inbox, 0))->id, inbox->confirmed) > 0) {
            return false;
        }
        drop_oldest(all, inbox);
    }
    return true;
}

/* The number of the first message behind 'after'. */
static size_t first_behind(const struct inbox *inbox, struct message_id after)
{
    size_t low = 0;
    size_t high = inbox->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (message_id_compare((*stored_at(inbox, middle))->id, after) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* [HIST-4] Ids rise, also when two messages come in the same millisecond. */
static struct message_id next_id(const struct inbox *inbox, uint64_t now_ms)
{
    struct message_id newest = inbox->newest;
    if (now_ms > newest.ms) {
        return (struct message_id){now_ms, 0};
    }
    return (struct message_id){newest.ms, newest.n + 1};
}

/* ---- all uids ---- */

static struct inbox *get(const struct memory_inbox *all, struct str uid)
{
    return (struct inbox *)str_table_get(all->by_uid, uid);
}

static void line_append(struct memory_inbox *all, struct inbox *inbox)
{
    inbox->before = all->last;
    inbox->behind = NULL;
    if (all->last != NULL) {
        all->last->behind = inbox;
    } else {
        all->first = inbox;
    }
    all->last = inbox;
}

static void line_remove(struct memory_inbox *all, struct inbox *inbox)
{
    if (inbox->before != NULL) {
        inbox->before->behind = inbox->behind;
    } else {
        all->first = inbox->behind;
    }
    if (inbox->behind != NULL) {
        inbox->behind->before = inbox->before;
    } else {
        all->last = inbox->before;
    }
}

static struct inbox *get_or_create(struct memory_inbox *all, struct str uid, uint64_t now_ms)
{
    struct inbox *inbox = get(all, uid);
    if (inbox != NULL) {
        return inbox;
    }
    inbox = mem_alloc(sizeof *inbox + uid.len);
    char *copy = (char *)(inbox + 1);
    memcpy(copy, uid.ptr, uid.len);
    inbox->entry.key = (struct str){copy, uid.len};
    inbox->created = (struct message_id){now_ms, 0};
    str_table_add(all->by_uid, &inbox->entry);
    line_append(all, inbox);
    all->size += sizeof *inbox + uid.len;
    return inbox;
}

static void forget(struct memory_inbox *all, struct inbox *inbox)
{
    while (inbox->n > 0) {
        drop_oldest(all, inbox);
    }
    all->size -= sizeof *inbox + inbox->entry.key.len + inbox->capacity * sizeof(struct stored *);
    line_remove(all, inbox);
    str_table_remove(all->by_uid, &inbox->entry);
    free(inbox->ring);
    free(inbox);
}

/* ---- retries ---- */

static struct str dup_key(const struct message *message, char *room)
{
    char *p = room;
    *p++ = (char)message->to.len;
    *p++ = (char)message->from.len;
    memcpy(p, message->to.ptr, message->to.len);
    p += message->to.len;
    memcpy(p, message->from.ptr, message->from.len);
    p += message->from.len;
    memcpy(p, message->cid.ptr, message->cid.len);
    p += message->cid.len;
    return (struct str){room, (size_t)(p - room)};
}

static void dups_forget_oldest(struct memory_inbox *all)
{
    struct dup *dup = all->oldest_dup;
    all->oldest_dup = dup->next;
    if (dup->next == NULL) {
        all->youngest_dup = NULL;
    }
    str_table_remove(all->dups, &dup->entry);
    all->size -= sizeof *dup + dup->entry.key.len;
    free(dup);
}

static void dups_remember(struct memory_inbox *all, struct str key, struct message_id id,
                          uint64_t now_ms)
{
    struct dup *dup = mem_alloc(sizeof *dup + key.len);
    char *copy = (char *)(dup + 1);
    memcpy(copy, key.ptr, key.len);
    *dup =
        (struct dup){.entry = {.key = {copy, key.len}}, .end_ms = now_ms + INBOX_DUP_MS, .id = id};
    str_table_add(all->dups, &dup->entry);
    if (all->youngest_dup != NULL) {
        all->youngest_dup->next = dup;
    } else {
        all->oldest_dup = dup;
    }
    all->youngest_dup = dup;
    all->size += sizeof *dup + key.len;
}

static void dups_forget_old(struct memory_inbox *all, uint64_t now_ms)
{
    /* One that came while the clock was ahead would hold up all behind it. */
    for (struct dup *dup = all->oldest_dup; dup != NULL && dup->end_ms > now_ms + INBOX_DUP_MS;
         dup = dup->next) {
        dup->end_ms = now_ms + INBOX_DUP_MS;
    }
    while (all->oldest_dup != NULL && all->oldest_dup->end_ms <= now_ms) {
        dups_forget_oldest(all);
    }
}

/* ---- what memory_inbox.h says ---- */

static enum err store_new(struct memory_inbox *all, const struct message *message, uint64_t now_ms,
                          struct sent *out)
{
    if (all->size + message->body.len > all->limits.memory_max) {
        return ERR_UNAVAILABLE;
    }
    struct inbox *inbox = get_or_create(all, message->to, now_ms);
    if (!make_room(all, inbox, now_ms)) {
        return ERR_FULL;
    }
    struct message_id id = next_id(inbox, now_ms);
    *out = (struct sent){.id = id, .previous = inbox->newest};
    push(all, inbox, message, id, now_ms);
    return ERR_OK;
}

enum err memory_inbox_append(struct memory_inbox *all, const struct message *message,
                             uint64_t now_ms, struct sent *out)
{
    if (message->cid.len == 0) {
        return store_new(all, message, now_ms, out);
    }
    char room[DUP_KEY_SIZE_MAX];
    struct str key = dup_key(message, room);
    dups_forget_old(all, now_ms);
    const struct dup *dup = (const struct dup *)str_table_get(all->dups, key);
    if (dup != NULL) { /* [HIST-18] */
        *out = (struct sent){.id = dup->id, .is_dup = true};
        return ERR_OK;
    }
    enum err err = store_new(all, message, now_ms, out);
    if (err == ERR_OK) {
        dups_remember(all, key, out->id, now_ms);
    }
    return err;
}

static bool has_room(size_t n, size_t size, const struct stored *next)
{
    return n == 0 || size + next->body_len <= INBOX_PAGE_SIZE_MAX;
}

static size_t fill_page(struct memory_inbox *all, const struct inbox *inbox,
                        struct message_id after, size_t n_max)
{
    size_t first = first_behind(inbox, after);
    size_t n = 0;
    size_t size = 0;
    while (n < n_max && first + n < inbox->n) {
        const struct stored *stored = *stored_at(inbox, first + n);
        if (!has_room(n, size, stored)) {
            break;
        }
        all->page[n++] = (struct delivery){
            .id = stored->id,
            .from = {stored->text, stored->from_len},
            .body = {stored->text + stored->from_len, stored->body_len},
        };
        size += stored->body_len;
    }
    return n;
}

void memory_inbox_read(struct memory_inbox *all, struct str uid, const struct message_id *after,
                       size_t n_max, uint64_t now_ms, struct inbox_page *out)
{
    assert(n_max <= INBOX_PAGE_MESSAGES_MAX);
    struct inbox *inbox = get(all, uid);
    bool is_told = after != NULL && !message_id_is_none(*after); /* by somebody who has got it */
    *out = (struct inbox_page){.messages = all->page};
    if (inbox == NULL) {
        out->after = after != NULL ? *after : MESSAGE_ID_NONE;
        out->gap = is_told;
        return;
    }
    drop_old(all, inbox, now_ms);
    out->after = after != NULL ? *after : inbox->confirmed;
    out->newest = inbox->newest;
    out->dropped = message_id_compare(out->after, inbox->dropped) < 0;
    out->gap = out->dropped || (is_told && message_id_compare(*after, inbox->created) < 0);
    out->n = fill_page(all, inbox, out->after, n_max);
}

void memory_inbox_confirm(struct memory_inbox *all, struct str uid, struct message_id id)
{
    struct inbox *inbox = get(all, uid);
    if (inbox == NULL) {
        return;
    }
    if (message_id_compare(id, inbox->newest) > 0) {
        id = inbox->newest; /* what has not been sent cannot be confirmed */
    }
    if (message_id_compare(id, inbox->confirmed) > 0) {
        inbox->confirmed = id;
    }
}

static bool is_forgotten(const struct memory_inbox *all, const struct inbox *inbox, uint64_t now_ms)
{
    return inbox->n == 0 && inbox->kept_ms + FORGET_RETENTIONS * all->limits.retention_ms < now_ms;
}

void memory_inbox_sweep(struct memory_inbox *all, uint64_t now_ms)
{
    size_t n = str_table_count(all->by_uid);
    dups_forget_old(all, now_ms);
    for (size_t i = 0; i < n && i < SWEEP_INBOXES; i++) {
        struct inbox *inbox = all->first;
        drop_old(all, inbox, now_ms);
        if (is_forgotten(all, inbox, now_ms)) {
            forget(all, inbox);
        } else {
            line_remove(all, inbox);
            line_append(all, inbox);
        }
    }
}

struct memory_inbox *memory_inbox_create(const struct inbox_limits *limits)
{
    struct memory_inbox *all = mem_alloc(sizeof *all);
    all->limits = *limits;
    all->by_uid = str_table_create();
    all->dups = str_table_create();
    return all;
}

void memory_inbox_destroy(struct memory_inbox *all)
{
    if (all == NULL) {
        return;
    }
    struct inbox *behind;
    for (struct inbox *inbox = all->first; inbox != NULL; inbox = behind) {
        behind = inbox->behind;
        forget(all, inbox);
    }
    while (all->oldest_dup != NULL) {
        dups_forget_oldest(all);
    }
    assert(all->size == 0);
    str_table_destroy(all->by_uid);
    str_table_destroy(all->dups);
    free(all);
}
