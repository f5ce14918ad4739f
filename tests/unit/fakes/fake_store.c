#include "fakes/fake_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "chat/mem.h"

/* A bind, a send or a broadcast that waits for its answer. */
struct fake_call {
    struct fake_call *next;
    conn_id device; /* CONN_NONE: a send or a broadcast */
    char uid[UID_SIZE_MAX + 1];
    mapping_bound_fn *bound;
    mapping_sent_fn *sent;
    mapping_done_fn *done;
    void *ctx;
};

struct fake_read {
    struct fake_read *next;
    inbox_read_fn *read;
    void *ctx;
};

static struct fake_store *fake(struct mapping_store *base)
{
    return (struct fake_store *)base;
}

/* The link to the oldest bind of 'device', or to the oldest send or broadcast if that is
 * CONN_NONE. */
static struct fake_call **link_to(struct fake_store *store, conn_id device)
{
    struct fake_call **link = &store->first;
    while (*link != NULL && (*link)->device != device) {
        link = &(*link)->next;
    }
    return link;
}

static void forget_device(struct fake_store *store, conn_id device)
{
    size_t n_kept = 0;
    for (size_t i = 0; i < store->n_devices; i++) {
        if (store->devices[i].conn != device) {
            store->devices[n_kept++] = store->devices[i];
        }
    }
    store->n_devices = n_kept;
}

static void answer_call(struct fake_store *store, struct fake_call **link, bool unavailable);

static void add_call(struct fake_store *store, struct fake_call call, struct str uid)
{
    assert_false(store->is_destroying);
    assert_in_range(uid.len, 1, UID_SIZE_MAX);
    struct fake_call **link = &store->first;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = mem_alloc(sizeof **link);
    **link = call;
    memcpy((*link)->uid, uid.ptr, uid.len);
    if (store->fails_inside) {
        answer_call(store, link, true);
    }
}

static void store_bind(struct mapping_store *base, conn_id device, struct str uid,
                       mapping_bound_fn *bound, void *ctx)
{
    struct fake_store *store = fake(base);
    assert_null(*link_to(store, device)); /* never two binds of one device at a time */
    transcript_add(&store->asked, "bind %llu %.*s", (unsigned long long)device, (int)uid.len,
                   uid.ptr);
    add_call(store, (struct fake_call){.device = device, .bound = bound, .ctx = ctx}, uid);
}

static void store_unbind(struct mapping_store *base, conn_id device)
{
    struct fake_store *store = fake(base);
    assert_null(*link_to(store, device));
    transcript_add(&store->asked, "unbind %llu", (unsigned long long)device);
    forget_device(store, device);
}

static void store_send(struct mapping_store *base, const struct message *message,
                       mapping_sent_fn *sent, void *ctx)
{
    struct fake_store *store = fake(base);
    transcript_add(&store->asked, "send %.*s%s%.*s", (int)message->to.len, message->to.ptr,
                   message->cid.len > 0 ? " cid=" : "", (int)message->cid.len, message->cid.ptr);
    add_call(store, (struct fake_call){.device = CONN_NONE, .sent = sent, .ctx = ctx}, message->to);
}

static void store_broadcast(struct mapping_store *base, const struct message *message,
                            mapping_done_fn *done, void *ctx)
{
    struct fake_store *store = fake(base);
    assert_int_equal(message->to.len, 0);
    assert_true(message->body.len > 0);
    transcript_add(&store->asked, "broadcast %.*s", (int)message->from.len, message->from.ptr);
    add_call(store, (struct fake_call){.device = CONN_NONE, .done = done, .ctx = ctx},
             message->from);
}

static void store_listen(struct mapping_store *base, const struct node_events *events, void *ctx)
{
    fake(base)->events = events;
    fake(base)->events_ctx = ctx;
}

static const char *store_trouble(struct mapping_store *base)
{
    return fake(base)->trouble;
}

static const struct mapping_store_ops fake_store_ops = {
    .bind = store_bind,
    .unbind = store_unbind,
    .send = store_send,
    .broadcast = store_broadcast,
    .listen = store_listen,
    .trouble = store_trouble,
};

static const char *id_text(struct message_id id)
{
    static char text[MESSAGE_ID_SIZE_MAX + 1];
    text[message_id_write(id, text)] = '\0';
    return text;
}

static void inbox_read(struct mapping_store *base, struct str uid, const struct message_id *after,
                       size_t n_max, inbox_read_fn *read, void *ctx)
{
    struct fake_store *store = fake(base);
    assert_false(store->is_destroying);
    assert_in_range(n_max, 0, INBOX_PAGE_MESSAGES_MAX);
    transcript_add(&store->asked, "read %zu of %.*s %s%s", n_max, (int)uid.len, uid.ptr,
                   after != NULL ? "after " : "unconfirmed", after != NULL ? id_text(*after) : "");
    struct fake_read **link = &store->first_read;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = mem_alloc(sizeof **link);
    **link = (struct fake_read){NULL, read, ctx};
    if (store->fails_inside) {
        fake_store_answer_reads_unavailable(store);
    }
}

static void inbox_confirm(struct mapping_store *base, struct str uid, struct message_id id)
{
    struct fake_store *store = fake(base);
    assert_false(store->is_destroying);
    transcript_add(&store->asked, "confirm %.*s %s", (int)uid.len, uid.ptr, id_text(id));
}

