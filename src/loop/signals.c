#include "chat/signals.h"

#include <signal.h>
#include <stdlib.h>

#include <uv.h>

#include "chat/log.h"
#include "chat/mem.h"

/* SIGXCPU: the limit of CPU time is near. SIGPWR: the power fails, or a container is halted. */
static const int ending[] = {SIGTERM, SIGINT, SIGQUIT, SIGXCPU, SIGPWR};

/* Other daemons read their settings again, or open their logs anew. */
static const struct {
    int number;
    const char *name;
} noted[] = {{SIGHUP, "SIGHUP"}, {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}};

/* The results of writing to who is gone, to a file that is too large, and to a terminal that wants
 * no output of the background; and signals that nobody has a reason to send. */
static const int ignored[] = {SIGPIPE,   SIGXFSZ, SIGTTOU, SIGALRM,
                              SIGVTALRM, SIGPROF, SIGIO,   SIGSTKFLT};

enum {
    N_ENDING = sizeof ending / sizeof ending[0],
    N_NOTED = sizeof noted / sizeof noted[0],
    N_IGNORED = sizeof ignored / sizeof ignored[0],
    N_WATCHED = N_ENDING + N_NOTED
};

struct signals {
    uv_signal_t watched[N_WATCHED];
    size_t n_open;
    signals_end_fn *end;
    void *ctx;
};

static void ignore(int number)
{
    struct sigaction now;
    if (sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
        signal(number, SIG_IGN);
    }
}

static void ignore_noted(void)
{
    for (size_t i = 0; i < N_NOTED; i++) {
        ignore(noted[i].number);
    }
}

void signals_prepare(void)
{
    sigset_t none;
    ignore_noted();
    for (size_t i = 0; i < N_IGNORED; i++) {
        ignore(ignored[i]);
    }
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++) {
        ignore(number);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void on_ending(uv_signal_t *handle, int number)
{
    struct signals *signals = handle->data;
    signals->end(signals->ctx, number);
}

static void on_noted(uv_signal_t *handle, int number)
{
    (void)handle;
    for (size_t i = 0; i < N_NOTED; i++) {
        if (noted[i].number == number) {
            log_line(LOG_INFO, "signal_ignored", "signal=%s note=%s", noted[i].name,
                     log_value("settings are read at the start, and the log is stderr"));
        }
    }
}

static int watch_one(struct signals *signals, struct loop *loop, size_t i)
{
    uv_signal_t *handle = &signals->watched[i];
    int status = uv_signal_init(loop_uv(loop), handle);
    if (status != 0) {
        return status;
    }
    handle->data = signals;
    signals->n_open++;
    return i < N_ENDING ? uv_signal_start(handle, on_ending, ending[i])
                        : uv_signal_start(handle, on_noted, noted[i - N_ENDING].number);
}

struct signals *signals_watch(struct loop *loop, signals_end_fn *end, void *ctx)
{
    struct signals *signals = mem_alloc(sizeof *signals);
    signals->end = end;
    signals->ctx = ctx;
    for (size_t i = 0; i < N_WATCHED; i++) {
        int status = watch_one(signals, loop, i);
        if (status != 0) {
            log_line(LOG_ERROR, "signals_failed", "reason=%s", log_value(uv_strerror(status)));
            signals_destroy(signals);
            return NULL;
        }
    }
    return signals;
}

static void on_closed(uv_handle_t *handle)
{
    struct signals *signals = handle->data;
    if (--signals->n_open == 0) {
        free(signals);
    }
}

void signals_destroy(struct signals *signals)
{
    if (signals == NULL) {
        return;
    }
    size_t n = signals->n_open;
    if (n == 0) {
        free(signals);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uv_close((uv_handle_t *)&signals->watched[i], on_closed);
    }
    ignore_noted(); /* libuv has put back the default, which is the end */
}
