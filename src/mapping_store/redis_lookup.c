#include "mapping_store/redis_lookup.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "chat/mem.h"

/* It has two owners, the loop and the thread; who leaves last frees it. */
struct redis_lookup {
    uv_async_t wake; /* the thread's only way to the loop */
    char *host;
    char *port;
    redis_lookup_fn *done;
    void *ctx;

    pthread_mutex_t lock; /* of what follows */
    unsigned n_owners;
    bool loop_has_left; /* 'wake' must not be touched any more */
    int status;
    int error; /* errno, where 'status' is EAI_SYSTEM */
    struct addrinfo *addresses;
};

static void release(struct redis_lookup *lookup)
{
    pthread_mutex_lock(&lookup->lock);
    unsigned n_owners = --lookup->n_owners;
    pthread_mutex_unlock(&lookup->lock);
    if (n_owners > 0) {
        return;
    }
    if (lookup->addresses != NULL) {
        freeaddrinfo(lookup->addresses);
    }
    pthread_mutex_destroy(&lookup->lock);
    free(lookup->host);
    free(lookup->port);
    free(lookup);
}

static void *look_up(void *arg)
{
    struct redis_lookup *lookup = arg;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    int status = getaddrinfo(lookup->host, lookup->port, &hints, &addresses);
    int error = errno;
    pthread_mutex_lock(&lookup->lock);
    lookup->status = status;
    lookup->error = error;
    lookup->addresses = status == 0 ? addresses : NULL;
    if (!lookup->loop_has_left) {
        uv_async_send(&lookup->wake);
    }
    pthread_mutex_unlock(&lookup->lock);
    release(lookup);
    return NULL;
}

static void on_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void leave(struct redis_lookup *lookup)
{
    pthread_mutex_lock(&lookup->lock);
    lookup->loop_has_left = true;
    pthread_mutex_unlock(&lookup->lock);
    uv_close((uv_handle_t *)&lookup->wake, on_closed);
}

static const char *reason(const struct redis_lookup *lookup)
{
    if (lookup->status == 0) {
        return "the host has no address";
    }
    return lookup->status == EAI_SYSTEM ? strerror(lookup->error) : gai_strerror(lookup->status);
}

static void on_wake(uv_async_t *wake)
{
    struct redis_lookup *lookup = wake->data;
    /* The thread has written what it found before it sent this, and has nothing more to write. */
    lookup->done(lookup->ctx, lookup->addresses, reason(lookup));
    leave(lookup);
}

static int start_thread(struct redis_lookup *lookup)
{
    pthread_attr_t detached;
    pthread_t thread;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &detached, look_up, lookup);
    pthread_attr_destroy(&detached);
    return error;
}

struct redis_lookup *redis_lookup_start(struct loop *loop, const char *host, const char *port,
                                        redis_lookup_fn *done, void *ctx)
{
    struct redis_lookup *lookup = mem_alloc(sizeof *lookup);
    int status = uv_async_init(loop_uv(loop), &lookup->wake, on_wake);
    if (status != 0) {
        free(lookup);
        errno = -status;
        return NULL;
    }
    lookup->wake.data = lookup;
    lookup->host = mem_copy(str_of(host));
    lookup->port = mem_copy(str_of(port));
    lookup->done = done;
    lookup->ctx = ctx;
    lookup->n_owners = 2;
    pthread_mutex_init(&lookup->lock, NULL);
    int error = start_thread(lookup);
    if (error != 0) {
        lookup->n_owners = 1;
        leave(lookup);
        errno = error;
        return NULL;
    }
    return lookup;
}

void redis_lookup_abandon(struct redis_lookup *lookup)
{
    if (lookup != NULL) {
        leave(lookup);
    }
}
