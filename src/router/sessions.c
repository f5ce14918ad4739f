#include "router/sessions.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "chat/id_table.h"
#include "chat/mem.h"
#include "router/reader.h"

struct sessions {
    struct id_table *by_conn;
    size_t n_signed;
    size_t slots_size; /* bytes of memory in all queues */
};

struct sessions *sessions_create(void)
{
    struct sessions *sessions = mem_alloc(sizeof *sessions);
    sessions->by_conn = id_table_create();
    return sessions;
}

static void session_free(struct session *session)
{
    free(session->reader);
    while (session->first != NULL) {
        struct slot *slot = session->first;
        session->first = slot->next;
        session->all->slots_size -= slot->size;
        free(slot);
    }
    free(session);
}

void sessions_destroy(struct sessions *sessions)
{
    if (sessions == NULL) {
        return;
    }
    size_t cursor = 0;
    struct session *session;
    while ((session = id_table_next(sessions->by_conn, &cursor)) != NULL) {
        session_free(session);
    }
    id_table_destroy(sessions->by_conn);
    free(sessions);
}

struct session *sessions_add(struct sessions *sessions, struct router *router, conn_id conn)
{
    assert(id_table_get(sessions->by_conn, conn) == NULL);
    struct session *session = mem_alloc(sizeof *session);
    session->conn = conn;
    session->all = sessions;
    session->router = router;
    id_table_put(sessions->by_conn, conn, session);
    return session;
}

struct session *sessions_get(const struct sessions *sessions, conn_id conn)
{
    return id_table_get(sessions->by_conn, conn);
}

void sessions_remove(struct sessions *sessions, struct session *session)
{
    assert(session->closed && session->first == NULL);
    id_table_take(sessions->by_conn, session->conn);
    session_free(session);
}

void sessions_sign(struct sessions *sessions, struct session *session, struct str uid)
{
    assert(uid.len > 0 && uid.len <= sizeof session->uid);
    if (!session->closed && !session_is_signed(session)) {
        sessions->n_signed++;
    }
    memcpy(session->uid, uid.ptr, uid.len);
    session->uid_len = uid.len;
}

void sessions_close(struct sessions *sessions, struct session *session)
{
    assert(!session->closed);
    session->closed = true;
    if (session_is_signed(session)) {
        sessions->n_signed--;
    }
}

size_t sessions_slots_size(const struct sessions *sessions)
{
    return sessions->slots_size;
}

size_t sessions_n_signed(const struct sessions *sessions)
{
    return sessions->n_signed;
}

struct session *sessions_next(const struct sessions *sessions, size_t *cursor)
{
    return id_table_next(sessions->by_conn, cursor);
}

bool session_is_signed(const struct session *session)
{
    return session->uid_len > 0;
}

struct str session_uid(const struct session *session)
{
    return (struct str){session->uid, session->uid_len};
}

bool session_is_device(const struct session *session, struct str uid)
{
    return !session->closed && session_is_signed(session) && str_eq(session_uid(session), uid);
}

/* Copy 's' to '*to' and step past it. */
static struct str put(char **to, struct str s)
{
    struct str copy = {*to, s.len};
    if (s.len > 0) {
        memcpy(*to, s.ptr, s.len);
    }
    *to += s.len;
    return copy;
}

struct slot *slot_create(const struct request *request)
{
    size_t text_size = request == NULL ? 0 : request->cid.len + request->body.len;
    struct slot *slot = mem_alloc(sizeof *slot + text_size);
    slot->size = sizeof *slot + text_size;
    slot->state = SLOT_QUEUED;
    if (request == NULL) {
        return slot;
    }
    struct request *copy = &slot->request;
    copy->type = request->type;
    copy->cid_valid = request->cid_valid;
    copy->uid_valid = request->uid_valid;
    if (request->uid_valid) {
        assert(request->uid.len <= sizeof copy->decoded);
        char *to = copy->decoded;
        copy->uid = put(&to, request->uid);
    }
    char *to = slot->text;
    copy->cid = put(&to, request->cid);
    copy->body = put(&to, request->body);
    copy->has_since = request->has_since;
    copy->since_valid = request->since_valid;
    copy->since = request->since;
    to = copy->cid_decoded;
    copy->cid_value = put(&to, request->cid_value);
    return slot;
}

void session_push(struct session *session, struct slot *slot)
{
    slot->session = session;
    if (session->last != NULL) {
        session->last->next = slot;
    } else {
        session->first = slot;
    }
    session->last = slot;
    if (session->queued == NULL) {
        session->queued = slot;
    }
    session->n_slots++;
    session->slots_size += slot->size;
    session->all->slots_size += slot->size;
}

void session_pop(struct session *session)
{
    struct slot *slot = session->first;
    assert(slot != NULL && slot != session->queued);
    session->first = slot->next;
    if (session->first == NULL) {
        session->last = NULL;
    }
    session->n_slots--;
    session->slots_size -= slot->size;
    session->all->slots_size -= slot->size;
    free(slot);
}

bool session_is_full(const struct session *session)
{
    return session->n_slots >= REQUESTS_IN_FLIGHT_MAX ||
           session->slots_size >= REQUESTS_IN_FLIGHT_SIZE_MAX;
}

bool session_is_half_empty(const struct session *session)
{
    return session->n_slots <= REQUESTS_IN_FLIGHT_MAX / 2 &&
           session->slots_size <= REQUESTS_IN_FLIGHT_SIZE_MAX / 2;
}