static const struct inbox_ops fake_inbox_ops = {
    .read = inbox_read,
    .confirm = inbox_confirm,
};

void fake_store_open_inbox(struct fake_store *store)
{
    store->base.inbox = &fake_inbox_ops;
}

void fake_store_init(struct fake_store *store)
{
    *store = (struct fake_store){.base = {.ops = &fake_store_ops}};
}

void fake_store_fini(struct fake_store *store)
{
    while (store->first != NULL) {
        struct fake_call *call = store->first;
        store->first = call->next;
        free(call);
    }
    assert_null(store->first_read);
    transcript_clear(&store->asked);
}

size_t fake_store_n_pending(const struct fake_store *store)
{
    size_t n = 0;
    for (const struct fake_call *call = store->first; call != NULL; call = call->next) {
        n++;
    }
    return n;
}

/* Answer a send with 'sent' and the devices of its uid. */
static void answer_sent(struct fake_store *store, const struct fake_call *call, struct sent sent)
{
    conn_id found[FAKE_DEVICES_MAX];
    sent.devices = found;
    for (size_t i = 0; i < store->n_devices; i++) {
        if (strcmp(store->devices[i].uid, call->uid) == 0) {
            found[sent.n++] = store->devices[i].conn;
        }
    }
    call->sent(call->ctx, &sent);
}

/* The answer of a working store to 'call'. */
static void answer_ok(struct fake_store *store, const struct fake_call *call)
{
    if (call->device != CONN_NONE) {
        forget_device(store, call->device);
        assert_in_range(store->n_devices, 0, FAKE_DEVICES_MAX - 1);
        struct fake_device *device = &store->devices[store->n_devices++];
        device->conn = call->device;
        memcpy(device->uid, call->uid, sizeof call->uid);
        call->bound(call->ctx, call->device, ERR_OK);
        return;
    }
    if (call->done != NULL) {
        call->done(call->ctx, ERR_OK);
        return;
    }
    answer_sent(store, call, (struct sent){.err = ERR_OK});
}

static void answer_call(struct fake_store *store, struct fake_call **link, bool unavailable)
{
    struct fake_call *call = *link;
    assert_non_null(call);
    *link = call->next;
    mapping_store_tells(&store->base);
    if (store->fail_on > 0 && --store->fail_on == 0) {
        unavailable = true;
    }
    if (!unavailable) {
        answer_ok(store, call);
    } else if (call->device != CONN_NONE) {
        call->bound(call->ctx, call->device, ERR_UNAVAILABLE);
    } else if (call->done != NULL) {
        call->done(call->ctx, ERR_UNAVAILABLE);
    } else {
        call->sent(call->ctx, &(struct sent){.err = ERR_UNAVAILABLE});
    }
    free(call);
}

void fake_store_answer(struct fake_store *store)
{
    answer_call(store, &store->first, false);
}

void fake_store_answer_all(struct fake_store *store)
{
    while (store->first != NULL) {
        fake_store_answer(store);
    }
}

void fake_store_answer_unavailable(struct fake_store *store)
{
    answer_call(store, &store->first, true);
}

/* The oldest send, which is not pending any more. Caller owns. */
static struct fake_call *take_send(struct fake_store *store)
{
    struct fake_call **link = link_to(store, CONN_NONE);
    struct fake_call *call = *link;
    assert_non_null(call);
    assert_non_null(call->sent);
    *link = call->next;
    mapping_store_tells(&store->base);
    return call;
}

void fake_store_answer_sent(struct fake_store *store, struct sent sent)
{
    struct fake_call *call = take_send(store);
    if (sent.err == ERR_OK) {
        answer_sent(store, call, sent);
    } else {
        call->sent(call->ctx, &sent);
    }
    free(call);
}

void fake_store_answer_read(struct fake_store *store, const struct inbox_page *page)
{
    struct fake_read *read = store->first_read;
    assert_non_null(read);
    store->first_read = read->next;
    mapping_store_tells(&store->base);
    read->read(read->ctx, page);
    free(read);
}

void fake_store_answer_reads_unavailable(struct fake_store *store)
{
    while (store->first_read != NULL) {
        fake_store_answer_read(store, &(struct inbox_page){.err = ERR_UNAVAILABLE});
    }
}

void fake_store_answer_send(struct fake_store *store, const conn_id *devices, size_t n)
{
    struct fake_call *call = take_send(store);
    call->sent(call->ctx, &(struct sent){.err = ERR_OK, .devices = devices, .n = n});
    free(call);
}

void fake_store_answer_bind(struct fake_store *store, conn_id device)
{
    answer_call(store, link_to(store, device), false);
}

void fake_store_fail_on(struct fake_store *store, unsigned n)
{
    store->fail_on = n;
}

void fake_store_turn(struct fake_store *store)
{
    while (store->fails_at_once && (store->first != NULL || store->first_read != NULL)) {
        if (store->first != NULL) {
            fake_store_answer_unavailable(store);
        } else {
            fake_store_answer_read(store, &(struct inbox_page){.err = ERR_UNAVAILABLE});
        }
    }
}

void fake_store_answer_as_destroyed(struct fake_store *store)
{
    store->is_destroying = true;
    while (store->first != NULL) {
        fake_store_answer_unavailable(store);
    }
    fake_store_answer_reads_unavailable(store);
    store->is_destroying = false;
}
