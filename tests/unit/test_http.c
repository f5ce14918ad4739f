/* Plain HTTP: for whoever watches the server. */
#include "transport_fixture.h"
#include <stdlib.h>

#include "fakes/fake_store.h"

static void then_answer(struct fixture *f, const char *request, const char *status,
                        const char *text)
{
    struct client *client = given_tcp(f);

    when_sends_bytes(client, str_of(request));

    free(then_http(client, status));
    while (!client->ended) {
        run_for(f, 1);
        client_read(client);
    }
    assert_int_equal(client->n_in, strlen(text));
    assert_memory_equal(client->in, text, client->n_in);
}

/* /healthz says that the process lives, whatever is the matter with its store. */
static void test_health_is_told_while_the_store_is_away(void **state)
{
    struct fixture *f = *state;
    static struct fake_store store; /* outlives the teardown */
    fake_store_init(&store);
    given_server_on(f, &store.base);

    store.trouble = "Redis is away";

    then_answer(f, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "alive\n");
    fake_store_fini(&store);
}

/* /readyz says whether requests can be done, and if not why. */
static void test_readiness_follows_the_store(void **state)
{
    struct fixture *f = *state;
    static const char request[] = "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n";
    static struct fake_store store; /* outlives the teardown */
    fake_store_init(&store);
    given_server_on(f, &store.base);

    then_answer(f, request, "HTTP/1.1 200 ", "ready\n");
    store.trouble = "Redis is away";
    then_answer(f, request, "HTTP/1.1 503 ", "not ready: Redis is away\n");
    store.trouble = NULL;
    then_answer(f, request, "HTTP/1.1 200 ", "ready\n");
    fake_store_fini(&store);
}

/* HEAD has the same head, and no body; and older probes speak HTTP/1.0. */
static void test_head_and_older_probes_are_answered(void **state)
{
    struct fixture *f = *state;
    given_server(f);

    then_answer(f, "HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "");
    then_answer(f, "HEAD /readyz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "");
    then_answer(f, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 ", "");
    then_answer(f, "GET /readyz HTTP/1.0\r\n\r\n", "HTTP/1.1 200 ", "ready\n");
}

/* Nothing else has such an answer, not even a path that begins like it. */
static void test_other_paths_are_for_websockets(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "This is a WebSocket server: connect with ws://.\n";
    given_server(f);

    then_answer(f, "GET /readyzz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 ", text);
    then_answer(f, "GET /a-path-that-is-longer-than-any HTTP/1.1\r\nHost: a\r\n\r\n",
                "HTTP/1.1 426 ", text);
    then_answer(f, "POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 405 ", "GET and HEAD are answered, and GET is upgraded.\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRANSPORT_TEST(test_health_is_told_while_the_store_is_away),
        TRANSPORT_TEST(test_readiness_follows_the_store),
        TRANSPORT_TEST(test_head_and_older_probes_are_answered),
        TRANSPORT_TEST(test_other_paths_are_for_websockets),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
